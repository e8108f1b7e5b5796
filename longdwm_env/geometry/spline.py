"""Waypoints to motion: a B-spline through the ego's present pose and velocity, sampled at the frame times."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.interpolate import make_interp_spline

from longdwm_env.clock import FPS, FRAMES_PER_HORIZON, WAYPOINT_TIMES_S, frame_times_s
from longdwm_env.geometry.kinematics import (
    CAR,
    LIMITS,
    Car,
    Drive,
    Limits,
    max_curvature_per_m,
    motion_violations,
    roll_bicycle,
)
from longdwm_env.geometry.projection import PASS_TOLERANCE_M, nearest_drive
from longdwm_env.types import EgoState, Trajectory, wrap_angle

_SIDESLIP_TOLERANCE_M = 0.02
"""How far the car may move across its heading from one frame to the next before the motion counts as impossible."""


def plan_trajectory(
    waypoints_m: Float[np.ndarray, "w 2"],
    ego: EgoState,
    *,
    waypoint_times_s: Sequence[float] | Float[np.ndarray, "w"] = WAYPOINT_TIMES_S,
    num_frames: int = FRAMES_PER_HORIZON,
    limits: Limits = LIMITS,
    car: Car = CAR,
) -> Trajectory:
    """The motion through waypoints.

    A cubic B-spline passes through the origin at t = 0 with the ego's present velocity and through each waypoint at its
    time; towards the end it holds its acceleration. So consecutive plans join without a kink. If a car cannot follow
    that spline, the nearest motion of the kinematic bicycle takes its place; ``projection_m`` of the result is above 0
    only when its waypoints had to move (``geometry.projection``).

    Args:
        waypoints_m: (W, 2) x forward, y left, in the ego frame now.
        ego: the ego now; its speed counts, brought into 0 to the top speed. Its pose does not: the plan starts there.
        waypoint_times_s: W increasing times above 0.
        num_frames: frames to sample. Beyond the last waypoint the car goes straight on at its last speed.
        limits: what the car can do.
        car: gives the curvature of a steering angle.

    Raises:
        ValueError: waypoints that are not finite or not (W, 2), or times that do not increase from above 0.
    """
    waypoints = np.asarray(waypoints_m, dtype=np.float64)
    knots = np.asarray(waypoint_times_s, dtype=np.float64)
    _check_request(waypoints, knots, num_frames)
    speed = float(np.clip(ego.speed_mps, 0.0, limits.max_speed_mps))
    planned = _along_spline(waypoints, knots, speed, num_frames, limits, car)
    if planned is not None:
        return planned
    drive = nearest_drive(waypoints, knots, speed, limits, car)
    reached = drive.sample(knots)[0][:, :2]
    if np.linalg.norm(reached - waypoints, axis=1).max() < 2 * PASS_TOLERANCE_M:
        reached = waypoints
    return _sampled(drive, num_frames, reached, waypoints)


def trajectory_from_controls(steering_rad: float, acceleration_mps2: float, ego: EgoState) -> Trajectory:
    """The motion of the kinematic bicycle with controls held; they are cut to the limits, frame by frame.

    Args:
        steering_rad: angle of the front wheels, positive to the left.
        acceleration_mps2: held until the car stands or reaches its top speed.
        ego: the ego now; its speed counts.

    Raises:
        ValueError: a control is not finite.
    """
    _check_request(np.array([[steering_rad, acceleration_mps2]]), np.array([1.0]), FRAMES_PER_HORIZON)
    speed = float(np.clip(ego.speed_mps, 0.0, LIMITS.max_speed_mps))
    count = FRAMES_PER_HORIZON
    durations = np.full(count, 1 / FPS)

    asked = np.full(count, CAR.curvature_per_m(float(np.clip(steering_rad, -1.5, 1.5))))
    wanted = roll_bicycle(np.full(count, float(acceleration_mps2)), asked, durations, speed, LIMITS)

    allowed = float(np.clip(acceleration_mps2, -LIMITS.max_braking_mps2, LIMITS.max_acceleration_mps2))
    speeds = np.clip(speed + allowed * np.arange(count + 1) / FPS, 0.0, LIMITS.max_speed_mps)
    tightest = max_curvature_per_m(np.maximum(speeds[1:], speeds[:-1]), LIMITS, CAR)
    drive = roll_bicycle(np.full(count, allowed), np.clip(asked, -tightest, tightest), durations, speed, LIMITS)

    knots = np.asarray(WAYPOINT_TIMES_S, dtype=np.float64)
    reached, requested = (motion.sample(knots)[0][:, :2] for motion in (drive, wanted))
    if np.linalg.norm(reached - requested, axis=1).max() < PASS_TOLERANCE_M:
        requested = reached
    return _sampled(drive, count, reached, requested)


def _check_request(waypoints: np.ndarray, knots: np.ndarray, num_frames: int) -> None:
    if waypoints.ndim != 2 or waypoints.shape[1] != 2 or not len(waypoints):
        raise ValueError(f"waypoints are (W, 2) with W at least 1, got {waypoints.shape}")
    if not np.isfinite(waypoints).all():
        raise ValueError(f"a plan needs finite numbers, got {waypoints.tolist()}")
    if knots.shape != (len(waypoints),) or not (np.diff(knots, prepend=0.0) > 0).all():
        raise ValueError(f"{len(waypoints)} waypoints need as many increasing times above 0, got {knots.tolist()}")
    if num_frames < 1:
        raise ValueError(f"a trajectory has at least one frame, got num_frames={num_frames}")


def _sampled(drive: Drive, num_frames: int, reached: np.ndarray, requested: np.ndarray) -> Trajectory:
    poses, speeds, accelerations, yaw_rates = drive.sample(frame_times_s(num_frames))
    poses[:, 2] = wrap_angle(poses[:, 2])
    return Trajectory(reached, poses, speeds, accelerations, yaw_rates, requested)


def _along_spline(
    waypoints: np.ndarray, knots: np.ndarray, speed: float, num_frames: int, limits: Limits, car: Car
) -> Trajectory | None:
    """The spline's motion, or None if no car can follow it."""
    spline = make_interp_spline(
        np.concatenate([[0.0], knots]),
        np.concatenate([np.zeros((1, 2)), waypoints]),
        k=3,
        bc_type=([(1, np.array([speed, 0.0]))], [(3, np.zeros(2))]),
    )
    # All of the plan is judged, also what lies beyond the frames asked for: the next look at it may be later.
    count = max(num_frames, int(np.ceil(knots[-1] * FPS - 1e-9)))
    times = np.arange(count + 1) / FPS
    inside = np.minimum(times, knots[-1])
    velocities = spline(inside, 1)
    positions = spline(inside) + velocities * (times - inside)[:, None]
    accelerations = np.where((times <= knots[-1])[:, None], spline(inside, 2), 0.0)

    steps = np.diff(positions, axis=0)
    headings = _follow_headings(velocities, steps, car.curvature_per_m(limits.max_steering_rad))
    along = np.stack([np.cos(headings), np.sin(headings)], axis=1)
    speeds = (velocities * along).sum(axis=1)
    moving = np.maximum(np.abs(speeds), 1e-2)
    turning = along[:, 0] * accelerations[:, 1] - along[:, 1] * accelerations[:, 0]
    yaw_rates = np.where(np.abs(speeds) > 1e-2, turning / moving, 0.0)
    tangential = (accelerations * along).sum(axis=1)

    middle = (headings[1:] + headings[:-1]) / 2
    sideslip = np.abs(np.cos(middle) * steps[:, 1] - np.sin(middle) * steps[:, 0])
    if sideslip.max() > _SIDESLIP_TOLERANCE_M or motion_violations(speeds, tangential, yaw_rates, limits, car):
        return None
    shown = slice(1, num_frames + 1)
    poses = np.column_stack([positions[shown], wrap_angle(headings[shown])])
    return Trajectory(waypoints, poses, speeds[shown], tangential[shown], yaw_rates[shown], waypoints)


def _follow_headings(velocities: np.ndarray, steps: np.ndarray, lock_per_m: float) -> np.ndarray:
    """Headings (T + 1,), not wrapped, that turn into the direction of motion as fast as full lock allows.

    Where the car moves this is the direction of its velocity; where it stands the heading stays, although the
    direction of a vanishing velocity is noise.
    """
    directions = np.arctan2(velocities[:, 1], velocities[:, 0]).tolist()
    reach = (np.hypot(steps[:, 0], steps[:, 1]) * lock_per_m).tolist()
    headings = [0.0]
    for direction, most in zip(directions[1:], reach, strict=True):
        turn = wrap_angle(direction - headings[-1])
        headings.append(headings[-1] + min(max(turn, -most), most))
    return np.array(headings)
