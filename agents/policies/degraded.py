"""Worse versions of any driver, so that an evaluation has a ladder of known skill."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from gymnasium import spaces

from longdwm_env.actions import Action
from longdwm_env.agents.policy import Policy, PolicyContext, episode_random
from longdwm_env.clock import WAYPOINT_TIMES_S
from longdwm_env.episodes.observation import Info, Observation
from longdwm_env.types import FloatArray

PERSISTENCE = 0.7
"""Share of the noise that carries over to the next action: a driver who drifts, not one who trembles."""

FULL_NOISE_MPS = 5.0
"""A car that plans to go slower than this is shaken in proportion: no car drifts sideways out of a standstill."""

MOST = 1000.0
"""Of noise, delay and aggression: a driver as bad as that cannot get worse."""

STEERING_RAD_PER_NOISE = 0.05
ACCELERATION_MPS2_PER_AGGRESSION = 2.0


@dataclass(frozen=True)
class Degradation:
    """What is wrong with a driver.

    Attributes:
        noise: in trajectory mode the standard deviation, in metres a second ahead, by which the plan misses sideways
            and lengthwise; it grows with the time ahead. In control mode 0.05 rad of steering and 1 m/s2 a unit.
        delay: whole control periods by which decisions come late.
        aggression: share by which it wants to get farther along the same path than its own judgement says.
    """

    noise: float = 0.0
    delay: int = 0
    aggression: float = 0.0
    degrade_seed: int = 0

    def __post_init__(self) -> None:
        for name in ("noise", "aggression"):
            value = self.__dict__[name]
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST:
                raise ValueError(f"{name} must be a number from 0 to {MOST:g}, got {value!r}")
        for name in ("delay", "degrade_seed"):
            value = self.__dict__[name]
            if type(value) is not int or value < 0:
                raise ValueError(f"{name} must be a whole number from 0, got {value!r}")
        if self.delay > MOST:
            raise ValueError(f"delay is at most {MOST:g} control periods, got {self.delay}")


class Degraded:
    """A driver whose actions come late, shaky or too bold."""

    def __init__(self, policy: Policy, context: PolicyContext, degradation: Degradation) -> None:
        context.require("trajectory", "control", policy="a degraded driver")
        self._policy, self._context, self._degradation = policy, context, degradation
        self._pending: deque[FloatArray] = deque(maxlen=degradation.delay + 1)
        self._random = np.random.default_rng(degradation.degrade_seed)
        self._drift = np.zeros(2)

    def reset(self, observation: Observation, info: Info) -> None:
        """Start the driver, and its faults, afresh."""
        self._pending.clear()
        self._random = episode_random(info, self._degradation.degrade_seed)
        self._drift = np.zeros(2)
        self._policy.reset(observation, info)

    def act(self, observation: Observation, info: Info) -> Action:
        """The driver's action of ``delay`` periods ago (its first one until then), made bolder, then shaken."""
        self._pending.append(np.asarray(self._policy.act(observation, info), dtype=np.float64))
        action = self._pending[0]
        fresh = self._random.normal(size=2)
        self._drift = PERSISTENCE * self._drift + math.sqrt(1 - PERSISTENCE**2) * fresh
        noise = self._degradation.noise * self._drift
        if self._context.action_mode == "trajectory":
            action = stretched(action, 1 + self._degradation.aggression)
            moving = min(1.0, float(np.linalg.norm(action[1])) / FULL_NOISE_MPS)
            action = action + moving * noise * np.array(WAYPOINT_TIMES_S)[:, None]
        else:
            bolder = ACCELERATION_MPS2_PER_AGGRESSION * self._degradation.aggression
            action = action + noise * np.array([STEERING_RAD_PER_NOISE, 1.0]) + np.array([0.0, bolder])
        space = self._context.action_space
        assert isinstance(space, spaces.Box)
        return np.clip(action, space.low, space.high).astype(np.float32)


class Blind:
    """A driver who is shown black pictures: what it does without looking, the control of a policy that looks.

    It still knows the ego's motion. Privileged drivers, who do not look, drive as before.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def reset(self, observation: Observation, info: Info) -> None:
        """An episode begins in the dark."""
        self._policy.reset(_black(observation), info)

    def act(self, observation: Observation, info: Info) -> Action:
        """What the driver does in the dark."""
        return self._policy.act(_black(observation), info)


def _black(observation: Observation) -> Observation:
    if isinstance(observation, Mapping):
        return {**observation, "frames": np.zeros_like(observation["frames"])}
    return np.zeros_like(observation)


def stretched(waypoints_m: FloatArray, factor: float) -> FloatArray:
    """Waypoints (4, 2) ``factor`` times as far along the same path, which goes straight on after its end."""
    points = np.concatenate([np.zeros((1, 2)), waypoints_m])
    steps = np.diff(points, axis=0)
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(steps[:, 0], steps[:, 1]))])
    wanted = lengths[1:] * factor
    if lengths[-1] < 1e-6:
        return waypoints_m
    # Doubled places, as of a car that stands, have no length between them and confuse interpolation.
    kept = np.concatenate([[True], np.diff(lengths) > 1e-9])
    lengths, points = lengths[kept], points[kept]
    inside = np.minimum(wanted, lengths[-1])
    places = np.stack([np.interp(inside, lengths, points[:, axis]) for axis in (0, 1)], axis=1)
    direction = (points[-1] - points[-2]) / (lengths[-1] - lengths[-2])
    return places + (wanted - inside)[:, None] * direction
