import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from longdwm_env import InvalidAction, InvalidConfig, InvalidState, LifecycleError, UnknownScene


def single_info(infos, index, name):
    assert infos[f"_{name}"][index]
    return infos[name][index]


def batch(kit, count, **keywords):
    return np.stack([kit.ahead(**keywords)] * count)


@pytest.mark.parametrize("world_name", ["noise", "simulator"])
def test_each_environment_gives_what_the_single_one_gives(make_in, kit):
    """Over several steps, with resets in between, bit for bit."""
    vector = make_in(vector=2, max_episode_s=2.0)
    singles = [make_in(max_episode_s=2.0) for _ in range(2)]
    observations, infos = vector.reset(seed=20)
    begun = [env.reset(seed=20 + i) for i, env in enumerate(singles)]
    over = [False] * 2
    for i, (observation, info) in enumerate(begun):
        np.testing.assert_array_equal(observations["frames"][i], observation["frames"])
        assert single_info(infos, i, "scene") == info["scene"]
    for step in range(4):
        actions = np.stack([kit.ahead(5.0 + i, bend=0.002 * step) for i in range(2)])
        observations, rewards, terminated, truncated, infos = vector.step(actions)
        for i, env in enumerate(singles):
            if over[i]:
                (observation, info), reward, ended, cut = env.reset(), 0.0, False, False
            else:
                observation, reward, ended, cut, info = env.step(actions[i])
            over[i] = ended or cut
            np.testing.assert_array_equal(observations["frames"][i], observation["frames"])
            np.testing.assert_array_equal(observations["ego"][i], observation["ego"])
            assert (rewards[i], terminated[i], truncated[i]) == (reward, ended, cut)
            np.testing.assert_array_equal(single_info(infos, i, "ego_pose"), info["ego_pose"])
            assert single_info(infos, i, "termination") == info["termination"]
            for name, value in info["reward_terms"].items():
                assert single_info(infos["reward_terms"], i, name) == value
        assert observations in vector.observation_space
    assert (rewards.dtype, terminated.dtype, truncated.dtype) == (np.float64, np.bool_, np.bool_)


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_resets_agree_with_gymnasiums_own_vector_environment(make, kit, mode):
    keywords = {"world": kit.NoiseWorld(), "scenes": [kit.a_scene("one"), kit.a_scene("two")], "max_episode_s": 2.0}
    ours = gym.make_vec("LongDWM-v0", num_envs=2, autoreset_mode=mode, **keywords)
    theirs = gym.vector.SyncVectorEnv(
        [lambda: gym.make("LongDWM-v0", **keywords)] * 2, autoreset_mode=AutoresetMode(mode)
    )
    for env in (ours, theirs):
        env.reset(seed=[5, 9])
    for _ in range(6):
        a, b = ours.step(batch(kit, 2)), theirs.step(batch(kit, 2))
        np.testing.assert_array_equal(a[0]["frames"], b[0]["frames"])
        for i in (1, 2, 3):
            np.testing.assert_array_equal(a[i], b[i])
        assert set(a[4]) == set(b[4])
        if "final_obs" in a[4]:
            np.testing.assert_array_equal(a[4]["_final_obs"], b[4]["_final_obs"])
            for x, y in zip(a[4]["final_obs"], b[4]["final_obs"], strict=True):
                np.testing.assert_array_equal(x["frames"], y["frames"])
            np.testing.assert_array_equal(a[4]["final_info"]["ego_pose"], b[4]["final_info"]["ego_pose"])
    ours.close()
    theirs.close()


def test_without_autoreset_the_caller_says_which_begin_anew(make, kit):
    vector = make(vector=2, autoreset_mode="Disabled", max_episode_s=1.0)
    vector.reset(seed=0)
    vector.step(batch(kit, 2))
    with pytest.raises(LifecycleError, match=r"\[0, 1\] are over"):
        vector.step(batch(kit, 2))
    vector.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(LifecycleError, match=r"\[1\] are over"):
        vector.step(batch(kit, 2))
    before = vector.unwrapped.get_state()
    _, infos = vector.reset(seed=[None, 8], options={"reset_mask": np.array([False, True])})
    after = vector.unwrapped.get_state()
    assert after[0] is before[0]
    assert after[1].seed == 8
    assert infos["_scene"].tolist() == [False, True]
    with pytest.raises(InvalidConfig, match="reset_mask"):
        vector.reset(options={"reset_mask": [True, False]})


def test_one_bad_action_moves_nobody(make, kit):
    world = kit.NoiseWorld()
    vector = make(world, vector=3)
    assert (type(vector.unwrapped).__name__, vector.num_envs) == ("LongDWMVectorEnv", 3)
    assert vector.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    vector.reset(seed=0)
    before = vector.unwrapped.get_state()
    actions = batch(kit, 3)
    actions[1, 2, 0] = np.nan
    with pytest.raises(InvalidAction, match=r"actions\[1\]\[2, 0\].* is nan"):
        vector.step(actions)
    with pytest.raises(InvalidAction, match="3 environments"):
        vector.step(batch(kit, 2))
    with pytest.raises(InvalidAction, match="3 environments"):
        vector.step(3)
    assert vector.unwrapped.get_state() == before
    assert world.batches == []
    vector.step(batch(kit, 3))
    assert world.batches == [3], "it is asked once a step"


def test_a_reset_that_fails_changes_nothing(make):
    vector = make(vector=2)
    vector.reset(seed=0)
    before = vector.unwrapped.get_state()
    for call in (
        lambda: vector.reset(seed=[1, 2, 3]),
        lambda: vector.reset(options={"weather": 1}),
        lambda: vector.reset(seed=3, options={"scene": 99}),
    ):
        with pytest.raises((InvalidConfig, UnknownScene)):
            call()
    assert vector.unwrapped.get_state() == before


def test_states_are_values_here_too(make, kit):
    vector = make(vector=2)
    vector.reset(seed=0)
    states = vector.unwrapped.get_state()
    first = vector.step(batch(kit, 2))
    vector.unwrapped.set_state(states)
    again = vector.step(batch(kit, 2))
    np.testing.assert_array_equal(first[0]["frames"], again[0]["frames"])
    np.testing.assert_array_equal(first[1], again[1])
    with pytest.raises(InvalidConfig, match="2 environments"):
        vector.unwrapped.set_state(states[:1])
    with pytest.raises(InvalidState):
        vector.unwrapped.set_state([states[0], None])


def test_pictures_of_all_and_calls_out_of_order(make, kit):
    vector = make(vector=2, render_mode="rgb_array")
    with pytest.raises(LifecycleError, match="reset"):
        vector.step(batch(kit, 2))
    observations, _ = vector.reset(seed=0)
    np.testing.assert_array_equal(np.stack(vector.render()), observations["frames"][:, -1])
    vector.close()
    for call in (lambda: vector.step(batch(kit, 2)), vector.reset, vector.render):
        with pytest.raises(LifecycleError, match="closed"):
            call()


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"autoreset_mode": "Never"}, "'NextStep'"),
        ({"render_mode": "human"}, "rgb_array"),
        ({"action_mode": "fly"}, "'control'"),
    ],
)
def test_bad_keywords_list_what_exists(make, keywords, message):
    with pytest.raises(InvalidConfig, match=message):
        make(vector=2, **keywords)


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_a_batch_has_a_whole_number_of_members(kit, count):
    from longdwm_env import LongDWMVectorEnv

    with pytest.raises(InvalidConfig, match="num_envs"):
        LongDWMVectorEnv(count, world=kit.NoiseWorld())
