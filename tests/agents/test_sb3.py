import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed")

from stable_baselines3 import PPO

from longdwm_env.agents.naming import make_policy
from longdwm_env.agents.policies.small_view import ViewObservation, view_of
from longdwm_env.agents.policy import PolicyContext
from longdwm_env.agents.sb3 import save_policy
from longdwm_env.agents.sb3_vector import Sb3Vector
from longdwm_env.errors import InvalidConfig
from longdwm_env.scenes import ListedScenes
from longdwm_env.vector_env import LongDWMVectorEnv

BOUNDS = (np.float32([-0.1, -3]), np.float32([0.1, 2]))


@pytest.fixture
def vector(grey_world, make_scene):
    scenes = ListedScenes([make_scene()])
    options = {"world": grey_world, "scenes": scenes, "action_mode": "control", "max_episode_s": 3.0}
    return Sb3Vector(LongDWMVectorEnv(2, "SameStep", **options), BOUNDS)


def test_the_bridge_keeps_sb3s_rules(vector):
    assert vector.observation_space.contains({key: value[0] for key, value in vector.reset().items()})
    for _ in range(3):
        _, rewards, over, infos = vector.step(np.zeros((2, 2), np.float32))
    assert over.all()
    assert rewards.shape == (2,)
    assert all(info["TimeLimit.truncated"] for info in infos)
    assert vector.observation_space.contains(infos[0]["terminal_observation"])


def test_a_saved_policy_acts_as_the_model(vector, tmp_path, make_environment):
    model = PPO("MultiInputPolicy", vector, n_steps=4, batch_size=8, n_epochs=1, seed=0, device="cpu")
    model.learn(8)
    path = tmp_path / "ppo.safetensors"
    save_policy(model, path, action_mode="control", action_bounds=BOUNDS)
    environment = make_environment(action_mode="control")
    policy = make_policy(str(path), PolicyContext.of(environment))
    observation, info = environment.reset(seed=0)
    policy.reset(observation, info)
    wanted, _ = model.predict(view_of(observation), deterministic=True)
    low, high = BOUNDS
    np.testing.assert_allclose(policy.act(observation, info), low + (wanted + 1) / 2 * (high - low), atol=1e-6)
    with pytest.raises(InvalidConfig, match="action_mode='control'"):
        make_policy(str(path), PolicyContext.of(make_environment()))


def test_a_policy_of_one_frame_and_lateral_acceleration_acts_as_the_model(
    grey_world, make_scene, tmp_path, make_environment
):
    bounds = np.float32([-2, -3]), np.float32([2, 3])
    options = {"world": grey_world, "scenes": ListedScenes([make_scene()]), "action_mode": "control"}
    batch = LongDWMVectorEnv(2, "SameStep", obs_mode="frame", max_episode_s=2.0, **options)
    vector = Sb3Vector(batch, bounds, (36, 54), lateral=True)
    assert vector.observation_space["image"].shape == (36, 54, 3)
    assert vector.observation_space.contains({key: value[0] for key, value in vector.reset().items()})
    model = PPO("MultiInputPolicy", vector, n_steps=4, batch_size=8, n_epochs=1, seed=0, device="cpu")
    model.learn(8)
    path = tmp_path / "ppo.safetensors"
    save_policy(model, path, "control", obs_mode="frame", action_bounds=bounds, lateral=True)

    environment = make_environment(action_mode="control", obs_mode="frame")
    policy = make_policy(str(path), PolicyContext.of(environment))
    observation, info = environment.reset(seed=0)
    policy.reset(observation, info)
    wanted, _ = model.predict(view_of(observation, (36, 54), info["ego"]), deterministic=True)
    lateral, longitudinal = bounds[0] + (wanted + 1) / 2 * (bounds[1] - bounds[0])
    steering = np.arctan(2.8 * lateral / info["ego"][0] ** 2)
    np.testing.assert_allclose(policy.act(observation, info), [steering, longitudinal], atol=1e-5)


def test_lateral_acceleration_means_the_same_at_any_speed(grey_world, make_scene):
    for speed in (8.0, 16.0):
        options = {"scenes": ListedScenes([make_scene(speed_mps=speed)]), "action_mode": "control", "world": grey_world}
        batch = LongDWMVectorEnv(1, "SameStep", obs_mode="frame", control_period_s=0.5, **options)
        vector = Sb3Vector(batch, (np.float32([-2, -3]), np.float32([2, 3])), lateral=True)
        vector.reset()
        vector.step(np.array([[0.5, 0.0]], np.float32))
        ego = batch.get_state()[0].ego
        assert ego.yaw_rate_radps * ego.speed_mps == pytest.approx(1.0, rel=1e-3)


def test_other_observations_are_refused(vector, tmp_path, make_environment):
    model = PPO("MultiInputPolicy", vector, n_steps=4, batch_size=8, device="cpu")
    save_policy(model, tmp_path / "p.safetensors", action_mode="control")
    environment = make_environment(action_mode="control", obs_mode="frame")
    policy = make_policy(str(tmp_path / "p.safetensors"), PolicyContext.of(environment))
    with pytest.raises(InvalidConfig, match="other observations"):
        policy.reset(*environment.reset(seed=0))


def test_the_bridge_wants_what_it_needs(grey_world, make_scene):
    scenes = ListedScenes([make_scene()])
    with pytest.raises(InvalidConfig, match="SameStep"):
        Sb3Vector(LongDWMVectorEnv(1, world=grey_world, scenes=scenes, action_mode="control"))
    with pytest.raises(InvalidConfig, match="box"):
        Sb3Vector(LongDWMVectorEnv(1, "SameStep", world=grey_world, scenes=scenes, action_mode="command"))
    with pytest.raises(InvalidConfig, match="control"):
        Sb3Vector(LongDWMVectorEnv(1, "SameStep", world=grey_world, scenes=scenes), lateral=True)


def test_the_wrapper_gives_views(make_environment):
    environment = ViewObservation(make_environment())
    observation, _ = environment.reset(seed=0)
    assert environment.observation_space.contains(observation)
    with pytest.raises(InvalidConfig):
        ViewObservation(make_environment(obs_mode="frame"))
    assert isinstance(environment, gym.Wrapper)
