"""What processes that are started from here find in their environment, and how this one is asked to end."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What the libraries read when they are first imported; so it must be set before a process starts."""


@contextmanager
def child_environment(threads: int, progress_bars: bool = True) -> Iterator[None]:
    """Processes started inside keep to so many threads: as many processes as cores, each with all threads, crawl.

    Args:
        threads: that each process's numerical libraries may use.
        progress_bars: False keeps those of several processes from being drawn over one another.
    """
    wanted = dict.fromkeys(THREAD_VARIABLES, str(threads))
    if not progress_bars:
        wanted["TQDM_DISABLE"] = "1"
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_left: list[threading.Thread] = []


def leave(thread: threading.Thread) -> None:
    """Remember a daemon thread that does not end when it is asked to, as one that computes in torch for minutes."""
    _left.append(thread)


def left() -> list[threading.Thread]:
    """Those that still run. The interpreter's own end would abort when one of them comes back from torch."""
    return [thread for thread in _left if thread.is_alive()]


@contextmanager
def on_sigterm(action: Callable[[], Any]) -> Iterator[None]:
    """Do something when asked to end, in place of ending at once. In other threads than the main one: nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: action())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
