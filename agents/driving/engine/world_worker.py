"""Where generation runs: in a thread beside the window, or at once where there is no window to keep alive."""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from longdwm_env.io.processes import leave

Task = Callable[[], Any]
"""Mostly it returns a ``Moment``."""


@dataclass(frozen=True, eq=False)
class Result:
    """The answer to a task, or why there is none."""

    ticket: int
    answer: Any = None
    error: BaseException | None = None


class Worker(Protocol):
    """Performs tasks in order."""

    def submit(self, ticket: int, task: Task) -> None:
        """Perform a task as soon as the earlier ones are done."""
        ...

    def results(self) -> list[Result]:
        """What was finished since the last call; never waits."""
        ...

    def close(self) -> None:
        """Finish the task at hand and end."""
        ...


class InlineWorker:
    """Performs each task at once, in the caller's thread."""

    def __init__(self) -> None:
        self._done: list[Result] = []

    def submit(self, ticket: int, task: Task) -> None:
        """Perform the task now."""
        self._done.append(_perform(ticket, task))

    def results(self) -> list[Result]:
        """What was performed since the last call."""
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        """Nothing to end."""


class ThreadWorker:
    """Performs tasks in one thread of its own."""

    def __init__(self) -> None:
        self._tasks: queue.Queue[tuple[int, Task] | None] = queue.Queue()
        self._done: queue.Queue[Result] = queue.Queue()
        # A daemon, so that a world that hangs cannot keep a closed window's process alive.
        self._thread = threading.Thread(target=self._run, name="generation", daemon=True)
        self._thread.start()

    def submit(self, ticket: int, task: Task) -> None:
        """Queue a task."""
        self._tasks.put((ticket, task))

    def results(self) -> list[Result]:
        """What was finished since the last call."""
        done: list[Result] = []
        while not self._done.empty():
            done.append(self._done.get())
        return done

    def close(self, timeout_s: float = 2.0) -> None:
        """Let the task at hand finish, for at most ``timeout_s``; queued ones are performed no more."""
        while not self._tasks.empty():
            self._tasks.get()
        self._tasks.put(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            leave(self._thread)

    def _run(self) -> None:
        while True:
            item = self._tasks.get()
            if item is None:
                return
            self._done.put(_perform(*item))


def _perform(ticket: int, task: Task) -> Result:
    try:
        return Result(ticket, task())
    except Exception as error:
        # Handed to the session, which shows what the driver can mend and raises the rest in the window's thread.
        return Result(ticket, error=error)
