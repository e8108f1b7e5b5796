"""Threads of one core each, in which a CPU generates samples side by side.

Two samples in two threads are done sooner than two one after the other on both cores: small matrix products leave most
of a second core idle. It also makes a sample's numbers independent of how many cores and samples there are, because
every sample is computed by one thread. They build on PyTorch's number of threads, which each thread has for itself.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from contextvars import Context, copy_context
from functools import lru_cache, partial
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")
First = TypeVar("First")
Second = TypeVar("Second")


class _Here(threading.local):
    """What a thread knows of itself: whether it is one of these."""

    is_ours = False


_here = _Here()
_choosing = threading.Lock()


class _SampleThread:
    """One thread, and how many calls wait for it or are at work in it."""

    def __init__(self, name: str) -> None:
        self.executor = ThreadPoolExecutor(1, thread_name_prefix=name, initializer=_enter)
        self.callers = 0


class SampleThreads:
    """Runs tasks side by side. A task may itself ask for threads: it then gets its own, one task after another.

    A call takes the threads that fewest others use, and of these the first. So who drives alone always works in the
    same thread: every one keeps memory for what it has done once.

    Args:
        count: threads, at least 1.
    """

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"there is at least one thread, got {count}")
        self.count = count

    def run(self, tasks: Sequence[Callable[[], Result]]) -> list[Result]:
        """The results of tasks, in their order; the first error is raised when all are done.

        Tasks run in the caller's context: a stopwatch around this call counts what they do.
        """
        if _here.is_ours:
            return [task() for task in tasks]
        ended: list[Future[Result]] = [Future() for _ in tasks]
        waiting = deque(zip([copy_context() for _ in tasks], tasks, ended, strict=True))
        own = list(waiting)
        with _taken(_pool(self.count), len(tasks)) as threads:
            wait([thread.executor.submit(_work_off, own[place], waiting) for place, thread in enumerate(threads)])
        return [each.result() for each in ended]


def joined(
    first: Callable[[], First], second: Callable[[], Second], then: Callable[[First, Second], Result]
) -> list[Callable[[], Result | None]]:
    """Two tasks for threads, of which the one that ends last goes on with what needs both results.

    No thread waits for the other one: it does the tasks that follow. The other's result is None.
    """
    made: dict[str, Any] = {}
    counting = threading.Lock()

    def one(name: str, task: Callable[[], Any]) -> Result | None:
        result = task()
        with counting:
            made[name] = result
            is_last = len(made) == 2
        return then(made["first"], made["second"]) if is_last else None

    return [partial(one, "first", first), partial(one, "second", second)]


@contextmanager
def _taken(threads: Sequence[_SampleThread], most: int) -> Iterator[list[_SampleThread]]:
    with _choosing:
        # Sorting keeps the order of those with equally many callers.
        chosen = sorted(threads, key=lambda thread: thread.callers)[:most]
        for thread in chosen:
            thread.callers += 1
    try:
        yield chosen
    finally:
        with _choosing:
            for thread in chosen:
                thread.callers -= 1


_Waiting = tuple[Context, Callable[[], Result], Future[Result]]


def _work_off(own: "_Waiting[Result]", waiting: "deque[_Waiting[Result]]") -> None:
    """Do the task that this thread begins with, unless another thread was sooner, then others until none waits.

    So who drives alone has each kind of work done in the same thread.
    """
    with suppress(ValueError):
        waiting.remove(own)
        _do(own)
    while True:
        try:
            other = waiting.popleft()
        except IndexError:
            return
        _do(other)


def _do(what: "_Waiting[Result]") -> None:
    context, task, ended = what
    try:
        ended.set_result(context.run(task))
    except BaseException as error:
        ended.set_exception(error)


@lru_cache
def _pool(count: int) -> tuple[_SampleThread, ...]:
    """The process's threads, all started."""
    before = torch.get_num_threads()
    threads = tuple(_SampleThread(f"lane-{index}") for index in range(count))
    wait([thread.executor.submit(torch.get_num_threads) for thread in threads])
    # What a thread asked for would also hold for threads that begin later; they shall get what the process has.
    torch.set_num_threads(before)
    return threads


def _enter() -> None:
    torch.set_num_threads(1)
    # A thread takes the process's number when it first asks; asking now settles it at one.
    torch.get_num_threads()
    _here.is_ours = True


def _begin_in_child() -> None:
    """Threads do not survive a fork: the child makes its own threads, and computes by itself otherwise.

    OpenMP's threads in particular: where the parent had several, a child that asks for several waits for them for ever.
    """
    global _choosing
    _choosing = threading.Lock()
    _pool.cache_clear()
    _here.is_ours = False
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)
