"""Lanes: threads of one core each, in which a CPU generates samples side by side.

Two samples in two lanes are done sooner than two one after the other on both cores: small matrix products leave most of
a second core idle. It also makes a sample's numbers independent of how many cores and samples there are, because every
sample is computed by one thread. Lanes build on PyTorch's number of threads, which each thread has for itself.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import lru_cache
from typing import TypeVar

import torch

Result = TypeVar("Result")


class _Here(threading.local):
    """What a thread knows of itself: whether it is a lane."""

    in_lane = False


_here = _Here()


class Lanes:
    """Runs tasks side by side. A task may itself ask for lanes: it then gets its own, one task after another.

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
        pool = _pool(self.count)
        begun = [pool.submit(copy_context().run, task) for task in tasks]
        wait(begun)
        return [each.result() for each in begun]


@lru_cache
def _pool(count: int) -> ThreadPoolExecutor:
    """The process's lanes, all started."""
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, thread_name_prefix="lane", initializer=_enter_lane)
    everyone = threading.Barrier(count)
    wait([pool.submit(everyone.wait) for _ in range(count)])
    # What a lane asked for would also hold for threads that begin later; they shall get what the process has.
    torch.set_num_threads(before)
    return pool


def _enter_lane() -> None:
    torch.set_num_threads(1)
    # A thread takes the process's number when it first asks; asking now settles it at one.
    torch.get_num_threads()
    _here.in_lane = True


if hasattr(os, "register_at_fork"):
    # Threads do not survive a fork; the child makes its own.
    os.register_at_fork(after_in_child=_pool.cache_clear)
