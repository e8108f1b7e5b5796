"""Every example runs, small."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def load(name):
        specification = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        return module.main

    return load


def test_random_loop(example, tmp_path):
    assert np.isfinite(example("random_loop")(seconds=2.0, out=tmp_path / "random.mp4"))
    assert (tmp_path / "random.mp4").stat().st_size > 1000


def test_what_the_model_sees(example, tmp_path):
    assert example("what_the_model_sees")(world="warp", out=tmp_path / "sees.png") == 7
    assert (tmp_path / "sees.png").stat().st_size > 10_000


def test_planner_loop(example):
    assert np.isfinite(example("planner_loop")(seconds=1.0, periods=1))


def test_custom_reward(example):
    assert len(example("custom_reward")(steps=2)) == 2


def test_gymnasium_wrappers(example):
    assert example("gymnasium_wrappers")(steps=2)["steps"] == 2


def test_remote_policy(example):
    pytest.importorskip("websockets", reason="websockets is not installed")
    assert np.isfinite(example("remote_policy")(steps=1))


def test_behaviour_cloning(example, tmp_path):
    error = example("behaviour_cloning")(episodes=4, seconds=3.0, epochs=1, out=tmp_path / "p.safetensors")
    assert np.isfinite(error)
    assert (tmp_path / "p.safetensors").exists()


def test_ppo(example, tmp_path):
    pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed")
    found = example("ppo")(steps=16, num_envs=2, rollout=8, test_scenes=2, seconds=1.0, out=tmp_path)
    assert set(found) == {
        *("after-0", "after-16", "after-0 sampled", "after-16 sampled"),
        *("end minus start", "end minus start sampled"),
    }
    assert all(np.isfinite(estimate.mean) for estimate in found.values())
    assert (tmp_path / "curve.csv").read_text().splitlines()[-1].startswith("16,")
    assert len((tmp_path / "test.csv").read_text().splitlines()) == 1 + 4 * 2
    assert all((tmp_path / name).exists() for name in ("ppo.safetensors", "curve.png"))
