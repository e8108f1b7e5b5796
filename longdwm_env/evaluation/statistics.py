"""How sure a figure is: intervals for means, differences and shares."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from longdwm_env.errors import InvalidConfig


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


def bootstrap(
    samples: np.ndarray,
    statistic: Callable[[np.ndarray], float] = lambda x: float(np.mean(x)),
    draws: int = 1000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap over the first axis; draw whole scenes, not frames, where frames of a scene are alike.

    Raises:
        InvalidConfig: there is nothing to draw from.
    """
    if len(samples) < 1:
        raise InvalidConfig("an interval needs at least one sample")
    rng = np.random.default_rng(seed)
    drawn = [statistic(samples[rng.integers(len(samples), size=len(samples))]) for _ in range(draws)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(statistic(samples), float(low), float(high))


def wilson(successes: int, trials: int) -> Interval:
    """95 % interval of a share (Wilson 1927); with no trials it says nothing."""
    if trials == 0:
        return Interval(math.nan, 0.0, 1.0)
    z = 1.959963984540054
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))
