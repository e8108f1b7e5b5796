"""Poses in the plane and the camera motions that follow from them.

A pose is (x m, y m, heading rad): the ego frame written in some other frame, ``other_from_ego``. Any number of leading
axes broadcasts.
"""

import numpy as np
from jaxtyping import Float

from longdwm_env.types import Camera, wrap_angle


def compose(
    world_from_a: Float[np.ndarray, "*#batch 3"], a_from_b: Float[np.ndarray, "*#batch 3"]
) -> Float[np.ndarray, "*#batch 3"]:
    """``world_from_b = world_from_a @ a_from_b``.

    Args:
        world_from_a: (..., 3) poses of frame a in the world.
        a_from_b: (..., 3) poses of frame b in frame a.

    Returns:
        (..., 3) poses of frame b in the world, heading in [-pi, pi).
    """
    cos, sin = np.cos(world_from_a[..., 2]), np.sin(world_from_a[..., 2])
    x, y = a_from_b[..., 0], a_from_b[..., 1]
    return np.stack(
        [
            world_from_a[..., 0] + cos * x - sin * y,
            world_from_a[..., 1] + sin * x + cos * y,
            wrap_angle(world_from_a[..., 2] + a_from_b[..., 2]),
        ],
        axis=-1,
    )


def inverse(a_from_b: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    """``b_from_a``, (..., 3): the pose of frame a in frame b."""
    cos, sin = np.cos(a_from_b[..., 2]), np.sin(a_from_b[..., 2])
    x, y = a_from_b[..., 0], a_from_b[..., 1]
    return np.stack([-cos * x - sin * y, sin * x - cos * y, wrap_angle(-a_from_b[..., 2])], axis=-1)


def relative_to(
    world_from_b: Float[np.ndarray, "*#batch 3"], world_from_a: Float[np.ndarray, "*#batch 3"]
) -> Float[np.ndarray, "*#batch 3"]:
    """``a_from_b = a_from_world @ world_from_b``: the same poses seen from an origin.

    Args:
        world_from_b: (..., 3) poses in the world.
        world_from_a: (..., 3) the pose of the origin in the world.

    Returns:
        (..., 3) poses in the origin's frame, heading in [-pi, pi).
    """
    return compose(inverse(world_from_a), world_from_b)


def transform_points(
    world_from_a: Float[np.ndarray, "*#batch 3"], points_a: Float[np.ndarray, "*#batch n 2"]
) -> Float[np.ndarray, "*#batch n 2"]:
    """Points of frame a in the world: (..., N, 2) metres from (..., 3) poses and (..., N, 2) metres."""
    cos, sin = np.cos(world_from_a[..., 2, None]), np.sin(world_from_a[..., 2, None])
    x, y = points_a[..., 0], points_a[..., 1]
    return np.stack(
        [world_from_a[..., 0, None] + cos * x - sin * y, world_from_a[..., 1, None] + sin * x + cos * y], axis=-1
    )


def as_matrix(a_from_b: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 4 4"]:
    """Poses as (..., 4, 4) transforms of points in space; z is kept, as the car stays on the plane."""
    cos, sin = np.cos(a_from_b[..., 2]), np.sin(a_from_b[..., 2])
    transform = np.zeros((*a_from_b.shape[:-1], 4, 4))
    transform[..., 0, 0] = transform[..., 1, 1] = cos
    transform[..., 0, 1], transform[..., 1, 0] = -sin, sin
    transform[..., :2, 3] = a_from_b[..., :2]
    transform[..., 2, 2] = transform[..., 3, 3] = 1.0
    return transform


def camera_from_camera(
    camera: Camera, source_ego_from_target_ego: Float[np.ndarray, "*batch 3"]
) -> Float[np.ndarray, "*batch 4 4"]:
    """``target_camera_from_source_camera`` of a camera that is fixed to the ego.

    This is (R_t, T_t) of LongDWM, Eq. 9: it takes a point seen by the camera at the source to where the camera sees
    it after the ego moved.

    Args:
        camera: the camera; only its mounting matters.
        source_ego_from_target_ego: (..., 3) poses of the moved ego in the ego frame of the source.

    Returns:
        (..., 4, 4) transforms.
    """
    ego_from_camera = camera.mounting.ego_from_camera
    camera_from_ego = np.eye(4)
    camera_from_ego[:3, :3] = ego_from_camera[:3, :3].T
    camera_from_ego[:3, 3] = -ego_from_camera[:3, :3].T @ ego_from_camera[:3, 3]
    target_ego_from_source_ego = as_matrix(inverse(source_ego_from_target_ego))
    return np.asarray(camera_from_ego @ target_ego_from_source_ego @ ego_from_camera)
