"""What was driven in one control period: the record that every reward term looks at."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from longdwm_env.episodes.lazy_frames import Frames
from longdwm_env.geometry.kinematics import Car
from longdwm_env.types import ActorTracks, EgoState, FloatArray, Images, RoadMap, Trajectory, WorldState


@dataclass(frozen=True)
class Unavailable:
    """A term cannot be computed, and why."""

    reason: str


@dataclass(frozen=True)
class Scores:
    """What the learned scorer reads from the last second of frames: probabilities, 0 to 1, at its end.

    Attributes:
        danger: a road user is touched, or would be within two seconds if all went on as they do.
        off_road: the middle of the ego's rear axle is off the road.
    """

    danger: float
    off_road: float


def _nobody_asked() -> Unavailable:
    return Unavailable("this record was made without learned scorers")


@dataclass(frozen=True, eq=False)
class Learned:
    """What learned scorers say of a period. A scorer works when it is called, for the whole batch, and once.

    Attributes:
        is_generated: the world generates its pixels, so that what stands behind them is unknown.
        scores: what the scorer reads from the frames.
        uncertainty: how far the world's several predictions for the trajectory differ, 0 or above.
    """

    is_generated: bool = False
    scores: Callable[[], Scores | Unavailable] = _nobody_asked
    uncertainty: Callable[[], float | Unavailable] = _nobody_asked


@dataclass(frozen=True, eq=False)
class Driven:
    """One executed control period of T frames, in the episode's world frame.

    Attributes:
        ego_before: the ego when it acted.
        poses: (T, 3) x m, y m, heading rad of the rear axle at each executed frame.
        motion: (T, 3) speed m/s, acceleration m/s2, yaw rate rad/s at these frames.
        past_motion: (M, 3) the same at up to 15 frames before, the moment of acting last.
        trajectory: what was planned, in the ego frame at the moment of acting.
        car: the ego's body.
        actors: boxes of the other road users at T + 1 frames, the first being the moment of acting; None where unknown.
        road_map: None where there is no map.
        clip: the T frames that the camera saw, drawn when ``frames`` is asked for.
        world_state: what the world remembers after these frames.
        unknown: why ``actors`` or ``road_map`` is None, by attribute name.
        learned: what learned scorers say of the period, for the terms that ask.
    """

    ego_before: EgoState
    poses: FloatArray
    motion: FloatArray
    past_motion: FloatArray
    trajectory: Trajectory
    car: Car
    actors: ActorTracks | None
    road_map: RoadMap | None
    clip: Frames
    world_state: WorldState
    unknown: Mapping[str, str]
    learned: Learned = field(default_factory=Learned)

    @property
    def frames(self) -> Images:
        """(T, H, W, 3) what the camera saw."""
        return self.clip.images

    @property
    def poses_with_start(self) -> FloatArray:
        """(T + 1, 3): the pose at the moment of acting, then the executed ones."""
        return np.concatenate([self.ego_before.pose[None], self.poses])

    @property
    def speeds_with_start_mps(self) -> FloatArray:
        """(T + 1,): the speed at the moment of acting, then the executed ones."""
        return np.concatenate([[self.ego_before.speed_mps], self.motion[:, 0]])
