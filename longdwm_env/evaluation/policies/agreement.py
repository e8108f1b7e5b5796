"""Whether a world ranks policies as the simulator does: R2, Spearman, rank violation, and errors per term."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from longdwm_env.evaluation.policies.scene_statistics import (
    mean_maximum_rank_violation,
    r_squared,
    resampled_scenes,
    scene_means,
    spearman,
)
from longdwm_env.evaluation.policies.summary import Record
from longdwm_env.evaluation.statistics import CONFIDENCE, UNKNOWN, Interval
from longdwm_env.types import FloatArray


@dataclass(frozen=True)
class TermAgreement:
    """One number in both worlds.

    Attributes:
        name: of ``METRICS``.
        policies: that have it in both worlds.
        simulator, world: (P,) means over the same scenes.
        simulator_interval, world_interval: (P, 2); NaN for a policy that has the number in one scene only.
        difference, difference_interval: (P,) and (P, 2), world - simulator, scene by scene.
        r2, spearman, mmrv: of the policies' means; MMRV in the unit of the number.
        error: mean over policies of |world - simulator|.
        bias: mean over policies of world - simulator.
        scenes: how many both worlds have.
    """

    name: str
    policies: tuple[str, ...]
    simulator: FloatArray
    world: FloatArray
    simulator_interval: FloatArray
    world_interval: FloatArray
    difference: FloatArray
    difference_interval: FloatArray
    r2: Interval
    spearman: Interval
    mmrv: Interval
    error: Interval
    bias: Interval
    scenes: int


def agreement(
    simulator: Sequence[Record], world: Sequence[Record], policies: Sequence[str], name: str
) -> TermAgreement | None:
    """How well one number in a world predicts the same in the simulator; None where fewer than 3 policies have it."""
    tables = [_table(records, policies, name) for records in (simulator, world)]
    scenes = [scene for scene in tables[0][1] if scene in tables[1][1]]
    values = [found[:, [names.index(scene) for scene in scenes]] for found, names in tables]
    # A scene counts for a policy where both worlds have the number.
    known = np.isfinite(values[0]) & np.isfinite(values[1])
    having = known.any(axis=1) if scenes else np.zeros(len(policies), bool)
    if having.sum() < 3:
        return None
    values, known = [found[having] for found in values], known[having]
    means = [_means(found, known, np.full((1, len(scenes)), 1 / len(scenes)))[0] for found in values]
    weights = resampled_scenes(len(scenes), 1000)
    drawn = [_means(found, known, weights) for found in values]

    several = known.sum(axis=1) > 1

    def ends(draws: FloatArray) -> FloatArray:
        return np.where(several[:, None], np.quantile(draws, _ENDS, axis=0).T, np.nan)

    def interval(statistic: Callable[[FloatArray, FloatArray], float]) -> Interval:
        found = np.array([statistic(a, b) for a, b in zip(*drawn, strict=True)])
        # Draws of one scene are all the same: that is no interval of width zero but none.
        return _interval(statistic(*means), found[np.isfinite(found) & several.any()])

    return TermAgreement(
        name=name,
        policies=tuple(policy for policy, has in zip(policies, having, strict=True) if has),
        simulator=means[0],
        world=means[1],
        simulator_interval=ends(drawn[0]),
        world_interval=ends(drawn[1]),
        difference=means[1] - means[0],
        difference_interval=ends(drawn[1] - drawn[0]),
        r2=interval(r_squared),
        spearman=interval(spearman),
        mmrv=interval(mean_maximum_rank_violation),
        error=interval(lambda a, b: float(np.abs(b - a).mean())),
        bias=interval(lambda a, b: float((b - a).mean())),
        scenes=len(scenes),
    )


_ENDS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)


def _interval(value: float, drawn: FloatArray) -> Interval:
    if not np.isfinite(value):
        return UNKNOWN
    if len(drawn) < 10:
        return Interval(value, np.nan, np.nan)
    low, high = np.quantile(drawn, _ENDS)
    return Interval(value, float(low), float(high))


def _table(records: Sequence[Record], policies: Sequence[str], name: str) -> tuple[FloatArray, list[str]]:
    """(P, S) means per policy and scene, NaN where there is none, and the scenes."""
    having = [record for record in records if name in record["numbers"]]
    scenes = list(dict.fromkeys(record["scene"] for record in having))
    table = np.full((len(policies), len(scenes)), np.nan)
    for row, policy in enumerate(policies):
        own = [record for record in having if record["policy"] == policy]
        for scene, mean in scene_means([r["numbers"][name] for r in own], [r["scene"] for r in own]).items():
            table[row, scenes.index(scene)] = mean
    return table, scenes


def _means(values: FloatArray, known: FloatArray, weights: FloatArray) -> FloatArray:
    """(R, P) weighted means over scenes, of those that are known; the plain mean where none of a draw is."""
    filled = np.where(known, values, 0.0)
    share = weights @ known.T
    plain = filled.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.where(share > 0, (weights @ filled.T) / np.maximum(share, 1e-12), plain)
