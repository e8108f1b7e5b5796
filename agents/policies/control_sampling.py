"""Controls of the bicycle as actions: what sampling planners and random drivers vary."""

import numpy as np
from gymnasium import spaces

from longdwm_env.agents.policy import PolicyContext
from longdwm_env.clock import WAYPOINT_TIMES_S
from longdwm_env.geometry.kinematics import CAR, LIMITS, arc_step, max_curvature_per_m, speed_step
from longdwm_env.types import FloatArray


def bounded_curvature(lateral_mps2: FloatArray, speeds_mps: FloatArray) -> FloatArray:
    """Curvature (...,) of a lateral acceleration (...,) at a speed (...,), cut to what the car can steer."""
    tightest = max_curvature_per_m(speeds_mps, LIMITS, CAR)
    return np.clip(lateral_mps2 / np.maximum(speeds_mps, 1.0) ** 2, -tightest, tightest)


SLOW_MPS = 4.0
"""Below it, lateral acceleration steers as at this speed: a standing car has none, however its wheels are turned."""


def steered(lateral_mps2: FloatArray, longitudinal_mps2: FloatArray, speeds_mps: FloatArray) -> FloatArray:
    """Actions (B, 2) of control mode, steering angle and acceleration, from accelerations (B,) at speeds (B,)."""
    curvatures = bounded_curvature(lateral_mps2, np.maximum(speeds_mps, SLOW_MPS))
    return np.stack([np.arctan(curvatures * CAR.wheelbase_m), longitudinal_mps2], axis=-1)


def held_waypoints(accelerations_mps2: FloatArray, curvatures_per_m: FloatArray, speeds_mps: FloatArray) -> FloatArray:
    """Waypoints (B, 4, 2) of controls (B,) held for the whole horizon from speeds (B,)."""
    waypoints = []
    for time in WAYPOINT_TIMES_S:
        distances, _ = speed_step(speeds_mps, accelerations_mps2, time, LIMITS.max_speed_mps)
        origin = np.zeros((*speeds_mps.shape, 3))
        waypoints.append(arc_step(origin, distances, curvatures_per_m)[..., :2])
    return np.stack(waypoints, axis=-2)


def action_batch(
    context: PolicyContext, lateral_mps2: FloatArray, longitudinal_mps2: FloatArray, speed_mps: float
) -> np.ndarray:
    """Actions (B, N, ...) of B sequences of N controls, each held for one control period.

    Args:
        context: trajectory or control mode.
        lateral_mps2: (B, N) lateral acceleration: steering that means the same at any speed.
        longitudinal_mps2: (B, N).
        speed_mps: now.
    """
    context.require("trajectory", "control", policy="a planner of controls")
    space = context.action_space
    assert isinstance(space, spaces.Box)
    speeds = np.full(lateral_mps2.shape[0], speed_mps)
    actions = []
    for lateral, longitudinal in zip(lateral_mps2.T, longitudinal_mps2.T, strict=True):
        curvatures = bounded_curvature(lateral, speeds)
        if context.action_mode == "trajectory":
            actions.append(held_waypoints(longitudinal, curvatures, speeds))
        else:
            actions.append(np.stack([np.arctan(curvatures * CAR.wheelbase_m), longitudinal], axis=1))
        _, after = speed_step(speeds, longitudinal, context.control_period_s, LIMITS.max_speed_mps)
        speeds = np.asarray(after)
    return np.clip(np.stack(actions, axis=1), space.low, space.high).astype(np.float32)
