"""A painter of polygons in space: projection, clipping at the near plane, and light spots, on one picture."""

import math
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from longdwm_env.simulator.drawing.palette import HAZE_POWER, Light
from longdwm_env.simulator.drawing.rays import View
from longdwm_env.types import FloatArray, Images

NEAR_M = 0.2
SHIFT = 4
UNIT = 1 << SHIFT
MOST_SPOT_PX = 120
FAR_AWAY_PX = 20_000.0
"""Projected coordinates are kept within this, far outside any picture, so that they fit the drawing routines."""


class Painter:
    """Draws into one picture from one pose; only lives while a frame is drawn."""

    def __init__(self, image: Images, view: View, ego_pose: FloatArray, light: Light, fade_m: float) -> None:
        self.image, self.view, self.light, self.fade_m = image, view, light, fade_m
        cosine, sine = float(np.cos(ego_pose[2])), float(np.sin(ego_pose[2]))
        ego_from_world = np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])
        self.rotation = view.camera_from_ego @ ego_from_world
        centre = view.position_m + ego_from_world @ np.array([ego_pose[0], ego_pose[1], 0.0])
        self.offset = -view.camera_from_ego @ centre
        self.position_m = ego_from_world.T @ centre
        self.right_m = self.rotation[0]
        self.heading_rad = float(ego_pose[2])
        self._focal = np.array(view.focal_px)
        self._middle = np.array(view.middle_px)

    def camera_points(self, world_m: FloatArray) -> FloatArray:
        """(..., 3) world points in the camera's frame."""
        return world_m @ self.rotation.T + self.offset

    def pixels(self, camera_m: FloatArray) -> FloatArray:
        """(..., 2) pixels of points in front of the camera."""
        pixels = camera_m[..., :2] / np.maximum(camera_m[..., 2:], NEAR_M) * self._focal + self._middle
        return np.minimum(np.maximum(pixels, -FAR_AWAY_PX), FAR_AWAY_PX)

    def fixed(self, camera_m: FloatArray) -> np.ndarray:
        """The same as fixed-point numbers for drawing."""
        return np.rint(self.pixels(camera_m) * UNIT).astype(np.int32)

    def veil(self, distance_m: float) -> float:
        """Share of the horizon's colour at a distance, all of it where things fade out of sight."""
        fade = min(max((distance_m / self.fade_m - 0.62) / 0.38, 0.0), 1.0)
        haze = 1.0 - math.exp(-((distance_m / self.light.visibility_m) ** HAZE_POWER))
        return max(haze, fade * fade * (3 - 2 * fade) * 0.92)

    def veils(self, distances_m: FloatArray) -> FloatArray:
        """``veil`` for many distances."""
        fade = np.clip((distances_m / self.fade_m - 0.62) / 0.38, 0.0, 1.0)
        return np.maximum(self.light.haze(distances_m), fade * fade * (3 - 2 * fade) * 0.92)

    def polygon(self, points: np.ndarray, colour: Sequence[float]) -> None:
        """Fill a convex polygon of fixed-point pixels (n, 2)."""
        cv2.fillConvexPoly(self.image, points, colour, cv2.LINE_AA, SHIFT)

    def polygon_in_space(self, camera_m: FloatArray, colour: Sequence[float]) -> None:
        """Fill a convex polygon (n, 3) given in the camera's frame, cut off at the near plane."""
        depths = camera_m[:, 2]
        if depths.min() < NEAR_M:
            if depths.max() <= NEAR_M:
                return
            camera_m = clipped(camera_m)
        self.polygon(self.fixed(camera_m), colour)

    def spot(self, pixel: Sequence[float], radius_px: float, colour: Sequence[float], stretch: float = 1.0) -> None:
        """Add a soft spot of light."""
        half = min(max(math.ceil(radius_px), 1), MOST_SPOT_PX)
        tall = min(max(math.ceil(half * stretch), 1), MOST_SPOT_PX)
        x, y = round(pixel[0]), round(pixel[1])
        left, right = max(x - half, 0), min(x + half + 1, self.view.width)
        top, bottom = max(y - tall, 0), min(y + tall + 1, self.view.height)
        if left >= right or top >= bottom:
            return
        # A few levels of each colour are enough, and let the spots be kept.
        rgb = tuple(8 * round(channel / 8) for channel in colour)
        glow = _glow(half, tall, rgb)[top - y + tall : bottom - y + tall, left - x + half : right - x + half]
        patch = self.image[top:bottom, left:right]
        cv2.add(patch, glow, dst=patch)


def clipped(camera_m: FloatArray) -> FloatArray:
    """A polygon (n, 3) of the camera's frame cut off at the near plane (Sutherland and Hodgman)."""
    kept = []
    for start, end in zip(camera_m, np.roll(camera_m, -1, axis=0), strict=True):
        if start[2] >= NEAR_M:
            kept.append(start)
        if (start[2] >= NEAR_M) != (end[2] >= NEAR_M):
            kept.append(start + (end - start) * ((NEAR_M - start[2]) / (end[2] - start[2])))
    return np.array(kept)


@lru_cache(maxsize=1024)
def _glow(half: int, tall: int, rgb: tuple[int, ...]) -> np.ndarray:
    """A soft spot, uint8 (2 tall + 1, 2 half + 1, 3), brightest in the middle and nothing at the rim."""
    y, x = np.mgrid[-tall : tall + 1, -half : half + 1]
    distance = np.hypot(x / half, y / tall)
    strength = np.clip(1 - distance, 0, 1) ** 2.2
    return np.clip(strength[..., None] * np.array(rgb), 0, 255).astype(np.uint8)
