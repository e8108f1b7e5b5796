"""Figures of worlds that drove the same scenes: intervals and differences by drawing whole scenes again."""

from collections.abc import Callable, Sequence

import numpy as np

from longdwm_env.evaluation.frechet import frechet_distance, gaussian_of
from longdwm_env.evaluation.statistics import Interval, bootstrap
from longdwm_env.types import FloatArray

Features = Sequence[FloatArray]
"""For each scene the features (n, D) of its windows."""

FRECHET_DRAWS = 200


def mean_interval(values: FloatArray) -> Interval:
    """Mean over scenes (S,), those left out that are NaN; NaN where all are."""
    known = np.asarray(values)[np.isfinite(values)]
    return bootstrap(known) if len(known) else Interval(np.nan, np.nan, np.nan)


def ratio_interval(above: FloatArray, below: FloatArray) -> Interval:
    """Sum of (S,) over sum of (S,), scenes drawn together."""

    def ratio(chosen: np.ndarray) -> float:
        total = float(below[chosen].sum())
        return float(above[chosen].sum()) / total if total else float("nan")

    return bootstrap(np.arange(len(above)), ratio)


def pooled_interval(statistic: Callable[[list[int]], float], scenes: int) -> Interval:
    """A statistic of scenes that is no mean, such as a correlation over all their windows.

    Args:
        statistic: of the numbers of scenes, one of which may come several times.
        scenes: how many there are.
    """
    return bootstrap(np.arange(scenes), lambda chosen: statistic(chosen.tolist()))


def frechet_interval(real: Features, made: Features, seed: int = 0) -> Interval:
    """Frechet distance of the features of all scenes; the real ones fixed, the made ones drawn again.

    A distance of few features is too high, and of drawn-again ones higher still: the interval is centred on the value,
    and says how much it wobbles with the choice of scenes.
    """
    return _centred(real, [made], lambda distances: distances[0], seed)


def frechet_difference(real: Features, first: Features, second: Features, seed: int = 0) -> Interval:
    """Distance of the first minus that of the second, which drove the same scenes; both drawn again together."""
    return _centred(real, [first, second], lambda distances: distances[0] - distances[1], seed)


def frechet_ratio(
    real_first: Features, first: Features, real_second: Features, second: Features, seed: int = 0
) -> Interval:
    """Distance of the first from its truth over that of the second from its own; the same scenes drawn together."""
    truths = [gaussian_of(np.concatenate(list(real_first))), gaussian_of(np.concatenate(list(real_second)))]

    def ratio(chosen: Sequence[int]) -> float:
        distances = [
            frechet_distance(truth, gaussian_of(np.concatenate([made[i] for i in chosen])))
            for truth, made in zip(truths, (first, second), strict=True)
        ]
        return distances[0] / max(distances[1], 1e-12)

    return _interval(ratio, len(first), seed)


def _centred(
    real: Features, made: Sequence[Features], statistic: Callable[[list[float]], float], seed: int
) -> Interval:
    truth = gaussian_of(np.concatenate(list(real)))

    def value(chosen: Sequence[int]) -> float:
        pooled = [np.concatenate([features[i] for i in chosen]) for features in made]
        return statistic([frechet_distance(truth, gaussian_of(features)) for features in pooled])

    return _interval(value, len(made[0]), seed)


def _interval(statistic: Callable[[Sequence[int]], float], scenes: int, seed: int) -> Interval:
    rng = np.random.default_rng(seed)
    value = statistic(range(scenes))
    drawn = [statistic(rng.integers(scenes, size=scenes).tolist()) for _ in range(FRECHET_DRAWS)]
    low, high = np.percentile(drawn, [2.5, 97.5]) - np.mean(drawn)
    return Interval(value, float(value + low), float(value + high))
