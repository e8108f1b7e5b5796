"""How sure a comparison is when scenes and training seeds both vary, and what may be said of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.stats

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.statistics import Interval
from longdwm_env.evaluation.studies.measures import Measure
from longdwm_env.evaluation.studies.scores import Scores

Verdict = Literal["confirmed", "not confirmed", "too noisy to say", "not measured"]

DRAWS = 200
Z = 1.959963984540054


@dataclass(frozen=True)
class Estimate:
    """A figure of one system, or a difference of two.

    Attributes:
        values: (K,), one for each training seed; one alone where nothing is trained.
        draws: (K, D) the same for scenes drawn again, the same draws in every estimate; NaN of a single scene, which
            drawn again is always the same.
    """

    values: np.ndarray
    draws: np.ndarray
    is_trained: bool

    def __sub__(self, other: "Estimate") -> "Estimate":
        """Seed by seed; what has no seeds is the same for each."""
        count = min(len(one.values) for one in (self, other) if one.is_trained or not (self | other))
        pairs = [(one.values[:count], one.draws[:count]) for one in (self, other)]
        (first, first_draws), (second, second_draws) = pairs
        return Estimate(first - second, first_draws - second_draws, self | other)

    def __or__(self, other: "Estimate") -> bool:
        """Whether either is trained."""
        return self.is_trained or other.is_trained

    @property
    def seeds(self) -> int:
        """How many trainings it rests on."""
        return len(self.values) if self.is_trained else 0

    @property
    def interval(self) -> Interval:
        """Mean over seeds with its 95 % interval.

        Two independent reasons to doubt it, added in quadrature: other scenes (bootstrap over scenes of the mean over
        seeds) and other trainings (Student's t over seeds, which with three seeds is wide on purpose).
        """
        value = float(self.values.mean())
        drawn = self.draws.mean(axis=0)
        half = Z * float(np.nanstd(drawn)) if np.isfinite(drawn).any() else math.nan
        if self.seeds > 1:
            spread = float(self.values.std(ddof=1)) / math.sqrt(self.seeds)
            half = math.hypot(half, float(scipy.stats.t.ppf(0.975, self.seeds - 1)) * spread)
        return Interval(value, value - half, value + half)


def drawn_scenes(scenes: int) -> np.ndarray:
    """(D, S): how often each scene comes when as many are drawn again."""
    return np.random.default_rng(0).multinomial(scenes, np.full(scenes, 1 / scenes), size=DRAWS).astype(np.float64)


def estimated(measure: Measure, trained: Sequence[Scores], truth: Scores, is_trained: bool) -> Estimate:
    """A measure of one system, of all of its seeds."""
    if measure.of is None:
        raise InvalidConfig(f"{measure.name} is a difference of two measures, each estimated by itself")
    drawn = drawn_scenes(truth.scenes)
    figures = [measure.of(scores, truth) for scores in trained]
    values = [figure(np.ones(truth.scenes)) for figure in figures]
    draws = np.array([[figure(times) for times in drawn] for figure in figures])
    return Estimate(np.array(values), draws if truth.scenes > 1 else np.full_like(draws, math.nan), is_trained)


def verdict(improvement: Interval, margin: float) -> Verdict:
    """What an interval of an improvement says of the claim that there is one.

    Not confirmed: none of the interval is an improvement that matters. Confirmed: all of it is an improvement, and some
    of it matters. Else it reaches from no effect to one that matters, and more seeds or scenes are needed.

    Args:
        improvement: above zero where the claim holds.
        margin: the smallest improvement that matters.
    """
    if not math.isfinite(improvement.value):
        return "not measured"
    if improvement.high < max(margin, 0.0):
        return "not confirmed"
    return "confirmed" if improvement.low > 0 else "too noisy to say"
