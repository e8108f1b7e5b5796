"""The results for programs, a CSV row per episode and the summary as JSON, and a few lines for the terminal."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from longdwm_env.evaluation.policies.episode_metrics import METRICS
from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig
from longdwm_env.evaluation.policies.scene_statistics import Estimate
from longdwm_env.evaluation.policies.summary import Record, Summary
from longdwm_env.io.files import atomic_write_bytes, atomic_write_json
from longdwm_env.types import JsonObject

COLUMNS = ("policy", "episode", "scene", "seed", "status", "ended", "failure")


def write_tables(
    folder: Path, config: EvaluationConfig, records: Sequence[Record], summary: Summary, origin: JsonObject
) -> None:
    """Write ``episodes.csv`` and ``summary.json``. What is unavailable is empty in the one and named in the other."""
    rows = io.StringIO()
    writer = csv.writer(rows)
    writer.writerow([*COLUMNS, *METRICS, "act_s", "wall_s"])
    for record in records:
        numbers = [record["numbers"].get(name, "") for name in METRICS]
        writer.writerow([*(record[name] for name in COLUMNS), *numbers, record["act_s"], record["wall_s"]])
    atomic_write_bytes(folder / "episodes.csv", rows.getvalue().encode("utf-8", "backslashreplace"))
    atomic_write_json(folder / "summary.json", summary_json(config, summary) | origin)


def summary_json(config: EvaluationConfig, summary: Summary) -> dict[str, object]:
    """The summary as JSON values."""
    return {
        "config": json.loads(config.to_json()),
        "ranked_by": summary.ranked_by,
        "policies": [asdict(policy) for policy in summary.policies],
        "differences": [
            {"first": first, "second": second, "number": summary.ranked_by, **estimate.to_json()}
            for (first, second), estimate in summary.differences.items()
        ],
        "numbers": {name: asdict(metric) for name, metric in METRICS.items()},
    }


def as_text(summary: Summary) -> str:
    """The ranking, a policy a line."""
    width = max(len(policy.policy) for policy in summary.policies)
    lines = [f"{'policy':<{width}}  {METRICS[summary.ranked_by].label} with 95% interval"]
    for policy in summary.policies:
        failures = sum(policy.failures.values())
        broken = f"   ({failures} episodes failed)" if failures else ""
        lines.append(f"{policy.policy:<{width}}  {estimate_text(policy.terms[summary.ranked_by].estimate)}{broken}")
    return "\n".join(lines)


def estimate_text(estimate: Estimate | None) -> str:
    """A mean and its interval."""
    if estimate is None:
        return "not available"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.mean:8.3f}"
    return f"{estimate.mean:8.3f}  [{estimate.low:.3f}, {estimate.high:.3f}]"
