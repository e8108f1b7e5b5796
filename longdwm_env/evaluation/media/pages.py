"""What each picture shows: a sheet of moments and the same as a film, from drives.

A film is a list of pictures at the frame rate. All pictures are RGBA on transparent ground; see ``panels``.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from longdwm_env.agents.driving.picture import upscale
from longdwm_env.clock import FPS
from longdwm_env.evaluation.drives.recorder import Drive
from longdwm_env.evaluation.media.panels import Panel, board
from longdwm_env.geometry.pose import relative_to
from longdwm_env.overlay import draw_path
from longdwm_env.types import Images

FILM_WIDTH_PX = 872
"""Of a whole film: about the width of a README's column."""

SHEET_COLUMNS = 5
SHEET_PANEL_PX = 216
COLUMN_PANEL_PX = 284
MOMENTS = 3
"""Rows of a picture in columns: the start, halfway, the end."""


def drive_sheet(drives: Mapping[str, Drive]) -> NDArray[np.uint8]:
    """A row for each world, a column for each of five moments of the drive."""
    rows = []
    for world, drive in drives.items():
        places = _spread(len(drive.frames), SHEET_COLUMNS)
        captions = [_time(place) for place in places]
        labels = [world] + [""] * (len(places) - 1)
        rows.append([Panel(drive.frames[p], *words) for p, *words in zip(places, labels, captions, strict=True)])
    return board(rows, SHEET_PANEL_PX)


def drive_film(drives: Mapping[str, Drive]) -> list[NDArray[np.uint8]]:
    """The worlds side by side; the first says how fast the car drives."""
    width = min(FILM_WIDTH_PX // len(drives), 3 * FILM_WIDTH_PX // 5) - 4
    film = []
    for i in range(_length(drives)):
        row = []
        for number, (world, drive) in enumerate(drives.items()):
            caption = f"{i / FPS:.1f} s   {drive.speeds_mps[i] * 3.6:.0f} km/h" if number == 0 else ""
            row.append(Panel(drive.frames[i], world, caption))
        film.append(board([row], width))
    return film


def column_sheet(drives: Mapping[str, Drive], paths: bool) -> NDArray[np.uint8]:
    """A column for each drive, from the start they share down to the end.

    Args:
        drives: by what to call them.
        paths: draw the path ahead into the start.
    """
    rows = []
    for i in _spread(_length(drives), MOMENTS):
        row = [
            Panel(_with_path(drive, i) if paths and i == 0 else drive.frames[i], name if i == 0 else "", _time(i))
            for name, drive in drives.items()
        ]
        rows.append(row)
    return board(rows, COLUMN_PANEL_PX)


def column_film(drives: Mapping[str, Drive], paths: bool) -> list[NDArray[np.uint8]]:
    """The drives side by side; arguments as for ``column_sheet``."""
    film = []
    for i in range(_length(drives)):
        row = [
            Panel(_with_path(drive, i) if paths and i == 0 else drive.frames[i], name) for name, drive in drives.items()
        ]
        film.append(board([row], COLUMN_PANEL_PX))
    return film


def _with_path(drive: Drive, place: int) -> Images:
    """A frame at the size of a panel, with what will be driven from it drawn on the road."""
    height, width = drive.frames.shape[1:3]
    canvas = upscale(drive.frames[place], (COLUMN_PANEL_PX, round(COLUMN_PANEL_PX * height / width))).copy()
    ahead = drive.poses[place + 1 :]
    draw_path(canvas, drive.camera, relative_to(ahead, np.broadcast_to(drive.poses[place], ahead.shape)))
    return canvas


def _spread(count: int, moments: int) -> Sequence[int]:
    """Indices from the first of ``count`` to the last."""
    return [int(i) for i in np.linspace(0, count - 1, moments).round()]


def _length(drives: Mapping[str, Drive]) -> int:
    return min(len(drive.frames) for drive in drives.values())


def _time(place: int) -> str:
    return f"{place / FPS:.1f} s".replace(".0 s", " s")
