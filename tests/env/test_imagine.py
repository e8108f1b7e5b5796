import numpy as np
import pytest

from longdwm_env import InvalidAction


def plans(kit, futures=3, periods=2):
    return np.stack([[kit.ahead(4.0 + f, bend=0.002 * n) for n in range(periods)] for f in range(futures)])


def test_each_future_is_what_the_environment_would_do(make_in, kit):
    env = make_in()
    env.reset(seed=6)
    base = env.unwrapped
    state = base.get_state()
    actions = plans(kit)
    futures = base.imagine(actions)
    assert futures.frames.shape == (3, 2, 12, *kit.small, 3)
    assert (futures.rewards.shape, futures.terminated.shape, futures.ego_pose.shape) == ((3, 2), (3, 2), (3, 2, 12, 3))
    assert base.get_state() is state
    for future in range(3):
        base.set_state(state)
        for period in range(2):
            observation, reward, terminated, _, info = env.step(actions[future, period])
            np.testing.assert_array_equal(futures.frames[future, period], observation["frames"])
            np.testing.assert_array_equal(futures.ego_pose[future, period], info["ego_pose"])
            assert futures.rewards[future, period] == reward
            assert futures.terminated[future, period] == terminated
            if terminated:
                break


def test_futures_do_not_depend_on_company_order_or_what_was_imagined_before(make, kit):
    env = make()
    env.reset(seed=2)
    actions = plans(kit)
    together = env.unwrapped.imagine(actions)
    env.unwrapped.imagine(actions[::-1])
    for future in range(3):
        alone = env.unwrapped.imagine(actions[future : future + 1])
        np.testing.assert_array_equal(alone.frames[0], together.frames[future])
        np.testing.assert_array_equal(alone.rewards[0], together.rewards[future])


def test_the_world_is_asked_once_per_period_and_not_for_futures_that_are_over(make, kit):
    world = kit.NoiseWorld()
    env = make(world)
    env.reset(seed=0)
    leaves = [kit.ahead(bend=0.06)] * 3
    stays = [kit.ahead()] * 3
    futures = env.unwrapped.imagine(np.array([leaves, stays]))
    assert futures.terminated.tolist() == [[False, True, True], [False] * 3] or futures.terminated[0].any()
    ended = int(np.argmax(futures.terminated[0]))
    assert world.batches == [2] * (ended + 1) + [1] * (2 - ended)
    assert futures.terminated[0, ended:].all()
    assert (futures.rewards[0, ended + 1 :] == 0).all()
    assert (futures.frames[0, ended + 1 :] == futures.frames[0, ended, -1]).all()
    assert (futures.ego_pose[0, ended + 1 :] == futures.ego_pose[0, ended, -1]).all()
    assert not futures.terminated[1].any()


def test_the_time_limit_does_not_end_a_future(make, kit):
    env = make(max_episode_s=1.0)
    env.reset(seed=0)
    futures = env.unwrapped.imagine(plans(kit, 1, 3))
    assert not futures.terminated.any()
    assert (futures.rewards != 0).all()


def test_futures_can_be_gone_on_from(make, kit):
    env = make()
    env.reset(seed=0)
    actions = plans(kit, 2, 2)
    whole = env.unwrapped.imagine(actions)
    half = env.unwrapped.imagine(actions[:, :1])
    env.unwrapped.set_state(half.states[1])
    np.testing.assert_array_equal(env.step(actions[1, 1])[0]["frames"], whole.frames[1, 1])


@pytest.mark.parametrize("mode", ["control", "command", "goal"])
def test_every_action_mode_can_be_imagined_from_lists_too(make, kit, mode):
    env = make(action_mode=mode)
    env.reset(seed=0)
    action = np.asarray(kit.actions[mode])
    actions = np.broadcast_to(action, (2, 2, *action.shape))
    futures, listed = env.unwrapped.imagine(actions), env.unwrapped.imagine(actions.tolist())
    assert np.array_equal(futures.frames[0], futures.frames[1])
    np.testing.assert_array_equal(listed.frames, futures.frames)


@pytest.mark.parametrize(
    "actions",
    [3, "go", None, [], [[]], [3, 4], np.zeros((2, 4, 2), np.float32), np.full((1, 1, 4, 2), np.nan), [[[1.0]]]],
)
def test_bad_plans_are_refused_and_named(make, actions):
    world_env = make()
    world_env.reset(seed=0)
    with pytest.raises(InvalidAction, match="action"):
        world_env.unwrapped.imagine(actions)


def test_a_bad_action_says_which_future_and_period(make, kit):
    env = make()
    env.reset(seed=0)
    actions = plans(kit)
    actions[2, 1, 3, 0] = 1e9
    with pytest.raises(InvalidAction, match=r"actions\[2, 1\]\[3, 0\]"):
        env.unwrapped.imagine(actions)
