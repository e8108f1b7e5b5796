"""How sure a figure is: 95 % intervals by scipy.stats. Whole scenes are drawn again, as frames of a scene are alike."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from longdwm_env.errors import InvalidConfig
from longdwm_env.types import FloatArray

CONFIDENCE = 0.95


ALONG_AXES: tuple[Callable[..., Any], ...] = (np.mean, np.median)
"""Statistics that take many draws at once."""


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval; the ends are NaN where a single sample says nothing of others."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if not math.isfinite(self.value):
            return "-"
        if math.isnan(self.low) and math.isnan(self.high):
            return f"{self.value:.3g} (one)"
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"

    @property
    def not_negative(self) -> "Interval":
        """Of a distance or an amount, which no draw makes negative: what lies below zero is cut off."""
        return replace(self, low=float(np.maximum(self.low, 0.0)), high=float(np.maximum(self.high, 0.0)))


UNKNOWN = Interval(math.nan, math.nan, math.nan)


def bootstrap(
    samples: np.ndarray,
    statistic: Callable[..., Any] = np.mean,
    draws: int = 1000,
    centred: bool = False,
) -> Interval:
    """Percentile bootstrap over the first axis of samples (N, ...).

    Args:
        samples: a scene each; what is drawn again.
        statistic: of samples, some of which come several times.
        draws: how often.
        centred: for a statistic that is too high of few samples, and higher still of drawn-again ones: the interval
            is moved so that the mean of the draws lies on the value.

    Raises:
        InvalidConfig: there is nothing to draw from.
    """
    if len(samples) < 1:
        raise InvalidConfig("an interval needs at least one sample")
    value = float(statistic(samples))
    if len(samples) == 1:
        return Interval(value, math.nan, math.nan)
    if samples.ndim == 1 and statistic in ALONG_AXES:
        # All draws in one call: the same bits, seven times sooner.
        found = _drawn_again(len(samples), lambda chosen, axis: statistic(samples[chosen], axis=axis), draws, True)
    else:
        found = _drawn_again(len(samples), lambda chosen: float(statistic(samples[chosen.astype(int)])), draws, False)
    low, high = found.confidence_interval
    moved = value - float(np.mean(found.bootstrap_distribution)) if centred else 0.0
    return Interval(value, float(low) + moved, float(high) + moved)


def _drawn_again(count: int, statistic: Callable[..., Any], draws: int, is_vectorized: bool) -> Any:
    """``scipy.stats.bootstrap`` of a statistic of the positions of samples."""
    with warnings.catch_warnings():
        # A statistic that comes out the same, or unknown, in every draw has an interval all the same.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        return stats.bootstrap(
            (np.arange(count),),
            statistic,
            n_resamples=draws,
            vectorized=is_vectorized,
            method="percentile",
            confidence_level=CONFIDENCE,
            rng=np.random.default_rng(0),
        )


def mean_interval(values: FloatArray, statistic: Callable[[np.ndarray], float] = np.mean) -> Interval:
    """Mean, or another statistic, over scenes (S,), those left out that are NaN; NaN where all are."""
    known = np.asarray(values)[np.isfinite(values)]
    return bootstrap(known, statistic) if len(known) else UNKNOWN


def ratio_interval(above: FloatArray, below: FloatArray) -> Interval:
    """Sum of (S,) over sum of (S,), scenes drawn together."""

    def ratio(pairs: np.ndarray) -> float:
        total = pairs[:, 1].sum()
        return float(pairs[:, 0].sum() / total) if total else math.nan

    return bootstrap(np.stack([above, below], axis=1), ratio)


def pooled_interval(statistic: Callable[[list[int]], float], scenes: int) -> Interval:
    """A statistic of scenes that is no mean, such as a correlation over all their windows.

    Args:
        statistic: of the numbers of scenes, one of which may come several times.
        scenes: how many there are.
    """
    return bootstrap(np.arange(scenes), lambda chosen: statistic(chosen.tolist()))


def wilson(successes: int, trials: int) -> Interval:
    """Interval of a share (Wilson 1927); with no trials it says nothing."""
    if trials == 0:
        return Interval(math.nan, 0.0, 1.0)
    found = stats.binomtest(successes, trials).proportion_ci(CONFIDENCE, "wilson")
    return Interval(successes / trials, float(found.low), float(found.high))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's; NaN where one of them does not vary."""
    if len(a) < 2 or a.std() < 1e-9 or b.std() < 1e-9:
        return math.nan
    # Asked for in every draw of an interval: scipy's pearsonr gives the same to the last bit but one, ten times later.
    return float(np.corrcoef(a, b)[0, 1])
