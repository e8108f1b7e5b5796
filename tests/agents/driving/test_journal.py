import json

import pytest

from longdwm_env.agents.driving.recording.journal import InvalidReplay, Journal
from longdwm_env.agents.driving.recording.picture_sizes import PictureSizes

from .conftest import REPLAY

WHOLE = REPLAY | {"image_size": [32, 48]}


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "something"}, "not a replay file"),
        ({"seed": -1}, "seed -1"),
        ({"control_frames": 13}, "control_frames 13"),
        ({"image_size": [32, 10**9]}, "image_size"),
        ({"shown_from": 9}, "shown_from 9"),
        ({"extra": 1}, "fields"),
        ({"steps": [{"do": "jump"}]}, "step 0: 'jump'"),
        ({"steps": [{"do": "drive", "mode": "control", "action": [9.0, 0.0], "frames": 3}]}, "steering angle"),
        ({"steps": [{"do": "drive", "mode": "flying", "action": [0.0, 0.0], "frames": 3}]}, "flying"),
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
