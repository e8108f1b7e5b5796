"""Studies as tables with verdicts, in json, csv and markdown, each with its plot; and an index of all verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from longdwm_env.evaluation.report import Cell, Table
from longdwm_env.evaluation.statistics import Interval
from longdwm_env.evaluation.studies.estimates import Estimate, Verdict, estimated, verdict
from longdwm_env.evaluation.studies.measures import MEASURES, Measure
from longdwm_env.evaluation.studies.measuring import TRUTH, is_trained
from longdwm_env.evaluation.studies.questions import Claim, Kind, Study
from longdwm_env.evaluation.studies.scores import Scores
from longdwm_env.evaluation.studies.study_folder import StudyFolder
from longdwm_env.evaluation.studies.study_plot import plot_study
from longdwm_env.files import atomic_write_bytes

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
        claim: what is judged.
        improvement: of the better on the worse, above zero where the claim holds; None where nothing was measured.
        verdict: what may be said.
    """

    claim: Claim
    improvement: Estimate | None
    verdict: Verdict


class Results:
    """Everything that was measured in a study's folder; figures are worked out when they are asked for.

    Args:
        folder: of the study.
        seeds: trainings to count.
    """

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


def study_table(results: Results, study: Study, judged: Sequence[Judged], facts: Mapping[str, Any]) -> Table:
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
    return Table(
        f"study-{study.name}", study.title, columns, tuple(rows), (), scenes, None, facts, (*notes, study.note, *HOW)
    )


def _shown(found: Estimate, measure: Measure) -> Interval:
    """Of one system; only a growth can be below zero."""
    interval = found.interval
    return interval if measure.between is not None else Interval(interval.value, max(0.0, interval.low), interval.high)


def sentence(study: Study, judged: Judged) -> str:
    """A claim, what was found and what the paper says."""
    claim, measure = judged.claim, MEASURES[judged.claim.measure]
    said = f"{study.label(claim.better)} against {study.label(claim.worse)}, {measure.label}"
    if judged.improvement is not None:
        said += f": improvement {judged.improvement.interval}"
        if judged.improvement.seeds == 1:
            said += " (one seed: how trainings vary is not known)"
    return f"{said}. Paper: {claim.paper}."


def index_table(judged: Sequence[tuple[Study, Judged]], scenes: int, facts: Mapping[str, Any]) -> Table:
    """All claims on one page."""
    rows = []
    for study, one in judged:
        claim = one.claim
        found: Cell = None if one.improvement is None else one.improvement.interval
        name = f"{study.label(claim.better)} better than {study.label(claim.worse)}"
        rows.append((name, (study.name, MEASURES[claim.measure].label, claim.paper, found, one.verdict)))
    columns = ("claim", "study", "by", "the paper", "improvement here", "verdict")
    return Table("studies", "Does the method work?", columns, tuple(rows), (), scenes, None, facts, HOW)


def write_report(results: Results, studies: Sequence[Study], out: Path, facts: Mapping[str, Any]) -> list[Path]:
    """Write the table and plot of every study that has been begun, and the index; the paths written."""
    written: list[Path] = []
    everything = []
    for study in filter(results.has, studies):
        judged = [results.judged(study, claim) for claim in study.claims]
        everything += [(study, one) for one in judged]
        # Nothing is trained for warps alone.
        told = facts if study.kind != "warps" else {name: facts[name] for name in ("command", "test seeds")}
        table = study_table(results, study, judged, told)
        written += table.write(out)
        picture = out / f"{table.name}.png"
        atomic_write_bytes(picture, plot_study(results, study, judged))
        _with_picture(out / f"{table.name}.md", picture)
        written.append(picture)
    if not everything:
        return []
    index = index_table(everything, results.folder.options.scenes, facts)
    return [*index.write(out), *written]


def _with_picture(page: Path, picture: Path) -> None:
    title, _, rest = page.read_text().partition("\n")
    atomic_write_bytes(page, f"{title}\n\n![{title.strip('# ')}]({picture.name})\n{rest}".encode())
