"""Where generation runs: in a thread beside the window, or at once where there is no window to keep alive."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from longdwm_env.io.processes import leave

Task = Callable[[], Any]
"""Mostly it returns a ``Moment``; or an iterator of ``Part``, each of which is an answer as soon as it is there."""


@dataclass(frozen=True, eq=False)
class Part:
    """A part of an answer, and whether more of it follows."""

    answer: Any
    more: bool


@dataclass(frozen=True, eq=False)
class Result:
    """The answer to a task or a part of it, whether more of it follows, or why there is none."""

    ticket: int
    answer: Any = None
    error: BaseException | None = None
    more: bool = False


class Worker(Protocol):
    """Performs tasks in order."""

    def submit(self, ticket: int, task: Task) -> None:
        """Perform a task as soon as the earlier ones are done."""
        ...

    def results(self) -> list[Result]:
        """What was finished since the last call; never waits."""
        ...

    def wait(self, seconds: float) -> None:
        """Let time pass, at most until something is finished."""
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
        self._done.extend(_performed(ticket, task))

    def results(self) -> list[Result]:
        """What was performed since the last call."""
        done, self._done = self._done, []
        return done

    def wait(self, seconds: float) -> None:
        """All is finished: let time pass."""
        time.sleep(seconds)

    def close(self) -> None:
        """Nothing to end."""


class ThreadWorker:
    """Performs tasks in one thread of its own."""

    def __init__(self) -> None:
        self._tasks: queue.Queue[tuple[int, Task] | None] = queue.Queue()
        self._done: queue.Queue[Result] = queue.Queue()
        self._news = threading.Event()
        # A daemon, so that a world that hangs cannot keep a closed window's process alive.
        self._thread = threading.Thread(target=self._run, name="generation", daemon=True)
        self._thread.start()

    def submit(self, ticket: int, task: Task) -> None:
        """Queue a task."""
        self._tasks.put((ticket, task))

    def results(self) -> list[Result]:
        """What was finished since the last call."""
        self._news.clear()
        done: list[Result] = []
        while not self._done.empty():
            done.append(self._done.get())
        return done

    def wait(self, seconds: float) -> None:
        """Let time pass, at most until there are results that were not looked at."""
        self._news.wait(seconds)

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
            for result in _performed(*item):
                self._done.put(result)
                self._news.set()


def _performed(ticket: int, task: Task) -> Iterator[Result]:
    try:
        answer = task()
        if not isinstance(answer, Iterator):
            yield Result(ticket, answer)
            return
        for part in answer:
            yield Result(ticket, part.answer, more=part.more)
    except Exception as error:
        # Handed to the session, which shows what the driver can mend and raises the rest in the window's thread.
        yield Result(ticket, error=error)
