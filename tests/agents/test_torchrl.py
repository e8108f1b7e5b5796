"""TorchRL takes the environment, one and many: the documented lines run, and its own checks pass."""

import gymnasium as gym
import pytest

import longdwm_env  # noqa: F401 - registers LongDWM-v0
from longdwm_env.agents.torchrl_vector import LastObservations

envs = pytest.importorskip("torchrl.envs", reason="torchrl is not installed")

SMALL = {"world": "warp", "image_size": (24, 36), "max_episode_s": 2.0}


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({"action_mode": "control"}, "frames"),
        ({"action_mode": "trajectory"}, "frames"),
        ({"action_mode": "command", "obs_mode": "frame"}, "pixels"),
    ],
)
def test_specs_are_right(options, seen):
    env = envs.GymEnv("LongDWM-v0", device="cpu", **SMALL, **options)
    envs.check_env_specs(env)
    rolled = env.rollout(2)
    assert rolled["next", seen].shape[-3:] == (24, 36, 3)
    assert rolled["next", "reward"].isfinite().all()


def test_the_default_world():
    env = envs.GymEnv("LongDWM-v0", world="mini", action_mode="control", device="cpu")
    envs.check_env_specs(env)


@pytest.mark.parametrize("mode", ["Disabled", "SameStep"])
def test_many_begin_anew_and_end_with_their_own_last_observation(mode):
    def made():
        vector = gym.make_vec("LongDWM-v0", num_envs=2, autoreset_mode=mode, action_mode="control", **SMALL)
        return envs.GymWrapper(vector if mode == "Disabled" else LastObservations(vector), device="cpu")

    envs.check_env_specs(made())
    # Another one: after a step that ended some episodes and not all, TorchRL puts observations that it kept then over
    # those of the next whole reset (VecGymEnvTransform._reset, 0.14).
    rolled = made().rollout(5, break_when_any_done=False)
    assert rolled["next", "frames"].shape == (2, 5, 12, 24, 36, 3)
    before_s, after_s = rolled["ego"][..., -1], rolled["next", "ego"][..., -1]
    over = rolled["next", "done"].squeeze(-1)
    assert over.any()
    # Every step, also one that ends an episode, is a second on from where it began; what follows an end is a start.
    assert (after_s == before_s + 1).all()
    assert (before_s[:, 1:][over[:, :-1]] == 0).all()
