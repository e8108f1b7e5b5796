"""A driver for the ego who knows everything, good or bad as asked, and the footage that comes of it."""

from dataclasses import dataclass, replace

import numpy as np

from longdwm_env.clock import FPS, FRAMES_PER_HORIZON, FRAMES_PER_INTERVAL, WAYPOINT_TIMES_S, frames_in
from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.pose import relative_to
from longdwm_env.simulator.conditions import Conditions
from longdwm_env.simulator.counted import generator
from longdwm_env.simulator.roads import RoadPlan
from longdwm_env.simulator.scene import CAMERA_SIZE, builtin_scene, default_camera, episode
from longdwm_env.simulator.traffic import EGO, Traffic, ego_pose, step, traffic_from_arrays
from longdwm_env.simulator.vehicles import EGO_SHARES, STYLES, draw_driver, draw_style
from longdwm_env.types import Camera, FloatArray, Images, ImageSize, Trajectory, WorldState, wrap_angle
from longdwm_env.worlds.simulator import SimulatorWorld

STYLE_S = 8
"""Without a style of his own the driver changes his mind this often."""

AFTERMATH_FRAMES = FPS
"""Footage ends this long after the ego has hit something."""


@dataclass(frozen=True)
class Footage:
    """A drive through a built-in scene.

    Attributes:
        frames: (T, H, W, 3) uint8, the first at the scene's start.
        ego_poses: (T, 3) of the rear axle in the episode's world frame.
        ego_speeds_mps: (T,).
        caption: in the four-line form.
        conditions: weather and time of day.
        crashed: (T,) whether the ego has hit something by each frame.
    """

    frames: Images
    ego_poses: FloatArray
    ego_speeds_mps: FloatArray
    caption: str
    conditions: Conditions
    crashed: np.ndarray


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


def footage(
    seed: int,
    seconds: float,
    style: str | None = None,
    image_size: ImageSize = CAMERA_SIZE,
    *,
    camera: Camera | None = None,
    prompt: str | None = None,
) -> Footage:
    """Drive through a built-in scene.

    Args:
        seed: of the scene.
        seconds: to drive, a whole number of frames; less is returned if the ego hits something on the way.
        style: one of ``vehicles.STYLES``, or None for one that changes every few seconds, often for the worse.
        image_size: (height, width) of the frames.
        camera: another camera than the scene's; it is fitted to ``image_size``.
        prompt: names weather and time of day other than the scene's.

    Returns:
        ``seconds * FPS + 1`` frames, the first at the scene's start.
    """
    scene = builtin_scene(seed)
    view = (camera or default_camera(seed)).fitted(image_size)
    world = SimulatorWorld(image_size)
    state = world.begin(replace(scene, camera=view, prompt=scene.prompt if prompt is None else prompt), seed)
    conditions = Conditions(state.values["weather"], state.values["time_of_day"])
    total = frames_in(seconds)
    log = replace(scene.log, conditions=conditions)  # type: ignore[type-var]
    clips, poses = [log.images(0, 1, view)], [scene.start.pose[None]]
    speeds, crashed = [np.array([scene.start.speed_mps])], [np.zeros(1, bool)]
    done, aftermath = 0, 0
    while done < total and aftermath < AFTERMATH_FRAMES:
        count = min(FRAMES_PER_INTERVAL, total - done)
        trajectory = drive(state, seed, style)
        here = state.arrays["ego_pose"]
        (state,), frames = world.advance([state], [trajectory], count)
        clips.append(frames[0])
        poses.append(_in_world(here, trajectory.poses[:count]))
        speeds.append(trajectory.speeds_mps[:count])
        hit = bool(state.arrays["crashed_s"][EGO] > 0)
        crashed.append(np.full(count, hit))
        aftermath += count if hit else 0
        done += count
    caption = prompt if prompt is not None else scene.prompt
    return Footage(
        np.concatenate(clips),
        np.concatenate(poses),
        np.concatenate(speeds),
        caption,
        conditions,
        np.concatenate(crashed),
    )


def _in_world(here: FloatArray, relative: FloatArray) -> FloatArray:
    cosine, sine = np.cos(here[2]), np.sin(here[2])
    x = here[0] + cosine * relative[:, 0] - sine * relative[:, 1]
    y = here[1] + sine * relative[:, 0] + cosine * relative[:, 1]
    return np.stack([x, y, wrap_angle(here[2] + relative[:, 2])], -1)
