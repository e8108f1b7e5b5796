"""A coarse spinning lidar for exported datasets: rays against boxes and the flat ground."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longdwm_env.types import FloatArray

LIDAR_MOUNT_M = (0.94, 0.0, 1.84)
"""Above the rear axle, as on nuScenes' cars; its axes are the ego's."""

RANGE_M = 100.0
_BEAMS, _COLUMNS = 16, 360
_LOWEST_RAD, _HIGHEST_RAD = math.radians(-25.0), math.radians(2.0)


@dataclass(frozen=True)
class Scan:
    """One turn of the lidar.

    Attributes:
        points: float32 (P, 5) x, y, z in the lidar's frame, intensity, beam: the layout of nuScenes' ``.pcd.bin``.
        hits: (A,) points on each box.
        visible: (A,) share of the rays through each box that reach it first; 1 where no ray goes through.
    """

    points: NDArray[np.float32]
    hits: NDArray[np.int64]
    visible: FloatArray


def cast_rays(ego_pose: FloatArray, box_poses: FloatArray, sizes_m: FloatArray) -> Scan:
    """Cast the lidar's rays.

    Args:
        ego_pose: (3,) of the rear axle.
        box_poses: (A, 3) centres, in the same frame; boxes stand on the ground.
        sizes_m: (A, 3) length, width, height.
    """
    elevations = np.linspace(_LOWEST_RAD, _HIGHEST_RAD, _BEAMS).repeat(_COLUMNS)
    azimuths = np.tile(np.arange(_COLUMNS) * (2 * math.pi / _COLUMNS), _BEAMS)
    rays = np.column_stack(
        [np.cos(elevations) * np.cos(azimuths), np.cos(elevations) * np.sin(azimuths), np.sin(elevations)]
    )
    with np.errstate(divide="ignore"):
        ground = np.where(rays[:, 2] < 0, -LIDAR_MOUNT_M[2] / rays[:, 2], np.inf)
    distances = _box_distances(rays, ego_pose, box_poses, sizes_m)
    nearest_box = np.min(distances, axis=1, initial=np.inf)
    first = np.minimum(np.minimum(ground, nearest_box), RANGE_M)
    reached = (distances <= first[:, None]) & (distances < RANGE_M)
    through = (np.isfinite(distances) & (distances < RANGE_M)).sum(axis=0)
    hits = reached.sum(axis=0)
    kept = first < RANGE_M
    beams = np.arange(_BEAMS, dtype=np.float64).repeat(_COLUMNS)
    intensity = np.where(nearest_box <= ground, 60.0, 10.0)
    points = np.column_stack([rays * first[:, None], intensity, beams])[kept].astype(np.float32)
    return Scan(points, hits, np.where(through > 0, hits / np.maximum(through, 1), 1.0))


def _box_distances(rays: FloatArray, ego_pose: FloatArray, box_poses: FloatArray, sizes_m: FloatArray) -> FloatArray:
    """(R, A) distance along each ray to each box, infinite where it misses (the slab method)."""
    cos, sin = math.cos(ego_pose[2]), math.sin(ego_pose[2])
    origin = ego_pose[:2] + np.array([cos, sin]) * LIDAR_MOUNT_M[0]
    directions = np.column_stack([cos * rays[:, 0] - sin * rays[:, 1], sin * rays[:, 0] + cos * rays[:, 1], rays[:, 2]])
    distances = np.full((len(rays), len(box_poses)), np.inf)
    for index, ((x, y, heading), size) in enumerate(zip(box_poses, sizes_m, strict=True)):
        c, s = math.cos(heading), math.sin(heading)
        box_from_world = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
        start = box_from_world @ np.array([origin[0] - x, origin[1] - y, LIDAR_MOUNT_M[2] - size[2] / 2])
        along = directions @ box_from_world.T
        # Rays parallel to a side get an enormous, not an undefined, distance to it.
        along = np.where(np.abs(along) < 1e-12, 1e-12, along)
        near = (-np.sign(along) * size / 2 - start) / along
        far = (np.sign(along) * size / 2 - start) / along
        entry, leave = near.max(axis=1), far.min(axis=1)
        hit = (entry <= leave) & (entry > 0)
        distances[hit, index] = entry[hit]
    return distances
