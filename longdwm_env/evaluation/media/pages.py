"""What each picture shows: a sheet of moments and the same as a film, from drives.

A film is a list of pictures at the frame rate. All pictures are RGBA on transparent ground; see ``panels``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from longdwm_env.agents.driving.window.upscaling import upscale
from longdwm_env.clock import FPS
from longdwm_env.evaluation.drives.recorder import Drive
from longdwm_env.geometry.pose import relative_to
from longdwm_env.io.overlay import draw_path
from longdwm_env.types import Images

GAP_PX = 8
RADIUS_PX = 8
LABEL_INSET_PX = 8
LABEL_PADDING_PX = (7, 4)
FONT_PX = 13
INK = (245, 247, 248, 255)
CARD = (12, 16, 20, 165)

_OVERSAMPLED = 4
"""Pillow draws corners without smoothing, so they are drawn larger and reduced."""


@dataclass(frozen=True)
class Panel:
    """A frame (h, w, 3) uint8 RGB with a label in its upper left corner and one in its lower left; "" for none."""

    frame: Images
    label: str = ""
    caption: str = ""


def board(rows: Sequence[Sequence[Panel]], width_px: int) -> NDArray[np.uint8]:
    """Rows of panels, each as many, as one picture (H, W, 4) RGBA whose gaps are transparent.

    Args:
        rows: of frames of one shape.
        width_px: of a panel; its height follows from the frame's shape.
    """
    height, width = rows[0][0].frame.shape[:2]
    size_px = width_px, round(width_px * height / width)
    lines = []
    for row in rows:
        cells = [_drawn(panel, size_px) for panel in row]
        gap = np.zeros((size_px[1], GAP_PX, 4), np.uint8)
        lines.append(np.concatenate([part for cell in cells for part in (gap, cell)][1:], axis=1))
    gap = np.zeros((GAP_PX, lines[0].shape[1], 4), np.uint8)
    return np.concatenate([part for line in lines for part in (gap, line)][1:])


def _drawn(panel: Panel, size_px: tuple[int, int]) -> NDArray[np.uint8]:
    picture = upscale(panel.frame, size_px).copy()
    if panel.label:
        _lay(picture, _tag(panel.label), top=True)
    if panel.caption:
        _lay(picture, _tag(panel.caption), top=False)
    return np.dstack([picture, _rounded(size_px, RADIUS_PX)])


def _lay(picture: Images, tag: NDArray[np.uint8], top: bool) -> None:
    """Blend a tag into a left corner, in place; what does not fit on the picture is cut off."""
    space = picture.shape[0] - LABEL_INSET_PX, picture.shape[1] - LABEL_INSET_PX
    tag = tag[: max(space[0], 0), : max(space[1], 0)]
    first = LABEL_INSET_PX if top else space[0] - tag.shape[0]
    under = picture[first : first + tag.shape[0], LABEL_INSET_PX : LABEL_INSET_PX + tag.shape[1]]
    opacity = tag[..., 3:] / 255
    under[:] = np.round(under * (1 - opacity) + tag[..., :3] * opacity)


@lru_cache(maxsize=512)
def _tag(words: str) -> NDArray[np.uint8]:
    """Words on a dark, translucent card, (h, w, 4)."""
    font = _font(FONT_PX)
    padding_x, padding_y = LABEL_PADDING_PX
    ascent, descent = font.getmetrics()
    size_px = round(font.getlength(words)) + 2 * padding_x, ascent + descent + 2 * padding_y
    card = np.empty((size_px[1], size_px[0], 4), np.uint8)
    card[:] = CARD
    card[..., 3] = _rounded(size_px, size_px[1] // 3).astype(int) * CARD[3] // 255
    text = Image.new("RGBA", size_px, (*INK[:3], 0))
    ImageDraw.Draw(text).text((padding_x, padding_y), words, INK, font)
    return np.asarray(Image.alpha_composite(Image.fromarray(card), text))


@lru_cache(maxsize=64)
def _rounded(size_px: tuple[int, int], radius_px: int) -> NDArray[np.uint8]:
    """Opacity (h, w) of a rectangle (w, h) with round corners."""
    large = Image.new("L", (size_px[0] * _OVERSAMPLED, size_px[1] * _OVERSAMPLED), 0)
    corner = large.width - 1, large.height - 1
    ImageDraw.Draw(large).rounded_rectangle(((0, 0), corner), radius_px * _OVERSAMPLED, fill=255)
    return np.asarray(large.resize(size_px, Image.Resampling.BOX))


@lru_cache(maxsize=4)
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings along, as in the driving window."""
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size_px)


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
    """A column for each drive, from the start they share down to the end."""
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
