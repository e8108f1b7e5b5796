"""What others demand of an environment: Gymnasium's checks, Stable-Baselines3's, and the wrappers people use."""

import importlib.util
import itertools
import warnings
from functools import partial

import cv2
import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

MODES = list(itertools.product(("trajectory", "control", "command", "goal"), ("video", "frame")))

CASES = [("noise", *mode) for mode in MODES]
CASES += [("warp", *MODES[0]), ("simulator", *MODES[7])]
"""Every pair of modes on a small world, and the first and the last on a built-in world."""

PERIOD_S = 2 / 12
"""The shortest period whose steps have more than one frame: the window plays them in real time."""

ADVICE = {
    # "control" is in radians and m/s2, as documented.
    "gymnasium": ("we recommend using a symmetric and normalized space",),
    "stable-baselines3": ("unconventional shape", "symmetric and normalized Box action space"),
}


@pytest.mark.parametrize(("world_name", "action_mode", "obs_mode"), CASES)
def test_the_checkers_have_nothing_but_advice(make_in, action_mode, obs_mode):
    checkers = {"gymnasium": check_env}
    if importlib.util.find_spec("stable_baselines3"):
        from stable_baselines3.common.env_checker import check_env as check_env_of_sb3

        checkers["stable-baselines3"] = partial(check_env_of_sb3, skip_render_check=True)
    env = make_in(action_mode=action_mode, obs_mode=obs_mode, control_period_s=PERIOD_S)
    for name, check in checkers.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            check(env.unwrapped)
        said = [str(warning.message) for warning in caught]
        assert [one for one in said if not any(text in one for text in ADVICE[name])] == []


@pytest.mark.parametrize(("world_name", "action_mode", "obs_mode"), CASES[::3])
def test_a_rollout_under_the_passive_checker_is_silent(make_in, action_mode, obs_mode):
    modes = {"action_mode": action_mode, "obs_mode": obs_mode, "render_mode": "rgb_array"}
    env = make_in(control_period_s=PERIOD_S, disable_env_checker=False, **modes)
    assert isinstance(env, gym.wrappers.PassiveEnvChecker)
    env.action_space.seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env.reset(seed=1)
        for _ in range(5):
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            assert env.render().dtype == np.uint8
            if terminated or truncated:
                env.reset()


def test_stable_baselines3_learns_from_frames(make):
    algorithms = pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed")
    env = make("simulator", action_mode="control", obs_mode="frame", control_period_s=0.25, image_size=(40, 60))
    scaled = gym.wrappers.RescaleAction(env, np.float32(-1), np.float32(1))
    model = algorithms.PPO("CnnPolicy", scaled, n_steps=8, batch_size=8, n_epochs=1, device="cpu", seed=0)
    model.learn(8)
    action, _ = model.predict(scaled.reset(seed=0)[0])
    scaled.step(action)


def test_rescaled_actions_reach_the_bounds(make):
    env = gym.wrappers.RescaleAction(make(action_mode="control"), np.float32(-1), np.float32(1))
    for action in ([-1, -1], [1, 1], [0, 0]):
        env.reset(seed=0)
        env.step(np.array(action, np.float32))


def test_time_limit(make, kit):
    env = gym.wrappers.TimeLimit(make(), 2)
    env.reset(seed=0)
    assert [env.step(kit.ahead())[3] for _ in range(2)] == [False, True]
    limited = make(max_episode_steps=1)
    limited.reset(seed=0)
    assert limited.step(kit.ahead())[3]


def test_record_episode_statistics(make, kit):
    env = gym.wrappers.RecordEpisodeStatistics(make(max_episode_s=2.0))
    env.reset(seed=0)
    rewards = [env.step(kit.ahead())]
    rewards.append(env.step(kit.ahead()))
    episode = rewards[-1][4]["episode"]
    assert episode["l"] == 2
    assert episode["r"] == pytest.approx(sum(step[1] for step in rewards), abs=1e-5)


def test_vector_wrappers(make, kit):
    env = gym.wrappers.vector.RecordEpisodeStatistics(make(vector=2, max_episode_s=1.0))
    env.reset(seed=0)
    *_, infos = env.step(np.stack([kit.ahead()] * 2))
    assert infos["episode"]["l"].tolist() == [1, 1]
    listed = gym.wrappers.vector.DictInfoToList(make(vector=2))
    assert [info["scene"] for info in listed.reset(seed=0)[1]] == ["first", "second"]


def test_record_video(make, kit, tmp_path):
    pytest.importorskip("moviepy", reason="gymnasium's RecordVideo needs moviepy")
    env = gym.wrappers.RecordVideo(make(render_mode="rgb_array", max_episode_s=3.0), str(tmp_path / "videos"))
    env.reset(seed=0)
    for _ in range(3):
        env.step(kit.ahead())
    env.close()
    video = cv2.VideoCapture(str(tmp_path / "videos" / "rl-video-episode-0.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 4
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(1.0)


def test_observations_can_be_flattened_and_stacked_and_rendered_frames_listed(make, kit):
    flat = gym.wrappers.FlattenObservation(make(control_period_s=0.25, render_mode="rgb_array_list"))
    assert flat.reset(seed=0)[0].shape == (3 * 40 * 60 * 3 + 5,)
    assert flat.step(kit.ahead())[0] in flat.observation_space
    assert [frame.shape for frame in flat.render()] == [(*kit.small, 3)] * 2
    stacked = gym.wrappers.FrameStackObservation(make(obs_mode="frame", action_mode="command"), 3)
    assert stacked.reset(seed=0)[0].shape == stacked.step(0)[0].shape == (3, *kit.small, 3)
