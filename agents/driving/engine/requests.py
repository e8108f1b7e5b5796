"""One request at a time to a worker, whose answer may be unwanted by the time it arrives."""

import itertools
from collections.abc import Callable
from typing import Any

from longdwm_env.agents.driving.engine.world_worker import Task, Worker

_TICKETS = itertools.count(1)
"""Numbers of all requests: sessions that follow each other may share a worker, and take no answer of another's."""


class Requests:
    """Gives tasks to a worker and answers to their callers, unless the request was dropped meanwhile."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._open_ticket: int | None = None
        self._take_answer: Callable[[Any], None] = lambda answer: None

    @property
    def open(self) -> bool:
        """Something was asked for, and its answer has not been taken in."""
        return self._open_ticket is not None

    def submit(self, task: Task, take_answer: Callable[[Any], None]) -> None:
        """Ask for something; an answer to an earlier request is no longer wanted."""
        ticket = next(_TICKETS)
        self._open_ticket, self._take_answer = ticket, take_answer
        self._worker.submit(ticket, task)

    def drop(self) -> None:
        """What was asked for is no longer wanted."""
        self._open_ticket = None

    def receive(self) -> BaseException | None:
        """Hand out what arrived of the answer, if it is still wanted; returns the error where there is no answer."""
        for result in self._worker.results():
            if result.ticket != self._open_ticket:
                continue
            if not result.more:
                self._open_ticket = None
            if result.error is not None:
                return result.error
            self._take_answer(result.answer)
        return None

    def close(self) -> None:
        """End the worker."""
        self._worker.close()
