"""A study as a picture: every system's figures on the left, the improvements that claims speak of on the right."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from longdwm_env.evaluation.studies.estimates import Estimate
from longdwm_env.evaluation.studies.measures import MEASURES, Measure
from longdwm_env.evaluation.studies.questions import Study

if TYPE_CHECKING:
    from longdwm_env.evaluation.studies.study_report import Judged, Results

COLORS = ("#2a6fbb", "#d1602b", "#3a8f5c", "#8e5aa8", "#b8912e", "#6b6f76")
VERDICT_COLORS = {
    "confirmed": "#3a8f5c",
    "not confirmed": "#b0485f",
    "too noisy to say": "#8a8d93",
    "not measured": "#8a8d93",
}
GRID = "#dcdcd8"
PANELS = 6
"""Most measures that are drawn; the table has all."""


def plot_study(results: "Results", study: Study, judged: "Sequence[Judged]") -> bytes:
    """The picture, as PNG."""
    from matplotlib.figure import Figure

    measures = [MEASURES[name] for name in study.measures][:PANELS]
    rows = max(len(study.systems), 3)
    in_a_row = 2 if len(measures) == 4 else 3
    lines = -(-len(measures) // in_a_row)
    height = lines * (0.7 + 0.36 * rows), 1.1 + 0.34 * len(judged)
    figure = Figure(figsize=(13, sum(height) + 0.3), layout="constrained", facecolor="white")
    # Two of them come as an array.
    upper, lower = np.asarray(figure.subfigures(2, 1, height_ratios=height))
    panels = upper.subplots(lines, in_a_row, squeeze=False).flatten()
    for place, axes in enumerate(panels):
        if place < len(measures):
            _systems(axes, results, study, measures[place], with_names=place % in_a_row == 0)
        else:
            axes.set_axis_off()
    _claims(lower.subplots(1, 1), study, judged)
    figure.suptitle(study.title, fontsize=11)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _systems(axes: Any, results: "Results", study: Study, measure: Measure, *, with_names: bool) -> None:
    """Each system's mean with its interval; small marks are single seeds."""
    for row, name in enumerate(reversed(study.systems)):
        found = results.estimate(study.kind, name, measure)
        if found is None or not np.isfinite(found.values).all():
            continue
        color = COLORS[study.systems.index(name) % len(COLORS)]
        _interval(axes, row, found, color)
        axes.annotate(
            f"{found.interval.value:.3g}", (found.interval.value, row), (0, 6), textcoords="offset points",
            ha="center", size=7,
        )  # fmt: skip
    labels = [study.label(name) for name in reversed(study.systems)] if with_names else []
    axes.set_yticks(range(len(study.systems)), labels or [""] * len(study.systems), size=8)
    axes.set_ylim(-0.6, len(study.systems) - 0.3)
    axes.set_title(f"{measure.label}, {'more' if measure.sign > 0 else 'less'} is better", size=7.5)
    axes.tick_params(axis="x", labelsize=7)
    _plain(axes)


def _interval(axes: Any, row: float, found: Estimate, color: str) -> None:
    interval = found.interval
    axes.plot([interval.low, interval.high], [row, row], color=color, lw=3, alpha=0.45, solid_capstyle="round")
    if found.seeds > 1:
        axes.plot(found.values, [row - 0.22] * found.seeds, "|", color=color, ms=5)
    axes.plot([interval.value], [row], "o", color=color, ms=5)


def _claims(axes: Any, study: Study, judged: "Sequence[Judged]") -> None:
    """Improvements; units differ, so each is drawn in the scale of its own interval, and written beside it."""
    names = []
    for row, one in enumerate(reversed(judged)):
        measure = MEASURES[one.claim.measure]
        names.append(f"{study.label(one.claim.better)} vs {study.label(one.claim.worse)}: {measure.label}")
        if one.improvement is None:
            continue
        interval = one.improvement.interval
        scale = max(abs(interval.low), abs(interval.high), 1e-12)
        color = VERDICT_COLORS[one.verdict]
        ends = [interval.low / scale, interval.high / scale]
        axes.plot(ends, [row, row], color=color, lw=4, alpha=0.45, solid_capstyle="round")
        axes.plot([interval.value / scale], [row], "o", color=color, ms=6)
        axes.annotate(f"{one.verdict}: {interval}", (1.04, row), va="center", size=7, color=color)
    axes.axvline(0, color="#444", lw=0.8)
    axes.set_xlim(-1.1, 2.1)
    axes.set_ylim(-0.7, len(judged) - 0.3)
    axes.set_yticks(range(len(judged)), names, size=7)
    axes.set_xticks([-1, 0, 1], ["worse", "0", "better"], size=7)
    axes.set_title("Improvements with their 95 % intervals, each in its own scale", size=8)
    _plain(axes)
    axes.grid(visible=False, axis="y")


def _plain(axes: Any) -> None:
    axes.grid(color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)
