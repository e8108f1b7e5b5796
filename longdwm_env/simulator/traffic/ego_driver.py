"""A driver for the ego who knows everything, good or bad as asked."""

from dataclasses import replace

import numpy as np

from longdwm_env.clock import FPS, FRAMES_PER_HORIZON, WAYPOINT_TIMES_S
from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.pose import relative_to
from longdwm_env.simulator.counted_random import generator
from longdwm_env.simulator.roads.road_kinds import RoadPlan
from longdwm_env.simulator.scene import episode
from longdwm_env.simulator.traffic.stepping import step
from longdwm_env.simulator.traffic.traffic_state import EGO, Traffic, ego_pose, traffic_from_arrays
from longdwm_env.simulator.traffic.vehicle_kinds import EGO_SHARES, STYLES, draw_driver, draw_style
from longdwm_env.types import FloatArray, Trajectory, WorldState

STYLE_S = 8
"""Without a style of his own the driver changes his mind this often."""

AFTERMATH_FRAMES = FPS
"""Footage ends this long after the ego has hit something."""


def with_style(traffic: Traffic, style: str, seed: int, count: int = 0) -> Traffic:
    """The same traffic with another driver in the ego.

    Raises:
        InvalidConfig: no such style; the message lists them.
    """
    if style not in STYLES:
        raise InvalidConfig(f"there is no driving style {style!r}; choose one of {', '.join(STYLES)}")
    drivers = traffic.drivers.copy()
    drivers[EGO] = draw_driver(generator(seed, "ego driver", count), style)
    return replace(traffic, drivers=drivers)


def style_at(seed: int, frame: int) -> str:
    """The style of a driver without a style of his own, at a frame of a scene; about half are off-nominal."""
    return draw_style(generator(seed, "ego style", frame // (STYLE_S * FPS)), EGO_SHARES)


def planned(
    road: RoadPlan, traffic: Traffic, seed: int, frame: int, num_frames: int = FRAMES_PER_HORIZON
) -> Trajectory:
    """What the ego's driver will do, in the ego frame of now, with traffic reacting as it will.

    Args:
        road: of the episode.
        traffic: now; its row of the ego holds the driver's habits.
        seed: of the scene.
        frame: number of the present frame.
        num_frames: length of the plan.
    """
    start = ego_pose(traffic)
    poses, speeds = [start], [float(traffic.speeds_mps[EGO])]
    now = traffic
    for i in range(num_frames):
        now = step(road, now, seed, frame + i + 1)
        poses.append(ego_pose(now))
        speeds.append(float(now.speeds_mps[EGO]))
    relative = relative_to(np.stack(poses[1:]), start[None])
    due = [round(time * FPS) for time in WAYPOINT_TIMES_S if round(time * FPS) <= num_frames]
    waypoints = relative[np.array(due, dtype=int) - 1, :2]
    speed = np.array(speeds)
    heading: FloatArray = np.unwrap(np.stack(poses)[:, 2])
    accelerations = np.asarray(np.diff(speed) * FPS, dtype=np.float64)
    yaw_rates = np.asarray(np.diff(heading) * FPS, dtype=np.float64)
    return Trajectory(waypoints, relative, speed[1:], accelerations, yaw_rates, waypoints)


def drive(state: WorldState, seed: int, style: str | None = None) -> Trajectory:
    """A trajectory for a state of the simulator world, as a driver of some style would drive it."""
    frame = int(state.values["frame"])
    name = style_at(seed, frame) if style is None else style
    traffic = with_style(traffic_from_arrays(state.arrays), name, seed, frame // (STYLE_S * FPS))
    return planned(episode(seed).road, traffic, seed, frame)
