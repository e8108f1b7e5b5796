"""Where a photograph's road leads to: the point at which its straight lines meet, and the camera that follows from it.

One picture of a road says where its horizon lies: lane lines, kerbs, walls and eaves run along the road, and parallel
lines meet at one point, which for a flat road lies on the horizon.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from longdwm_env.geometry.camera import forward_mounting
from longdwm_env.types import FloatArray, Intrinsics, Mounting

WIDTH_PX = 480
"""Of the picture that is looked at."""

_LONGEST, _SHORTEST_PX = 140, 18.0
_LEAST_SLOPE, _MOST_SLOPE = math.tan(math.radians(7)), math.tan(math.radians(80))
_AGREEING_RAD = math.radians(2.0)
_COLUMNS, _ROWS = (0.25, 0.75), (0.22, 0.75)
"""Shares of the picture's sides between which roads lead away from a front camera."""

_USUAL_ROW, _ROW_DEVIATION = 0.5, 0.15
_USUAL_COLUMN, _COLUMN_DEVIATION = 0.5, 0.12
_LEAST_LENGTH = 0.5
"""Share of the picture's width that the lines through the point must have together."""

MOST_UPRIGHT = 4.0
"""Height over width of the tallest pictures that are looked at: one pixel across and a thousand down is no view."""


@dataclass(frozen=True)
class VanishingPoint:
    """Where the lines of a picture meet.

    Attributes:
        column, row: shares of the picture's width and height, from its left and upper edge.
        support: length of the lines that meet there, in widths of the picture.
    """

    column: float
    row: float
    support: float


def vanishing_point(image: UInt8[np.ndarray, "h w 3"]) -> VanishingPoint | None:
    """The point that a picture's lines lead to; None where too few of them agree, as where no road is in sight."""
    if image.shape[0] > MOST_UPRIGHT * image.shape[1]:
        return None
    height = max(32, round(image.shape[0] * WIDTH_PX / image.shape[1]))
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    lines = _lines(grey)
    if len(lines) < 4:
        return None
    crossings = _crossings(lines)
    low = np.array([_COLUMNS[0] * WIDTH_PX, _ROWS[0] * height])
    high = np.array([_COLUMNS[1] * WIDTH_PX, _ROWS[1] * height])
    crossings = crossings[((crossings > low) & (crossings < high)).all(axis=1)]
    if not len(crossings):
        return None
    usual = np.array([_USUAL_COLUMN * WIDTH_PX, _USUAL_ROW * height])
    spread = np.array([_COLUMN_DEVIATION * WIDTH_PX, _ROW_DEVIATION * height])
    prior = np.exp(-0.5 * (((crossings - usual) / spread) ** 2).sum(axis=1))
    shares = _agreement(lines, crossings)
    best = crossings[int((shares.sum(axis=1) * prior).argmax())]
    weights = _agreement(lines, best[None])[0]
    point = np.clip(_meeting(lines, weights), low, high)
    support = float(_agreement(lines, point[None]).sum()) / WIDTH_PX
    if support < _LEAST_LENGTH:
        return None
    return VanishingPoint(float((point[0] + 0.5) / WIDTH_PX), float((point[1] + 0.5) / height), support)


def _lines(grey: UInt8[np.ndarray, "h w"]) -> Float[np.ndarray, "n 4"]:
    """The longest straight edges that may run along a road, as x, y of both ends."""
    found = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD).detect(grey)[0]
    if found is None:
        return np.zeros((0, 4))
    ends = found[:, 0].astype(np.float64)
    across, down = np.abs(ends[:, 2] - ends[:, 0]), np.abs(ends[:, 3] - ends[:, 1])
    lengths = np.hypot(across, down)
    kept = (lengths > _SHORTEST_PX) & (down > _LEAST_SLOPE * across) & (down < _MOST_SLOPE * across)
    ends, lengths = ends[kept], lengths[kept]
    return np.asarray(ends[np.argsort(-lengths)[:_LONGEST]])


def _crossings(lines: FloatArray) -> FloatArray:
    """(M, 2) where pairs of lines, made longer, cross."""
    first, second = np.triu_indices(len(lines), 1)
    ones = np.ones(len(lines))
    starts, stops = np.column_stack([lines[:, :2], ones]), np.column_stack([lines[:, 2:], ones])
    through = np.cross(starts, stops)
    met = np.cross(through[first], through[second])
    sure = np.abs(met[:, 2]) > 1e-6 * np.abs(met[:, :2]).max(axis=1)
    return np.asarray(met[sure, :2] / met[sure, 2:])


def _agreement(lines: FloatArray, points: FloatArray) -> FloatArray:
    """(M, N) pixels of each line that lead to each point: its length, less for a line that passes by."""
    starts, stops = lines[:, :2], lines[:, 2:]
    lengths = np.hypot(*(stops - starts).T)
    middles, directions = (starts + stops) / 2, (stops - starts) / lengths[:, None]
    towards = points[:, None] - middles[None]
    away = np.hypot(towards[..., 0], towards[..., 1])
    aside = np.abs(towards[..., 0] * directions[:, 1] - towards[..., 1] * directions[:, 0])
    angle = np.arcsin(np.clip(aside / np.maximum(away, 1e-9), 0, 1))
    # A line that the point lies on leads nowhere.
    ahead = away > lengths / 2 + 0.02 * WIDTH_PX
    return np.where(ahead, lengths * np.maximum(0.0, 1 - angle / _AGREEING_RAD), 0.0)


def _meeting(lines: FloatArray, weights: FloatArray) -> FloatArray:
    """The point (2,) nearest to lines, weighted."""
    directions = lines[:, 2:] - lines[:, :2]
    normals = np.column_stack([-directions[:, 1], directions[:, 0]])
    normals /= np.hypot(*normals.T)[:, None]
    offsets = (normals * lines[:, :2]).sum(axis=1)
    weighted = normals * weights[:, None]
    return np.linalg.lstsq(weighted.T @ normals + 1e-9 * np.eye(2), weighted.T @ offsets, rcond=None)[0]


def turned_towards(
    point: VanishingPoint, intrinsics: Intrinsics, translation_m: tuple[float, float, float]
) -> Mounting:
    """A camera of a car that drives along the road, which the camera sees lead to a point.

    Args:
        point: of the picture.
        intrinsics: of the picture.
        translation_m: where the camera sits.
    """
    right = (point.column * intrinsics.width_px - 0.5 - intrinsics.cx_px) / intrinsics.fx_px
    down = (point.row * intrinsics.height_px - 0.5 - intrinsics.cy_px) / intrinsics.fy_px
    # A point to the right is seen by a camera that is turned to the left.
    yaw = math.atan(right)
    pitch = -math.atan(down * math.cos(yaw))
    w, x, y, z = forward_mounting(translation_m, pitch).rotation_wxyz
    cos, sin = math.cos(yaw / 2), math.sin(yaw / 2)
    # The product of two quaternions: a turn about the ego's z axis after the one that looks ahead and down.
    return Mounting(translation_m, (cos * w - sin * z, cos * x - sin * y, cos * y + sin * x, cos * z + sin * w))
