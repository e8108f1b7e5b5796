"""How well every speed explains two pictures of the road.

Seen from above, the road shifts backwards as the car moves on. Two frames of a car on a circular arc differ by half a
turn, a shift along x, and half a turn, so one correlation along x answers for all speeds. The road is cut into strips
side by side that are judged apart: where something stands on one, such as a car ahead, the others still tell.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from longdwm_env.scenes.ego_motion.tracks import STILL_PX
from longdwm_env.types import FloatArray, ImageSize

SPEEDS_MPS: FloatArray = 42 * np.expm1(3 * np.linspace(0, 1, 200)) / np.expm1(3.0)
"""Speeds that are tried: 0.03 m/s apart near standstill, 0.6 m/s at the top."""

STRIPS, _ROWS_A_STRIP, _ROW_M = 5, 8, 0.175
_ROWS = STRIPS * _ROWS_A_STRIP
_CELLS, _CELL_M = 400, 0.06
_LONGEST_SHIFT_M = 7.0
_FEWEST_CELLS = 120
_FULL_M = 3.0
_POINT_PX, _FARTHEST_POINT_M, _SIDE_M = 0.4, 25.0, 4.0
_TRANSFORM = 1024
_NEARNESS = np.minimum(1.0, _FULL_M / (_FULL_M / 2 + _CELL_M * np.arange(_CELLS))).astype(np.float32) ** 2


@dataclass(frozen=True)
class View:
    """What the working picture sees of the road.

    Attributes:
        centre_px: (2,) principal point, column and row.
        yaw_rad: by how much the camera looks to the left of the way ahead.
        height_m: of the camera above the road.
        ahead_m: of the camera ahead of the rear axle.
        size: (height, width) of the picture.
    """

    focal_px: float
    centre_px: FloatArray
    yaw_rad: float
    height_m: float
    ahead_m: float
    size: ImageSize

    def first_m(self, pitch_down_rad: float, lowest_row: float) -> float:
        """The nearest road ahead of the rear axle that is seen, given the lowest row with road in it."""
        down = np.arctan2(lowest_row - self.centre_px[1], self.focal_px) + pitch_down_rad
        return self.ahead_m + float(np.clip(self.height_m / np.tan(max(down, 0.03)), 2.0, 30.0))


@dataclass(frozen=True)
class FromAbove:
    """The road ahead from above, high-passed along x and brought to one contrast.

    Attributes:
        texture: float32 (rows, cells).
        seen: float32 (rows, cells), 1 where the camera sees it.
    """

    texture: Float[np.ndarray, "rows cells"]
    seen: Float[np.ndarray, "rows cells"]


def from_above(
    grey: np.ndarray, mask: np.ndarray, view: View, first_m: float, pitch_down_rad: float, roll_rad: float = 0.0
) -> FromAbove:
    """Look at the road from above.

    Args:
        grey: uint8 (h, w), the working picture.
        mask: uint8 (h, w), 0 where it shows no road, such as the hood.
        view: of the camera.
        first_m: distance of the first cell from the rear axle.
        pitch_down_rad: how far the camera looks down in this frame.
        roll_rad: how far it is turned clockwise about its axis in this frame.
    """
    ahead, left = _places(first_m)
    cos, sin = np.cos(view.yaw_rad), np.sin(view.yaw_rad)
    ahead = ahead - view.ahead_m
    ahead, right = cos * ahead + sin * left, sin * ahead - cos * left
    cos, sin = np.cos(pitch_down_rad), np.sin(pitch_down_rad)
    depth, down = cos * ahead + sin * view.height_m, cos * view.height_m - sin * ahead
    right, down = np.cos(roll_rad) * right + np.sin(roll_rad) * down, np.cos(roll_rad) * down - np.sin(roll_rad) * right
    depth = np.maximum(depth, 0.3)
    column = (view.focal_px * right / depth + view.centre_px[0]).astype(np.float32)
    row = (view.focal_px * down / depth + view.centre_px[1]).astype(np.float32)
    inside = (column >= 0) & (column <= grey.shape[1] - 1) & (row >= 0) & (row <= grey.shape[0] - 1)
    road = cv2.remap(grey, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    unmasked = cv2.remap(mask, column, row, cv2.INTER_NEAREST)
    seen = (inside & (unmasked > 0)).astype(np.float32)
    passed = (road - cv2.blur(road, (25, 1), borderType=cv2.BORDER_REPLICATE)) * seen
    share = cv2.blur(seen, (61, 9)) + 1e-3
    contrast = np.sqrt(np.maximum(cv2.blur(passed * passed, (61, 9)), 0) / share)
    return FromAbove(np.clip(passed / (contrast + 1.0), -3, 3) * seen, seen)


def agreement(
    earlier: FromAbove, later: FromAbove, first_m: float, turn_rad: float, seconds: float
) -> tuple[Float[np.ndarray, "strips speeds"], Float[np.ndarray, "speeds"]]:
    """Normalised correlation of two frames at every speed.

    Args:
        earlier: the road in the earlier frame.
        later: in the later one.
        first_m: distance of the first cell from the rear axle.
        turn_rad: by how much the car turned left between them.
        seconds: between them.

    Returns:
        By strip from right to left, and by speed, -1 to 1; and 1 for the speeds that these frames can judge.
    """
    a, seen_a = _turned(earlier, turn_rad / 2, first_m)
    b, seen_b = _turned(later, -turn_rad / 2, first_m)
    # Near the car the road is sharp and free; farther on stand others, and a pixel is a metre long.
    near = seen_b * _NEARNESS
    fa, fb, fsa, fsb, faa, fbb = (
        np.fft.rfft(value, _TRANSFORM, axis=1) for value in (a, b * near, seen_a, near, a * a, b * b * near)
    )
    matched, energy_a, energy_b, cells = (
        np.fft.irfft((left * np.conj(right)).reshape(STRIPS, _ROWS_A_STRIP, -1).sum(axis=1), _TRANSFORM, axis=1)[
            :, :_CELLS
        ]
        for left, right in ((fa, fb), (faa, fsb), (fsa, fbb), (fsa, fsb))
    )
    correlation = matched / np.sqrt((np.maximum(energy_a, 0) + 12) * (np.maximum(energy_b, 0) + 12))
    correlation[cells < _FEWEST_CELLS] = 0
    shifts = SPEEDS_MPS * seconds / _CELL_M
    sampled = np.stack([np.interp(shifts, np.arange(_CELLS), strip, right=0.0) for strip in correlation])
    return sampled, (shifts < _LONGEST_SHIFT_M / _CELL_M).astype(np.float64)


def points_agreement(
    before_px: FloatArray, after_px: FloatArray, view: View, turn_rad: FloatArray, pitch_down_rad: float, seconds: float
) -> Float[np.ndarray, "speeds"]:
    """What points that were followed on the road say of the speed, in the manner of a strip's correlation.

    Args:
        before_px: (N, 2) in the earlier frame.
        after_px: (N, 2) in the later one.
        view: of the camera.
        turn_rad: (3,) rotation vector of the later camera in the earlier one's frame.
        pitch_down_rad: how far the camera looks down in the earlier frame.
        seconds: between the frames.

    Returns:
        By speed, the share of the points on the way ahead that would show it, 0 to 1.
    """
    rays = [np.column_stack([(p - view.centre_px) / view.focal_px, np.ones(len(p))]) for p in (before_px, after_px)]
    level = cv2.Rodrigues(np.array([pitch_down_rad, 0, 0]))[0]
    before = rays[0] @ level.T
    after = rays[1] @ cv2.Rodrigues(turn_rad)[0].T @ level.T
    down, down_after = before[:, 1] / before[:, 2], after[:, 1] / after[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        side_m = view.height_m * (before[:, 0] / before[:, 1] - view.yaw_rad / down)
        speeds = view.height_m * (1 / down - 1 / down_after) / seconds
        # A pixel's error, and that of the pitch.
        spread = view.height_m * (_POINT_PX / view.focal_px) * (down**-2 + down_after**-2) / seconds + 0.03 * abs(
            speeds
        )
    used = (down > view.height_m / _FARTHEST_POINT_M) & (down_after > down * 0.9) & (np.abs(side_m) < _SIDE_M)
    # Corners along an unbroken line stay where they are, as do reflections; whether the car stands is found elsewhere.
    used &= np.hypot(*(after_px - before_px).T) > STILL_PX * view.size[1] / 640
    used &= np.isfinite(speeds) & (spread < 0.25 * np.abs(speeds) + 1.5) & (speeds > -3)
    if used.sum() < 4:
        return np.zeros(len(SPEEDS_MPS))
    off = (SPEEDS_MPS[None] - speeds[used, None]) / np.maximum(spread[used, None], 0.15)
    return np.asarray(np.exp(-off * off / 2).sum(axis=0) / (used.sum() + 4))


def _places(first_m: float) -> tuple[FloatArray, FloatArray]:
    """(rows, cells) distances ahead of the rear axle and to the left."""
    ahead, left = np.meshgrid(first_m + _CELL_M * np.arange(_CELLS), (np.arange(_ROWS) - (_ROWS - 1) / 2) * _ROW_M)
    return ahead, left


def _turned(road: FromAbove, angle_rad: float, first_m: float) -> tuple[np.ndarray, np.ndarray]:
    """The road about the rear axle: what lies at q in the result lay at R(angle) q."""
    ahead, left = _places(first_m)
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    cells = ((cos * ahead - sin * left - first_m) / _CELL_M).astype(np.float32)
    rows = ((sin * ahead + cos * left) / _ROW_M + (_ROWS - 1) / 2).astype(np.float32)
    seen = (cv2.remap(road.seen, cells, rows, cv2.INTER_LINEAR) > 0.99).astype(np.float32)
    return cv2.remap(road.texture, cells, rows, cv2.INTER_LINEAR) * seen, seen
