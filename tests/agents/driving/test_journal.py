import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longdwm_env.agents.driving.engine.timeline import Act
from longdwm_env.agents.driving.recording.journal import InvalidReplay, Journal, act_of
from longdwm_env.agents.driving.recording.picture_sizes import PictureSizes

WHOLE = {
    "format": "longdwm-drive",
    "version": 2,
    "world": "warp",
    "scene": "simulator:3",
    "seed": 3,
    "prompt": None,
    "scenes": None,
    "image_size": [32, 48],
    "control_frames": 3,
    "steps": [
        {"do": "drive", "mode": "control", "action": [0.1, 1.0], "frames": 3},
        {"do": "world", "world": "simulator"},
        {"do": "prompt", "prompt": "Weather: Rainy."},
        {"do": "back", "number": 0},
        {"do": "scene", "scene": "simulator:4", "seed": 4, "prompt": None},
    ],
    "shown_from": 1,
    "learned_own_size": False,
}


def load(tmp_path, record):
    path = tmp_path / "replay.json"
    path.write_text(record if isinstance(record, str) else json.dumps(record))
    return Journal.load(path)


def test_what_is_saved_comes_back(tmp_path):
    journal = load(tmp_path, WHOLE)
    journal.save(tmp_path / "again.json")
    assert Journal.load(tmp_path / "again.json") == journal
    assert json.loads((tmp_path / "again.json").read_text()) == WHOLE


def test_files_of_before_are_read_and_keep_their_sizes(tmp_path):
    first = {name: value for name, value in WHOLE.items() if name != "learned_own_size"} | {"version": 1}
    assert load(tmp_path, first).sizes == PictureSizes((32, 48), learned_own=True)
    assert load(tmp_path, WHOLE).sizes == PictureSizes((32, 48))


@given(st.floats(-0.5, 0.5, width=32), st.floats(-8, 4, width=32))
def test_actions_come_back_bit_for_bit(tmp_path_factory, steering, acceleration):
    journal = Journal("warp", "one", 0, None, None, None, 3)
    act = Act("control", np.float32([steering, acceleration]), 3)
    journal.drove(act)
    path = tmp_path_factory.mktemp("replay") / "drive.json"
    journal.save(path)
    again = act_of(Journal.load(path).steps[0])
    assert again.action.tobytes() == act.action.tobytes()
    assert (again.mode, again.frames) == (act.mode, act.frames)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "something"}, "not a replay file"),
        ({"version": 3}, "version 3"),
        ({"seed": -1}, "seed -1"),
        ({"seed": True}, "seed is bool"),
        ({"control_frames": 13}, "control_frames 13"),
        ({"image_size": [32]}, "image_size"),
        ({"image_size": [32, 10**9]}, "image_size"),
        ({"shown_from": 9}, "shown_from 9"),
        ({"extra": 1}, "fields"),
        ({"steps": ["x"]}, "step 0"),
        ({"steps": [{"do": "jump"}]}, "step 0: 'jump'"),
        ({"steps": [{"do": "drive", "mode": "control", "action": [9.0, 0.0], "frames": 3}]}, "steering angle"),
        ({"steps": [{"do": "drive", "mode": "control", "action": [[0.0], 0.0], "frames": 3}]}, "step 0"),
        ({"steps": [{"do": "drive", "mode": "flying", "action": [0.0, 0.0], "frames": 3}]}, "flying"),
        ({"steps": [{"do": "drive", "mode": "control", "action": [0.0, 0.0], "frames": 0}]}, "frames 0"),
        ({"steps": [{"do": "back"}]}, "step 0 has the fields"),
    ],
)
def test_damaged_files_are_refused_with_the_reason(tmp_path, change, message):
    with pytest.raises(InvalidReplay, match=message):
        load(tmp_path, WHOLE | change)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "NaN", "[" * 100_000, '{"format": "longdwm-drive"}'])
def test_other_files_are_refused(tmp_path, text):
    with pytest.raises(InvalidReplay):
        load(tmp_path, text)
