"""The drive that a page shows: a session on a thread of its own, orders in, broadcasts out."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from longdwm_env.agents.driving.engine.branching import Branch, ask_branches, go_on
from longdwm_env.agents.driving.engine.drive_options import DriveOptions
from longdwm_env.agents.driving.engine.session import Session
from longdwm_env.agents.driving.engine.session_commands import finish_recording, perform
from longdwm_env.agents.driving.engine.start import open_session
from longdwm_env.agents.driving.engine.timeline import Moment
from longdwm_env.agents.driving.input.driver_input import DriverInputs
from longdwm_env.agents.driving.input.key_commands import Command
from longdwm_env.agents.driving.recording.video_recorder import Recorder
from longdwm_env.agents.driving.window.screen import screen_of
from longdwm_env.agents.driving_page import orders
from longdwm_env.agents.driving_page.orders import Order, Refused
from longdwm_env.agents.driving_page.page_devices import PagePad, PageTouch
from longdwm_env.agents.driving_page.page_starts import Starts
from longdwm_env.agents.driving_page.photos import Photos
from longdwm_env.agents.driving_page.wire import Broadcast, jpeg_of, numbered, words_of
from longdwm_env.errors import LongDWMError
from longdwm_env.types import JsonObject

log = logging.getLogger(__name__)

TICK_S = 1 / 60

WORDS_S = 0.05
"""Where the picture stays the same, what is said beside it is sent at most this often."""


@dataclass(frozen=True, eq=False)
class Branches:
    """Three drives of one moment, and a number that tells them from earlier ones."""

    number: int
    start: Moment
    ways: tuple[Branch, ...]


class Room:
    """Runs sessions one after the other in a thread; all methods but ``start`` and ``close`` only leave an order there.

    Args:
        options: what the command line asked for; later scenes are opened with the same.
        photos: the pictures that drives may start from.
        publish: takes each broadcast.
        announce: takes what else happened: "branches", "recordings" or "worlds".
        ended: called once the thread ends, with the error that ended it, if one did.

    Attributes:
        branches: the latest three drives of one moment.
        recordings: names of the files written since the start.
        worlds: those that can be changed between.
    """

    def __init__(
        self,
        options: DriveOptions,
        photos: Photos,
        publish: Callable[[Broadcast], None],
        announce: Callable[[str], None],
        ended: Callable[[BaseException | None], None] = lambda error: None,
    ) -> None:
        self.options = options
        self._starts = Starts(options, photos)
        self._publish, self._announce, self._ended = publish, announce, ended
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._session, self._inputs = open_session(options)
        self._touch = PageTouch()
        self._inputs.devices = [self._touch]
        self._next: tuple[Session, DriverInputs] | None = None
        self._recorder: Recorder | None = None
        self._watchers = 0
        self._closing = False
        self._shown: tuple[Moment | None, int] = (None, -1)
        self._words, self._jpeg = b"", b""
        self._number = self._picture = 0
        self._published_s = 0.0
        self._answered: tuple[float, int] | None = None
        self.branches: Branches | None = None
        self.recordings: tuple[str, ...] = ()
        self.worlds = self._session.worlds
        self._thread = threading.Thread(target=self._run, name="room", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Finish a recording, end the generation and wait for both."""
        self._orders.put(self._end)
        self._thread.join(15.0)

    @property
    def session(self) -> Session:
        """The present drive; what it measures may be read and begun anew from any thread."""
        return self._session

    def order(self, order: Order, answer: Callable[[JsonObject], None]) -> None:
        """Follow an order; ``answer`` is called with what only this viewer asked to know, or why it was rejected."""

        def follow() -> None:
            try:
                self._follow(order, answer)
            except LongDWMError as error:
                answer({"is": "refused", "why": str(error)})
            except Exception as error:
                log.exception("an order failed")
                answer({"is": "refused", "why": f"this failed: {type(error).__name__}"})

        self._orders.put(follow)

    def watched_by(self, viewers: int) -> None:
        """The number of viewers: without any, time stands still."""
        self._orders.put(lambda: setattr(self, "_watchers", viewers))

    def let_go(self) -> None:
        """The driver left: neither keys nor pedals are down."""
        self._orders.put(self._release)

    # In the thread

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            while not self._closing:
                begun_s = time.perf_counter()
                if self._watchers or self._session.trip is None or self._next is not None:
                    self._tick(begun_s)
                    self._show(begun_s)
                    self._take_orders(begun_s + TICK_S)
                else:
                    self._take_orders(begun_s + 1.0)
        except Exception as raised:
            error = raised
        finally:
            finish_recording(self._session)
            self._session.close()
            self._ended(error)

    def _end(self) -> None:
        self._closing = True

    def _take_orders(self, until_s: float) -> None:
        """Follow orders as they come, so that none waits for the next tick."""
        while not self._closing:
            wait_s = until_s - time.perf_counter()
            if wait_s <= 0 and self._orders.empty():
                return
            try:
                self._orders.get(timeout=max(wait_s, 0.001))()
            except queue.Empty:
                return
            # What a driver does is shown at once.
            until_s = min(until_s, time.perf_counter() + 0.002)

    def _tick(self, now_s: float) -> None:
        if self._next is not None:
            self._tick_next(now_s, *self._next)
            return
        session = self._session
        try:
            session.tick(now_s)
        except Exception as error:
            if session.trip is None:
                raise
            # A world's own fault ends neither the drive nor the server: the driver may go back, or elsewhere.
            log.exception("the world failed")
            session.paused = True
            session.say(f"the world failed: {type(error).__name__}: {error}", warning=True)
        self._note_recording()

    def _tick_next(self, now_s: float, session: Session, inputs: DriverInputs) -> None:
        """Let the next session open its scene; the present one stays on screen until it has, and if it cannot."""
        try:
            session.tick(now_s)
        except Exception as error:
            if not isinstance(error, LongDWMError):
                log.exception("a scene could not be opened")
            self._next = None
            session.drop_asked()
            self._session.now_s = now_s
            self._session.say(str(error), warning=True)
            return
        if session.trip is not None:
            finish_recording(self._session)
            self._note_recording()
            self._next, self.branches = None, None
            self._session, self._inputs, self.worlds = session, inputs, session.worlds
            self._announce("worlds")
            self._announce("branches")

    def _note_recording(self) -> None:
        before, self._recorder = self._recorder, self._session.recorder
        if before is not None and before is not self._recorder:
            written = [path.name for path in before.files]
            self.recordings += tuple(written)
            if written:
                self._session.say(f"written: {written[0]}, to download under Share", warning=True)
            self._announce("recordings")

    def _show(self, now_s: float) -> None:
        session = self._session
        screen = screen_of(session, 0.0)
        if self._next is not None:
            screen = replace(screen, busy=self._next[0].busy or "opening the scene")
        shown = (screen.moment, screen.frame)
        fresh = shown[0] is not self._shown[0] or shown[1] != self._shown[1]
        if not fresh and now_s - self._published_s < WORDS_S:
            return
        words = words_of(screen)
        if not fresh and words == self._words:
            return
        self._words, self._published_s, self._shown = words, now_s, shown
        self._number += 1
        if fresh and screen.moment is not None:
            self._jpeg = jpeg_of(screen.moment.frames[screen.frame])
            self._picture = self._number
        event_s = session.answered_event_s
        if event_s is not None and (self._answered is None or self._answered[0] != event_s):
            self._answered = event_s, self._number
        self._publish(Broadcast(self._number, self._picture, numbered(words, self._number), self._jpeg))

    def _release(self) -> None:
        self._inputs.keys.release_all()
        self._touch.at = orders.Touch(0.0, 0.0, 0.0)
        self._inputs.devices = [self._touch]

    # Orders

    def _follow(self, order: Order, answer: Callable[[JsonObject], None]) -> None:
        session, now_s = self._session, time.perf_counter()
        match order:
            case orders.Seen(n):
                # From the key's arrival here to the arrival of the word that its picture is on screen: what the
                # driver waits, each way across the network counted once.
                if self._answered is not None and n >= self._answered[1]:
                    self._answered = None
                    session.flipped(now_s)
            case orders.Key(name, down):
                (self._inputs.keys.press if down else self._inputs.keys.release)(name, now_s)
                session.touched(now_s)
            case orders.Touch() | orders.Pad():
                self._move(order)
                if self._inputs.device_moved():
                    session.touched(now_s)
            case orders.LetGo():
                self._release()
            case orders.Link():
                if session.trip is None:
                    raise Refused("there is no drive yet")
                answer({"is": "link", "link": self._starts.link_of(session.trip.journal)})
            case orders.Open() | orders.Replay():
                self._open(order)
            case _:
                self._change(session, order)

    def _change(self, session: Session, order: Order) -> None:
        """Orders that need a drive."""
        trip = session.trip
        if trip is None or self._next is not None:
            raise Refused("a scene is being opened")
        if isinstance(order, orders.Press):
            perform(session, Command(order.command))
            self._note_recording()
            return
        if session.following:
            raise Refused("a replay is playing: M takes the wheel")
        if isinstance(order, orders.Back):
            session.return_to(trip.timeline.back(trip.present.time_s - order.to_s))
            session.waiting = True
            session.say(f"back at {trip.present.time_s:.1f} s")
        elif isinstance(order, orders.Branch):
            if trip.present.over:
                raise Refused("the drive is over here: go back first")
            ask_branches(session, self._branched)
        elif isinstance(order, orders.GoOn):
            branches = self.branches
            if branches is None or not go_on(session, branches.start, branches.ways[order.way]):
                raise Refused("the drive is no longer at the moment that these three began at")
            session.say(f"{branches.ways[order.way].name}: drive on from here")
            self._branched(None, ())

    def _branched(self, start: Moment | None, ways: tuple[Branch, ...]) -> None:
        self.branches = None if start is None else Branches(self._number, start, ways)
        self._announce("branches")

    def _move(self, order: orders.Touch | orders.Pad) -> None:
        if isinstance(order, orders.Touch):
            self._touch.at = order
            return
        pads = {device.name: device for device in self._inputs.devices if isinstance(device, PagePad)}
        if not order.axes:
            pads.pop(order.id, None)
        elif order.id in pads:
            pads[order.id].tell(order)
        elif len(pads) < 4:
            pads[order.id] = PagePad(order)
            self._session.say(f"driving with {order.id[:60]}")
        self._inputs.devices = [self._touch, *pads.values()]

    def _open(self, order: orders.Open | orders.Replay) -> None:
        if self._next is not None:
            raise Refused("a scene is being opened")
        if isinstance(order, orders.Replay):
            journal = self._starts.journal_of(order.link, self.worlds)
            session, inputs = open_session(self.options, journal=journal, before=self._session)
        else:
            options = self._starts.options_of(order, self.worlds)
            session, inputs = open_session(options, before=self._session)
        inputs.devices = [self._touch]
        self._touch.at = orders.Touch(0.0, 0.0, 0.0)
        self._next = session, inputs
