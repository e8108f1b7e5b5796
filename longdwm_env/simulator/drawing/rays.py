"""Where each pixel of a camera looks: on the ground, and into the sky. Computed once per camera."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from longdwm_env.types import Camera, FloatArray

SUPERSAMPLED_PX = 70_000
"""Images with fewer pixels are drawn at twice their size and reduced."""

NEAR_M, MIDDLE_M = 10.0, 42.0
"""Where the ground's texture changes from fine to middling to coarse."""
FAR_ROWS = 6
"""The far ground is drawn with this many rows per row: there a row spans many metres, and dashes would flicker."""
RESOLUTIONS_M = (0.05, 0.1, 0.4)
REACH_M = 300.0


@dataclass(frozen=True)
class Band:
    """Rows of the image that show ground of one level of detail.

    Attributes:
        level: index into RESOLUTIONS_M.
        top, bottom: rows of the image, bottom excluded.
        rows_per_row: how many rows are drawn for each.
        points_m: (rows, W, 2) float32 where each pixel meets the ground, in the ego frame.
        distances_m: (rows, W) float32 from the camera; inf in the sky.
        grazing: (rows, W) float32 cosine between ray and vertical.
        centre_m, radius_m: a circle in the ego frame that holds all points.
    """

    level: int
    top: int
    bottom: int
    rows_per_row: int
    points_m: FloatArray
    distances_m: FloatArray
    grazing: FloatArray
    centre_m: FloatArray
    radius_m: float


@dataclass(frozen=True)
class View:
    """A camera prepared for drawing; sizes and intrinsics are those of the drawing, which may be twice the picture.

    Attributes:
        scale: of the drawing over the picture, 1 or 2.
        height, width: of the drawing, pixels.
        focal_px: (fx, fy).
        middle_px: (cx, cy).
        camera_from_ego: (3, 3) rotation.
        position_m: (3,) of the camera in the ego frame.
        bands: the ground, far to near.
        azimuths_rad, elevations_rad: (rows, W) float32 of the pixels from the top that show sky; the azimuth is against
            the camera's axis.
        axis_rad: azimuth of the camera's axis in the ego frame.
    """

    scale: int
    height: int
    width: int
    focal_px: tuple[float, float]
    middle_px: tuple[float, float]
    camera_from_ego: FloatArray
    position_m: FloatArray
    bands: tuple[Band, ...]
    azimuths_rad: FloatArray
    elevations_rad: FloatArray
    axis_rad: float


@lru_cache(maxsize=16)
def view_of(camera: Camera) -> View:
    """Prepare a camera for drawing."""
    inside = camera.intrinsics
    scale = 2 if inside.width_px * inside.height_px < SUPERSAMPLED_PX else 1
    height, width = inside.height_px * scale, inside.width_px * scale
    focal = inside.fx_px * scale, inside.fy_px * scale
    middle = (inside.cx_px + 0.5) * scale - 0.5, (inside.cy_px + 0.5) * scale - 0.5
    ego_from_camera = camera.mounting.ego_from_camera
    rotation, position = ego_from_camera[:3, :3], ego_from_camera[:3, 3]

    def rays(rows: FloatArray) -> FloatArray:
        u, v = np.meshgrid((np.arange(width) - middle[0]) / focal[0], (rows - middle[1]) / focal[1])
        directions = np.stack([u, v, np.ones_like(u)], -1) @ rotation.T
        return directions / np.linalg.norm(directions, axis=-1, keepdims=True)

    directions = rays(np.arange(height, dtype=np.float64))
    down = -directions[..., 2]
    horizontal = np.hypot(directions[..., 0], directions[..., 1])
    reach = np.where(down > 1e-4, position[2] * horizontal / np.maximum(down, 1e-4), np.inf)
    typical = np.median(reach, axis=1)
    grounded = np.flatnonzero((down > 0).any(1))
    top = max(int(grounded[0]) - 1, 0) if len(grounded) else height
    bands = []
    near_top = next((row for row in range(top, height) if typical[row] < NEAR_M), height)
    middle_top = next((row for row in range(top, near_top) if typical[row] < MIDDLE_M), near_top)
    for level, first, last in ((2, top, middle_top), (1, middle_top, near_top), (0, near_top, height)):
        if last > first:
            bands.append(_band(rays, position, level, first, last, FAR_ROWS if level == 2 else 1))
    sky = directions[: min(height, int(np.flatnonzero((down < 0.01).any(1))[-1]) + 2) if (down < 0.01).any() else 0]
    axis = float(np.arctan2(rotation[1, 2], rotation[0, 2]))
    azimuths = np.arctan2(sky[..., 1], sky[..., 0]) - axis
    return View(
        scale,
        height,
        width,
        focal,
        middle,
        np.ascontiguousarray(rotation.T),
        position,
        tuple(bands),
        ((azimuths + math.pi) % (2 * math.pi) - math.pi).astype(np.float32),
        np.arcsin(np.clip(sky[..., 2], -1, 1)).astype(np.float32),
        axis,
    )


def _band(rays: object, position: FloatArray, level: int, top: int, bottom: int, rows_per_row: int) -> Band:
    assert callable(rays)
    rows = top - 0.5 + (np.arange((bottom - top) * rows_per_row) + 0.5) / rows_per_row
    directions = rays(rows)
    down = -directions[..., 2]
    hits = down > 1e-4
    length = np.where(hits, position[2] / np.maximum(down, 1e-4), np.inf)
    # Level 2 covers all that is far; nearer levels stop where their texture would.
    clipped = np.minimum(length, REACH_M)
    points = position[:2] + directions[..., :2] * clipped[..., None]
    lower, upper = points.reshape(-1, 2).min(0), points.reshape(-1, 2).max(0)
    centre = (lower + upper) / 2
    radius = float(np.linalg.norm(points - centre, axis=-1).max())
    return Band(
        level,
        top,
        bottom,
        rows_per_row,
        points.astype(np.float32),
        np.where(hits, length, np.inf).astype(np.float32),
        np.clip(down, 0, 1).astype(np.float32),
        centre,
        radius,
    )
