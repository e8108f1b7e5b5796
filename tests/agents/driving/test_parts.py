"""Answers that come in parts: the first frames are shown while the others are made."""

import numpy as np
import pytest

from longdwm_env.agents.driving.engine.open_worlds import FIRST_SHOWN, Drive, Generator, OpenScene
from longdwm_env.agents.driving.engine.session import Session
from longdwm_env.agents.driving.engine.timeline import Act, Moment
from longdwm_env.agents.driving.engine.world_worker import _performed
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
    session, worker, inputs = held
    tick(session, 0.1)
    assert worker.submitted == 2, "the scene and a clip"
    looks = inputs.looks
    inputs.driver_input = DriverInput(steer=1.0)
    worker.let()
    tick(session, 0.05)
    assert (session.trip.present.number, len(session.trip.present.frames)) == (1, FIRST_SHOWN)
    tick(session, 1.0)
    assert session.trip.present.number == 1
    assert session.playback.waited_s > 0
    assert worker.submitted == 2
    assert inputs.looks == looks, "both parts are one action"
    worker.let()
    tick(session, 0.05)
    assert (session.trip.present.number, session.trip.present.state.frames_driven) == (2, FRAMES)
    np.testing.assert_array_equal(*(act.action for act in session.trip.path))


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
