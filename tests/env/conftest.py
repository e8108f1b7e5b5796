"""A small deterministic world, a straight road, and makers of environments on them and on the built-in worlds."""

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

# Before anything imports pygame: no test needs a display.
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

import cv2
import gymnasium as gym
import numpy as np
import pytest

import longdwm_env  # noqa: F401 - registers LongDWM-v0
from longdwm_env.clock import FPS
from longdwm_env.types import ActorTracks, Camera, EgoState, Intrinsics, LaneFit, Mounting, Scene, WorldState

SMALL = (40, 60)
"""Image size of the tests: large enough for every check, small enough to be quick."""


class NoiseWorld:
    """Frames that hash the seed, the frames driven and the trajectory: any difference in what it is given shows."""

    name = "noise"

    def __init__(self, image_size=SMALL, traffic=None):
        self.image_size = image_size
        self.traffic = traffic
        self.batches = []

    def begin(self, scene, seed):
        actors = None if self.traffic is None else self.traffic(0, 1)
        return WorldState({"last": np.zeros((2, 3))}, {"seed": seed, "driven": 0, "prompt": scene.prompt}, actors)

    def advance(self, states, trajectories, num_frames):
        self.batches.append(len(states))
        clips, following = [], []
        for state, trajectory in zip(states, trajectories, strict=True):
            driven = state.values["driven"]
            seed = [
                state.values["seed"],
                driven,
                zlib.crc32(trajectory.poses.tobytes()),
                zlib.crc32(state.arrays["last"]),
            ]
            random = np.random.default_rng(seed)
            clips.append(random.integers(0, 256, (num_frames, *self.image_size, 3), np.uint8))
            actors = None if self.traffic is None else self.traffic(driven, num_frames + 1)
            values = {**state.values, "driven": driven + num_frames}
            following.append(WorldState({"last": random.standard_normal((2, 3))}, values, actors))
        return following, np.stack(clips)


@dataclass(frozen=True)
class StraightRoad:
    """A road along x with one lane in the middle."""

    lane_width_m: float = 4.0
    half_width_m: float = 6.0

    def drivable(self, points_m):
        return np.abs(np.asarray(points_m)[:, 1]) <= self.half_width_m

    def fit_lanes(self, poses):
        in_lane = np.abs(poses[:, 1]) <= self.half_width_m
        nothing = np.where(in_lane, 0.0, np.nan)
        return LaneFit(poses[:, 1] + nothing, poses[:, 2] + nothing, np.full(len(poses), self.lane_width_m))


class GreyLog:
    """A record whose frames tell their index by their brightness."""

    def __init__(self, num_past=3, num_future=0, poses=True):
        self.num_past, self.num_future = num_past, num_future
        frames = np.arange(-num_past, num_future + 1)
        self.ego_poses = np.stack([frames * 0.5, 0 * frames, 0.0 * frames], axis=1) if poses else None

    def images(self, first, count, camera):
        indices = np.maximum(np.arange(first, first + count), -self.num_past)
        grey = (100 + indices).astype(np.uint8)
        return np.broadcast_to(grey[:, None, None, None], (count, *camera.intrinsics.image_size, 3)).copy()


def a_camera(image_size=SMALL):
    return Camera(Intrinsics.from_fov(1.15, image_size), Mounting((1.7, 0.0, 1.5)))


def a_scene(key="road", **changes):
    parts = {
        "log": GreyLog(),
        "camera": a_camera((80, 100)),
        "start": EgoState(speed_mps=6.0),
        "prompt": "Weather: clear.",
        "road_map": StraightRoad(),
    }
    return Scene(key, **(parts | changes))


def standing_car(x_m, y_m=0.0):
    """Traffic of one parked car, as ``NoiseWorld(traffic=...)`` takes it."""

    def tracks(first, count):
        poses = np.tile(np.array([x_m, y_m, 0.0]), (count, 1, 1))
        return ActorTracks(poses, np.array([[4.5, 1.8, 1.5]]), np.zeros((count, 1)), ("parked",))

    return tracks


def ahead(speed_mps=6.0, bend=0.0):
    """Waypoints of a car that keeps its speed on a parabola."""
    x = speed_mps * np.array([0.5, 1.0, 1.5, 2.0])
    return np.stack([x, bend * x**2], axis=1).astype(np.float32)


ACTIONS = {
    "trajectory": ahead(),
    "control": np.float32([0.05, 0.5]),
    "command": 0,
    "goal": np.float32([0.5, 0.7]),
}


@pytest.fixture(scope="session")
def photograph(tmp_path_factory) -> Path:
    """A made-up road picture as a file."""
    path = tmp_path_factory.mktemp("photo") / "street.png"
    picture = np.full((80, 120, 3), 200, np.uint8)
    picture[40:] = 90
    cv2.line(picture, (60, 40), (50, 79), (255, 255, 255), 3)
    cv2.imwrite(str(path), picture)
    (path.parent / "camera.json").unlink(missing_ok=True)
    return path


@pytest.fixture(scope="session")
def make():
    """Makes LongDWM-v0, by ``gym.make``, on the noise world and the straight road unless told otherwise."""
    made = []

    def maker(world=None, scenes=None, vector=0, **keywords):
        if world is None:
            world = NoiseWorld()
        if scenes is None and isinstance(world, NoiseWorld):
            scenes = [a_scene("first"), a_scene("second", start=EgoState(speed_mps=3.0))]
        if isinstance(world, str):
            keywords.setdefault("image_size", SMALL)
        if vector:
            environment = gym.make_vec("LongDWM-v0", num_envs=vector, world=world, scenes=scenes, **keywords)
        else:
            environment = gym.make("LongDWM-v0", world=world, scenes=scenes, **keywords)
        made.append(environment)
        return environment

    yield maker
    for environment in made:
        environment.close()


WORLDS = ("noise", "warp", "simulator")


@pytest.fixture(params=WORLDS)
def world_name(request) -> str:
    return request.param


@pytest.fixture
def make_in(make, world_name):
    """Like ``make``, once for each world: the noise world, and the built-in ones on built-in scenes."""

    def maker(**keywords):
        return make(None if world_name == "noise" else world_name, **keywords)

    return maker


def same_state(one, other):
    """Whether two states are equal in every part."""
    arrays = [(one.frames, other.frames), (one.ego_poses, other.ego_poses), (one.past_motion, other.past_motion)]
    ours, theirs = one.world_state, other.world_state
    arrays += [(ours.arrays[name], theirs.arrays[name]) for name in {*ours.arrays, *theirs.arrays}]
    if (ours.actors is None) != (theirs.actors is None):
        return False
    if ours.actors is not None:
        arrays += [(getattr(ours.actors, n), getattr(theirs.actors, n)) for n in ("poses", "sizes_m", "speeds_mps")]
        if ours.actors.ids != theirs.actors.ids or ours.actors.looks.keys() != theirs.actors.looks.keys():
            return False
        arrays += [(ours.actors.looks[n], theirs.actors.looks[n]) for n in ours.actors.looks]
    names = ("world", "image_size", "source", "scene", "seed", "prompt", "camera", "ego", "frames_driven")
    names += ("terminated", "truncated", "reason")
    return (
        all(a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in arrays)
        and all(getattr(one, name) == getattr(other, name) for name in names)
        and repr(dict(ours.values)) == repr(dict(theirs.values))
    )


@dataclass(frozen=True)
class Kit:
    """What tests build with, handed over as a fixture so that no test module has to be importable by name."""

    NoiseWorld = NoiseWorld
    StraightRoad = StraightRoad
    GreyLog = GreyLog
    a_camera = staticmethod(a_camera)
    a_scene = staticmethod(a_scene)
    standing_car = staticmethod(standing_car)
    ahead = staticmethod(ahead)
    same_state = staticmethod(same_state)
    actions = ACTIONS
    small = SMALL
    fps = FPS


@pytest.fixture(scope="session")
def kit() -> Kit:
    return Kit()
