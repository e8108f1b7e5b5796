"""Answers that come in parts: the first frames are shown while the others are made."""

import numpy as np
import pytest

from longdwm_env.agents.driving.engine.open_worlds import FIRST_SHOWN, Drive, Generator, OpenScene
from longdwm_env.agents.driving.engine.session import Session
from longdwm_env.agents.driving.engine.session_commands import perform
from longdwm_env.agents.driving.engine.timeline import Act, Moment
from longdwm_env.agents.driving.engine.world_worker import _performed
from longdwm_env.agents.driving.input.key_commands import Command
from longdwm_env.agents.driving.input.pedals import DriverInput

from .conftest import GreyWorld, StillInputs, grey_scene

FRAMES = 4
GAS = DriverInput(throttle=0.5)


class FinishingGreyWorld(GreyWorld):
    """It says that it goes on with its seconds, as learned worlds do."""

    finish_seconds = False


class HeldWorker:
    """Does as much as the test lets it: one part of an answer for each ``let``."""

    def __init__(self) -> None:
        self.tasks = []
        self.done = []
        self.submitted = 0
        self.waited_s = []

    def wait(self, seconds):
        self.waited_s.append(seconds)

    def submit(self, ticket, task):
        self.tasks.append(_performed(ticket, task))
        self.submitted += 1

    def let(self):
        while self.tasks:
            result = next(self.tasks[0], None)
            if result is not None:
                self.done.append(result)
                return
            self.tasks.pop(0)

    def results(self):
        done, self.done = self.done, []
        return done

    def close(self):
        self.tasks.clear()


@pytest.fixture
def held(tmp_path):
    worker, inputs = HeldWorker(), StillInputs()
    generator = Generator([grey_scene("one")], None, FRAMES, worlds={"grey": FinishingGreyWorld()})
    session = Session(generator, worker, inputs, ("grey",), OpenScene("grey", 0), None, tmp_path)
    worker.let()
    session.tick(0.0)
    inputs.driver_input = GAS
    return session, worker, inputs


def tick(session, seconds, step_s=1 / 60):
    for _ in range(round(seconds / step_s)):
        session.tick(session.now_s + step_s)


def test_first_frames_are_shown_while_the_others_are_made(held):
    session, worker, _ = held
    tick(session, 0.1)
    assert worker.submitted == 2, "the scene and a clip"
    worker.let()
    tick(session, 0.05)
    assert (session.trip.present.number, len(session.trip.present.frames)) == (1, FIRST_SHOWN)
    tick(session, 1.0)
    assert session.trip.present.number == 1
    assert session.playback.waited_s > 0
    assert worker.submitted == 2
    worker.let()
    tick(session, 0.05)
    assert (session.trip.present.number, session.trip.present.state.frames_driven) == (2, FRAMES)


def test_both_parts_are_one_action_and_input_is_read_once(held):
    session, worker, inputs = held
    tick(session, 0.1)
    looks = inputs.looks
    inputs.driver_input = DriverInput(steer=1.0)
    worker.let()
    worker.let()
    tick(session, 0.02)
    first, second = session.trip.journal.steps[:1], session._requests.ready
    assert inputs.looks == looks
    assert first[0]["frames"] == FIRST_SHOWN
    assert np.array_equal(second[0].moment.act.action, np.float32(first[0]["action"]))
    assert (second[0].moment.act.frames, second[0].first) == (FRAMES - FIRST_SHOWN, False)


def test_who_turns_before_the_first_part_is_there_is_answered_after_it(held):
    session, worker, inputs = held
    tick(session, 0.1)
    inputs.driver_input = DriverInput(steer=1.0)
    session.touched(session.now_s)
    worker.let()
    tick(session, 0.02)
    assert not session._requests.open, "the others of the old way are not made"
    assert session.playback.whole.measured == 0
    tick(session, FIRST_SHOWN / 12)
    assert worker.submitted == 3
    worker.let()
    tick(session, 0.1)
    assert session.trip.present.number == 2
    assert [act.frames for act in session.trip.path] == [FIRST_SHOWN, FIRST_SHOWN]
    assert session.trip.path[0].action[0] < session.trip.path[1].action[0]
    assert session._requests.open, "and the others of the new way are"


def test_the_others_are_made_where_another_answer_would_come_too_late(held):
    session, worker, _ = held
    tick(session, 0.1)
    for _ in range(2):
        session.playback.generation.add(FIRST_SHOWN / 12 + 0.1)
    session.touched(session.now_s)
    worker.let()
    session.tick(session.now_s)
    assert session._requests.open


def test_next_answer_follows_the_part_that_waits_and_only_one_answer_is_ahead(held):
    session, worker, inputs = held
    tick(session, 0.1)
    worker.let()
    worker.let()
    tick(session, 2 / 12)
    inputs.driver_input = DriverInput(steer=1.0)
    tick(session, 2 / 12 - 0.02)
    assert session.trip.present.number == 2
    worker.let()
    session.tick(session.now_s)
    asked = session._requests.ready[-1].moment
    assert (asked.number, asked.state.frames_driven) == (3, FRAMES + FIRST_SHOWN)
    worker.let()
    session.playback.generation.add(10.0)
    session.playback.generation.add(10.0)
    asked = worker.submitted
    session.tick(session.now_s)
    session.tick(session.now_s)
    assert worker.submitted == asked, "an answer waits already"


def test_window_rests_until_its_next_look_or_until_a_clip_that_waits_is_due(held):
    session, worker, _ = held
    tick(session, 0.1)
    worker.let()
    worker.let()
    tick(session, 2 / 12 - 0.01)
    assert 0.01 < session.playback.remaining_s < 0.05
    for seconds in (1.0, 0.001, -0.1):
        session.rest(seconds)
    assert worker.waited_s == [session.playback.remaining_s, 0.001, 0.0]
    tick(session, 0.05)
    assert not session._requests.ready
    session.rest(1.0)
    assert worker.waited_s[-1] == 1.0


def test_going_back_drops_parts_that_wait(held):
    session, worker, _ = held
    tick(session, 0.1)
    worker.let()
    tick(session, 0.05)
    worker.let()
    perform(session, Command.BACK_1_S)
    tick(session, 0.5)
    assert session.trip.present.number == 0
    assert not session._requests.ready


def test_one_second_is_a_second_in_parts_too(held):
    session, worker, _ = held
    perform(session, Command.SINGLE_INTERVAL)
    for _ in range(200):
        worker.let()
        tick(session, 0.05)
    assert session.paused
    assert session.trip.present.state.frames_driven == 12


def test_a_drive_that_ends_in_the_first_part_ends_there(held, monkeypatch):
    session, _, _ = held
    monkeypatch.setattr(Moment, "over", property(lambda self: self.number == 1))
    asked = Drive(session.trip.present, Act("control", np.zeros(2, np.float32), FRAMES))
    assert [(part.more, len(part.answer.frames)) for part in session.generator.drive_in_parts(asked)] == [
        (False, FIRST_SHOWN)
    ]


def test_a_world_that_the_machine_cannot_keep_up_with_is_told_once_with_a_size_that_is_quicker(held, monkeypatch):
    session, worker, _ = held
    monkeypatch.setattr("longdwm_env.agents.driving.engine.open_worlds.own_image_size", lambda world: (4, 6))
    said = []
    monkeypatch.setattr(session, "say", lambda text, warning=False: said.append(text))
    for _ in range(30):
        tick(session, 0.5)
        worker.let()
    assert session.playback.rate < 0.8
    assert said == ["grey is slower than real time here: --image-size 4 6 is quicker"]
    assert session.generator.quicker_size("warp") is None
