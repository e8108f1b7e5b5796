"""The report: one HTML file that needs nothing beside it."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from longdwm_env.evaluation.policies.episode_metrics import FACTS
from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig
from longdwm_env.evaluation.policies.policy_figures import ranking_figure, scenes_figure, terms_figure
from longdwm_env.evaluation.policies.scene_statistics import Estimate
from longdwm_env.evaluation.policies.summary import PolicySummary, Record, Summary
from longdwm_env.io.files import atomic_write_bytes
from longdwm_env.io.words import clean
from longdwm_env.types import JsonObject

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #26282b; background: #fafaf8; margin: 2rem auto; max-width: 72rem;
  padding: 0 1.2rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p.note { color: #63676d; max-width: 60rem; } code { font-size: .88em; background: #efefec; padding: .1em .3em; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .86rem; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid #e2e2de; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; vertical-align: bottom; white-space: normal; }
td code, small.why { display: inline-block; max-width: 17rem; white-space: normal; overflow-wrap: anywhere; }
.from td { text-align: left; white-space: normal; } .from td code { max-width: 52rem; }
td small { color: #777b81; display: block; } td.none { color: #a0a3a8; } tr.sure td { background: #eef4fa; }
img { max-width: 100%; }
.videos { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 1rem; }
figure { margin: 0; } figcaption { font-size: .84rem; color: #4c5056; } video { width: 100%; background: #000; }
"""

MAX_VIDEOS = 24

LONGEST_SHOWN = 100_000
"""Characters of a text: a configuration with many policies is long, and is shown whole."""

TERMS_A_TABLE = 6
"""So many numbers with their intervals fit beside a policy's name on a page of 1,300 pixels."""


def write_report(
    folder: Path, config: EvaluationConfig, records: Sequence[Record], summary: Summary, origin: JsonObject
) -> None:
    """Write ``report.html``."""
    names = [name for name in FACTS if any(p.terms[name].estimate is not None for p in summary.policies)]
    missing = [name for name in FACTS if name not in names]
    judged = [record for record in records if record["slot"] < len(config.policies)]
    order = [policy.policy for policy in summary.policies]
    failed = sum(record["status"] == "failed" for record in judged)
    parts = [
        f"<h1>{len(order)} policies in {_shown(config.world)}</h1>",
        f'<p class="note">{_described(config, judged, failed)}</p>',
        f"<h2>Ranking by {_shown(FACTS[summary.ranked_by].label)}</h2>",
        picture(ranking_figure(summary), "ranking with intervals"),
        _ranking_table(summary),
        "<h2>Differences over the same scenes</h2>",
        '<p class="note">First minus second, 95% interval by resampling scenes. Shaded: the interval leaves out 0.</p>',
        _differences_table(summary),
        "<h2>Term by term</h2>",
        *([picture(terms_figure(summary, names), "every term with intervals")] if names else []),
        *_terms_tables(summary, names),
        _missing_table(summary, missing),
        "<h2>Scene by scene</h2>",
        picture(scenes_figure(judged, order, summary.ranked_by), "policies per scene"),
        "<h2>Best and worst episodes</h2>",
        _videos(folder, judged, summary),
        "<h2>Where this comes from</h2>",
        _origin(config, origin),
    ]
    write_page(folder / "report.html", f"LongDWM evaluation: {config.world}", parts)


def write_page(path: Path, title: str, parts: Sequence[str]) -> None:
    """A page of our style."""
    body = "\n".join(parts)
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_shown(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body>\n{body}\n</body></html>\n"
    )
    atomic_write_bytes(path, page.encode("utf-8", "backslashreplace"))


def picture(png: bytes, about: str) -> str:
    """A picture inside the page."""
    data = base64.b64encode(png).decode()
    return f'<p><img alt="{_shown(about)}" src="data:image/png;base64,{data}"></p>'


def table(header: Sequence[str], rows: Sequence[Sequence[str]], sure: Sequence[bool] = ()) -> str:
    """A table of cells that are HTML already; ``sure`` rows are shaded."""
    head = "".join(f"<th>{cell}</th>" for cell in header)
    lines = []
    for index, row in enumerate(rows):
        shaded = ' class="sure"' if index < len(sure) and sure[index] else ""
        lines.append(f"<tr{shaded}>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>")
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def cell(estimate: Estimate | None, unavailable: int = 0) -> str:
    """A mean with its interval, and how many episodes could not give the number."""
    lacking = f"<small>unavailable: {unavailable}</small>" if unavailable else ""
    if estimate is None:
        return f'<span class="none">not available</span>{lacking}'
    if estimate.low is None or estimate.high is None:
        return f"{estimate.mean:.3g}{lacking}"
    return f"{estimate.mean:.3g}<small>{estimate.low:.3g} to {estimate.high:.3g}</small>{lacking}"


def _shown(words: object) -> str:
    """Words from anywhere as HTML; see ``words.clean``."""
    return html.escape(clean(words, LONGEST_SHOWN))


def _described(config: EvaluationConfig, records: Sequence[Record], failed: int) -> str:
    scenes = len({record["scene"] for record in records if record["scene"]})
    where = "built-in scenes" if config.scenes is None else _shown(config.scenes)
    text = (
        f"{len(records)} episodes of at most {config.max_episode_s:g} s in {scenes} scenes ({where}, from index "
        f"{config.first_scene}), an action every {config.control_period_s:g} s. All met the same scenes and seeds."
    )
    return text + (f" <b>{failed} episodes failed because of their policy.</b>" if failed else "")


def _ranking_table(summary: Summary) -> str:
    rows = []
    for place, policy in enumerate(summary.policies, start=1):
        term = policy.terms[summary.ranked_by]
        ended = ", ".join(f"{count} {_shown(how.replace('_', ' '))}" for how, count in policy.endings.items())
        failures = sum(policy.failures.values())
        thinking = "" if policy.act_s is None else f"{1000 * policy.act_s:.0f} ms"
        name = f"{place}. <code>{_shown(policy.policy)}</code>"
        rows.append([name, cell(term.estimate, term.unavailable), ended, f"{failures}{_why(policy)}", thinking])
    label = _shown(FACTS[summary.ranked_by].label)
    return table(["policy", label, "episodes ended by", "failed", "time per action"], rows)


def _why(policy: PolicySummary) -> str:
    return "".join(
        f'<small class="why">{count} x {_shown(text[:120])}</small>' for text, count in policy.failures.items()
    )


def _differences_table(summary: Summary) -> str:
    rows, sure = [], []
    for (first, second), estimate in summary.differences.items():
        names = [f"<code>{_shown(name)}</code>" for name in (first, second)]
        rows.append([*names, cell(estimate), str(estimate.scenes)])
        sure.append(estimate.low is not None and estimate.high is not None and (estimate.low > 0 or estimate.high < 0))
    if not rows:
        return "<p>There is nothing to compare.</p>"
    return table(["first", "second", "difference", "scenes"], rows, sure)


def _terms_tables(summary: Summary, names: Sequence[str]) -> list[str]:
    count = max(1, -(-len(names) // TERMS_A_TABLE))
    return [_terms_table(summary, [str(name) for name in part]) for part in np.array_split(names, count) if len(part)]


def _terms_table(summary: Summary, names: Sequence[str]) -> str:
    header = ["policy"]
    for name in names:
        fact = FACTS[name]
        header.append(f'<span title="{_shown(fact.about)}">{_shown(fact.label)}</span>')
    rows = []
    for policy in summary.policies:
        cells = [cell(policy.terms[name].estimate, policy.terms[name].unavailable) for name in names]
        rows.append([f"<code>{_shown(policy.policy)}</code>", *cells])
    return table(header, rows)


def _missing_table(summary: Summary, missing: Sequence[str]) -> str:
    if not missing:
        return ""
    lines = []
    for name in missing:
        reasons: dict[str, int] = {}
        for policy in summary.policies:
            for reason, count in policy.terms[name].reasons.items():
                reasons[reason] = reasons.get(reason, 0) + count
        listed = "; ".join(f"{_shown(reason)} ({count} episodes)" for reason, count in reasons.items())
        lines.append(f"<li>{_shown(FACTS[name].label)}: {listed}</li>")
    return f'<p class="note">Not available here, and not counted:</p><ul>{"".join(lines)}</ul>'


def _videos(folder: Path, records: Sequence[Record], summary: Summary) -> str:
    name = summary.ranked_by
    better = FACTS[name].better or 1
    figures = []
    for policy in summary.policies:
        own = [r for r in records if r["policy"] == policy.policy and name in r["numbers"] and _has_video(folder, r)]
        own.sort(key=lambda record: better * record["numbers"][name])
        figures += [_video(folder, record, "best", name) for record in own[-1:]]
        figures += [_video(folder, record, "worst", name) for record in own[:-1][:1]]
    shown = figures[:MAX_VIDEOS]
    return f'<div class="videos">{"".join(shown)}</div>' if shown else "<p>No videos were recorded.</p>"


def _has_video(folder: Path, record: Record) -> bool:
    return bool(record.get("video")) and (folder / record["video"]).is_file()


def _video(folder: Path, record: Record, word: str, name: str) -> str:
    data = base64.b64encode((folder / record["video"]).read_bytes()).decode()
    ended = _shown(record["ended"].replace("_", " "))
    caption = (
        f"<b>{_shown(record['policy'])}</b>, {word}: "
        f"{_shown(FACTS[name].label)} {record['numbers'][name]:.3g}, "
        f"{_shown(str(record['scene']))}, ended by {ended} after {record['numbers']['duration_s']:.0f} s"
    )
    source = f'<video controls preload="metadata" loop muted src="data:video/mp4;base64,{data}"></video>'
    return f"<figure>{source}<figcaption>{caption}</figcaption></figure>"


def _origin(config: EvaluationConfig, origin: JsonObject) -> str:
    rows = [["command", f"<code>{_shown(origin['command'])}</code>"]]
    rows += [[_shown(name), _shown(version)] for name, version in origin["versions"].items()]
    rows += [[f"SHA-256 of {_shown(name)}", f"<code>{value}</code>"] for name, value in origin["hashes"].items()]
    rows.append(["configuration", f"<code>{_shown(config.to_json())}</code>"])
    return f'<div class="from">{table(["", ""], rows)}</div>'
