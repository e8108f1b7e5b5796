"""Planners that imagine: they try many futures in the world itself, and drive the best.

Both vary the lateral and longitudinal acceleration of each of the next periods, roll all sequences out with
``env.unwrapped.imagine`` in one batch per iteration, and look at the summed rewards only: a world whose pictures decide
nothing then draws none.

- MPPI: Williams et al., "Information theoretic MPC for model-based reinforcement learning", ICRA 2017, algorithm 2:
  the plan moves to the average of the samples, weighted by exp(return / temperature).
- CEM: Rubinstein, "The cross-entropy method for combinatorial and continuous optimization", 1999: a Gaussian is fitted
  to the best samples.

Libraries for MPPI roll out step by step through a dynamics function; ``imagine`` answers whole sequences at once, so
the few lines of the methods are here.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from longdwm_env.actions import Action
from longdwm_env.agents.policies.control_sampling import action_batch
from longdwm_env.agents.policy import PolicyContext, episode_random, present_speed_mps
from longdwm_env.episodes.observation import Info, Observation
from longdwm_env.errors import InvalidConfig
from longdwm_env.types import FloatArray

MOST = 10_000
"""Of each setting: beyond it, a typing error is likelier than an intention."""

MOST_ACTIONS = 20_000
"""Of one batch: samples times periods. Each is a drive with its pictures."""


@dataclass(frozen=True)
class PlannerSettings:
    """How hard a planner thinks.

    Attributes:
        samples: futures per iteration.
        iterations: batches per action.
        periods: control periods that are looked ahead.
        lateral_mps2, longitudinal_mps2: standard deviations of the first samples around the plan.
        temperature: of MPPI, as a share of the spread (standard deviation) of the returns of a batch, so that it means
            the same for any reward.
        elites: share of the samples that CEM fits.
        speed_mps: the planner does not ask for more; it has no other knowledge of the road.
        seed: of the random numbers.
    """

    samples: int = 24
    iterations: int = 2
    periods: int = 3
    lateral_mps2: float = 1.2
    longitudinal_mps2: float = 1.5
    temperature: float = 0.3
    elites: float = 0.25
    speed_mps: float = 15.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("samples", "iterations", "periods"):
            value = self.__dict__[name]
            if type(value) is not int or not 1 <= value <= MOST:
                raise InvalidConfig(f"{name} of a planner must be a whole number from 1 to {MOST}, got {value!r}")
        for name in ("lateral_mps2", "longitudinal_mps2", "temperature", "elites", "speed_mps"):
            value = self.__dict__[name]
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MOST:
                raise InvalidConfig(f"{name} of a planner must be a number above 0, up to {MOST}, got {value!r}")
        if self.samples * self.periods > MOST_ACTIONS:
            raise InvalidConfig(f"samples times periods of a planner is at most {MOST_ACTIONS}")
        if self.elites > 1 or self.samples < 4:
            raise InvalidConfig("a planner needs at least 4 samples and a share of elites of at most 1")


Method = Literal["mppi", "cem"]

FAN = (
    (0.0, 0.0),
    (0.0, -4.0),
    (-3.5, -1.5),
    (3.5, -1.5),
    (-1.5, 0.0),
    (1.5, 0.0),
    (0.0, 1.5),
    (-4.5, -4.0),
    (4.5, -4.0),
)
"""Held lateral and longitudinal accelerations (m/s2) that every first batch holds: straight on, stop, turn, swerve. A
Gaussian around the last plan finds none of these in time when the road suddenly bends."""


class SamplingPlanner:
    """Plans by imagining, in trajectory or control mode; of the plan the first action is driven, the rest goes on."""

    def __init__(self, context: PolicyContext, settings: PlannerSettings, method: Method) -> None:
        context.require("trajectory", "control", policy=f"the {method} planner")
        self.settings = settings
        self._base = context.base
        self._context = context
        self._method = method
        self._random = np.random.default_rng(settings.seed)
        self._plan = np.zeros((settings.periods, 2))

    def reset(self, observation: Observation, info: Info) -> None:
        """Forget the plan."""
        self._random = episode_random(info, self.settings.seed)
        self._plan = np.zeros((self.settings.periods, 2))

    def act(self, observation: Observation, info: Info) -> Action:
        """Search from the present state, then take the first step of the best plan."""
        speed = present_speed_mps(observation, info)
        mean = self._plan
        deviation = np.tile([self.settings.lateral_mps2, self.settings.longitudinal_mps2], (len(mean), 1))
        best, best_return = mean, -math.inf
        for iteration in range(self.settings.iterations):
            plans = self._sampled(mean, deviation, speed, fan=iteration == 0)
            returns = self._base.imagine(self._actions(plans, speed)).rewards.sum(axis=1)
            top = int(returns.argmax())
            if returns[top] > best_return:
                best, best_return = plans[top], float(returns[top])
            mean, deviation = self._improved(plans, returns, deviation)
        # The average of two good ways round something may be a bad one: keep to what has been imagined.
        final = self._actions(best[None], speed)[0, 0]
        self._plan = np.concatenate([best[1:], np.zeros((1, 2))])
        return final

    def _sampled(self, mean: FloatArray, deviation: FloatArray, speed_mps: float, fan: bool) -> FloatArray:
        """(B, N, 2) plans: the mean, in the first batch the fan, and Gaussian samples around the mean."""
        plans = mean + deviation * self._random.normal(size=(self.settings.samples, *mean.shape))
        plans[0] = mean
        if fan:
            held = FAN[: len(plans) // 2]
            plans[1 : 1 + len(held)] = np.array(held)[:, None]
        ceiling = (self.settings.speed_mps - speed_mps) / self._context.control_period_s
        room = ceiling - np.cumsum(np.concatenate([np.zeros((len(plans), 1)), plans[:, :-1, 1]], axis=1), axis=1)
        plans[..., 1] = np.minimum(plans[..., 1], np.maximum(room, 0.0))
        return plans

    def _actions(self, plans: FloatArray, speed_mps: float) -> np.ndarray:
        return action_batch(self._context, plans[..., 0], plans[..., 1], speed_mps)

    def _improved(self, plans: FloatArray, returns: FloatArray, deviation: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and deviation (N, 2) for the next batch."""
        if self._method == "mppi":
            spread = max(float(returns.std()), 1e-6)
            weights = np.exp((returns - returns.max()) / (self.settings.temperature * spread))
            return np.average(plans, axis=0, weights=weights), deviation * 0.7
        count = max(2, round(self.settings.elites * len(plans)))
        elite = plans[np.argsort(returns)[-count:]]
        return elite.mean(axis=0), np.maximum(elite.std(axis=0), 0.1)


def mppi(
    context: PolicyContext,
    samples: int = 24,
    iterations: int = 2,
    periods: int = 3,
    lateral_mps2: float = 1.2,
    longitudinal_mps2: float = 1.5,
    temperature: float = 0.3,
    speed_mps: float = 15.0,
    seed: int = 0,
) -> SamplingPlanner:
    """Model predictive path integral control; see ``PlannerSettings``."""
    settings = PlannerSettings(
        samples,
        iterations,
        periods,
        lateral_mps2,
        longitudinal_mps2,
        temperature=temperature,
        speed_mps=speed_mps,
        seed=seed,
    )
    return SamplingPlanner(context, settings, "mppi")


def cem(
    context: PolicyContext,
    samples: int = 24,
    iterations: int = 2,
    periods: int = 3,
    lateral_mps2: float = 1.2,
    longitudinal_mps2: float = 1.5,
    elites: float = 0.25,
    speed_mps: float = 15.0,
    seed: int = 0,
) -> SamplingPlanner:
    """The cross-entropy method; see ``PlannerSettings``."""
    settings = PlannerSettings(
        samples, iterations, periods, lateral_mps2, longitudinal_mps2, elites=elites, speed_mps=speed_mps, seed=seed
    )
    return SamplingPlanner(context, settings, "cem")
