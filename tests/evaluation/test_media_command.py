"""``longdwm media`` with an untrained pipeline: what it writes, and that it writes the same again."""

import io
import json
from contextlib import redirect_stdout

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


@pytest.fixture(scope="module")
def whole(pipeline, tmp_path_factory):
    """What the command writes of all parts, and says."""
    out, said = tmp_path_factory.mktemp("shown"), io.StringIO()
    with redirect_stdout(said):
        assert main(["media", "--world", pipeline, "--out", str(out), *WORDS]) == 0
    return out, said.getvalue()


def test_a_saved_pipeline_is_shown_whole(whole):
    out, said = whole
    frames = {"drive": 25, "directions": 25, "weather": 13}
    for name, count in frames.items():
        assert f"{name}.webp" in said
        with Image.open(out / f"{name}.webp") as film, Image.open(out / f"{name}-sheet.webp") as sheet:
            assert film.n_frames == count
            assert film.width <= 880
            assert sheet.width > 800
    facts = json.loads((out / "media.json").read_text())
    assert facts["world"] == "tiny"
    assert facts["drive"]["worlds"] == ["tiny", "simulator"]
    assert "Nighttime" in facts["weather"]["prompts"]["night"]


def test_the_same_command_makes_the_same_pictures_and_only_those_asked_for(pipeline, whole, tmp_path):
    assert main(["media", "--world", pipeline, "--parts", "directions", *WORDS, "--out", str(tmp_path)]) == 0
    pictures = ["directions-sheet.webp", "directions.webp"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*pictures, "media.json"]
    for name in pictures:
        assert (tmp_path / name).read_bytes() == (whole[0] / name).read_bytes()
    own, all_parts = (json.loads((folder / "media.json").read_text()) for folder in (tmp_path, whole[0]))
    assert own["directions"] == all_parts["directions"]
    assert not {"drive", "weather"} & set(own)


def test_mistakes_are_said_before_anything_is_written(tmp_path, capsys):
    assert main(["media", "--world", "warp", "--out", str(tmp_path / "out"), "--drive-seconds", "0"]) == 2
    assert main(["media", "--world", "warp", "--out", str(tmp_path / "out"), "--drive-scene", "5"]) == 2
    assert "trained on" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
