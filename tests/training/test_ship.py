import json
import tomllib
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import longdwm_env  # noqa: F401 - registers LongDWM-v0
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.report import Table
from longdwm_env.evaluation.statistics import Interval
from longdwm_env.factory import make_world
from longdwm_env.models import bundled
from longdwm_env.training.recipes import recipe
from longdwm_env.training.shipping.model_card import CARD, NOT_MEASURED
from longdwm_env.training.shipping.ship import ship
from longdwm_env.training.workspace import Workspace

ROOT = Path(__file__).parents[2]


@pytest.fixture
def workspace(tmp_path):
    """As training leaves it, but for the weights, which are random."""
    made = Workspace(tmp_path / "mini")
    made.prepare(recipe("mini-simulator", "debug"))
    made.footage.mkdir()
    manifest = {"made_from": {"source": "simulator", "simulator": "abc123", "frames": 145, "mix": {"lateral_m": 1.8}}}
    (made.footage / "manifest.json").write_text(json.dumps(manifest))
    for stage, steps in (("codec", 60), ("coarse", 7200), ("fine", 40)):
        made.stage(stage).mkdir()
        (made.stage(stage) / "run.json").write_text(json.dumps({"config": {"loop": {"batch_size": 16}}}))
        lines = [{"step": step, "loss": 1.0, "samples_per_s": 16.0} for step in (steps // 2, steps)]
        (made.stage(stage) / "losses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        made.mark_done(stage, {"steps": steps, "loss": 1.0})
    return made


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Stands for the folder of weights in the package."""
    folder = tmp_path / "weights"
    monkeypatch.setattr(bundled, "MINI", folder / "mini")
    return folder


def test_what_is_shipped_is_world_mini(workspace, weights):
    size = ship(workspace, weights / "mini")
    assert size == sum(path.stat().st_size for path in (weights / "mini").rglob("*") if path.is_file())
    assert [path.name for path in weights.iterdir()] == ["mini"]
    world = make_world("mini", device="cpu")
    assert (world.name, world.image_size) == ("mini", (32, 48))
    assert world.pipeline.coarse.dtype == torch.float32
    trained = workspace.load().coarse.state_dict()
    for name, weight in world.pipeline.coarse.state_dict().items():
        assert torch.equal(weight, trained[name].to(torch.bfloat16).float()), name
    stored = load_file(weights / "mini" / "coarse" / "diffusion_pytorch_model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.bfloat16}


def test_gym_makes_it_and_says_what_it_made_of_a_prompt(workspace, weights):
    ship(workspace, weights / "mini")
    env = gym.make("LongDWM-v0", world="mini", device="cpu", prompt="a foggy midnight, with 3 elephants")
    _, info = env.reset(seed=7)
    assert info["prompt"] == "a foggy midnight, with 3 elephants"
    assert info["prompt_understood"] == "Weather: Foggy.\nTime: Nighttime."
    observation, _, _, _, info = env.step(np.array([[3, 0], [6, 0], [9, 0], [12, 0]], np.float32))
    assert observation["frames"].shape == (12, 32, 48, 3)
    assert info["prompt_understood"] == "Weather: Foggy.\nTime: Nighttime."


def test_the_wheel_holds_every_file_that_is_shipped(workspace, weights):
    ship(workspace, weights / "mini")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["longdwm_env.models"]
    held = {path for pattern in patterns for path in weights.parent.glob(pattern)}
    assert {path for path in weights.rglob("*") if path.is_file()} <= held
    assert bundled.WEIGHTS == ROOT / "models" / "weights"


def test_the_card_says_what_is_known_and_nothing_else(workspace, weights):
    ship(workspace, weights / "mini")
    card = (weights / "mini" / CARD).read_text()
    assert "mini-simulator (debug)" in card
    readme = (weights / "mini" / "README.md").read_text()
    assert "library_name: diffusers" in readme
    assert card.split("\n\n")[1] in readme
    assert "hash of the simulator's code: abc123" in card
    assert "| coarse | 7,200 | 16 | 2.00 | finished |" in card
    assert NOT_MEASURED in card
    assert "No safety decision" in card
    assert "clips of" not in card
    assert "waiting included" not in card
    assert str(workspace.root) not in "".join(path.read_text() for path in (weights / "mini").rglob("*.json")) + card

    (workspace.stage("fine") / "losses.jsonl").unlink()
    (workspace.stage("fine") / "run.json").unlink()
    (workspace.footage / "manifest.json").unlink()
    ship(workspace, weights / "mini")
    card = (weights / "mini" / CARD).read_text()
    assert "| fine | 40 | not recorded | not recorded | finished |" in card
    assert "Footage: not recorded." in card


def test_results_that_are_there_are_printed(workspace, weights, tmp_path):
    rows = (("mini", (Interval(21.5, 20.0, 23.0), None)),)
    paper = (("LongDWM", (1.0, 2.0)),)
    table = Table("truth", "Against the truth", ("world", "PSNR", "FDS"), rows, 200, {"seeds": "1000000 on"}, (), paper)
    table.write(tmp_path / "results")
    (tmp_path / "results" / "other.json").write_text("[1, 2]")
    ship(workspace, weights / "mini", tmp_path / "results")
    card = (weights / "mini" / CARD).read_text()
    assert "| mini | 21.5 (20 to 23) | - |" in card
    assert "- samples: 200\n- seeds: 1000000 on" in card
    assert "| LongDWM |" not in card
    assert NOT_MEASURED not in card


def test_nothing_untrained_and_nothing_too_large_is_shipped(workspace, weights):
    size = ship(workspace, weights / "mini")
    before = (weights / "mini" / CARD).read_bytes()
    (weights / "scorer").mkdir()
    (weights / "scorer" / "x.safetensors").write_bytes(bytes(1000))
    with pytest.raises(InvalidConfig, match="may have"):
        ship(workspace, weights / "mini", limit_bytes=size + 999)
    (workspace.stage("fine") / "done.json").unlink()
    with pytest.raises(InvalidConfig, match="fine have not been trained"):
        ship(workspace, weights / "mini")
    assert (weights / "mini" / CARD).read_bytes() == before
    assert sorted(path.name for path in weights.iterdir()) == ["mini", "scorer"]
