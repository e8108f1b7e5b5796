"""What a map and the boxes of road users say of a frame, drawn flat: a picture, its inverse depth, and what moves.

The paint of the road, extruded footprints, outlines of trees and posts, and boxes of road users are drawn from far to
near, without light, weather or texture: as little as MagicDrive and DriveArena give their models, and the depth of each
pixel with it. Every polygon is plane, so its inverse depth is linear in the pixel.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float, Int, Int16, UInt8
from numpy.typing import NDArray

from longdwm_env.geometry.layout import LAYOUT_RGB, LINE_REACH_M, QUAD_SHIFT, REACH_M, ROAD, RoadLayout, visible_quads
from longdwm_env.geometry.map_view.scenery import SceneryLayer
from longdwm_env.geometry.map_view.upright import STATIC, Sides, scenery_sides, vehicle_sides
from longdwm_env.geometry.pose import as_matrix
from longdwm_env.types import ActorTracks, Camera, FloatArray

_SAMPLES = 3
_NEAREST_M = 0.3
_LEVEL = 0.6
"""Share of a ray's length that is level; of all rays of cameras that look ahead it is more."""
_FARTHEST_PX = 20_000.0
SKY_RGB, VERGE_RGB = (150, 176, 204), (104, 122, 88)
_MOST_IDS = 60_000
SCENERY_REACH_M, VEHICLE_REACH_M = 260.0, 130.0
_LAYOUT_COLOURS = np.array([LAYOUT_RGB[kind] for kind in sorted(LAYOUT_RGB)], np.uint8)


@dataclass(frozen=True)
class MapPicture:
    """A frame as a map and boxes show it.

    Attributes:
        picture: uint8 (H, W, 3).
        inverse_depth: float32 (H, W) in 1/m along the camera's axis; 0 at the sky.
        owners: int16 (H, W), the road user that a pixel shows, or ``STATIC``.
    """

    picture: UInt8[np.ndarray, "h w 3"]
    inverse_depth: Float[np.ndarray, "h w"]
    owners: Int16[np.ndarray, "h w"]


def draw_map(
    layout: RoadLayout | None,
    scenery: SceneryLayer | None,
    others: ActorTracks | None,
    frame: int,
    camera: Camera,
    pose: FloatArray,
) -> MapPicture:
    """Draw one frame.

    Args:
        layout: of the road; None where there is no map.
        scenery: what stands beside it; None where the map does not know.
        others: the other road users; None where there are none, or they are unknown.
        frame: of ``others``.
        camera: whose view is drawn.
        pose: (3,) of the ego, in the frame of the other arguments.
    """
    canvas = _Canvas(camera, pose, np.array(VERGE_RGB, np.uint8) if scenery is None else scenery.verge_colour)
    parts: list[Sides] = []
    directions = canvas.seen_directions()
    if scenery is not None:
        near = scenery.seen(canvas.pose[:2], SCENERY_REACH_M, canvas.eye_m[:2], directions)
        canvas.add_ground(near.ground_corners_m, near.ground_colours, np.full(len(near.ground_colours), REACH_M))
        parts.append(scenery_sides(near, canvas.eye_m))
    if layout is not None:
        road = layout.near(canvas.pose[:2], REACH_M)
        farthest = np.where(road.kinds == ROAD, REACH_M, LINE_REACH_M)
        canvas.add_ground(road.corners_m, _LAYOUT_COLOURS[road.kinds], farthest)
    if others is not None:
        parts.append(vehicle_sides(others, frame, canvas.eye_m, VEHICLE_REACH_M, directions))
    canvas.add_sides(parts)
    return canvas.finished()


class _Canvas:
    """Numbers of polygons, painted one over the other, and what each number stands for."""

    def __init__(self, camera: Camera, pose: FloatArray, verge: UInt8[np.ndarray, "3"]) -> None:
        self.camera = camera
        size = camera.intrinsics.image_size
        self.numbers = np.zeros((size[0] * _SAMPLES, size[1] * _SAMPLES), np.uint16)
        ego_from_camera = camera.mounting.ego_from_camera
        world_from_camera = as_matrix(np.asarray(pose, np.float64)) @ ego_from_camera
        self.rotation, self.eye_m = world_from_camera[:3, :3].T, world_from_camera[:3, 3]
        self.pose = np.asarray(pose, np.float64)
        inside = camera.intrinsics
        self.focal, self.middle = np.array([inside.fx_px, inside.fy_px]), np.array([inside.cx_px, inside.cy_px])
        ground = ego_from_camera[2, :3] / -ego_from_camera[2, 3]
        self.planes, self.colours = [ground[None]], [verge[None]]
        self.owners = [np.array([STATIC])]
        self.count = 1

    def seen_directions(self) -> Float[np.ndarray, "2 2"] | None:
        """Of the rightmost and leftmost pixel, seen from above; None where the camera looks too far up or down."""
        inside = self.camera.intrinsics
        x, y = np.array([-1.0, inside.width_px]), np.array([-1.0, inside.height_px])
        x, y = (x - inside.cx_px) / inside.fx_px, (y - inside.cy_px) / inside.fy_px
        corners = np.array([[column, row, 1.0] for column in x[::-1] for row in y]) @ self.rotation
        flat = corners[:, :2] / np.linalg.norm(corners, axis=1, keepdims=True)
        if np.hypot(*flat.T).min() < _LEVEL:
            return None
        forward = self.rotation[2, :2] / np.hypot(*self.rotation[2, :2])
        left = np.array([-forward[1], forward[0]])
        angles = np.arctan2(flat @ left, flat @ forward)
        if np.ptp(angles) > np.pi / 2 + 1:
            return None
        ends = np.array([angles.min(), angles.max()])
        return np.asarray(np.cos(ends)[:, None] * forward + np.sin(ends)[:, None] * left)

    def add_ground(
        self, corners_m: Float[np.ndarray, "q 4 2"], colours: UInt8[np.ndarray, "q 3"], farthest_m: FloatArray
    ) -> None:
        shapes = visible_quads(corners_m, farthest_m, self.camera, self.pose, _SAMPLES)
        for number, (_, shape) in enumerate(shapes, self.count):
            cv2.fillConvexPoly(self.numbers, shape, number, cv2.LINE_8, QUAD_SHIFT)
        chosen = [index for index, _ in shapes]
        self._register(np.repeat(self.planes[0], len(chosen), axis=0), colours[chosen], np.full(len(chosen), STATIC))

    def add_sides(self, parts: list[Sides]) -> None:
        if not parts:
            return
        sides = Sides.joined(parts)
        if not len(sides.corners_m):
            return
        camera_m = (sides.corners_m - self.eye_m) @ self.rotation.T
        # Corners first: so the extremes of many small polygons are quick to find.
        across, down, depths = (np.ascontiguousarray(axis.T) for axis in np.moveaxis(camera_m, -1, 0))
        whole = depths.min(axis=0) > _NEAREST_M
        safe = np.maximum(depths, _NEAREST_M)
        height, width = self.camera.intrinsics.image_size
        columns = across / safe * self.focal[0] + self.middle[0]
        rows = down / safe * self.focal[1] + self.middle[1]
        inside = (columns.max(axis=0) > -1) & (columns.min(axis=0) < width)
        inside &= (rows.max(axis=0) > -1) & (rows.min(axis=0) < height)
        chosen = np.flatnonzero((depths.max(axis=0) > _NEAREST_M) & (inside | ~whole))
        chosen = chosen[np.lexsort((sides.order[chosen], -sides.distances_m[chosen]))][-_MOST_IDS + self.count :]
        fixed = _fixed_point(np.stack([columns[:, chosen], rows[:, chosen]], -1).swapaxes(0, 1))
        for number, (index, shape) in enumerate(zip(chosen.tolist(), fixed, strict=True), self.count):
            if not whole[index]:
                cut = _clipped(camera_m[index])
                shape = _fixed_point(cut[:, :2] / cut[:, 2:] * self.focal + self.middle)
            cv2.fillConvexPoly(self.numbers, shape, number, cv2.LINE_8, QUAD_SHIFT)
        self._register(_planes(camera_m[chosen]), sides.colours[chosen], sides.owners[chosen])

    def _register(
        self, planes: Float[np.ndarray, "n 3"], colours: UInt8[np.ndarray, "n 3"], owners: Int[np.ndarray, "n"]
    ) -> None:
        self.planes.append(planes)
        self.colours.append(colours)
        self.owners.append(owners)
        self.count += len(planes)

    def finished(self) -> MapPicture:
        height, width = self.camera.intrinsics.image_size
        # Four bytes a polygon: looking up single numbers is several times as fast as rows.
        colours = np.zeros((self.count, 4), np.uint8)
        colours[:, :3] = np.concatenate(self.colours)
        large = np.take(colours.view(np.uint32)[:, 0], self.numbers)
        sky = np.array([*SKY_RGB, 0], np.uint8).view(np.uint32)[0]
        np.copyto(large, sky, where=(self.numbers == 0) & _above_horizon(self.camera, _SAMPLES))
        samples = large.view(np.uint8).reshape(*self.numbers.shape, 4)
        picture = cv2.resize(samples, (width, height), interpolation=cv2.INTER_AREA)[..., :3]
        middle = self.numbers[_SAMPLES // 2 :: _SAMPLES, _SAMPLES // 2 :: _SAMPLES]
        a, b, c = np.ascontiguousarray(np.concatenate(self.planes).T, np.float32)
        x, y = pixel_rays(self.camera)
        depth = np.take(a, middle) * x + np.take(b, middle) * y + np.take(c, middle)
        owners = np.take(np.concatenate(self.owners).astype(np.int16), middle)
        return MapPicture(np.ascontiguousarray(picture), depth.clip(0.0, 1 / _NEAREST_M), owners)


@lru_cache(maxsize=8)
def pixel_rays(camera: Camera) -> Float[np.ndarray, "2 h w"]:
    """(2, H, W) float32: x and y of each pixel's ray in the camera's frame, where z is 1."""
    inside = camera.intrinsics
    height, width = inside.image_size
    x = (np.arange(width) - inside.cx_px) / inside.fx_px
    y = (np.arange(height) - inside.cy_px) / inside.fy_px
    return np.asarray(np.stack(np.meshgrid(x, y)).astype(np.float32))


@lru_cache(maxsize=8)
def _above_horizon(camera: Camera, samples: int) -> NDArray[np.bool_]:
    """Whether a sample looks above the horizon."""
    inside = camera.intrinsics
    height, width = inside.image_size
    x = ((np.arange(width * samples) + 0.5) / samples - 0.5 - inside.cx_px) / inside.fx_px
    y = ((np.arange(height * samples) + 0.5) / samples - 0.5 - inside.cy_px) / inside.fy_px
    down = -camera.mounting.ego_from_camera[2, :3]
    return np.asarray(down[0] * x[None] + down[1] * y[:, None] + down[2] <= 0)


def _planes(camera_m: Float[np.ndarray, "n k 3"]) -> Float[np.ndarray, "n 3"]:
    """Per polygon (a, b, c) with 1 / z = a x + b y + c for the ray (x, y, 1)."""
    first = camera_m[:, 0]
    # Corners may coincide, but not every other one: the longest product of two edges says how the polygon lies.
    edges = camera_m[:, 2:] - first[:, None]
    normals = np.cross(edges[:, :1], edges[:, 1:])
    best = (normals**2).sum(axis=-1).argmax(axis=1)
    normal = normals[np.arange(len(normals)), best]
    distance = (normal * first).sum(axis=-1)
    safe = np.where(np.abs(distance) < 1e-6, 1e-6, distance)
    return np.asarray(normal / safe[:, None])


def _fixed_point(pixels: Float[np.ndarray, "*n 2"]) -> NDArray[np.int32]:
    corners = ((pixels + 0.5) * _SAMPLES - 0.5).clip(-_FARTHEST_PX, _FARTHEST_PX)
    return np.asarray(np.rint(corners * 2**QUAD_SHIFT).astype(np.int32))


def _clipped(camera_m: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "m 3"]:
    """A convex polygon cut off before the camera (Sutherland and Hodgman)."""
    kept = []
    for start, end in zip(camera_m, np.roll(camera_m, -1, axis=0), strict=True):
        if start[2] >= _NEAREST_M:
            kept.append(start)
        if (start[2] >= _NEAREST_M) != (end[2] >= _NEAREST_M):
            kept.append(start + (end - start) * ((_NEAREST_M - start[2]) / (end[2] - start[2])))
    return np.array(kept)
