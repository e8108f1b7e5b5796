"""A driver without purpose, whose motions a car can follow."""

import numpy as np

from longdwm_env.actions import Action
from longdwm_env.agents.policies.control_sampling import action_batch
from longdwm_env.agents.policy import PolicyContext, episode_random, present_speed_mps
from longdwm_env.episodes.observation import Info, Observation
from longdwm_env.errors import InvalidConfig

PERSISTENCE = 0.6
"""Share of a control that carries over to the next period, so that the car sweeps instead of trembling."""


class RandomDriving:
    """Random lateral and longitudinal accelerations, correlated over time; commands and goals are drawn uniformly.

    Args:
        context: any action mode.
        lateral_mps2: standard deviation of the lateral acceleration.
        longitudinal_mps2: standard deviation of the longitudinal acceleration.
        seed: the policy's own.
    """

    def __init__(
        self, context: PolicyContext, lateral_mps2: float = 1.5, longitudinal_mps2: float = 1.5, seed: int = 0
    ) -> None:
        if not (0 <= lateral_mps2 <= 1000 and 0 <= longitudinal_mps2 <= 1000 and type(seed) is int and seed >= 0):
            raise InvalidConfig(
                "standard deviations are from 0 to 1000 and the seed is a whole number from 0: "
                f"{lateral_mps2!r}, {longitudinal_mps2!r}, {seed!r}"
            )
        self._context = context
        self._scale = np.array([lateral_mps2, longitudinal_mps2])
        self._seed = seed
        self._random = np.random.default_rng(seed)
        self._control = np.zeros(2)

    def reset(self, observation: Observation, info: Info) -> None:
        """Random numbers start afresh for each episode."""
        self._random = episode_random(info, self._seed)
        self._control = np.zeros(2)

    def act(self, observation: Observation, info: Info) -> Action:
        """A random step of the controls."""
        if self._context.action_mode == "command":
            return int(self._random.integers(4))
        if self._context.action_mode == "goal":
            return self._random.uniform(size=2).astype(np.float32)
        fresh = self._random.normal(size=2) * self._scale
        self._control = PERSISTENCE * self._control + np.sqrt(1 - PERSISTENCE**2) * fresh
        lateral, longitudinal = self._control.reshape(2, 1, 1)
        return action_batch(self._context, lateral, longitudinal, present_speed_mps(observation, info))[0, 0]
