"""Where the seconds of a step went. A world marks its stages; the caller opens a stopwatch around the call."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

Stage = Literal["geometry", "coarse", "fine", "decode"]
STAGES: tuple[Stage, ...] = ("geometry", "coarse", "fine", "decode")

_adding = threading.Lock()
_running: ContextVar[dict[str, float] | None] = ContextVar("longdwm_stopwatch", default=None)


@contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Collect seconds per stage, and ``total``, of the code inside. A stage that never runs stays at 0."""
    seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)
    token = _running.set(seconds)
    start = time.perf_counter()
    try:
        yield seconds
    finally:
        seconds["total"] = time.perf_counter() - start
        _running.reset(token)


@contextmanager
def stage(name: Stage) -> Iterator[None]:
    """Count the code inside towards one stage of the stopwatch around it; without a stopwatch this does nothing.

    Stages that run side by side in several threads are all counted, so together they may exceed the total.
    """
    seconds = _running.get()
    start = time.perf_counter()
    try:
        yield
    finally:
        if seconds is not None:
            with _adding:
                seconds[name] += time.perf_counter() - start
