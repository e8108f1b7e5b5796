"""A drive as it happens: who is at the wheel, what plays now and what is asked for next.

Knows no window: it is given the time and the driver's input, and says what there is to see. So the same
session runs under a window, under tests with a clock of their own, and on a machine with no display.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from longdwm_env.agents.driving.engine.following import Script, follow
from longdwm_env.agents.driving.engine.open_worlds import FIRST_SHOWN, Drive, Generator, OpenScene
from longdwm_env.agents.driving.engine.playback import LatencyMeter, Playback
from longdwm_env.agents.driving.engine.requests import ClipRequests
from longdwm_env.agents.driving.engine.timeline import Act, Moment
from longdwm_env.agents.driving.engine.trip import Trip
from longdwm_env.agents.driving.engine.world_worker import Task, Worker
from longdwm_env.agents.driving.input.pedals import FEEL, Controls, DriverInput, Feel, InputSource, next_controls
from longdwm_env.agents.driving.input.policy_driver import PolicyDriver
from longdwm_env.agents.driving.recording.video_recorder import Recorder
from longdwm_env.clock import FPS
from longdwm_env.errors import LongDWMError

NOTE_S = 3.0
"""How long a note stays on screen; warnings stay twice as long."""

LONGEST_TICK_S = 0.25
"""Time that one tick passes at most: a window that was dragged or a suspended computer does not skip pictures."""

SLOW_RATE, SLOW_ANSWERS = 0.8, 8
"""Of a world that is slower than this share of real time, after so many answers, it is said that it is slow."""

AtWheel = Literal["driver", "policy", "replay"]


@dataclass(frozen=True)
class Note:
    """A line for the driver, and until when it is shown."""

    text: str
    until_s: float
    warning: bool = False


@dataclass
class Session:
    """The state of a drive; ``tick`` lets time pass, ``session_commands.perform`` does what keys ask for.

    Attributes:
        inputs: where the driver's input comes from.
        worlds: names that the driver can change between, in order.
        opening: the scene to begin with.
        scenes: path of the scene source for the replay file; None for the built-in scenes.
        policy: drives instead of the driver's input, if there is one.
        script: a recorded drive to follow first, if there is one.
        trip: the drive; None until the first scene is open.
        paused: the driver stopped time. waiting: it goes on as soon as there is input.
        pause_at: how many frames are driven when time stops.
        fault: why the drive could not go on, last; None where it always could.
        tried_world: the world last changed to, and from which moment.
        frames_shown, ran_s: frames that were played, and for how long time ran: at a drive's end it stands, and
            where the drive sets off or was taken back, until the first clip is there.
        busy: what the generation does besides driving; written from its thread.
    """

    generator: Generator
    worker: Worker
    inputs: InputSource
    worlds: tuple[str, ...]
    opening: OpenScene
    scenes: str | None
    out: Path
    policy: PolicyDriver | None = None
    script: Script | None = None
    feel: Feel = FEEL

    trip: Trip | None = None
    playback: Playback = field(default_factory=Playback)
    latency: LatencyMeter = field(default_factory=LatencyMeter)
    recorder: Recorder | None = None
    at_wheel: AtWheel = "driver"
    paused: bool = False
    waiting: bool = True
    pause_at: int | None = None
    note: Note | None = None
    fault: LongDWMError | None = None
    busy: str = ""
    driver_input: DriverInput = field(default_factory=DriverInput)
    tried_world: tuple[Moment, str] | None = None
    frames_shown: int = 0
    ran_s: float = 0.0
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self._requests = ClipRequests(self.worker, self.playback)
        self._event_playing_s: float | None = None
        self._slow: set[str] = set()
        self.at_wheel = "replay" if self.script is not None else "policy" if self.policy is not None else "driver"
        self.waiting = self.at_wheel == "driver"
        self.generator.on_progress = self._progress
        self.open_scene(self.opening)

    @property
    def running(self) -> bool:
        """Time passes in the drive."""
        return not (self.paused or self.waiting)

    @property
    def following(self) -> bool:
        """A recorded drive is at the wheel, and there is more of it."""
        return self.at_wheel == "replay" and self.script is not None and not self.script.finished

    @property
    def catching_up(self) -> bool:
        """On the way to where a recording begins."""
        if not self.following or self.script is None:
            return False
        under_way = self._requests.open or bool(self._requests.ready)
        return self.script.done < self.script.journal.shown_from + under_way

    @property
    def driver(self) -> str:
        """Who is at the wheel, in words."""
        if self.at_wheel == "policy" and self.policy is not None:
            return self.policy.name
        return "you" if self.at_wheel == "driver" else "replay"

    @property
    def next_controls(self) -> Controls:
        """Where steering wheel and pedals will be in the next clip if the driver's input stays as it is."""
        if self.trip is None:
            return Controls()
        if self.at_wheel != "driver":
            return self.trip.present.controls
        return self._controls_after(self.newest(self.trip), self.driver_input)

    def newest(self, trip: Trip) -> Moment:
        """The moment up to which the drive is made, though it may not be shown yet: the next clip follows it."""
        ready = self._requests.ready
        return ready[-1].moment if ready else trip.present

    @property
    def awaits_answer(self) -> bool:
        """Something was asked for and its answer not yet taken in, or it is due to be shown."""
        due = bool(self._requests.ready) and self.running and self.playback.at_end
        return self._requests.open or due

    @property
    def answered_event_s(self) -> float | None:
        """The time of the driver's event that the present picture is the first to show, until ``flipped``."""
        return self._event_playing_s

    # Time

    def tick(self, now_s: float) -> None:
        """Let time pass: take in what was generated, play on, and ask for more when it is due.

        Raises:
            Exception: whatever a world raised that is not one of this package's own errors.
        """
        elapsed = min(max(now_s - self.now_s, 0.0), LONGEST_TICK_S)
        self.now_s = now_s
        self.driver_input = self.inputs.peek()
        waited_for = self._requests.open
        error = self._requests.receive_at(now_s)
        if waited_for and not self._requests.open:
            self.busy = ""
        if error is not None:
            self._failed(error)
        if self.note is not None and now_s > self.note.until_s:
            self.note = None
        if self.trip is not None:
            self._play(self.trip, elapsed)
            if self._may_ask(self.trip):
                self._ask(self.trip)

    def _play(self, trip: Trip, elapsed_s: float) -> None:
        if self.waiting and self.at_wheel == "driver" and not self.driver_input.idle:
            self.waiting = False
        if self.running:
            self.playback.advance(elapsed_s)
            stands = self.playback.held or (trip.present.over and self.playback.at_end)
            self.ran_s += elapsed_s * (not stands)
        if not (self.playback.at_end or self.catching_up):
            return
        if self._requests.ready and self.running:
            ready = self._requests.ready.popleft()
            self._event_playing_s = ready.event_s
            trip.drive_on(ready.moment)
            self.playback.begin(len(ready.moment.frames), ready.answered)
            self.frames_shown += len(ready.moment.frames)
            if self.recorder is not None:
                self.recorder.write(ready.moment.frames)
                if self.recorder.broken:
                    self.say("the recording has broken off: R ends it and says why", warning=True)
            self._say_if_slow(ready.moment.state.world)
        elif self.pause_at is not None and trip.present.state.frames_driven >= self.pause_at:
            self.paused, self.pause_at = True, None
        elif self.at_wheel == "replay" and not self.following and not self._requests.open:
            self.end_of_replay("the replay ends here: drive on")

    def _say_if_slow(self, world: str) -> None:
        """Say once how a world that this machine cannot keep up with can be made quicker."""
        if world in self._slow or self.playback.rate > SLOW_RATE or self.playback.whole.measured < SLOW_ANSWERS:
            return
        self._slow.add(world)
        if (size := self.generator.quicker_size(world)) is not None:
            height, width = size
            self.say(f"{world} is slower than real time here: --image-size {height} {width} is quicker", warning=True)

    def rest(self, seconds: float) -> None:
        """Let time pass until the next tick: at most until an answer has arrived, or one that waits is to be shown."""
        due_s = self.playback.remaining_s if self._requests.ready and self.running else seconds
        self.worker.wait(max(0.0, min(seconds, due_s)))

    def touched(self, at_s: float) -> None:
        """The driver moved a control at this time: the latency of what it changes is measured."""
        if self.at_wheel == "driver" and self.running:
            self.latency.event(at_s)

    def flipped(self, now_s: float) -> float | None:
        """The picture of the present frame is on screen; returns the latency if it is the first to show a change."""
        event_s, self._event_playing_s = self._event_playing_s, None
        if event_s is None:
            return None
        self.latency.add(now_s - event_s)
        return now_s - event_s

    def say(self, text: str, warning: bool = False) -> None:
        """Show a note for a moment."""
        self.note = Note(text, self.now_s + NOTE_S * (2 if warning else 1), warning)

    def close(self) -> None:
        """End the generation."""
        self._requests.close()

    def _hold(self, moment: Moment) -> None:
        """Stand at a moment; what was still to be played is not shown."""
        self.frames_shown -= self.playback.length - 1 - self.playback.frame
        self.playback.hold(len(moment.frames))

    # Asking

    def ask(self, busy: str, task: Task, take_answer: Callable[[Any], None]) -> None:
        """Ask the generation for something else than the next clip, in place of all that was asked before."""
        self.drop_asked()
        self.busy = busy
        self._requests.submit(task, take_answer)

    def open_scene(self, opening: OpenScene, then: Callable[[Moment], None] = lambda moment: None) -> None:
        """Ask for a scene; the drive goes on in it."""

        def take(moment: Moment) -> None:
            self._opened(moment, opening)
            then(moment)

        self.ask("opening the scene", partial(self.generator.open_scene, opening), take)

    def change(self, world: str, prompt: str, then: Callable[[bool, bool], None] = lambda world, prompt: None) -> None:
        """Ask for the present moment in another world or under another prompt.

        Args:
            world: where.
            prompt: under which prompt.
            then: called with whether the world and the prompt are others, once it is there.
        """
        assert self.trip is not None
        trip, request = self.trip, self.trip.change_to(world, prompt)

        def take(moment: Moment) -> None:
            changed = trip.changed_to(moment)
            if changed[0]:
                self.playback.forget_generation_time()
            then(*changed)

        busy = "drawing this moment anew" if world == self.trip.present.state.world else f"changing to {world}"
        self.ask(busy, partial(self.generator.change, request), take)

    def return_to(self, moment: Moment) -> None:
        """Stand at an earlier moment."""
        assert self.trip is not None
        self.drop_asked()
        self.trip.return_to(moment)
        self._hold(moment)
        self.paused, self.pause_at = False, None

    def drop_asked(self) -> None:
        """Forget what is under way or ready: it was asked for at a moment that is no more."""
        self._requests.drop()
        self._event_playing_s = None
        self.latency.take()
        self.busy = ""

    def end_of_replay(self, why: str) -> None:
        """Hand the wheel over where the recorded drive cannot be followed any further."""
        if self.script is not None:
            self.script.stop()
        self.at_wheel = "driver" if self.policy is None else "policy"
        self.waiting = True
        self.say(why, warning=True)

    def _may_ask(self, trip: Trip) -> bool:
        if self._requests.open or not self.running:
            return False
        if self._requests.answers > self._most_waiting:
            return False
        newest = self.newest(trip)
        if self.pause_at is not None and newest.state.frames_driven >= self.pause_at:
            return False
        due = self.playback.should_ask(self._requests.frames)
        if self.at_wheel == "replay":
            return self.catching_up or (due and self.following)
        return due and not newest.over

    @property
    def _most_waiting(self) -> int:
        """How many answers may wait when the next is asked for: of a driver none, so that the input is read late."""
        if not self.following or self.script is None:
            return 0
        # What a recorded driver did is known beforehand; but what needs the picture on screen waits until it is there.
        return 1 if self.script.journal.steps[self.script.done]["do"] == "drive" else -len(self._requests.ready)

    def _ask(self, trip: Trip) -> None:
        present = self.newest(trip)
        if self.following and self.script is not None:
            follow(self, trip, self.script)
        elif self.at_wheel == "policy" and self.policy is not None:
            policy = self.policy
            self._requests.ask_clip(lambda: policy.drive(present))
        else:
            controls = self._controls_after(present, self.inputs.look(self.now_s))
            action = np.array([controls.steering_rad, controls.acceleration_mps2], np.float32)
            drive = Drive(present, Act("control", action, self.generator.frames_of(present.state.world)), controls)
            parts = partial(self.generator.drive_in_parts, drive, self._goes_on)
            self._requests.ask_clip(parts, drive.act.frames, self.latency.take())

    def _goes_on(self) -> bool:
        """Whether more of an answer is wanted than its first part; asked in the thread that makes it.

        Not where the driver has turned the wheel since, if the answer to that is there when the first part has been
        played: else it would have to wait until the others are made, and then played too.
        """
        return not (self.latency.waits and self.playback.is_in_time(self._requests.frames + FIRST_SHOWN))

    def _controls_after(self, present: Moment, driver_input: DriverInput) -> Controls:
        period_s = self.generator.frames_of(present.state.world) / FPS
        return next_controls(present.controls, driver_input, present.state.ego.speed_mps, period_s, self.feel)

    def ask_clip(self, drive: Drive) -> None:
        """Ask for the clip that an action leads to."""
        self._requests.ask_clip(partial(self.generator.drive, drive))

    # Receiving

    def _failed(self, error: BaseException) -> None:
        if self.trip is None or not isinstance(error, LongDWMError):
            raise error
        self.fault = error
        self.say(str(error), warning=True)
        if self.at_wheel == "replay":
            self.end_of_replay(str(error))
        self.paused = self.at_wheel != "driver"
        self.waiting = not self.paused

    def _opened(self, moment: Moment, opening: OpenScene) -> None:
        # A recording goes on across scenes.
        recorded = self.trip if self.recorder is not None else None
        self.trip = Trip.opened(moment, opening, self.generator, self.scenes, recorded)
        self._hold(moment)
        self.waiting, self.paused, self.pause_at = self.at_wheel == "driver", False, None

    def _progress(self, what: str, share: float) -> None:
        # Called from the generation thread: one assignment, which is atomic.
        self.busy = f"{what}  {share:.0%}" if share else what
