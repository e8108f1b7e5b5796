"""The road as a map draws it, seen by a camera: where the asphalt lies and where its lines run."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Float, Int32, UInt8

from longdwm_env.geometry.camera import project_points
from longdwm_env.geometry.pose import inverse, transform_points
from longdwm_env.types import Camera, FloatArray, ImageSize, RoadMap

ROAD, LINE, CENTRE_LINE = 0, 1, 2
"""Kinds of quadrilaterals: asphalt, lines between lanes and along edges, lines between directions."""

REACH_M = 150.0
"""Nothing farther from the camera is drawn: at mini's size a lane there is two pixels wide."""

LINE_REACH_M = 70.0
"""No line farther away: at mini's size it is a quarter of a pixel wide there."""

_NEAREST_M = 0.5
_NEAR_ROAD_M = 30.0
_BACKGROUND = (104, 122, 88)
LAYOUT_RGB = {ROAD: (84, 84, 88), LINE: (236, 236, 236), CENTRE_LINE: (236, 188, 56)}
_SAMPLES = 3
QUAD_SHIFT = 4


@dataclass(frozen=True)
class RoadLayout:
    """Quadrilaterals on the ground.

    Attributes:
        corners_m: float32 (Q, 4, 2), the corners of each in order.
        kinds: uint8 (Q,) ``ROAD``, ``LINE`` or ``CENTRE_LINE``; later ones are painted over earlier ones.
    """

    corners_m: Float[np.ndarray, "q 4 2"]
    kinds: UInt8[np.ndarray, "q"]

    def __post_init__(self) -> None:
        for name, dtype in (("corners_m", np.float32), ("kinds", np.uint8)):
            array = np.array(getattr(self, name), dtype)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if self.corners_m.shape != (len(self.kinds), 4, 2):
            raise ValueError(f"a layout has (Q, 4, 2) corners and (Q,) kinds, got {self.corners_m.shape}")
        if not np.isfinite(self.corners_m).all() or (self.kinds > CENTRE_LINE).any():
            raise ValueError(f"a layout has finite corners and kinds 0 to {CENTRE_LINE}")

    def near(self, centre_m: FloatArray, reach_m: float) -> "RoadLayout":
        """Only what has a corner within a distance of a point (2,)."""
        close = (np.hypot(*(self.corners_m - np.asarray(centre_m, np.float32)).T) < reach_m).any(axis=0)
        chosen = object.__new__(RoadLayout)
        for name, part in (("corners_m", self.corners_m[close]), ("kinds", self.kinds[close])):
            # Without looking at it again.
            part.flags.writeable = False
            object.__setattr__(chosen, name, part)
        return chosen

    def seen_from(self, pose: FloatArray) -> "RoadLayout":
        """The same in the ego frame of a pose (3,)."""
        flat = self.corners_m.reshape(-1, 2).astype(np.float64)
        seen = transform_points(inverse(np.asarray(pose, np.float64)), flat)
        return RoadLayout(seen.reshape(self.corners_m.shape), self.kinds)

    def shows_road(self, pose: FloatArray) -> bool:
        """Whether there is asphalt near a pose (3,); elsewhere a layout says nothing, as beyond a map's end."""
        asphalt = self.corners_m[self.kinds == ROAD].astype(np.float64)
        centre = np.asarray(pose[:2], np.float64)
        # Nearly always a corner is near enough, which is found sooner.
        if (np.hypot(*(asphalt.reshape(-1, 2) - centre).T) < _NEAR_ROAD_M).any():
            return True
        return bool((_distances(asphalt, centre) < _NEAR_ROAD_M).any())


@runtime_checkable
class DrawnRoadMap(RoadMap, Protocol):
    """A road map that can also say what is painted where."""

    def layout(self, centre_m: FloatArray, reach_m: float) -> RoadLayout:
        """What lies within a distance of a point (2,), in the map's frame."""
        ...


def layout_along(road_map: RoadMap | None, poses: FloatArray) -> RoadLayout | None:
    """What can be seen of a map on a drive, poses (T, 3) in the map's frame; None where the map draws nothing."""
    if not isinstance(road_map, DrawnRoadMap):
        return None
    middle = poses[len(poses) // 2, :2]
    return road_map.layout(middle, float(np.hypot(*(poses[:, :2] - middle).T).max()) + REACH_M)


def draw_layout(layout: RoadLayout, camera: Camera, pose: FloatArray) -> UInt8[np.ndarray, "h w 3"]:
    """What a camera sees of a layout, on flat ground and with nothing in between.

    Args:
        layout: in the frame of ``pose``.
        camera: the camera.
        pose: (3,) of the ego: x m, y m, heading rad.

    Returns:
        uint8 (H, W, 3); sky and whatever is no road have one colour.
    """
    height, width = camera.intrinsics.image_size
    canvas = _background((height * _SAMPLES, width * _SAMPLES)).copy()
    near = layout.near(np.asarray(pose)[:2], REACH_M)
    farthest = np.where(near.kinds == ROAD, REACH_M, LINE_REACH_M)
    kinds = near.kinds.tolist()
    for index, shape in visible_quads(near.corners_m, farthest, camera, pose, _SAMPLES):
        cv2.fillConvexPoly(canvas, shape, LAYOUT_RGB[kinds[index]], cv2.LINE_8, QUAD_SHIFT)
    return np.asarray(cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def visible_quads(
    corners_m: Float[np.ndarray, "q 4 2"],
    farthest_m: Float[np.ndarray, "q"],
    camera: Camera,
    pose: FloatArray,
    samples: int,
) -> list[tuple[int, Int32[np.ndarray, "k 2"]]]:
    """Quadrilaterals on the ground that a camera sees, cut off where they are behind it.

    Args:
        corners_m: (Q, 4, 2) in the frame of ``pose``.
        farthest_m: (Q,) depth of the nearest corner from which on a quadrilateral is left out.
        camera: the camera.
        pose: (3,) of the ego.
        samples: of the canvas along each pixel's side.

    Returns:
        Indices in order, each with corners (K, 2) on the canvas in fixed-point numbers with ``QUAD_SHIFT`` bits.
    """
    width = camera.intrinsics.width_px
    flat = transform_points(inverse(np.asarray(pose, np.float64)), corners_m.reshape(-1, 2).astype(np.float64))
    ground = np.concatenate([flat, np.zeros((len(flat), 1))], axis=1)
    pixels, depths = project_points(camera, ground)
    ground, pixels, depths = ground.reshape(-1, 4, 3), pixels.reshape(-1, 4, 2), depths.reshape(-1, 4)
    visible = (depths.max(axis=1) > _NEAREST_M) & (depths.min(axis=1) < farthest_m)
    whole = depths.min(axis=1) > _NEAREST_M
    columns = pixels[..., 0]
    visible &= ~whole | ((columns.max(axis=1) > 0) & (columns.min(axis=1) < width))
    chosen = np.flatnonzero(visible)
    shapes = dict(zip(chosen.tolist(), _fixed_point(np.nan_to_num(pixels[chosen]), samples), strict=True))
    cut = chosen[~whole[chosen]].tolist()
    if cut:
        parts = [_clipped(ground[index], depths[index]) for index in cut]
        corners = _fixed_point(project_points(camera, np.concatenate(parts))[0], samples)
        shapes.update(zip(cut, np.split(corners, np.cumsum([len(part) for part in parts])[:-1]), strict=True))
    return list(shapes.items())


@lru_cache(maxsize=8)
def _background(size: ImageSize) -> UInt8[np.ndarray, "h w 3"]:
    """A picture with nothing on it, to be copied."""
    return np.full((*size, 3), _BACKGROUND, np.uint8)


def _distances(quads: Float[np.ndarray, "q 4 2"], point: FloatArray) -> Float[np.ndarray, "q"]:
    """How far convex quadrilaterals are from a point (2,): nothing for those that it lies in."""
    edges = np.roll(quads, -1, axis=1) - quads
    towards = point - quads
    lengths = (edges**2).sum(axis=-1)
    along = np.divide((towards * edges).sum(axis=-1), lengths, out=np.zeros_like(lengths), where=lengths > 0)
    nearest = np.hypot(*np.moveaxis(towards - along.clip(0, 1)[..., None] * edges, -1, 0)).min(axis=1)
    sides = edges[..., 0] * towards[..., 1] - edges[..., 1] * towards[..., 0]
    inside = (sides > 0).all(axis=1) | (sides < 0).all(axis=1)
    return np.asarray(np.where(inside, 0, nearest))


def _fixed_point(pixels: Float[np.ndarray, "*n 2"], samples: int) -> Int32[np.ndarray, "*n 2"]:
    """Pixels of the image as OpenCV's fixed-point numbers on the canvas."""
    corners = ((pixels + 0.5) * samples - 0.5).clip(-1e5, 1e5)
    return np.asarray(np.round(corners * 2**QUAD_SHIFT).astype(np.int32))


def _clipped(quad: FloatArray, depth: FloatArray) -> FloatArray:
    """The part (N, 3) of a convex quadrilateral (4, 3) ahead of the nearest depth (Sutherland and Hodgman)."""
    kept: list[FloatArray] = []
    for index in range(len(quad)):
        here, before = depth[index] - _NEAREST_M, depth[index - 1] - _NEAREST_M
        if (here > 0) != (before > 0):
            share = before / (before - here)
            # Just ahead of the plane, so that the point projects.
            kept.append(quad[index - 1] + share * (quad[index] - quad[index - 1]))
        if here > 0:
            kept.append(quad[index])
    return np.stack(kept)
