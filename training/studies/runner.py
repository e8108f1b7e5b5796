"""Doing what a plan says: parts and measurements, several at a time, each on one core."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

from longdwm_env.processes import child_environment, end_with_parent
from longdwm_env.training.studies.budget import Budget
from longdwm_env.training.studies.evaluation import evaluate
from longdwm_env.training.studies.folder import StudyFolder
from longdwm_env.training.studies.parts import train_part
from longdwm_env.training.studies.plan import Measurement, Plan
from longdwm_env.training.studies.variants import Views


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
        work = [Job(f"train {n}, seed {s}", partial(_train, folder, n, s, budget, device)) for n, s in wave]
        if not _all_done(work, jobs, deadline):
            return False
    work = [Job(m.label, partial(_measure, folder, m, budget)) for m in left.measurements]
    return _all_done(work, jobs, deadline)


def _train(
    folder: StudyFolder, name: str, seed: int, budget: Budget, device: str | None, seconds: float | None
) -> bool:
    return train_part(folder, name, seed, budget, device, seconds)


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
        return all(_told(job, _begun(job, deadline)) for job in work)
    with (
        child_environment(threads=1, progress_bars=False),
        ProcessPoolExecutor(
            jobs, mp_context=get_context("spawn"), max_tasks_per_child=1, initializer=end_with_parent
        ) as pool,
    ):
        waiting = {pool.submit(_begun, job, deadline): job for job in work}
        done = [_told(waiting[future], future.result()) for future in as_completed(waiting)]
    return all(done)


def _begun(job: Job, deadline: float | None) -> bool:
    # The clock is the machine's, so a deadline means the same in every process.
    seconds = None if deadline is None else deadline - time.monotonic()
    return False if seconds is not None and seconds <= 0 else job.work(seconds)


def _told(job: Job, is_done: bool) -> bool:
    print(f"{'done' if is_done else 'not finished'}: {job.name}", flush=True)
    return is_done
