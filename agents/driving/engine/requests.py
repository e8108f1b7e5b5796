"""One request at a time to a worker, whose answer may be unwanted by the time it arrives; clips wait for their turn."""

import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from longdwm_env.agents.driving.engine.playback import Playback
from longdwm_env.agents.driving.engine.timeline import Moment
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


@dataclass(frozen=True, eq=False)
class Ready:
    """A clip that waits for its turn.

    Attributes:
        event_s: the time of the driver's event that it is the first to answer, if it is.
        answered: frames of the whole answer that it is a part of.
        first: whether it is the first part.
        cut: whether no other part was made, as the driver had turned the wheel meanwhile.
    """

    moment: Moment
    event_s: float | None
    answered: int
    first: bool
    cut: bool = False


class ClipRequests(Requests):
    """Requests of which those for clips are timed, for ``playback``; clips that came are kept, oldest first."""

    def __init__(self, worker: Worker, playback: Playback) -> None:
        super().__init__(worker)
        self.ready: deque[Ready] = deque()
        self._playback = playback
        self._now_s = self._asked_at_s = 0.0
        self._event_s: float | None = None
        self._frames = 0
        self._first = True

    @property
    def answers(self) -> int:
        """How many answers wait, whole or in part; those that were cut short do not count."""
        return sum(clip.first and not clip.cut for clip in self.ready)

    @property
    def frames(self) -> int:
        """How many frames wait; may be asked in any thread."""
        return sum(len(clip.moment.frames) for clip in tuple(self.ready))

    def receive_at(self, now_s: float) -> BaseException | None:
        """Let time pass, and ``receive``."""
        self._now_s = now_s
        return self.receive()

    def ask_clip(self, task: Task, frames: int = 0, event_s: float | None = None) -> None:
        """Ask for the clip that follows the newest.

        Args:
            task: gives its moment, or those of its parts in turn.
            frames: of the whole answer; 0 where it has one part.
            event_s: the time of the driver's event that it is the first to answer, if it is.
        """
        self._asked_at_s, self._frames, self._event_s, self._first = self._now_s, frames, event_s, True
        self.submit(task, self._came)

    def drop(self) -> None:
        """Nothing that is under way or ready is wanted."""
        super().drop()
        self.ready.clear()

    def _came(self, moment: Moment) -> None:
        # A policy's thinking time counts: it delays the picture just as generation does.
        took_s, answered = self._now_s - self._asked_at_s, self._frames or len(moment.frames)
        cut = self._first and not (self.open or moment.over) and len(moment.frames) < answered
        if self._first:
            self._playback.generation.add(took_s)
        if not (self.open or cut):
            self._playback.whole.add(took_s)
        self.ready.append(Ready(moment, self._event_s, answered, self._first, cut))
        self._event_s, self._first = None, False
