"""Lanes: threads of one core each, in which a CPU generates samples side by side.

Two samples in two lanes are done sooner than two one after the other on both cores: small matrix products leave most of
a second core idle. It also makes a sample's numbers independent of how many cores and samples there are, because every
sample is computed by one thread. Lanes build on PyTorch's number of threads, which each thread has for itself.
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
    """What a thread knows of itself: whether it is a lane."""

    in_lane = False


_here = _Here()
_choosing = threading.Lock()


class _Lane:
    """One thread, and how many calls wait for it or are at work in it."""

    def __init__(self, name: str) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix=name, initializer=_enter_lane)
        self.callers = 0


class Lanes:
    """Runs tasks side by side. A task may itself ask for lanes: it then gets its own, one task after another.

    A call takes the lanes that fewest others use, and of these the first. So who drives alone always works in the same
    lane: every lane keeps memory for what it has done once.

    Args:
        count: lanes, at least 1.
    """

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"there is at least one lane, got {count}")
        self.count = count

    def run(self, tasks: Sequence[Callable[[], Result]]) -> list[Result]:
        """The results of tasks, in their order; the first error is raised when all are done.

        Tasks run in the caller's context: a stopwatch around this call counts what they do.
        """
        if _here.in_lane:
            return [task() for task in tasks]
        ended: list[Future[Result]] = [Future() for _ in tasks]
        waiting = deque(zip([copy_context() for _ in tasks], tasks, ended, strict=True))
        own = list(waiting)
        with _taken(_pool(self.count), len(tasks)) as lanes:
            wait([lane.thread.submit(_work_off, own[place], waiting) for place, lane in enumerate(lanes)])
        return [each.result() for each in ended]


def joined(
    first: Callable[[], First], second: Callable[[], Second], then: Callable[[First, Second], Result]
) -> list[Callable[[], Result | None]]:
    """Two tasks for lanes, of which the one that ends last goes on with what needs both results.

    No lane waits for the other one: it does the tasks that follow. The other's result is None.
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
def _taken(lanes: Sequence[_Lane], most: int) -> Iterator[list[_Lane]]:
    with _choosing:
        # Sorting keeps the order of those with equally many callers.
        chosen = sorted(lanes, key=lambda lane: lane.callers)[:most]
        for lane in chosen:
            lane.callers += 1
    try:
        yield chosen
    finally:
        with _choosing:
            for lane in chosen:
                lane.callers -= 1


_Waiting = tuple[Context, Callable[[], Result], Future[Result]]


def _work_off(own: "_Waiting[Result]", waiting: "deque[_Waiting[Result]]") -> None:
    """Do the task that this lane begins with, unless another lane was sooner, then others until none waits.

    So who drives alone has each kind of work done in the same lane.
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
def _pool(count: int) -> tuple[_Lane, ...]:
    """The process's lanes, all started."""
    before = torch.get_num_threads()
    lanes = tuple(_Lane(f"lane-{index}") for index in range(count))
    wait([lane.thread.submit(torch.get_num_threads) for lane in lanes])
    # What a lane asked for would also hold for threads that begin later; they shall get what the process has.
    torch.set_num_threads(before)
    return lanes


def _enter_lane() -> None:
    torch.set_num_threads(1)
    # A thread takes the process's number when it first asks; asking now settles it at one.
    torch.get_num_threads()
    _here.in_lane = True


def _begin_in_child() -> None:
    """Threads do not survive a fork: the child makes its own lanes, and computes by itself otherwise.

    OpenMP's threads in particular: where the parent had several, a child that asks for several waits for them for ever.
    """
    global _choosing
    _choosing = threading.Lock()
    _pool.cache_clear()
    _here.in_lane = False
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)
