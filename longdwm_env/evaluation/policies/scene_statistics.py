"""Numbers about numbers: bootstrap intervals over scenes, paired differences, how well one world predicts another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from longdwm_env.evaluation.statistics import CONFIDENCE, correlation
from longdwm_env.types import FloatArray

RESAMPLES = 2000
SEED = 20240


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval, from ``count`` episodes in ``scenes`` scenes; with one scene there is no interval."""

    mean: float
    low: float | None
    high: float | None
    count: int
    scenes: int

    def to_json(self) -> dict[str, float | int | None]:
        """As JSON values."""
        return dict(vars(self))


def scene_means(values: Sequence[float], scenes: Sequence[str]) -> dict[str, float]:
    """The mean per scene."""
    grouped: dict[str, list[float]] = {}
    for value, scene in zip(values, scenes, strict=True):
        grouped.setdefault(scene, []).append(value)
    return {scene: float(np.mean(found)) for scene, found in grouped.items()}


def resampled_scenes(count: int, resamples: int = RESAMPLES) -> FloatArray:
    """(R, S) weights that each add up to one: R draws of S scenes with replacement, the same at every call."""
    random = np.random.default_rng(SEED)
    return random.multinomial(count, np.full(count, 1 / count), size=resamples) / count


def mean_over_scenes(values: Sequence[float], scenes: Sequence[str]) -> Estimate:
    """Mean over scenes with a percentile interval from resampling scenes (Efron and Tibshirani, 1993, chapter 13).

    Scenes, not episodes, are drawn: episodes of one scene resemble each other.
    """
    means = np.array(list(scene_means(values, scenes).values()))
    if len(means) < 2:
        return Estimate(float(means.mean()), None, None, len(values), len(means))
    drawn = resampled_scenes(len(means)) @ means
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(float(means.mean()), float(low), float(high), len(values), len(means))


bootstrap = mean_over_scenes
"""Its name before; ``evaluation.statistics.bootstrap`` is the general one."""


def paired_difference(first: Mapping[str, float], second: Mapping[str, float]) -> Estimate | None:
    """First minus second over the scenes (scene -> mean) that both have; None where there is none."""
    common = [scene for scene in first if scene in second]
    if not common:
        return None
    return mean_over_scenes([first[scene] - second[scene] for scene in common], common)


def r_squared(x: FloatArray, y: FloatArray) -> float:
    """Share of the variance of y that a straight line in x explains; NaN where one of them does not vary."""
    return correlation(x, y) ** 2


def spearman(x: FloatArray, y: FloatArray) -> float:
    """Correlation of the ranks; NaN where one side has only one value."""
    return correlation(rankdata(x), rankdata(y))


def mean_maximum_rank_violation(real: FloatArray, simulated: FloatArray) -> float:
    """How badly a simulation misorders policies; 0 if it orders them as reality does.

    Li et al., "Evaluating real-world robot manipulation policies in simulation" (SIMPLER), 2024: the rank violation of
    a pair is |real_i - real_j| where the simulation orders it the other way round, else 0; the worst one of each
    policy is averaged.

    Args:
        real: (P,) the performance that counts.
        simulated: (P,) what the simulation says.
    """
    gap = np.abs(real[:, None] - real[None])
    misordered = (simulated[:, None] < simulated[None]) != (real[:, None] < real[None])
    return float((gap * misordered).max(axis=1).mean())
