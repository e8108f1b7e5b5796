"""Boxes on the ground: whether they touch, when they will, and where a camera sees them. Pure, vectorised."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Real
from numpy.typing import NDArray

from longdwm_env.geometry.camera import project_points
from longdwm_env.geometry.kinematics import Car
from longdwm_env.geometry.pose import relative_to, transform_points
from longdwm_env.types import ActorTracks, Camera, ImageSize

Floats = Real[np.ndarray, "..."]
"""Numbers of any precision, of the shape that the function says."""

Length = Floats | float | int | np.number[Any]

TTC_HORIZON_S = 3.0
"""How far ahead a collision is looked for; nuPlan's time_to_collision_within_bound."""

TTC_STEP_S = 0.1
"""Step of that search; nuPlan's time_step_size."""

NEAREST_DEPTH_M = 0.5
"""What has a corner nearer to the camera's plane than this, or behind it, has no box in the picture."""

NEARER_M = 0.5
"""Who is nearer by more than this hides another."""

STANDSTILL_MPS = 5e-3
"""Below this speed the ego cannot run into a road user; nuPlan's stopped_speed_threshold."""


def body_poses(rear_axle_poses: Floats, car: Car) -> Floats:
    """Poses (..., 3) of the middle of the car's body, from those of its rear axle."""
    ahead = car.length_m / 2 - car.rear_overhang_m
    poses = np.array(rear_axle_poses, dtype=np.float64)
    poses[..., 0] += ahead * np.cos(poses[..., 2])
    poses[..., 1] += ahead * np.sin(poses[..., 2])
    return poses


def corners(poses: Floats, length_m: Length, width_m: Length) -> Floats:
    """Corners (..., 4, 2) of boxes centred at poses (..., 3): front left, front right, rear right, rear left."""
    forward = np.stack([np.cos(poses[..., 2]), np.sin(poses[..., 2])], axis=-1)
    left = np.stack([-forward[..., 1], forward[..., 0]], axis=-1)
    half_forward = forward * np.asarray(length_m)[..., None] / 2
    half_left = left * np.asarray(width_m)[..., None] / 2
    signs = ((1, 1), (1, -1), (-1, -1), (-1, 1))
    return np.stack([poses[..., :2] + a * half_forward + b * half_left for a, b in signs], axis=-2)


def overlap(corners_a: Floats, corners_b: Floats) -> NDArray[np.bool_]:
    """Whether rectangles (..., 4, 2) and (..., 4, 2) overlap; NaN corners never do.

    Separating axis theorem: two convex shapes are apart exactly when their shadows on the normal of one of their sides
    are; a rectangle has two such directions.
    """
    sides = [c[..., (1, 3), :] - c[..., (0, 0), :] for c in (corners_a, corners_b)]
    together: NDArray[np.bool_] | None = None
    for side in sides:
        shadow_a = np.einsum("...cd,...ad->...ac", corners_a, side)
        shadow_b = np.einsum("...cd,...ad->...ac", corners_b, side)
        meet = (shadow_a.min(-1) <= shadow_b.max(-1)) & (shadow_b.min(-1) <= shadow_a.max(-1))
        together = meet.all(-1) if together is None else together & meet.all(-1)
    assert together is not None
    return np.asarray(together)


def collisions(ego_poses: Floats, actors: ActorTracks, car: Car) -> NDArray[np.bool_]:
    """Whether the ego at rear-axle poses (T, 3) touches each of the A actors, (T, A)."""
    ego = corners(body_poses(ego_poses, car), car.length_m, car.width_m)[:, None]
    others = corners(actors.poses, actors.sizes_m[:, 0], actors.sizes_m[:, 1])
    return overlap(ego, others)


def times_to_collision_s(ego_poses: Floats, ego_speeds_mps: Floats, actors: ActorTracks, car: Car) -> Floats:
    """Seconds until the ego would touch a road user if all kept speed and heading; (T,), inf where never.

    As in nuPlan, looked for up to 3 s ahead in steps of 0.1 s; road users behind the ego are left out (they can brake),
    and an ego at standstill runs into no road user.

    Args:
        ego_poses: (T, 3) poses of the rear axle.
        ego_speeds_mps: (T,).
        actors: boxes at the same T frames.
        car: the ego's body.
    """
    times_s = np.arange(0.0, TTC_HORIZON_S + TTC_STEP_S / 2, TTC_STEP_S)
    ego = body_poses(ego_poses, car)
    # Only pairs that could meet are worth the test: closer than both can drive within the horizon.
    gap = actors.poses[..., :2] - ego[:, None, :2]
    heading = np.stack([np.cos(ego[:, 2]), np.sin(ego[:, 2])], axis=-1)
    longitudinal = np.einsum("tad,td->ta", gap, heading)
    reach = (np.abs(ego_speeds_mps)[:, None] + np.abs(actors.speeds_mps)) * TTC_HORIZON_S
    reach = reach + np.hypot(car.length_m, car.width_m) + np.hypot(actors.sizes_m[:, 0], actors.sizes_m[:, 1])
    moving = np.abs(ego_speeds_mps) > STANDSTILL_MPS
    near = (np.linalg.norm(gap, axis=-1) < reach) & (longitudinal > -car.length_m / 2) & moving[:, None]
    result = np.full(len(ego), np.inf)
    frames, which = np.nonzero(near)
    if not len(frames):
        return result
    ego_later = straight_on(ego[frames], ego_speeds_mps[frames], times_s)
    actor_later = straight_on(actors.poses[frames, which], actors.speeds_mps[frames, which], times_s)
    sizes = actors.sizes_m[which][:, None]
    touch = overlap(corners(ego_later, car.length_m, car.width_m), corners(actor_later, sizes[..., 0], sizes[..., 1]))
    first = np.where(touch.any(axis=1), times_s[touch.argmax(axis=1)], np.inf)
    np.minimum.at(result, frames, first)
    return result


def straight_on(poses: Floats, speeds_mps: Floats, times_s: Floats) -> Floats:
    """(P, S, 3) poses (P, 3) after each of (S,) seconds straight ahead at (P,) m/s."""
    later = np.repeat(poses[:, None], len(times_s), axis=1)
    distance = speeds_mps[:, None] * times_s
    later[..., 0] += distance * np.cos(poses[:, None, 2])
    later[..., 1] += distance * np.sin(poses[:, None, 2])
    return later


def image_boxes(poses: Floats, sizes_m: Floats, ego_pose: Floats, camera: Camera) -> Floats:
    """Where boxes that stand on the road are seen, before anything that hides them.

    Args:
        poses: (A, 3) x m, y m of the middle, heading rad; NaN for one who is not there.
        sizes_m: (A, 3) length, width, height.
        ego_pose: (3,) of the ego's rear axle, in the same frame.
        camera: the camera.

    Returns:
        (A, 5) left, top, right, bottom in pixels, and the depth of the nearest corner in metres; NaN for one who is not
        there or not wholly before the camera.
    """
    world_to_ego = relative_to(np.zeros(3), ego_pose)
    ground = corners(poses, sizes_m[:, 0], sizes_m[:, 1])
    ground = transform_points(world_to_ego, ground.reshape(-1, 2)).reshape(-1, 4, 2)
    low = np.concatenate([ground, np.zeros((*ground.shape[:2], 1))], axis=2)
    high = low.copy()
    high[..., 2] = sizes_m[:, None, 2]
    points = np.concatenate([low, high], axis=1)
    pixels, depths = project_points(camera, points.reshape(-1, 3))
    pixels, depths = pixels.reshape(len(points), 8, 2), depths.reshape(len(points), 8)
    boxes = np.concatenate([pixels.min(1), pixels.max(1), depths.min(1)[:, None]], axis=1)
    boxes[~(depths > NEAREST_DEPTH_M).all(1)] = np.nan
    return np.asarray(boxes)


def seen_boxes(actors: ActorTracks, frames: Sequence[int], ego_poses: Floats, camera: Camera) -> Floats:
    """Where a camera sees road users at some frames of their tracks, (F, A, 5); see ``image_boxes``.

    Args:
        actors: A of them.
        frames: F of theirs.
        ego_poses: (F, 3) of the ego at these, in the frame of the tracks.
        camera: the camera.
    """
    shown = zip(frames, ego_poses, strict=True)
    return np.stack([image_boxes(actors.poses[frame], actors.sizes_m, pose, camera) for frame, pose in shown])


def shares_inside(boxes: Floats, image_size: ImageSize) -> Floats:
    """Which share of each box (..., 4 or 5) of ``image_boxes`` lies in a picture, (...); NaN where there is none."""
    size = image_size[::-1]
    inside = (np.clip(boxes[..., 2:4], 0, size) - np.clip(boxes[..., :2], 0, size)).prod(axis=-1)
    return np.asarray(inside / _areas_px2(boxes))


def shares_hidden(boxes: Floats) -> Floats:
    """Largest share of each box (A, 5) of ``image_boxes`` that one nearer box covers, (A,); NaN where there is none."""
    own, other = boxes[:, None], boxes[None]
    overlap = np.minimum(own[..., 2:4], other[..., 2:4]) - np.maximum(own[..., :2], other[..., :2])
    nearer = other[..., 4] < own[..., 4] - NEARER_M
    covered = np.where(nearer, np.clip(overlap, 0, None).prod(axis=-1), 0.0)
    return np.asarray(covered.max(axis=1, initial=0.0) / _areas_px2(boxes))


def _areas_px2(boxes: Floats) -> Floats:
    """Areas (...) of boxes (..., 4 or 5); NaN where there is none, or none of any size."""
    areas = (boxes[..., 2:4] - boxes[..., :2]).prod(axis=-1)
    return np.where(areas > 0, areas, np.nan)
