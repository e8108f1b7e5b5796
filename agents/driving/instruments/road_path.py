"""The commanded path as it lies on the road, in window pixels: pure geometry."""

from dataclasses import dataclass

import numpy as np

from longdwm_env.agents.driving.engine.timeline import Moment
from longdwm_env.clock import FPS, WAYPOINT_TIMES_S
from longdwm_env.geometry.camera import project_points
from longdwm_env.geometry.kinematics import CAR, arc_step
from longdwm_env.geometry.pose import compose, relative_to
from longdwm_env.types import Camera, FloatArray, Trajectory

NEAREST_M = 0.6
"""Points nearer to the camera than this along the road are cut off: their pixels run away to infinity."""

BRAKING_MPS2 = -1.5
"""From here on the path is shown in amber: the car brakes."""

STEP_M = 0.5
PREVIEW_S = 2.0
SHORTEST_PREVIEW_M = 14.0
"""Even a standing car shows where its wheels point."""


@dataclass(frozen=True)
class Ribbon:
    """Edges of a path on the ground in window pixels, nearest first.

    Attributes:
        left, right: (N, 2) pixels.
        distances_m: (N,) along the path.
        marks: pixel pairs (M, 2, 2), across the path, where the waypoints of the action are due.
    """

    left: FloatArray
    right: FloatArray
    distances_m: FloatArray
    marks: FloatArray


@dataclass(frozen=True)
class OnRoad:
    """What is drawn on the road over one picture.

    Attributes:
        lane: the motion commanded for the clip that plays; None at a scene's start.
        wheels: where the front wheels will point in the next clip; None unless the driver is at the wheel.
    """

    lane: Ribbon | None
    braking: bool
    wheels: Ribbon | None


def on_road(moment: Moment, frame: int, steering_rad: float | None, picture: tuple[float, float, float]) -> OnRoad:
    """What lies on the road in a frame of a moment's clip.

    Args:
        moment: the clip.
        frame: index of its frame.
        steering_rad: of the next clip; None where it is not shown.
        picture: as for ``ribbon``.
    """
    state, trajectory = moment.state, moment.trajectory
    pose = state.ego_poses[frame]
    lane = wheels = None
    if trajectory is not None:
        lane = ribbon(commanded_poses(trajectory, moment.origin), pose, state.camera, picture)
    if steering_rad is not None:
        held = held_poses(state.ego.pose, steering_rad, moment.speed_mps(frame))
        wheels = ribbon(held, pose, state.camera, picture, mark_times_s=())
    braking = trajectory is not None and float(trajectory.accelerations_mps2[0]) < BRAKING_MPS2
    return OnRoad(lane, braking, wheels)


def commanded_poses(trajectory: Trajectory, origin: FloatArray) -> FloatArray:
    """(T + 1, 3) poses of the commanded motion in the episode's world frame, its origin first."""
    return compose(origin, np.concatenate([np.zeros((1, 3)), trajectory.poses]))


def held_poses(pose: FloatArray, steering_rad: float, speed_mps: float) -> FloatArray:
    """(N, 3) poses, in the world frame, of the arc that the front wheels point along."""
    length = max(SHORTEST_PREVIEW_M, speed_mps * PREVIEW_S)
    distances = np.arange(0.0, length + STEP_M, STEP_M)
    start = np.broadcast_to(pose, (len(distances), 3))
    return arc_step(start, distances, np.full(len(distances), CAR.curvature_per_m(steering_rad)))


def ribbon(
    world_poses: FloatArray,
    pose: FloatArray,
    camera: Camera,
    picture: tuple[float, float, float],
    mark_times_s: tuple[float, ...] = WAYPOINT_TIMES_S,
) -> Ribbon | None:
    """A path as the camera at ``pose`` sees it on the ground.

    Args:
        world_poses: (N, 3) the path.
        pose: (3,) where the ego is in the picture shown.
        camera: fitted to the picture's own size.
        picture: left and top edge of the picture in the window, and its scale, window pixels per picture pixel.
        mark_times_s: waypoint times, for paths whose poses are frames 0, 1, ...; empty for none.

    Returns:
        None where nothing of the path is in front of the camera.
    """
    ego_poses = relative_to(world_poses, pose)
    steps = np.linalg.norm(np.diff(ego_poses[:, :2], axis=0), axis=1)
    distances = np.concatenate([[0.0], np.cumsum(steps)])
    if distances[-1] < STEP_M:
        return None
    # A path of whole steps keeps its last point, whichever way its length was rounded.
    dense = np.arange(int(distances[-1] / STEP_M + 1e-6) + 1) * STEP_M
    middle = np.column_stack([np.interp(dense, distances, ego_poses[:, axis]) for axis in (0, 1)])
    heading = np.interp(dense, distances, np.unwrap(ego_poses[:, 2]))
    edges = [_edge(middle, heading, side * CAR.width_m / 2) for side in (1, -1)]
    visible = np.all([edge[:, 0] > camera.mounting.translation_m[0] + NEAREST_M for edge in edges], axis=0)
    if visible.sum() < 2:
        return None
    left, right = (_to_window(edge[visible], camera, picture) for edge in edges)

    due = [round(time * FPS) for time in mark_times_s if round(time * FPS) < len(ego_poses)]
    at = ego_poses[due] if due else np.zeros((0, 3))
    sides = [_edge(at[:, :2], at[:, 2], side * CAR.width_m / 2) for side in (1, -1)]
    ahead = np.all([side[:, 0] > camera.mounting.translation_m[0] + NEAREST_M for side in sides], axis=0)
    marks = np.stack([_to_window(side[ahead], camera, picture) for side in sides], axis=1)
    return Ribbon(left, right, dense[visible], marks)


def _edge(middle: FloatArray, heading: FloatArray, aside_m: float) -> FloatArray:
    aside = aside_m * np.column_stack([-np.sin(heading), np.cos(heading)])
    return np.column_stack([middle + aside, np.zeros(len(middle))])


def _to_window(points_ego: FloatArray, camera: Camera, picture: tuple[float, float, float]) -> FloatArray:
    pixels, _ = project_points(camera, points_ego)
    left, top, scale = picture
    # Pixel centres are at whole numbers; the picture's corner is at -0.5.
    return (pixels + 0.5) * scale + [left, top]
