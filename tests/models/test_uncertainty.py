"""Vista's uncertainty reward: its mechanics on tiny models."""

import gymnasium as gym
import numpy as np
import PIL.Image
import pytest
import torch

import longdwm_env  # noqa: F401 - registers LongDWM-v0
from longdwm_env.models import presets
from longdwm_env.models.network.uncertainty import guessed_share
from longdwm_env.models.world import DiffusionWorld

SIZE = (32, 48)

pytestmark = pytest.mark.filterwarnings("ignore:the camera of scene")


@pytest.fixture(scope="module")
def world(pipeline):
    return DiffusionWorld(pipeline, "tiny")


def test_the_share_that_is_guessed_by_hand():
    # Two predictions of two channels of 1 x 2: the first channel agrees, the second has V = 2 and S = 1 / 4.
    predicted = torch.tensor([[[[1.0, 3.0]], [[0.0, 1.0]]], [[[1.0, 3.0]], [[2.0, 3.0]]]])
    assert guessed_share(predicted) == pytest.approx((0 + 2 / 2.25) / 2)
    scaled = predicted * torch.tensor([100.0, 0.01])[None, :, None, None]
    assert guessed_share(scaled) == pytest.approx(guessed_share(predicted))
    assert guessed_share(torch.zeros(5, 3, 4, 6)) == 0
    noise = torch.randn(5, 3, 12, 18, generator=torch.Generator().manual_seed(0))
    assert guessed_share(noise) > 0.7


def test_a_model_that_does_not_guess_is_certain(scene_with, drive_at):
    """An untrained mini gives the warp, whatever the noise."""
    certain = DiffusionWorld(presets.build(presets.debug()))
    assert certain.uncertainty([certain.begin(scene_with(SIZE), 0)], [drive_at(8.0)])[0] == pytest.approx(0, abs=1e-12)


def test_it_is_a_reward_term(world, picture, tmp_path, monkeypatch):
    PIL.Image.fromarray(picture((64, 96))).save(tmp_path / "street.png")
    options = {"world": world, "scenes": str(tmp_path / "street.png"), "action_mode": "control"}
    env = gym.make("LongDWM-v0", **options, reward={"uncertainty": 2.0})
    env.reset(seed=7)
    before = env.unwrapped.get_state()
    action = np.array([0.05, 0.5], np.float32)
    *_, info = env.step(action)
    spread = -info["reward_terms"]["uncertainty"]
    assert spread > 0
    env.unwrapped.set_state(before)
    futures = env.unwrapped.imagine(np.stack([action[None], 0 * action[None]]))
    assert futures.rewards[0, 0] == -2.0 * spread

    def forbidden(*given):
        raise AssertionError("nobody asked")

    monkeypatch.setattr(DiffusionWorld, "uncertainty", forbidden)
    unasked = gym.make("LongDWM-v0", **options, reward={"progress": 1.0})
    unasked.reset(seed=7)
    unasked.step(action)
