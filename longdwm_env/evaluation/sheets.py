"""Contact sheets of drives: what people look at beside the tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from longdwm_env.clock import FPS
from longdwm_env.evaluation.drives.recorder import Drive
from longdwm_env.io.figures import SheetRow, contact_sheet, save_picture
from longdwm_env.types import FloatArray

BOX_COLOUR = (255, 160, 0)


def spread(seeds: Sequence[int], count: int) -> list[int]:
    """Some of the seeds, from all over the list; none where ``count`` is below 1."""
    shown = min(count, len(seeds))
    return [seeds[i * len(seeds) // shown] for i in range(shown)]


def sheet_rows(
    drives: Mapping[str, Drive], times_s: Sequence[float], boxes_px: Mapping[str, FloatArray] | None = None
) -> list[SheetRow]:
    """One drive below the other at the same N instants.

    Args:
        drives: by what they are called.
        times_s: (N,) since the start; beyond a drive's end its last frame is shown.
        boxes_px: of some drives, (N, 4) left, top, right, bottom of a box that is drawn at each instant; NaN for none.
    """
    rows = []
    for name, drive in drives.items():
        places = [min(round(t * FPS), len(drive.frames) - 1) for t in times_s]
        captions = tuple(f"{t:g} s, {drive.speeds_mps[i]:.0f} m/s" for t, i in zip(times_s, places, strict=True))
        said = " ".join(drive.prompt.splitlines()[:2])
        frames = drive.frames[places].copy()
        if boxes_px is not None and name in boxes_px:
            for frame, box in zip(frames, boxes_px[name], strict=True):
                if not np.isfinite(box).all():
                    continue
                left, top, right, bottom = np.round(box).astype(int).tolist()
                cv2.rectangle(frame, (left - 2, top - 2), (right + 2, bottom + 2), BOX_COLOUR, 1)
        rows.append(SheetRow(f"{drive.seed} {name}: {drive.kind}. {said}", frames, captions))
    return rows


def write_sheets(rows: Sequence[SheetRow], folder: Path, name: str, rows_a_page: int) -> list[Path]:
    """Write rows as numbered pages, and return their files.

    No rows write nothing. In the sheet's name a path's slashes become dashes.
    """
    paths = []
    for page, first in enumerate(range(0, len(rows), rows_a_page)):
        path = folder / f"{name.strip('/').replace('/', '-')}-sheet-{page + 1}.png"
        save_picture(path, contact_sheet(rows[first : first + rows_a_page]))
        paths.append(path)
    return paths
