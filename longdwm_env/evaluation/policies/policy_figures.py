"""The report's pictures, as PNG bytes."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from longdwm_env.evaluation.policies.agreement import TermAgreement
from longdwm_env.evaluation.policies.episode_metrics import METRICS, Metric
from longdwm_env.evaluation.policies.scene_statistics import Estimate, scene_means
from longdwm_env.evaluation.policies.summary import Record, Summary
from longdwm_env.io.words import for_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#2a6fbb", "#d1602b", "#3a8f5c", "#8e5aa8", "#b8912e", "#4aa5b5", "#b0485f", "#6b6f76")
GRID = "#dcdcd8"

FloatCurve = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Seconds, mean, and the interval's low and high end."""


def as_png(figure: "Figure") -> bytes:
    """The picture's file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def ranking_figure(summary: Summary) -> bytes:
    """Policies, best on top, with their intervals."""
    from matplotlib.figure import Figure

    shown = [policy for policy in summary.policies if policy.terms[summary.ranked_by].estimate is not None]
    figure = Figure(figsize=(8, 0.9 + 0.42 * max(len(shown), 1)), layout="constrained", facecolor="white")
    axes = figure.subplots()
    for row, policy in enumerate(reversed(shown)):
        estimate = policy.terms[summary.ranked_by].estimate
        assert estimate is not None
        _interval(axes, row, estimate, COLORS[0])
        here = estimate.mean, row
        axes.annotate(f"{estimate.mean:.3g}", here, (0, 7), textcoords="offset points", ha="center", size=8)
    axes.set_yticks(range(len(shown)), [_short(policy.policy) for policy in reversed(shown)])
    axes.set_ylim(-0.6, len(shown) - 0.4 + 0.25)
    metric = METRICS[summary.ranked_by]
    axes.set_xlabel(f"{metric.label} {f'({metric.unit})' if metric.unit else ''}, mean over scenes with 95% interval")
    _within(axes.xaxis, metric)
    plain(axes)
    return as_png(figure)


def _interval(axes: object, row: float, estimate: Estimate, color: str) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [row, row], color=color, lw=3, alpha=0.45, solid_capstyle="round")
    axes.plot([estimate.mean], [row], "o", color=color, ms=7)


def scenes_figure(records: Sequence[Record], policies: Sequence[str], name: str) -> bytes:
    """Every scene a column, every policy a mark: which scenes tell policies apart."""
    from matplotlib.figure import Figure

    having = [record for record in records if name in record["numbers"]]
    scenes = list(dict.fromkeys(record["scene"] for record in having))
    figure = Figure(figsize=(max(6.0, 2.6 + 0.24 * len(scenes)), 3.8), layout="constrained", facecolor="white")
    axes = figure.subplots()
    for index, policy in enumerate(policies):
        own = [record for record in having if record["policy"] == policy]
        means = scene_means([record["numbers"][name] for record in own], [record["scene"] for record in own])
        places = [scenes.index(scene) + (index - (len(policies) - 1) / 2) * 0.08 for scene in means]
        marker = "osD^vP*X"[index // len(COLORS) % 8]
        color = COLORS[index % len(COLORS)]
        axes.plot(places, list(means.values()), marker, color=color, ms=5, alpha=0.8, label=_short(policy))
    axes.set_xticks(
        range(len(scenes)), [for_figure(scene.rsplit(":")[-1][-14:]) for scene in scenes], rotation=90, size=7
    )
    metric = METRICS[name]
    axes.set_ylabel(f"{metric.label} {f'({metric.unit})' if metric.unit else ''}")
    axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _within(axes.yaxis, metric)
    plain(axes)
    return as_png(figure)


def terms_figure(summary: Summary, names: Sequence[str]) -> bytes:
    """Small panels, one a term: all policies in the order of the ranking."""
    from matplotlib.figure import Figure

    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    height = 0.7 + 0.26 * len(summary.policies)
    figure = Figure(figsize=(3.6 * columns + 1.2, height * rows + 0.2), layout="constrained", facecolor="white")
    panels = figure.subplots(rows, columns, squeeze=False)
    for place, axes in enumerate(panels.flat):
        if place >= len(names):
            axes.set_axis_off()
            continue
        name = names[place]
        for row, policy in enumerate(reversed(summary.policies)):
            estimate = policy.terms[name].estimate
            if estimate is None:
                axes.text(
                    0.02, row, "not available", transform=axes.get_yaxis_transform(), size=7, color="#888", va="center"
                )
            else:
                _interval(axes, row, estimate, COLORS[0])
        labels = [_short(policy.policy, 22) for policy in reversed(summary.policies)] if place % columns == 0 else []
        axes.set_yticks(range(len(labels)), labels, size=7)
        axes.set_ylim(-0.6, len(summary.policies) - 0.4)
        arrow = {1: " (more is better)", -1: " (less is better)", 0: ""}[METRICS[name].better]
        axes.set_title(f"{METRICS[name].label}{arrow}", size=8)
        axes.tick_params(axis="x", labelsize=7)
        _within(axes.xaxis, METRICS[name])
        plain(axes)
    return as_png(figure)


def _within(axis: object, metric: Metric) -> None:
    """No tick where the number cannot be, and where all values are the same, room on the side where others could be."""
    from matplotlib.axis import Axis

    assert isinstance(axis, Axis)
    low, high = axis.get_data_interval()
    least = -np.inf if metric.least is None else metric.least
    most = np.inf if metric.most is None else metric.most
    if np.isfinite([low, high]).all() and high - low < 1e-9:
        room = 1.0 if metric.most is None else metric.most - (metric.least or 0.0)
        ends = max(low - room, least), min(high + room, most)
        margin = 0.05 * (ends[1] - ends[0])
        axis.axes.set(**{f"{axis.axis_name}lim": (ends[0] - margin, ends[1] + margin)})  # type: ignore[attr-defined]
    shown = axis.get_view_interval()
    axis.set_ticks(
        [tick for tick in axis.get_majorticklocs() if least <= tick <= most and shown[0] <= tick <= shown[1]]
    )


def plain(axes: "Axes") -> None:
    """A light grid below what is drawn, and no frame on top and right."""
    axes.grid(color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _short(policy: str, limit: int = 34) -> str:
    return for_figure(policy if len(policy) <= limit else f"{policy[: limit - 12]}...{policy[-9:]}")


def curves_figure(curves: Mapping[str, Mapping[str, FloatCurve]], labels: Mapping[str, str]) -> bytes:
    """Panels of curves over time: title -> name -> (seconds, mean, low, high)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(curves), 3.2), layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for axes, (title, named) in zip(panels, curves.items(), strict=True):
        for index, (name, (seconds, mean, low, high)) in enumerate(named.items()):
            color = COLORS[index % len(COLORS)]
            axes.plot(seconds, mean, color=color, lw=2, label=for_figure(name))
            axes.fill_between(seconds, low, high, color=color, alpha=0.18, lw=0)
        axes.set(title=title, xlabel="time in the episode (s)", ylabel=labels[title])
        axes.legend(frameon=False, fontsize=8)
        plain(axes)
    return as_png(figure)


def agreement_figure(terms: Sequence[TermAgreement], world: str) -> bytes:
    """A panel a number: every policy in the simulator (across) and in the world (up), with the line of equality."""
    from matplotlib.figure import Figure

    columns = min(4, len(terms))
    rows = -(-len(terms) // columns)
    figure = Figure(figsize=(3.3 * columns + 2.4, 3.2 * rows), layout="constrained", facecolor="white")
    panels = figure.subplots(rows, columns, squeeze=False)
    names = list(dict.fromkeys(policy for term in terms for policy in term.policies))
    marks = {name: (COLORS[i % len(COLORS)], "osD^vP*X"[i // len(COLORS) % 8]) for i, name in enumerate(names)}
    for place, axes in enumerate(panels.flat):
        if place >= len(terms):
            axes.set_axis_off()
            continue
        term = terms[place]
        drawn = (term.simulator, term.world, term.simulator_interval.ravel(), term.world_interval.ravel())
        both = np.concatenate(drawn)
        margin = 0.06 * max(float(np.nanmax(both) - np.nanmin(both)), 1e-3)
        ends = float(np.nanmin(both)) - margin, float(np.nanmax(both)) + margin
        axes.plot(ends, ends, color="#9a9da2", lw=1, ls="--")
        for row, policy in enumerate(term.policies):
            color, marker = marks[policy]
            x, y = term.simulator[row], term.world[row]
            axes.plot(term.simulator_interval[row], [y, y], color=color, lw=1.5, alpha=0.4)
            axes.plot([x, x], term.world_interval[row], color=color, lw=1.5, alpha=0.4)
            axes.plot([x], [y], marker, color=color, ms=6)
        r2 = "-" if np.isnan(term.r2.value) else f"{term.r2.value:.2f}"
        axes.set_title(f"{METRICS[term.name].label}   R2 {r2}", size=9)
        axes.set(xlim=ends, ylim=ends, xlabel="simulator", ylabel=for_figure(world[-20:]))
        axes.tick_params(labelsize=7)
        for axis in (axes.xaxis, axes.yaxis):
            _within(axis, METRICS[term.name])
        plain(axes)
    handles = [
        panels.flat[0].plot([], [], marker, color=color, ms=6, ls="", label=_short(name))[0]
        for name, (color, marker) in marks.items()
    ]
    figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=8)
    return as_png(figure)
