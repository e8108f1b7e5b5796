"""Processes that make shards side by side, on this machine or on a Ray cluster."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar, cast

import cv2
import torch

from longdwm_env.errors import LongDWMError, MissingDependency
from longdwm_env.io.processes import child_environment, end_with_parent

Result = TypeVar("Result")

RETRIES = 3
"""How often a task is begun again when the worker of a cluster under it is lost."""


class WorkerLost(LongDWMError, RuntimeError):
    """A task whose workers were lost again and again."""


def side_by_side(
    work: Callable[..., Result],
    tasks: Sequence[tuple[object, ...]],
    workers: int,
    threads: int = 1,
    cluster: str | None = None,
) -> Iterator[Result]:
    """What a function makes of tasks, in their order; the first error of one is raised in its place.

    Args:
        work: called with each task's members; picklable, and sent to each process once.
        tasks: of picklable members.
        workers: processes; with one alone, this process does it.
        threads: of each.
        cluster: "local", "auto" or the address of a Ray cluster, whose workers do it instead; folders must mean the
            same on all of its machines. A task whose worker is lost is done again.

    Raises:
        MissingDependency: a cluster is asked for and Ray is not installed.
        WorkerLost: a task's workers were lost again and again.
    """
    if cluster is not None:
        yield from _on_cluster(work, tasks, cluster)
        return
    if workers <= 1:
        yield from (work(*task) for task in tasks)
        return
    with worker_pool(workers, threads, _remember, work) as pool:
        for done in [pool.submit(_work_on, *task) for task in tasks]:
            yield cast(Result, done.result())


def _on_cluster(work: Callable[..., Result], tasks: Sequence[tuple[object, ...]], cluster: str) -> Iterator[Result]:
    try:
        import ray
    except ImportError as error:
        raise MissingDependency("working on a cluster needs Ray: pip install 'longdwm[cluster]'") from error
    ours = not ray.is_initialized()
    if ours:
        ray.init(address=None if cluster == "local" else cluster, include_dashboard=False, log_to_driver=False)
    try:
        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(lambda *task: work(*task))
        for reference in [remote.remote(*task) for task in tasks]:
            try:
                yield ray.get(reference)
            except ray.exceptions.WorkerCrashedError as error:
                raise WorkerLost(
                    f"the worker of a task died {RETRIES + 1} times in a row; what others have made is kept, and the "
                    "same command goes on"
                ) from error
    finally:
        if ours:
            ray.shutdown()


@contextmanager
def worker_pool(
    count: int, threads: int = 1, begin: Callable[..., None] | None = None, *given: object
) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with the one that began them; what has not been begun when the context ends is left out.

    Args:
        count: of processes.
        threads: of each.
        begin: called first in each process; importable.
        given: to ``begin``, picklable.
    """
    # Forked children would share this process's thread pools; spawned ones start clean.
    spawn = get_context("spawn")
    with child_environment(threads, progress_bars=False):
        pool = ProcessPoolExecutor(count, mp_context=spawn, initializer=_begin, initargs=(threads, begin, given))
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(threads: int, begin: Callable[..., None] | None, given: tuple[object, ...]) -> None:
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    end_with_parent()
    if begin is not None:
        begin(*given)


_work_here: Callable[..., object] | None = None
"""Of a process that works beside others."""


def _remember(work: Callable[..., object]) -> None:
    global _work_here
    _work_here = work


def _work_on(*task: object) -> object:
    assert _work_here is not None
    return _work_here(*task)
