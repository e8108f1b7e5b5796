"""What processes that are started from here find in their environment, and how they and this one end.

As a program, ``python -m longdwm_env.io.processes MODULE ...`` runs a module that ends with the one that started it.
"""

import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from multiprocessing.connection import wait

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
def on_sigterm(action: Callable[[], object]) -> Iterator[None]:
    """Do something when asked to end, in place of ending at once. In other threads than the main one: nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: action())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


PARENT = "LONGDWM_PARENT"
"""Variable of the environment with the process that a child ends with; children's children are not named."""

GRACE_S = 60.0
"""A process whose parent is gone has so long to keep a checkpoint."""

LOOK_S = 0.5
"""How often a process looks for its parent."""

_PR_SET_PDEATHSIG = 1


def child_of_this() -> dict[str, str]:
    """What to add to the environment of a process that is to end with this one; it calls ``end_with_parent``."""
    return {PARENT: str(os.getpid())}


def end_with_parent() -> None:
    """End when the process that started this one does, even by SIGKILL.

    A process of multiprocessing ends at once; others are asked to (SIGTERM), and end after ``GRACE_S``. Those that were
    started by hand go on.
    """
    starter = parent_process()
    if starter is not None:
        threading.Thread(target=_watch_sentinel, args=(starter.sentinel,), daemon=True, name="parent").start()
        return
    named = os.environ.pop(PARENT, None)
    # Launchers of several processes, torchrun and accelerate's, tell nothing of the kind; they set these.
    if named is None and "LOCAL_RANK" not in os.environ:
        return
    parent = os.getppid() if named is None else int(named)
    _ask_the_kernel()
    threading.Thread(target=_watch, args=(parent,), daemon=True, name="parent").start()


def _ask_the_kernel() -> None:
    """Linux tells a child of its parent's end at once."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _watch_sentinel(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _watch(parent: int) -> None:
    # A process that loses its parent is given another one.
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    end_with_parent()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
