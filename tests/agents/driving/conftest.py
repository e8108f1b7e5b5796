"""A tiny world and a session on a clock of its own, for the tests of driving."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from longdwm_env.agents.driving.engine.open_worlds import Generator, OpenScene
from longdwm_env.agents.driving.engine.session import Session
from longdwm_env.agents.driving.engine.world_worker import InlineWorker
from longdwm_env.agents.driving.input.pedals import DriverInput
from longdwm_env.episodes.lazy_frames import stack_frames
from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.types import Camera, EgoState, Images, Scene, Trajectory, WorldState

SIZE = (8, 12)
WAYPOINTS = [[3.0, 0.0], [6.0, 0.2], [9.0, 0.5], [12.0, 1.0]]
REPLAY = {
    "format": "longdwm-drive",
    "version": 2,
    "world": "grey",
    "scene": "one",
    "seed": 3,
    "prompt": None,
    "scenes": None,
    "image_size": None,
    "control_frames": 3,
    "steps": [
        {"do": "drive", "mode": "control", "action": [0.1, 1.0], "frames": 3},
        {"do": "drive", "mode": "trajectory", "action": WAYPOINTS, "frames": 6},
        {"do": "world", "world": "other"},
        {"do": "prompt", "prompt": "Weather: Rainy."},
        {"do": "back", "number": 1},
        {"do": "drive", "mode": "command", "action": 2, "frames": 12},
        {"do": "scene", "scene": "two", "seed": 4, "prompt": None},
        {"do": "drive", "mode": "control", "action": [0.0, -2.0], "frames": 1},
    ],
    "shown_from": 1,
    "learned_own_size": False,
}
"""A replay with a step of every kind."""


class GreyLog:
    """A scene log that shows one grey."""

    num_past = 0
    num_future = 0
    ego_poses = None

    def images(self, first: int, count: int, camera: Camera) -> Images:
        return np.full((count, *camera.intrinsics.image_size, 3), 40, np.uint8)


def grey_scene(key: str = "grey", speed_mps: float = 5.0) -> Scene:
    return Scene(
        key=key,
        log=GreyLog(),
        camera=assumed_camera(SIZE),
        start=EgoState(speed_mps=speed_mps),
        prompt="Weather: Clear.\nTime: Daytime.\nRoad environment: a street.\nCritical objects: none.",
    )


class GreyWorld:
    """Its frames grow brighter with each frame, and it remembers with what it began."""

    def __init__(self, name: str = "grey", step: int = 1, image_size: tuple[int, int] = SIZE) -> None:
        self.name = name
        self.image_size = image_size
        self.step = step
        self.begun: list[Scene] = []

    def begin(self, scene: Scene, seed: int) -> WorldState:
        assert scene.camera is not None
        assert scene.camera.intrinsics.image_size == self.image_size
        self.begun.append(scene)
        last = scene.log.images(0, 1, scene.camera)[0]
        return WorldState({"frame": np.array(last)}, {"prompt": scene.prompt})

    def advance(
        self, states: Sequence[WorldState], trajectories: Sequence[Trajectory], num_frames: int
    ) -> tuple[list[WorldState], Images]:
        clips, after = [], []
        for state, trajectory in zip(states, trajectories, strict=True):
            steering = round(20 * float(trajectory.yaw_rates_radps[0]))
            added = (np.arange(1, num_frames + 1) * self.step + steering).astype(np.uint8)
            clip = state.arrays["frame"][None] + added[:, None, None, None]
            clips.append(clip.astype(np.uint8))
            after.append(WorldState({"frame": clips[-1][-1].copy()}, dict(state.values)))
        return after, stack_frames(clips)


@dataclass
class StillInputs:
    """Input that the test sets."""

    driver_input: DriverInput = field(default_factory=DriverInput)
    looks: int = 0

    def peek(self) -> DriverInput:
        return self.driver_input

    def look(self, now_s: float) -> DriverInput:
        self.looks += 1
        return self.driver_input


@pytest.fixture
def grey_session(tmp_path: Path) -> Callable[..., tuple[Session, StillInputs]]:
    """A session in tiny worlds, with input that the test sets."""

    def make(frames: int = 3, worker: Any = None, **changes: Any) -> tuple[Session, StillInputs]:
        inputs = StillInputs()
        worlds = {"grey": GreyWorld("grey"), "other": GreyWorld("other", step=2, image_size=(16, 24))}
        session = Session(
            generator=Generator([grey_scene("one"), grey_scene("two")], None, frames, worlds=worlds),
            worker=worker or InlineWorker(),
            inputs=inputs,
            worlds=("grey", "other"),
            opening=OpenScene("grey", 0),
            scenes=None,
            out=tmp_path,
            **changes,
        )
        return session, inputs

    return make


@pytest.fixture
def run() -> Callable[..., None]:
    """Lets a session's own time pass, in the ticks of a window."""

    def run(session: Session, seconds: float, step_s: float = 1 / 60) -> None:
        for _ in range(round(seconds / step_s)):
            session.tick(session.now_s + step_s)

    return run


@pytest.fixture
def started(grey_session: Any, run: Any) -> Callable[..., tuple[Session, StillInputs]]:
    """A session whose first scene is open."""

    def start(**changes: Any) -> tuple[Session, StillInputs]:
        session, inputs = grey_session(**changes)
        run(session, 0.1)
        return session, inputs

    return start
