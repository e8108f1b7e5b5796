"""Studies as tables with verdicts, in json, csv and markdown, each with its plot; and an index of all verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from longdwm_env.evaluation.policies.policy_figures import as_png, plain
from longdwm_env.evaluation.report import Cell, Table
from longdwm_env.evaluation.statistics import Interval
from longdwm_env.evaluation.studies.estimates import Estimate, Verdict, estimated, verdict
from longdwm_env.evaluation.studies.measures import MEASURES, Measure
from longdwm_env.evaluation.studies.measuring import TRUTH, is_trained
from longdwm_env.evaluation.studies.questions import Claim, Kind, Study
from longdwm_env.evaluation.studies.scores import Scores
from longdwm_env.evaluation.studies.study_folder import StudyFolder
from longdwm_env.io.files import atomic_write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HOW = (
    "Intervals are 95 %: scenes drawn again (bootstrap) and, where several seeds were trained, Student's t over seeds, "
    "added in quadrature. Differences are paired by scene and seed.",
    "Not confirmed: the whole interval of the improvement is below what matters (2 % of FDS, unevenness and time; 5 % "
    "of motion errors; 0.1 dB; 0.005 of SSIM). Confirmed: else, all of it is above zero. Too noisy to say: neither.",
    "FDS is the Frechet distance of this project's own scorer. It is not FVD; only its direction can be compared.",
)


@dataclass(frozen=True)
class Judged:
    """A claim and what was found.

    Attributes:
        improvement: of the better on the worse, above zero where the claim holds; None where nothing was measured.
    """

    claim: Claim
    improvement: Estimate | None
    verdict: Verdict


class Results:
    """Everything that was measured in a study's folder; figures are worked out when they are asked for."""

    def __init__(self, folder: StudyFolder, seeds: int) -> None:
        self.folder, self.seeds = folder, seeds
        self._estimates: dict[tuple[Kind, str, str], Estimate | None] = {}

    def scores(self, kind: Kind, name: str) -> list[Scores]:
        """Of a system's trainings, in order, as many as have been measured."""
        numbers = range(self.seeds) if is_trained(kind, name) else (None,)
        paths = [self.folder.scores(kind, name, seed) for seed in numbers]
        return [Scores.load(path) for path in paths if path.is_file()]

    @cached_property
    def _truths(self) -> dict[Kind, Scores | None]:
        truths: dict[Kind, Scores | None] = {}
        for kind in ("drives", "gaps"):
            truths[kind] = next(iter(self.scores(kind, TRUTH)), None)
        return truths

    def estimate(self, kind: Kind, name: str, measure: Measure) -> Estimate | None:
        """A measure of a system; None where it has not been measured, or not without the scorer."""
        key = (kind, name, measure.name)
        if key not in self._estimates:
            self._estimates[key] = self._estimated(kind, name, measure)
        return self._estimates[key]

    def _estimated(self, kind: Kind, name: str, measure: Measure) -> Estimate | None:
        if measure.between is not None:
            first, last = (self.estimate(kind, name, MEASURES[other]) for other in measure.between)
            return None if first is None or last is None else last - first
        found = self.scores(kind, name)
        truth = self._truths.get(kind) or next(iter(found), None)
        if truth is None or not found or any(measure.needs not in scores.arrays for scores in found):
            return None
        return estimated(measure, found, truth, is_trained(kind, name))

    def has(self, study: Study) -> bool:
        """Whether anything of a study has been measured."""
        return any(self.scores(study.kind, name) for name in study.systems)

    def judged(self, study: Study, claim: Claim) -> Judged:
        """A claim's verdict."""
        measure = MEASURES[claim.measure]
        better, worse = (self.estimate(study.kind, name, measure) for name in (claim.better, claim.worse))
        if better is None or worse is None:
            return Judged(claim, None, "not measured")
        improvement = better - worse if measure.sign > 0 else worse - better
        least = measure.least_effect(worse.interval.value)
        return Judged(claim, improvement, verdict(improvement.interval, least))


def study_table(results: Results, study: Study, judged: Sequence[Judged], facts: Mapping[str, object]) -> Table:
    """Systems by measures, with the verdicts below."""
    measures = [MEASURES[name] for name in study.measures]
    rows = []
    for name in study.systems:
        cells: list[Cell] = [len(results.scores(study.kind, name)) if is_trained(study.kind, name) else None]
        for measure in measures:
            found = results.estimate(study.kind, name, measure)
            cells.append(None if found is None or not np.isfinite(found.values).all() else _shown(found, measure))
        rows.append((study.label(name), tuple(cells)))
    notes = tuple(f"**{one.verdict}**: {sentence(study, one)}" for one in judged)
    columns = ("system", "seeds", *(measure.label for measure in measures))
    scenes = results.folder.options.scenes
    name, shown = f"study-{study.name}", (*notes, study.note, *HOW)
    return Table(name, study.title, columns, tuple(rows), scenes, facts, shown, picture=f"{name}.png")


def _shown(found: Estimate, measure: Measure) -> Interval:
    """Of one system; only a growth can be below zero."""
    interval = found.interval
    return interval if measure.between is not None else interval.not_negative


def sentence(study: Study, judged: Judged) -> str:
    """A claim, what was found and what the paper says."""
    claim, measure = judged.claim, MEASURES[judged.claim.measure]
    said = f"{study.label(claim.better)} against {study.label(claim.worse)}, {measure.label}"
    if judged.improvement is not None:
        said += f": improvement {judged.improvement.interval}"
        if judged.improvement.seeds == 1:
            said += " (one seed: how trainings vary is not known)"
    return f"{said}. Paper: {claim.paper}."


def index_table(judged: Sequence[tuple[Study, Judged]], scenes: int, facts: Mapping[str, object]) -> Table:
    """All claims on one page."""
    rows = []
    for study, one in judged:
        claim = one.claim
        found: Cell = None if one.improvement is None else one.improvement.interval
        name = f"{study.label(claim.better)} better than {study.label(claim.worse)}"
        rows.append((name, (study.name, MEASURES[claim.measure].label, claim.paper, found, one.verdict)))
    columns = ("claim", "study", "by", "the paper", "improvement here", "verdict")
    return Table("studies", "Does the method work?", columns, tuple(rows), scenes, facts, HOW)


def write_report(results: Results, studies: Sequence[Study], out: Path, facts: Mapping[str, object]) -> list[Path]:
    """Write the table and plot of every study that has been begun, and the index; the paths written."""
    written: list[Path] = []
    everything = []
    for study in filter(results.has, studies):
        judged = [results.judged(study, claim) for claim in study.claims]
        everything += [(study, one) for one in judged]
        # Nothing is trained for warps alone.
        shown = facts if study.kind != "warps" else {name: facts[name] for name in ("command", "test seeds")}
        table = study_table(results, study, judged, shown)
        atomic_write_bytes(out / table.picture, plot_study(results, study, judged))
        written += [*table.write(out), out / table.picture]
    if not everything:
        return []
    index = index_table(everything, results.folder.options.scenes, facts)
    return [*index.write(out), *written]


COLORS = ("#2a6fbb", "#d1602b", "#3a8f5c", "#8e5aa8", "#b8912e", "#6b6f76")
VERDICT_COLORS = {
    "confirmed": "#3a8f5c",
    "not confirmed": "#b0485f",
    "too noisy to say": "#8a8d93",
    "not measured": "#8a8d93",
}
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
    return as_png(figure)


def _systems(axes: "Axes", results: "Results", study: Study, measure: Measure, *, with_names: bool) -> None:
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
    _bare(axes)


def _interval(axes: "Axes", row: float, found: Estimate, color: str) -> None:
    interval = found.interval
    axes.plot([interval.low, interval.high], [row, row], color=color, lw=3, alpha=0.45, solid_capstyle="round")
    if found.seeds > 1:
        axes.plot(found.values, [row - 0.22] * found.seeds, "|", color=color, ms=5)
    axes.plot([interval.value], [row], "o", color=color, ms=5)


def _claims(axes: "Axes", study: Study, judged: "Sequence[Judged]") -> None:
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
    _bare(axes)
    axes.grid(visible=False, axis="y")


def _bare(axes: "Axes") -> None:
    plain(axes)
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0)
