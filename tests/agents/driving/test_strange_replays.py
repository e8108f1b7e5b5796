"""Replays, links and orders that strangers may send: they are followed or refused, whatever stands in them.

``LONGDWM_FUZZ_CASES=20000`` in the environment tries as many of each (CONTRIBUTING.md).
"""

import json

import pytest

from longdwm_env.agents.driving.engine.following import Script
from longdwm_env.agents.driving.engine.open_worlds import Generator, OpenScene
from longdwm_env.agents.driving.engine.session import Session
from longdwm_env.agents.driving.engine.world_worker import InlineWorker
from longdwm_env.agents.driving.recording.journal import InvalidReplay, journal_of
from longdwm_env.agents.driving.recording.links import journal_of_link, link_of
from longdwm_env.agents.driving.window.screen import screen_of
from longdwm_env.agents.driving_page.wire import words_of
from longdwm_env.errors import LongDWMError

from ..damage import cases, changed
from .conftest import REPLAY, GreyWorld, StillInputs, grey_scene

EXTREMES = [[0.5, 4.0], [-0.5, -8.0], [0.0, 0.0], [1e-30, -1e-30], [0.61, 4.0], [[0.0, 0.0]] * 4, [[120.0, 60.0]] * 4]
EXTREMES += [[[-20.0, -60.0], [120.0, 60.0], [-20.0, 60.0], [120.0, -60.0]], 0, 6, [["1", "2"]] * 4, ["0.1", "1"]]
STEPS = 40
"""Ticks of a quarter of a second: every replay here has an end before that."""


def strange(chance):
    """The replay above with something else in it, or its actions at the bounds and beyond, often."""
    if chance.random() < 0.5:
        return changed(chance, changed(chance, REPLAY) if chance.random() < 0.3 else REPLAY)
    steps = [dict(step) for step in REPLAY["steps"]]
    for step in steps:
        if step["do"] == "drive" and chance.random() < 0.6:
            step |= {
                "mode": chance.choice(["control", "trajectory", "command", "delta_trajectory"]),
                "action": chance.choice(EXTREMES),
                "frames": chance.randrange(1, 13),
            }
        elif step["do"] in ("back", "scene") and chance.random() < 0.3:
            name = chance.choice([name for name in step if name not in ("do", "scene")])
            step[name] = chance.choice([0, 1, 3, 10**30, 2**63, -1, "Weather: caf\ud800\x00"])
        elif step["do"] == "prompt" and chance.random() < 0.3:
            step["prompt"] = chance.choice(["", "\x00\ud800", "Weather: " + "y" * 5000, "Time: Night.\n" * 50])
    return {**REPLAY, "steps": [step for step in steps if chance.random() < 0.9], "shown_from": 0}


@pytest.fixture(scope="module")
def generator():
    """Its scenes stay open from case to case."""
    worlds = {"grey": GreyWorld("grey"), "other": GreyWorld("other", step=2, image_size=(16, 24))}
    return Generator([grey_scene("one"), grey_scene("two")], None, 3, worlds=worlds)


def test_strange_replays_are_driven_or_refused(generator, tmp_path):
    """Each is driven to its end, or to where it cannot be followed, and what was driven can be watched again."""
    driven = []
    for chance in cases():
        try:
            journal = journal_of(json.loads(json.dumps(strange(chance))))
        except InvalidReplay as error:
            str(error).encode("utf-8")
            continue
        for name in {journal.world, *(step["world"] for step in journal.steps if step["do"] == "world")}:
            # Names that no world has would be looked for on the disk.
            generator._worlds.setdefault(name, generator.world("grey"))
        session = Session(
            generator=generator,
            worker=InlineWorker(),
            inputs=StillInputs(),
            worlds=("grey", "other"),
            opening=OpenScene(journal.world, journal.seed, journal.scene, journal.prompt),
            scenes=None,
            out=tmp_path,
            script=Script(journal),
        )
        try:
            for tick in range(STEPS):
                session.tick(tick / 4)
                json.loads(words_of(screen_of(session, 12.0)))
                if session.waiting:
                    break
            else:
                pytest.fail(f"it has no end: {journal}")
        except LongDWMError:
            # Where not even the first scene opens there is nothing to go back to.
            assert session.trip is None
            continue
        told = json.loads(json.dumps(session.trip.journal.record(), allow_nan=False))
        assert journal_of(told) == session.trip.journal
        assert len(journal_of_link(link_of(session.trip.journal, None)).steps) == len(session.trip.journal.steps)
        driven.append(len(session.trip.journal.steps))
    assert max(driven) > 4
