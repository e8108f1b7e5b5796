"""Pictures that people open: contact sheets of drives and plots of commanded against driven trajectories."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from longdwm_env.io.files import atomic_path, atomic_write_bytes
from longdwm_env.io.words import ascii_only, for_figure
from longdwm_env.types import FloatArray, Images

CELL_WIDTH_PX = 216
MARGIN_PX = 6
LABEL_HEIGHT_PX = 22
PAPER = (250, 250, 248)
INK = (40, 40, 44)


@dataclass(frozen=True)
class SheetRow:
    """One row of a contact sheet: frames (N, H, W, 3), a title, and a caption under each frame."""

    title: str
    frames: Images
    captions: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.frames) != len(self.captions):
            raise ValueError(f"{len(self.frames)} frames with {len(self.captions)} captions")


def contact_sheet(rows: Sequence[SheetRow]) -> Images:
    """All rows on one page, (H, W, 3) uint8 RGB; rows may differ in frame size and number."""
    cells = max(len(row.frames) for row in rows)
    width = cells * (CELL_WIDTH_PX + MARGIN_PX) + MARGIN_PX
    return np.concatenate([_draw_row(row, width) for row in rows] + [np.full((MARGIN_PX, width, 3), PAPER, np.uint8)])


def _draw_row(row: SheetRow, width: int) -> Images:
    height, frame_width = row.frames.shape[1:3]
    cell_height = round(CELL_WIDTH_PX * height / frame_width)
    page = np.full((2 * LABEL_HEIGHT_PX + cell_height + MARGIN_PX, width, 3), PAPER, np.uint8)
    _write(page, row.title, (MARGIN_PX, LABEL_HEIGHT_PX - 6), 0.5)
    enlarging = frame_width < CELL_WIDTH_PX
    for index, (frame, caption) in enumerate(zip(row.frames, row.captions, strict=True)):
        left = MARGIN_PX + index * (CELL_WIDTH_PX + MARGIN_PX)
        method = cv2.INTER_CUBIC if enlarging else cv2.INTER_AREA
        cell = cv2.resize(frame, (CELL_WIDTH_PX, cell_height), interpolation=method)
        page[LABEL_HEIGHT_PX : LABEL_HEIGHT_PX + cell_height, left : left + CELL_WIDTH_PX] = cell
        _write(page, caption, (left, LABEL_HEIGHT_PX + cell_height + 15), 0.42)
    return page


def _write(page: Images, text: str, origin: tuple[int, int], scale: float) -> None:
    cv2.putText(page, ascii_only(text), origin, cv2.FONT_HERSHEY_SIMPLEX, scale, INK, 1, cv2.LINE_AA)


def save_picture(path: str | os.PathLike[str], picture: Images) -> None:
    """Write (H, W, 3) uint8 RGB as the file type that the name asks for (png, jpg), whole or not at all."""
    done, data = cv2.imencode(Path(path).suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not done:
        raise OSError(f"cannot encode a picture as {Path(path).suffix!r}")
    atomic_write_bytes(path, data.tobytes())


@dataclass(frozen=True)
class DrivenPath:
    """What was commanded and what was driven, in the episode's world frame.

    Attributes:
        driven: (N, 3) poses, the start first.
        commanded: for each action, its waypoints (W, 2), as requested.
        speeds_mps: (N,).
        commanded_speeds_mps: (N,) the speed of the planned motion at the same instants, NaN at the start.
    """

    title: str
    driven: FloatArray
    commanded: tuple[FloatArray, ...]
    speeds_mps: FloatArray
    commanded_speeds_mps: FloatArray


def plot_paths(path: str | os.PathLike[str], drives: Sequence[DrivenPath], frame_s: float) -> None:
    """Commanded waypoints over the driven path, seen from above, and speed over time; one column a drive."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * len(drives), 7), layout="constrained", facecolor="white")
    axes = figure.subplots(2, len(drives), squeeze=False, height_ratios=(2, 1))
    for (above, speed), drive in zip(axes.T, drives, strict=True):
        # Seen as the driver does: the start heading points up, left is left.
        forward, left = _from_start(drive.driven[:, :2], drive.driven[0])
        above.plot(-left, forward, color="tab:blue", lw=2.5, label="driven")
        for index, waypoints in enumerate(drive.commanded):
            ahead, aside = _from_start(waypoints, drive.driven[0])
            label = "commanded waypoints" if index == 0 else None
            above.plot(-aside, ahead, "o", color="tab:orange", ms=4, mfc="none", label=label)
        above.set(title=for_figure(drive.title), xlabel="to the right (m)", ylabel="ahead (m)")
        above.set_aspect("equal", adjustable="datalim")
        above.legend(loc="best", frameon=False)
        times = np.arange(len(drive.speeds_mps)) * frame_s
        speed.plot(times, drive.speeds_mps, color="tab:blue", lw=2.5, label="driven")
        speed.plot(times, drive.commanded_speeds_mps, "--", color="tab:orange", label="commanded")
        speed.set(xlabel="time (s)", ylabel="speed (m/s)", ylim=(0, None))
        speed.legend(loc="best", frameon=False)
        for axis in (above, speed):
            axis.grid(alpha=0.3)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _from_start(points: FloatArray, start: FloatArray) -> tuple[FloatArray, FloatArray]:
    offset = points - start[:2]
    cosine, sine = np.cos(start[2]), np.sin(start[2])
    return offset @ np.array([cosine, sine]), offset @ np.array([-sine, cosine])
