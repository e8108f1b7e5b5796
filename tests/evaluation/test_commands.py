"""``longdwm metrics truth | obey | cars | text``: tables, pictures, and nothing driven twice."""

import json

import pytest
import torch

from longdwm_env.cli import main
from longdwm_env.models.readers.scorer import DrivingEncoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quality")
    torch.manual_seed(0)
    DrivingEncoder(channels=(8, 8, 16, 16), feature_dim=16).save_pretrained(folder / "scorer")
    return folder


def measured(folder, *words):
    """What a command wrote, with the scene that has a car ahead as the first."""
    places = ["--out", str(folder / "out"), "--drives", str(folder / "drives"), "--encoder", str(folder / "scorer")]
    assert main(["metrics", *words, "--world", "warp", "--against", "--first-seed", "1000010", *places]) == 0
    return json.loads((folder / "out" / f"{words[0]}.json").read_text())


def times(folder):
    return {path: path.stat().st_mtime_ns for path in (folder / "drives").rglob("*.safetensors")}


def test_truth_and_cars_share_their_drives_and_nothing_is_driven_twice(folder, capsys) -> None:
    first = measured(folder, "truth", "--scenes", "1")
    driven = times(folder)
    assert len(driven) == 2
    assert measured(folder, "truth", "--scenes", "1")["rows"] == first["rows"]
    assert times(folder) == driven
    assert first["facts"]["seeds"].startswith("1000010")
    cars = measured(folder, "cars", "--scenes", "1")
    assert {path: time for path, time in times(folder).items() if path in driven} == driven
    assert {row["world"] for row in cars["rows"]} >= {"simulator", "warp"}
    for name in ("truth.csv", "truth.md", "truth-scenes.csv", "truth-sheet-1.png", "cars-sheet-1.png"):
        assert (folder / "out" / name).stat().st_size > 0
    assert "warp against the truth" in capsys.readouterr().out


def test_text_and_obey_are_measured(folder) -> None:
    text = measured(folder, "text", "--scenes", "1")
    assert [row["drives"] for row in text["rows"]] == [1, 1, 1]
    assert (folder / "out" / "text-confusion.csv").exists()
    obey = measured(folder, "obey", "--scenes", "1", "--modes", "command")
    assert {row["world and actions"] for row in obey["rows"]} == {
        "simulator, command", "simulator, all", "warp, command", "warp, all",
    }  # fmt: skip


def test_what_cannot_be_measured_is_said(tmp_path, capsys) -> None:
    assert main(["metrics", "last", "--world", "warp", "--seconds", "12", "--out", str(tmp_path)]) == 2
    assert "20 s or more" in capsys.readouterr().err
    assert main(["metrics", "text", "--world", "warp", "--encoder", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "holds no scorer" in capsys.readouterr().err
    assert main(["metrics", "obey", "--world", "warp", "--reader", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "holds no inverse-dynamics" in capsys.readouterr().err


def test_all_tables_are_made_together_and_once(folder, capfd) -> None:
    out = folder / "tables"
    words = ["metrics", "tables", "--world", "warp", "--against", "--first-seed", "1000010", "--scenes", "1"]
    words += ["--long-drives", "1", "--seconds", "2", "--processes", "1", "--encoder", str(folder / "scorer")]
    words += ["--names", "detail", "truth", "--out", str(out), "--drives", str(folder / "drives")]
    assert main(words) == 0
    assert all(json.loads((out / f"{name}.json").read_text())["rows"] for name in ("detail", "truth"))
    for name in ("detail.csv", "detail.md", "detail-scenes.csv", "detail-sheet-1.png"):
        assert (out / name).stat().st_size > 0
    assert not (out / "cars.json").exists()
    assert main(words) == 2
    assert "holds all tables of these weights" in capfd.readouterr().err


def test_drives_are_those_of_all_models_of_a_pipeline() -> None:
    from longdwm_env.evaluation.drives.drive_set import world_version
    from longdwm_env.models.bundled import bundled_pipeline_folder
    from longdwm_env.models.world import DiffusionWorld

    world = DiffusionWorld.from_pretrained(bundled_pipeline_folder())
    before = world_version(world)
    with torch.no_grad():
        next(world.pipeline.compositor.parameters()).add_(1)
    assert world_version(world) != before
