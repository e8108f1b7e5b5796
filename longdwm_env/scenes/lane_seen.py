"""The lane that one image shows: classical lane detection, no map, no network.

Bright, narrow markings are found by a top-hat along the rows, taken to the ground plane through the camera, and
straightened for a small set of headings and curvatures; the set in which the markings line up best, into the sharpest
histogram of lateral offsets, is the road's. The peaks of that histogram on either side are the lane's borders.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from longdwm_env.types import Camera, FloatArray

NEAR_M, FAR_M, ASIDE_M = 3.0, 35.0, 7.0
LANE_WIDTH_M = 3.7
"""Assumed where only one border is seen."""

NARROWEST_M, WIDEST_M = 2.4, 5.2
BIN_M = 0.15
MARKING_M = 0.2
"""Width of a painted line."""

MIN_POINTS = 12


@dataclass(frozen=True)
class LaneSeen:
    """The lane ahead in the ego frame: y(x) = offset + slope x + curvature x^2 / 2, its middle.

    ``confidence`` is the share of the marking pixels that line up with the two borders; 0 where no lane was found.
    ``width_m`` is the distance between the borders; 0 where only one was seen.
    """

    offset_m: float = 0.0
    slope: float = 0.0
    curvature_per_m: float = 0.0
    confidence: float = 0.0
    width_m: float = 0.0

    def lateral_m(self, ahead_m: FloatArray) -> FloatArray:
        """The middle of the lane (N,) at distances ahead (N,)."""
        return self.offset_m + self.slope * ahead_m + self.curvature_per_m * ahead_m**2 / 2


def ground_grid(camera: Camera) -> tuple[FloatArray, NDArray[np.bool_]]:
    """The road point (x, y) under each pixel, (H, W, 2), and which pixels see road within range, (H, W)."""
    intrinsics = camera.intrinsics
    rows, columns = np.mgrid[: intrinsics.height_px, : intrinsics.width_px]
    rays = np.stack(
        [
            (columns - intrinsics.cx_px) / intrinsics.fx_px,
            (rows - intrinsics.cy_px) / intrinsics.fy_px,
            np.ones(rows.shape),
        ],
        axis=-1,
    )
    ego_from_camera = camera.mounting.ego_from_camera
    directions = rays @ ego_from_camera[:3, :3].T
    origin = ego_from_camera[:3, 3]
    down = directions[..., 2] < -1e-6
    reach = np.where(down, origin[2] / np.where(down, -directions[..., 2], 1.0), 0.0)
    points = origin[:2] + directions[..., :2] * reach[..., None]
    inside = down & (points[..., 0] > NEAR_M) & (points[..., 0] < FAR_M) & (np.abs(points[..., 1]) < ASIDE_M)
    return points, inside


def marking_points(image: NDArray[np.uint8], camera: Camera) -> tuple[FloatArray, FloatArray]:
    """Road points (N, 2) of pixels that look like lane markings, and their weights (N,)."""
    points, inside = ground_grid(camera)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    response = np.zeros_like(grey)
    metres_per_px = np.abs(np.gradient(points[..., 1], axis=1)).mean(axis=1)
    for row in np.flatnonzero(inside.any(axis=1)):
        # A line wider than the kernel is no line: twice the width of the paint in this row's pixels, but at least 3.
        width = int(np.clip(2 * round(MARKING_M / max(metres_per_px[row], 1e-3)) + 3, 3, 41))
        line = grey[row : row + 1]
        kernel = np.ones((1, width), np.uint8)
        response[row] = (line - cv2.morphologyEx(line, cv2.MORPH_OPEN, kernel))[0]
    level = max(12.0, float(np.percentile(response[inside], 90)) if inside.any() else 0.0)
    bright = inside & (response > level)
    # A far pixel covers more road, so it says more about it per pixel; but no more than ten times.
    weights = np.minimum(response[bright], 80.0) * np.clip(metres_per_px[np.nonzero(bright)[0]] / 0.02, 1.0, 10.0)
    return points[bright], weights


def find_lane(image: NDArray[np.uint8], camera: Camera) -> LaneSeen:
    """The lane in which the car drives, from one image (H, W, 3)."""
    points, weights = marking_points(image, camera)
    if len(points) < MIN_POINTS:
        return LaneSeen()
    slopes, curvatures = np.linspace(-0.25, 0.25, 21), np.linspace(-0.03, 0.03, 13)
    x, y = points.T
    bins = np.arange(-ASIDE_M, ASIDE_M + BIN_M, BIN_M)
    best, best_score = (0.0, 0.0), -1.0
    for slope in slopes:
        for curvature in curvatures:
            histogram, _ = np.histogram(y - slope * x - curvature * x * x / 2, bins, weights=weights)
            # The square rewards few, sharp peaks; straight roads win a tie.
            score = float((histogram**2).sum()) * (1 - abs(slope) - 3 * abs(curvature))
            if score > best_score:
                best, best_score = (float(slope), float(curvature)), score
    offsets = y - best[0] * x - best[1] * x * x / 2
    histogram, _ = np.histogram(offsets, bins, weights=weights)
    return _between_borders(np.convolve(histogram, [0.25, 0.5, 0.25], "same"), bins[:-1] + BIN_M / 2, *best)


def _between_borders(histogram: FloatArray, centres: FloatArray, slope: float, curvature: float) -> LaneSeen:
    total = float(histogram.sum())
    peaks = np.flatnonzero((histogram >= np.roll(histogram, 1)) & (histogram > np.roll(histogram, -1)))
    peaks = peaks[histogram[peaks] > 0.04 * total]
    left = [p for p in peaks if 0.3 < centres[p] < WIDEST_M]
    right = [p for p in peaks if -WIDEST_M < centres[p] < -0.3]
    pairs = [(a, b) for a in left for b in right if NARROWEST_M < centres[a] - centres[b] < WIDEST_M]
    width = 0.0
    if pairs:
        a, b = max(pairs, key=lambda pair: histogram[pair[0]] + histogram[pair[1]])
        middle, support = (centres[a] + centres[b]) / 2, histogram[a] + histogram[b]
        width = float(centres[a] - centres[b])
    elif left or right:
        peak = max(left + right, key=lambda p: histogram[p])
        middle, support = centres[peak] - math.copysign(LANE_WIDTH_M / 2, centres[peak]), histogram[peak]
    else:
        return LaneSeen()
    return LaneSeen(float(middle), slope, curvature, float(min(support / total * 2, 1.0)), width)
