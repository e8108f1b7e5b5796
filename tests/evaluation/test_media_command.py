"""``longdwm media`` with an untrained pipeline: what it writes, and that it writes the same again."""

import json

import pytest
from PIL import Image

from longdwm_env.cli import main
from longdwm_env.models import presets

WORDS = ["--drive-seconds", "2", "--directions-seconds", "2", "--aside-m", "1.5", "--weather-seconds", "1"]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media") / "tiny"
    presets.build(presets.debug()).save_pretrained(folder)
    return str(folder)


def test_a_saved_pipeline_is_shown_whole(pipeline, tmp_path, capsys):
    assert main(["media", "--world", pipeline, "--out", str(tmp_path), *WORDS]) == 0
    shown = capsys.readouterr().out
    frames = {"drive": 25, "directions": 25, "weather": 13}
    for name, count in frames.items():
        assert f"{name}.webp" in shown
        with Image.open(tmp_path / f"{name}.webp") as film, Image.open(tmp_path / f"{name}-sheet.webp") as sheet:
            assert film.n_frames == count
            assert film.width <= 880
            assert sheet.width > 800
    facts = json.loads((tmp_path / "media.json").read_text())
    assert facts["world"] == "tiny"
    assert facts["drive"]["worlds"] == ["tiny", "simulator"]
    assert "Nighttime" in facts["weather"]["prompts"]["night"]


def test_the_same_command_makes_the_same_pictures_and_only_those_asked_for(pipeline, tmp_path):
    words = ["media", "--world", pipeline, "--parts", "directions", *WORDS]
    for name in ("first", "second"):
        assert main([*words, "--out", str(tmp_path / name)]) == 0
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert files == ["directions-sheet.webp", "directions.webp", "media.json"]
    for name in files:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_mistakes_are_said_before_anything_is_written(tmp_path, capsys):
    assert main(["media", "--world", "warp", "--out", str(tmp_path / "out"), "--drive-seconds", "0"]) == 2
    assert main(["media", "--world", "warp", "--out", str(tmp_path / "out"), "--drive-scene", "5"]) == 2
    assert "trained on" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
