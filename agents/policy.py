"""What a policy is: two methods. And what it is given before it drives: the context.

A policy may be a class, a function that makes one, a network or a process on another machine; see ``naming`` for how
each is called on the command line.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from longdwm_env.actions import ACTION_MODES, Action, ActionMode, action_space
from longdwm_env.clock import FPS, WAYPOINT_TIMES_S, control_frames
from longdwm_env.episodes.observation import Info, Observation
from longdwm_env.errors import InvalidConfig, LongDWMError
from longdwm_env.geometry.kinematics import CAR, LIMITS, acceleration_for_distance, max_curvature_per_m
from longdwm_env.types import Camera, FloatArray, Images

if TYPE_CHECKING:
    from longdwm_env.env import LongDWMEnv


class PolicyFailure(LongDWMError, RuntimeError):
    """A policy did not answer, or answered nonsense; its episode fails, the run goes on."""


@runtime_checkable
class Policy(Protocol):
    """Whatever turns observations into actions."""

    def reset(self, observation: Observation, info: Info) -> None:
        """An episode begins with this observation; forget the one before."""
        ...

    def act(self, observation: Observation, info: Info) -> Action:
        """The next action, in the environment's action space."""
        ...


@dataclass(frozen=True)
class PolicyContext:
    """What a policy may know about where it will drive.

    Attributes:
        observation_space, action_space: of the environment.
        action_mode: which of the contract's action modes that is.
        control_period_s: time between two actions.
        camera: the camera of all episodes, or None where each scene has its own; see ``episode_camera``.
        environment: the environment itself, for planners that imagine in it and privileged policies that read its map
            and actors. None for policies that run elsewhere.
    """

    observation_space: spaces.Space[Observation]
    action_space: spaces.Space[Action]
    action_mode: ActionMode
    control_period_s: float
    camera: Camera | None = None
    environment: gym.Env[Observation, Action] | None = None

    def __post_init__(self) -> None:
        control_frames(self.control_period_s)
        action_space(self.action_mode)

    @classmethod
    def of(cls, environment: gym.Env[Observation, Action], camera: Camera | None = None) -> "PolicyContext":
        """The context of policies that drive this environment, wrapped or not."""
        base = cast("LongDWMEnv", environment.unwrapped)
        period_s = base.episodes.control_frames / FPS
        spaces_ = environment.observation_space, environment.action_space
        return cls(*spaces_, base.episodes.action_mode, period_s, camera, environment)

    @property
    def base(self) -> "LongDWMEnv":
        """The bare environment, with ``get_state`` and ``imagine``.

        Raises:
            InvalidConfig: the policy runs without an environment.
        """
        if self.environment is None:
            raise InvalidConfig("this policy looks into the environment, so it cannot run where there is none")
        return cast("LongDWMEnv", self.environment.unwrapped)

    def require(self, *modes: ActionMode, policy: str) -> None:
        """Check that the policy can act in the environment's action mode.

        Raises:
            InvalidConfig: it cannot; the message says which modes it can.
        """
        if self.action_mode not in modes:
            allowed = " or ".join(repr(mode) for mode in ACTION_MODES if mode in modes)
            raise InvalidConfig(f"{policy} acts in action_mode={allowed}, this environment has {self.action_mode!r}")

    def action_from_waypoints(self, waypoints_m: FloatArray, speed_mps: float) -> NDArray[np.float32]:
        """The action that asks for waypoints (4, 2), in trajectory mode; in control mode, that starts towards them.

        In control mode the car steers along the arc through the first waypoint that is due after the control period,
        and accelerates to cover that arc in time (pure pursuit).

        Raises:
            InvalidConfig: commands and goals cannot say where waypoints are.
        """
        self.require("trajectory", "control", policy="a policy that plans waypoints")
        space = self.action_space
        assert isinstance(space, spaces.Box)
        if self.action_mode == "trajectory":
            return np.clip(waypoints_m, space.low, space.high).astype(np.float32)
        due = int(np.searchsorted(WAYPOINT_TIMES_S, self.control_period_s - 1e-9))
        x, y = (float(v) for v in waypoints_m[due])
        squared = x * x + y * y
        curvature = 2 * y / squared if squared > 0.25 else 0.0
        tightest = float(max_curvature_per_m(np.array(speed_mps), LIMITS, CAR))
        steering = CAR.steering_rad(float(np.clip(curvature, -tightest, tightest)))
        distance = np.copysign(np.sqrt(squared), x)
        acceleration = acceleration_for_distance(speed_mps, max(float(distance), 0.0), WAYPOINT_TIMES_S[due])
        return np.clip(np.array([steering, acceleration], np.float32), space.low, space.high)


def last_frames(observation: Observation) -> Images:
    """(T, H, W, 3) frames of an observation, newest last, in either observation mode."""
    return observation["frames"] if isinstance(observation, Mapping) else observation[None]


def present_speed_mps(observation: object, info: Info) -> float:
    """Speed from the ego vector, or, where only an image is known, from the last two poses."""
    if isinstance(observation, Mapping):
        return float(observation["ego"][0])
    if "ego" in info:
        return float(info["ego"][0])
    poses = np.asarray(info["ego_pose"], dtype=np.float64)
    return float(np.linalg.norm(poses[-1, :2] - poses[-2, :2]) * FPS) if len(poses) > 1 else 0.0


def episode_random(info: Info, seed: int) -> np.random.Generator:
    """Random numbers of one episode: the same for the same policy seed, scene and episode seed, whatever ran before.

    The episode's seed is ``info["seed"]`` where the caller passes it on (evaluations do), else 0.
    """
    scene = zlib.crc32(str(info.get("scene", "")).encode())
    return np.random.default_rng([seed, scene, int(info.get("seed", 0))])


def episode_camera(context: PolicyContext, info: Info) -> Camera:
    """The camera of the present episode: from the infos (of a policy server), the context or the environment."""
    known = info.get("camera")
    if isinstance(known, Camera):
        return known
    return context.camera or context.base.get_state().camera
