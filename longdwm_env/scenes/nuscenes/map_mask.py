"""Drawing a map mask in nuScenes' form: ten pixels per metre, white where the road is, the origin at the lower left."""

import cv2
import numpy as np
from numpy.typing import NDArray

from longdwm_env.scenes.nuscenes.nuscenes_map import PIXELS_PER_M
from longdwm_env.types import FloatArray, RoadMap

MARGIN_M = 100.0
"""How far around the driven path the mask reaches; the devkit cuts pieces of up to 85 m about the ego out of it."""

_BLOCK_PX = 8
_MOST_POINTS = 500_000


def draw_mask(road_map: RoadMap, driven_m: FloatArray, offset_m: FloatArray) -> NDArray[np.uint8]:
    """The mask of the road within ``MARGIN_M`` of a path, (height, width), 0 or 255.

    Every eighth pixel of a grid is asked for first, and all pixels only where neighbours differ: roads have far more
    inside than edge. What is narrower than 0.8 m may be missed.

    Args:
        road_map: in the path's frame.
        driven_m: (N, 2) the path.
        offset_m: (2,) added to the path's frame to get the mask's, in which the path stays ``MARGIN_M`` off the edges.
    """
    extent = np.ceil((driven_m + offset_m).max(axis=0) + MARGIN_M)
    blocks = np.ceil(extent * PIXELS_PER_M / _BLOCK_PX).astype(int)
    height = int(blocks[1]) * _BLOCK_PX

    def drivable(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.bool_]:
        # The devkit's pixel (row, column) is the point (column / 10, (height - row) / 10).
        points = np.column_stack([columns, height - rows]) / PIXELS_PER_M - offset_m
        pieces = [road_map.drivable(points[i : i + _MOST_POINTS]) for i in range(0, len(points), _MOST_POINTS)]
        return np.concatenate([*pieces, np.zeros(0, bool)])

    near = np.zeros((int(blocks[1]), int(blocks[0])), np.uint8)
    path = np.round((driven_m + offset_m) * PIXELS_PER_M / _BLOCK_PX).astype(np.int32)
    path[:, 1] = blocks[1] - path[:, 1]
    thickness = round(2 * MARGIN_M * PIXELS_PER_M / _BLOCK_PX)
    cv2.polylines(near, [path.reshape(-1, 1, 2)], False, (1.0,), thickness=thickness)
    rows, columns = np.nonzero(near)
    coarse = np.zeros_like(near)
    coarse[rows, columns] = drivable(rows * _BLOCK_PX + _BLOCK_PX // 2, columns * _BLOCK_PX + _BLOCK_PX // 2)
    kernel = np.ones((3, 3), np.uint8)
    mixed = (cv2.dilate(coarse, kernel) != cv2.erode(coarse, kernel)) & (near > 0)
    mask = np.kron(coarse, np.full((_BLOCK_PX, _BLOCK_PX), 255, np.uint8))
    block_rows, block_columns = np.nonzero(mixed)
    inside = np.arange(_BLOCK_PX)
    for begin in range(0, len(block_rows), _MOST_POINTS // _BLOCK_PX**2):
        part = slice(begin, begin + _MOST_POINTS // _BLOCK_PX**2)
        rows = (block_rows[part, None, None] * _BLOCK_PX + inside[:, None]) + 0 * inside
        columns = (block_columns[part, None, None] * _BLOCK_PX + inside) + 0 * inside[:, None]
        mask[rows, columns] = drivable(rows.ravel(), columns.ravel()).reshape(rows.shape) * np.uint8(255)
    return mask
