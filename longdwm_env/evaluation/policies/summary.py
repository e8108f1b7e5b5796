"""From the records of episodes to what is reported: per policy, term by term, and policy against policy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from longdwm_env.evaluation.policies.episode_metrics import METRICS, completion
from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig, Record
from longdwm_env.evaluation.policies.pdm import NEEDED, pdm_score
from longdwm_env.evaluation.policies.scene_statistics import Estimate, mean_over_scenes, paired_difference, scene_means


@dataclass(frozen=True)
class Term:
    """One number of one policy: its estimate where any episode has it, and how many lack it, with the reasons."""

    estimate: Estimate | None
    unavailable: int
    reasons: dict[str, int]


@dataclass(frozen=True)
class PolicySummary:
    """What one policy achieved: terms by name, episodes that ended how, failures and their messages."""

    policy: str
    episodes: int
    terms: dict[str, Term]
    endings: dict[str, int]
    failures: dict[str, int]
    act_s: float | None


@dataclass(frozen=True)
class Summary:
    """All policies, best first, by ``ranked_by``; and the differences between each two, over the same scenes."""

    ranked_by: str
    policies: tuple[PolicySummary, ...]
    differences: dict[tuple[str, str], Estimate]


def complete(config: EvaluationConfig, records: Sequence[Record]) -> list[Record]:
    """The records with what needs the reference driver: the PDM score, and a route where no log gives one."""
    reference = {r["episode"]: r for r in records if r["policy"] == config.reference and r["status"] == "done"}
    return [_completed(record, reference.get(record["episode"]), config.reference) for record in records]


def _completed(record: Record, reference: Record | None, driver: str | None) -> Record:
    if record["status"] != "done":
        return record
    numbers, missing = dict(record["numbers"]), dict(record["unavailable"])
    why = "there is no reference driver" if driver is None else f"the reference driver {driver!r} failed here"
    lacking = [name for name in NEEDED if name not in numbers or (reference and name not in reference["numbers"])]
    if lacking:
        missing["pdm_score"] = missing.get(lacking[0], f"it needs {lacking[0]}")
    elif reference is None:
        missing["pdm_score"] = why
    else:
        numbers["pdm_score"], parts = pdm_score(numbers, reference["numbers"])
        record = {**record, "pdm_parts": parts}
    if "route_completion" not in numbers:
        if reference is None:
            missing["route_completion"] = why
        else:
            numbers["route_completion"] = completion(np.array(record["path"]), np.array(reference["path"]))
            missing.pop("route_completion", None)
    return {**record, "numbers": numbers, "unavailable": missing}


def summarize(config: EvaluationConfig, records: Sequence[Record], rank_by: str | None = None) -> Summary:
    """Put completed records together.

    Args:
        config: of the evaluation; a reference driver that is not among its policies is left out.
        records: from ``complete``.
        rank_by: a name of ``METRICS``; None for the PDM score where every finished episode has it, else the return.
    """
    judged = [record for record in records if record["slot"] < len(config.policies)]
    done = [record for record in judged if record["status"] == "done"]
    if rank_by is None:
        scored = bool(done) and all("pdm_score" in record["numbers"] for record in done)
        rank_by = "pdm_score" if scored else "return"
    policies = [_of_policy(name, [r for r in judged if r["policy"] == name]) for name in config.policies]
    order = sorted(policies, key=lambda policy: _rank_key(policy, rank_by), reverse=True)
    by_scene = {policy.policy: _by_scene(done, policy.policy, rank_by) for policy in order}
    differences = {}
    for index, first in enumerate(order):
        for second in order[index + 1 :]:
            difference = paired_difference(by_scene[first.policy], by_scene[second.policy])
            if difference is not None:
                differences[first.policy, second.policy] = difference
    return Summary(rank_by, tuple(order), differences)


def _rank_key(policy: PolicySummary, rank_by: str) -> tuple[bool, float]:
    estimate = policy.terms[rank_by].estimate
    better = METRICS[rank_by].better or 1
    return estimate is not None, better * estimate.mean if estimate is not None else 0.0


def _by_scene(records: Sequence[Record], policy: str, name: str) -> dict[str, float]:
    chosen = [r for r in records if r["policy"] == policy and name in r["numbers"]]
    return scene_means([r["numbers"][name] for r in chosen], [r["scene"] for r in chosen])


def _of_policy(policy: str, records: Sequence[Record]) -> PolicySummary:
    done = [record for record in records if record["status"] == "done"]
    terms = {}
    for name in METRICS:
        having = [record for record in done if name in record["numbers"]]
        values, scenes = [r["numbers"][name] for r in having], [r["scene"] for r in having]
        reasons = [r["unavailable"].get(name, "unknown") for r in done if name not in r["numbers"]]
        reasons += ["the policy failed"] * (len(records) - len(done))
        estimate = mean_over_scenes(values, scenes) if values else None
        terms[name] = Term(estimate, len(records) - len(having), _counted(reasons))
    thinking = [record["act_s"] for record in done if record["act_s"] is not None]
    return PolicySummary(
        policy,
        len(records),
        terms,
        _counted([record["ended"] for record in done]),
        _counted([record["failure"] for record in records if record["status"] == "failed"]),
        float(np.mean(thinking)) if thinking else None,
    )


def _counted(texts: Sequence[str]) -> dict[str, int]:
    return {text: list(texts).count(text) for text in dict.fromkeys(texts)}
