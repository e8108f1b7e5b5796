"""A straight road with a parked car on it, and a world that draws nothing: what most tests of policies need."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from longdwm_env.env import LongDWMEnv
from longdwm_env.evaluation.policies import episode_worker
from longdwm_env.scenes import ListedScenes
from longdwm_env.types import (
    ActorTracks,
    Camera,
    EgoState,
    FloatArray,
    Images,
    ImageSize,
    Intrinsics,
    LaneFit,
    Scene,
    Trajectory,
    WorldState,
)

SIZE = (24, 36)
FRAMES = 12 * 30


@pytest.fixture(autouse=True, scope="session")
def small_episode_films():
    """Films of reports as large as the pictures that tests drive in."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(episode_worker, "VIDEO_HEIGHT_PX", SIZE[0])
        yield


@dataclass(frozen=True)
class StraightRoad:
    """Two lanes of 4 m along x; the right one is centred on y = 0."""

    def drivable(self, points_m: FloatArray) -> np.ndarray:
        return (points_m[:, 1] > -2.0) & (points_m[:, 1] < 6.0)

    def fit_lanes(self, poses: FloatArray) -> LaneFit:
        on_road = self.drivable(poses[:, :2])
        lane = np.where(poses[:, 1] < 2.0, 0.0, 4.0)
        nothing = np.full(len(poses), np.nan)
        return LaneFit(
            np.where(on_road, poses[:, 1] - lane, nothing),
            np.where(on_road, poses[:, 2], nothing),
            np.where(on_road, 4.0, nothing),
        )


@dataclass
class PlainLog:
    """A drive at constant speed along x; its pictures are grey."""

    speed_mps: float
    num_past: int = 12
    num_future: int = FRAMES
    ego_poses: FloatArray | None = field(init=False)

    def __post_init__(self) -> None:
        frames = np.arange(-self.num_past, self.num_future + 1)
        self.ego_poses = np.stack([frames / 12 * self.speed_mps, 0.0 * frames, 0.0 * frames], axis=1)

    def images(self, first: int, count: int, camera: Camera) -> Images:
        return np.full((count, *camera.intrinsics.image_size, 3), 90, np.uint8)


def parked_car(ahead_m: float) -> ActorTracks:
    poses = np.tile([ahead_m, 0.0, 0.0], (FRAMES + 1, 1, 1))
    return ActorTracks(poses, np.array([[4.5, 1.8, 1.5]]), np.zeros((FRAMES + 1, 1)), ("parked",))


def straight_scene(
    key: str = "straight", ahead_m: float | None = 60.0, speed_mps: float = 8.0, mapped: bool = True
) -> Scene:
    return Scene(
        key,
        PlainLog(speed_mps),
        Camera(Intrinsics.from_fov(1.2, SIZE)),
        EgoState(speed_mps=speed_mps),
        "Weather: clear.",
        StraightRoad() if mapped else None,
        None if ahead_m is None else parked_car(ahead_m),
    )


class GreyWorld:
    """Draws nothing and knows no road users of its own."""

    name = "grey"

    def __init__(self, image_size: ImageSize = SIZE) -> None:
        self.image_size = image_size

    def begin(self, scene: Scene, seed: int) -> WorldState:
        return WorldState()

    def advance(
        self, states: Sequence[WorldState], trajectories: Sequence[Trajectory], num_frames: int
    ) -> tuple[list[WorldState], Images]:
        return list(states), np.full((len(states), num_frames, *self.image_size, 3), 90, np.uint8)


@pytest.fixture(scope="session")
def make_scene():
    return straight_scene


@pytest.fixture(scope="session")
def grey_world():
    return GreyWorld()


@pytest.fixture
def make_environment():
    def make(*scenes: Scene, **options: object) -> LongDWMEnv:
        source = ListedScenes(scenes or [straight_scene()])
        return LongDWMEnv(**{"world": GreyWorld(), "scenes": source, "max_episode_s": 10.0, **options})

    return make


@pytest.fixture
def drive():
    """Drives an episode; returns infos, reset's first, and the sum of rewards."""

    def run(environment: LongDWMEnv, policy: object, seed: int = 0, steps: int = 100) -> tuple[list[dict], float]:
        observation, info = environment.reset(seed=seed)
        info["seed"] = seed
        policy.reset(observation, info)
        infos, total = [info], 0.0
        for _ in range(steps):
            observation, reward, terminated, truncated, info = environment.step(policy.act(observation, info))
            infos.append(info)
            total += reward
            if terminated or truncated:
                break
        return infos, total

    return run
