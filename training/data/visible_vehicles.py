"""Where in a picture the other road users are, as the Coarse model's loss asks for it."""

from collections.abc import Sequence

import numpy as np

from longdwm_env.geometry.boxes import seen_boxes, shares_inside
from longdwm_env.types import ActorTracks, Camera, FloatArray

MARGIN = 0.25
"""Of a box on every side that counts as the vehicle too: its outline and its shadow."""

FARTHEST_M = 60.0
"""Who is farther away covers a few pixels, and counts as scenery."""

LEAST_INSIDE = 0.5
"""Share of a box that is in the picture. Who is beside the ego has a box as large as the picture, and has just come or
will be gone the next second."""


def vehicle_cover(
    actors: ActorTracks, camera: Camera, ego_poses: FloatArray, frames: Sequence[int], grid: tuple[int, int]
) -> FloatArray:
    """How much of each cell of a grid over the picture shows other road users.

    Those whose box is mostly in the picture, and no farther than ``FARTHEST_M``. What stands before them is not
    regarded.

    Args:
        actors: boxes at every frame of a clip.
        camera: the camera.
        ego_poses: (T, 3) of the clip.
        frames: F of these.
        grid: (h, w) cells.

    Returns:
        (F, h, w) shares in [0, 1].
    """
    height, width = camera.intrinsics.image_size
    # Pixels lie at whole numbers, so the picture begins half a pixel before the first.
    rows = (np.arange(grid[0] + 1) * height / grid[0]) - 0.5
    columns = (np.arange(grid[1] + 1) * width / grid[1]) - 0.5
    cover = np.zeros((len(frames), *grid))
    for place, boxes in enumerate(seen_boxes(actors, frames, ego_poses[list(frames)], camera)):
        shown = (boxes[:, 4] < FARTHEST_M) & (shares_inside(boxes, (height, width)) >= LEAST_INSIDE)
        for left, top, right, bottom, _ in boxes[shown]:
            wider, taller = MARGIN * (right - left), MARGIN * (bottom - top)
            down = _shares(rows, top - taller, bottom + taller)
            across = _shares(columns, left - wider, right + wider)
            cover[place] = np.maximum(cover[place], np.outer(down, across))
    return cover


def _shares(edges: FloatArray, low: float, high: float) -> FloatArray:
    """Share of each cell between ``edges`` that an interval covers."""
    covered = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
    return np.clip(covered, 0, None) / np.diff(edges)
