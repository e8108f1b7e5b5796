import base64
import json
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longdwm_env.agents.driving.engine.branching import WAYS, ask_branches, branches_of, go_on
from longdwm_env.agents.driving.engine.open_worlds import Drive
from longdwm_env.agents.driving.engine.timeline import Act
from longdwm_env.agents.driving.input.pedals import DriverInput
from longdwm_env.agents.driving.recording.journal import InvalidReplay, Journal, act_of
from longdwm_env.agents.driving.recording.links import MAX_LINK_CHARS, journal_of_link, link_of
from longdwm_env.errors import InvalidConfig


def journal(actions, **changes):
    made = Journal("warp", "simulator:3", 3, None, changes.pop("scenes", None), (32, 48), 3)
    for action in actions:
        made.drove(Act("control", np.asarray(action, np.float32), 3))
    return made


@given(st.lists(st.tuples(st.floats(-0.5, 0.5, width=32), st.floats(-6, 3, width=32)), max_size=30))
def test_link_gives_back_every_action_to_the_last_bit(actions):
    one = journal(actions, scenes="/home/somebody/street.png")
    one.note("back", number=0)
    one.note("world", world="simulator")
    link = link_of(one, "photo")
    assert link.replace("-", "").replace("_", "").isalnum()
    other = journal_of_link(link)
    assert other.scenes == "photo"
    assert "somebody" not in json.dumps(other.record())
    assert len(other.steps) == len(one.steps)
    for before, after in zip(one.steps, other.steps, strict=True):
        if before["do"] == "drive":
            assert np.array_equal(act_of(before).action, act_of(after).action)
        else:
            assert before == after


def packed(data):
    return base64.urlsafe_b64encode(zlib.compress(data, 9)).decode().rstrip("=")


def test_link_that_unpacks_to_gigabytes_is_refused_unread():
    bomb = packed(b" " * (40 * 2**20))
    assert len(bomb) < MAX_LINK_CHARS
    with pytest.raises(InvalidReplay, match="more than a drive"):
        journal_of_link(bomb)
    with pytest.raises(InvalidReplay):
        journal_of_link(packed(b"[" * 100_000))


def test_drive_that_is_too_long_for_a_link_says_so():
    rng = np.random.default_rng(0)
    with pytest.raises(InvalidConfig, match="too long for a link"):
        link_of(journal(rng.uniform(-0.4, 0.4, (20_000, 2))), None)


def test_three_drives_begin_at_one_moment_and_are_each_as_if_driven_alone(started, run):
    session, inputs = started()
    inputs.driver_input = DriverInput(throttle=0.5)
    run(session, 1.0)
    start = session.trip.present
    ways = branches_of(session.generator, start)
    assert [way.name for way in ways] == [name for name, _ in WAYS]
    yaw = [way.moments[-1].state.ego.heading_rad for way in ways]
    assert yaw[0] > yaw[1] > yaw[2]
    for way in ways:
        alone = start
        for moment in way.moments:
            alone = session.generator.drive(Drive(alone, moment.act, moment.controls))
        assert np.array_equal(alone.frames, way.moments[-1].frames)
        assert alone.state.ego == way.moments[-1].state.ego
    assert session.trip.present is start


def test_going_on_from_a_branch_is_as_if_it_had_been_driven(started, run):
    session, inputs = started()
    inputs.driver_input = DriverInput(throttle=0.5)
    run(session, 1.0)
    inputs.driver_input = DriverInput()
    got = []
    ask_branches(session, lambda start, ways: got.append((start, ways)))
    run(session, 0.1)
    ((start, ways),) = got
    assert session.paused
    assert go_on(session, start, ways[0])
    assert session.trip.present is ways[0].moments[-1]
    assert len(session.trip.path) == session.trip.present.number == len(session.trip.journal.steps)
    assert session.waiting
    assert not go_on(session, start, ways[1])
    inputs.driver_input = DriverInput(throttle=0.5)
    run(session, 1.0)
    assert session.trip.present.number > ways[0].moments[-1].number
