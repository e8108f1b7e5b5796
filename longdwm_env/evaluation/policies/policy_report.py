"""The report: one HTML file that needs nothing beside it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from longdwm_env.evaluation.policies.episode_metrics import METRICS
from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig
from longdwm_env.evaluation.policies.policy_figures import ranking_figure, scenes_figure, terms_figure
from longdwm_env.evaluation.policies.summary import Record, Summary
from longdwm_env.evaluation.report import write_page
from longdwm_env.types import JsonObject

MAX_VIDEOS = 24

TERMS_A_TABLE = 6
"""So many numbers with their intervals fit beside a policy's name on a page of 1,300 pixels."""


def write_report(
    folder: Path, config: EvaluationConfig, records: Sequence[Record], summary: Summary, origin: JsonObject
) -> None:
    """Write ``report.html``."""
    names = [name for name in METRICS if any(p.terms[name].estimate is not None for p in summary.policies)]
    judged = [record for record in records if record["slot"] < len(config.policies)]
    order = [policy.policy for policy in summary.policies]
    write_page(
        folder / "report.html",
        "policies.html.j2",
        title=f"LongDWM evaluation: {config.world}",
        config=config,
        summary=summary,
        metrics=METRICS,
        ranked=METRICS[summary.ranked_by],
        episodes=len(judged),
        scenes=len({record["scene"] for record in judged if record["scene"]}),
        failed=sum(record["status"] == "failed" for record in judged),
        ranking=ranking_figure(summary),
        terms=terms_figure(summary, names) if names else b"",
        tables=np.array_split(names, -(-len(names) // TERMS_A_TABLE)) if names else [],
        missing={METRICS[name].label: _reasons(summary, name) for name in METRICS if name not in names},
        by_scene=scenes_figure(judged, order, summary.ranked_by),
        videos=_videos(folder, judged, summary)[:MAX_VIDEOS],
        origin=origin,
    )


def _reasons(summary: Summary, name: str) -> Counter[str]:
    """Why a number is not there, and in how many episodes."""
    return sum((Counter(policy.terms[name].reasons) for policy in summary.policies), Counter())


def _videos(folder: Path, records: Sequence[Record], summary: Summary) -> list[tuple[Record, str, bytes]]:
    """Of each policy the best and the worst episode, with its video."""
    name = summary.ranked_by
    better = METRICS[name].better or 1
    shown: list[tuple[Record, str]] = []
    for policy in summary.policies:
        own = [r for r in records if r["policy"] == policy.policy and name in r["numbers"] and _has_video(folder, r)]
        own.sort(key=lambda record: better * record["numbers"][name])
        shown += [(record, "best") for record in own[-1:]] + [(record, "worst") for record in own[:-1][:1]]
    return [(record, word, (folder / record["video"]).read_bytes()) for record, word in shown]


def _has_video(folder: Path, record: Record) -> bool:
    return bool(record.get("video")) and (folder / record["video"]).is_file()
