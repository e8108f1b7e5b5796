"""What studies need to be trained and measured, in which order, and how long that will take."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

from longdwm_env.evaluation.paper.protocols import LONG_FRAMES
from longdwm_env.evaluation.studies.budget import CLIP, FRAME, STAGES, Budget
from longdwm_env.evaluation.studies.measuring import GAP_STARTS, TIMED_EVERY, TRUTH, evaluate, is_trained
from longdwm_env.evaluation.studies.parts import train_part
from longdwm_env.evaluation.studies.questions import Kind, Study
from longdwm_env.evaluation.studies.study_folder import StudyFolder
from longdwm_env.evaluation.studies.variants import PARTS, VARIANTS, Views, needed_parts
from longdwm_env.io.processes import child_environment, end_with_parent
from longdwm_env.training.data.encoded.latents import LatentStore

_SHORTER, _LONGEST = sum(LONG_FRAMES[:-1]), LONG_FRAMES[-1]
FRAMES_MADE = {"drives": _LONGEST + _SHORTER / TIMED_EVERY, "gaps": 11.0 * len(GAP_STARTS), "warps": 0.0}
"""Frames that a system makes for each test drive."""


@dataclass(frozen=True)
class Measurement:
    """A system to measure. ``seed`` is None where nothing is trained."""

    kind: Kind
    name: str
    seed: int | None

    @property
    def label(self) -> str:
        """What it is called while it runs."""
        return f"measure {self.kind} of {self.name}{'' if self.seed is None else f', seed {self.seed}'}"


@dataclass(frozen=True)
class Plan:
    """Everything that chosen studies need.

    Attributes:
        waves: parts with their seeds; each wave needs the ones before it.
    """

    waves: tuple[tuple[tuple[str, int], ...], ...]
    measurements: tuple[Measurement, ...]

    @staticmethod
    def of(studies: Sequence[Study], seeds: int) -> "Plan":
        """What some studies need, for each of ``seeds`` trainings."""
        systems: dict[tuple[Kind, str], None] = {}
        parts: set[str] = set()
        for study in studies:
            truth = () if study.kind == "warps" else (TRUTH,)
            systems |= dict.fromkeys((study.kind, name) for name in (*truth, *study.systems))
        for kind, name in systems:
            if kind == "drives" and name != TRUTH:
                parts |= set(VARIANTS[name].direct_parts)
            elif kind == "gaps" and name in PARTS:
                parts.add(name)
        needed = [part for name, part in PARTS.items() if name in needed_parts(parts)]
        groups = [[part.name for part in needed if (part.starts_from is None) == fresh] for fresh in (True, False)]
        # Seed after seed, so that a run that is stopped early has all of the first ones.
        waves = [tuple((name, seed) for name in group) for seed in range(seeds) for group in groups if group]
        measurements = tuple(
            Measurement(kind, name, seed)
            for kind, name in systems
            for seed in (range(seeds) if is_trained(kind, name) else (None,))
        )
        return Plan(tuple(waves), measurements)

    @property
    def parts(self) -> list[tuple[str, int]]:
        """All parts with their seeds."""
        return [entry for wave in self.waves for entry in wave]

    @property
    def encoded(self) -> list[Views]:
        """Views whose latents are encoded for this plan."""
        shown = [PARTS[name].views for name, _ in self.parts]
        wanted: list[Views] = ["plane"] if "plane" in shown else []
        return ["ground", *wanted] if {"none", "ground"} & set(shown) else wanted

    def left(self, folder: StudyFolder) -> "Plan":
        """What has not been done yet."""
        waves = [
            tuple((n, s) for n, s in wave if not folder.part(n, s).done(STAGES[PARTS[n].kind])) for wave in self.waves
        ]
        todo = [m for m in self.measurements if not folder.scores(m.kind, m.name, m.seed).is_file()]
        return Plan(tuple(wave for wave in waves if wave), tuple(todo))

    def report(self, folder: StudyFolder, budget: Budget, jobs: int) -> str:
        """The plan and its time, as text."""
        clips, scenes = len(LatentStore(folder.latents("sweep"))), folder.options.scenes
        lines = [f"{clips} clips to train on; {scenes} test drives of {_LONGEST} frames, {jobs} job(s) at a time"]
        for name in dict.fromkeys(name for name, _ in self.parts):
            seeds = ", ".join(str(seed) for other, seed in self.parts if other == name)
            steps = budget.steps[PARTS[name].kind]
            minutes = f"{budget.minutes(PARTS[name]):6.1f} min each" if budget.processor_s else ""
            lines.append(f"  train {name:<24}{steps:>7} steps {minutes}  seeds {seeds}")
        for kind in dict.fromkeys(m.kind for m in self.measurements):
            lines.append(f"  measure {sum(m.kind == kind for m in self.measurements)} times: {kind}")
        if not budget.processor_s:
            return "\n".join([*lines, "a trial with a given number of steps: no estimate of its time"])
        training = sum(budget.minutes(PARTS[name]) for name, _ in self.parts) / 60
        made = sum(FRAMES_MADE[m.kind] for m in self.measurements) * scenes
        measuring = made * budget.processor_s[FRAME] / 3600
        encoding = sum(not folder.latents(v).is_dir() for v in self.encoded) * clips * budget.processor_s[CLIP] / 3600
        lines.append(
            f"about {(training + encoding + measuring) / jobs:.1f} h: {training:.1f} processor hours of training, "
            f"{encoding:.1f} of encoding, {measuring:.1f} of measuring"
        )
        return "\n".join(lines)


@dataclass(frozen=True)
class Job:
    """Some work, and what it is called. It is given the seconds that are left, or None."""

    name: str
    work: Callable[[float | None], bool]


def run(
    folder: StudyFolder, plan: Plan, budget: Budget, jobs: int, device: str | None, minutes: float | None = None
) -> bool:
    """Train and measure what is left.

    Args:
        folder: of the study.
        plan: of the chosen studies.
        budget: of the study.
        jobs: parts or measurements at a time, each in a process with one thread; 1 works in this process.
        device: "cpu" keeps off an accelerator that is there.
        minutes: stop after about this long, with checkpoints.

    Returns:
        Whether everything is done.
    """
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    left = plan.left(folder)
    if left.measurements:
        folder.record_test(jobs)
    encoding = [Job(f"encode {views}", partial(_encode, folder, views)) for views in left.encoded]
    if not _all_done(encoding, jobs, deadline):
        return False
    for wave in left.waves:
        work = [Job(f"train {n}, seed {s}", partial(train_part, folder, n, s, budget, device)) for n, s in wave]
        if not _all_done(work, jobs, deadline):
            return False
    work = [Job(m.label, partial(_measure, folder, m, budget)) for m in left.measurements]
    return _all_done(work, jobs, deadline)


def _encode(folder: StudyFolder, views: Views, seconds: float | None) -> bool:
    del seconds
    folder.encode(views)
    return True


def _measure(folder: StudyFolder, wanted: Measurement, budget: Budget, seconds: float | None) -> bool:
    del seconds
    evaluate(folder, wanted.kind, wanted.name, wanted.seed, budget)
    return True


def _all_done(work: Sequence[Job], jobs: int, deadline: float | None) -> bool:
    """Do jobs in order; those that have not begun when the time is up are left."""
    if jobs <= 1:
        return all(_reported(job, _begun(job, deadline)) for job in work)
    with (
        child_environment(threads=1, progress_bars=False),
        ProcessPoolExecutor(
            jobs, mp_context=get_context("spawn"), max_tasks_per_child=1, initializer=end_with_parent
        ) as pool,
    ):
        waiting = {pool.submit(_begun, job, deadline): job for job in work}
        done = [_reported(waiting[future], future.result()) for future in as_completed(waiting)]
    return all(done)


def _begun(job: Job, deadline: float | None) -> bool:
    # The clock is the machine's, so a deadline means the same in every process.
    seconds = None if deadline is None else deadline - time.monotonic()
    return False if seconds is not None and seconds <= 0 else job.work(seconds)


def _reported(job: Job, is_done: bool) -> bool:
    print(f"{'done' if is_done else 'not finished'}: {job.name}", flush=True)
    return is_done
