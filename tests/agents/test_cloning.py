import numpy as np
import pytest
import torch

from longdwm_env.agents.cloning.demonstrations import Demonstrations, demonstrate
from longdwm_env.agents.cloning.network import ClonedSettings
from longdwm_env.agents.cloning.policy import save
from longdwm_env.agents.cloning.training import CloningSettings, clone
from longdwm_env.agents.naming import PolicySpec, environment_needs, make_policy
from longdwm_env.agents.policy import PolicyContext
from longdwm_env.errors import InvalidConfig

SMALL = ClonedSettings(channels=4, hidden=16)


@pytest.fixture(scope="module")
def steering():
    """A bright half says where to go: something that a network can learn from pictures only."""
    random = np.random.default_rng(0)
    side = random.choice([-1.0, 1.0], 96)
    images = np.zeros((96, 48, 72, 6), np.uint8)
    images[side > 0, :, :36] = 200
    images[side < 0, :, 36:] = 200
    ego = np.zeros((96, 4), np.float32)
    ego[:, 0] = 8 / 15
    times = np.array([0.5, 1.0, 1.5, 2.0])
    waypoints = np.stack([np.tile(8 * times, (96, 1)), side[:, None] * times**2], axis=2).astype(np.float32)
    return Demonstrations(images, ego, waypoints)


def test_it_learns_what_only_the_picture_tells(steering):
    result = clone(steering, SMALL, CloningSettings(epochs=20, batch=16))
    assert result.held_out_m[-1] < 0.25 * 1.75


def test_a_default_device_of_the_user_s_reaches_into_neither_training_nor_driving(steering, tmp_path, make_environment):
    environment = make_environment()
    observation, info = environment.reset(seed=0)
    actions = []
    for device in (None, "meta"):
        torch.set_default_device(device)
        try:
            save(clone(steering, SMALL, CloningSettings(epochs=1)).network, tmp_path / "a.safetensors")
            policy = make_policy(str(tmp_path / "a.safetensors"), PolicyContext.of(environment))
            policy.reset(observation, info)
            actions.append(policy.act(observation, info))
        finally:
            torch.set_default_device(None)
    np.testing.assert_array_equal(*actions)
    assert environment.action_space.contains(actions[0])
    assert environment_needs(PolicySpec.parse(str(tmp_path / "a.safetensors"))).action_mode == "trajectory"


def test_demonstrations_hold_the_expert_also_where_it_is_shaken(make_environment):
    data = demonstrate(make_environment(max_episode_s=3.0), [0, 1], noise=0.3)
    assert len(data) == 6
    assert data.images.shape == (6, 48, 72, 6)
    assert np.abs(data.waypoints_m[:3, :, 1]).max() < 0.01 < np.abs(data.waypoints_m[3:, :, 1]).max()


def test_too_little_data_is_refused(steering):
    few = Demonstrations(steering.images[:4], steering.ego[:4], steering.waypoints_m[:4])
    with pytest.raises(InvalidConfig):
        clone(few, SMALL, CloningSettings())
