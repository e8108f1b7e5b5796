import numpy as np
import pytest

from longdwm_env.agents.policy import PolicyContext, episode_camera, episode_random, present_speed_mps
from longdwm_env.clock import WAYPOINT_TIMES_S
from longdwm_env.errors import InvalidConfig


def test_context_describes_the_environment(make_environment):
    environment = make_environment(control_period_s=0.5, action_mode="control")
    context = PolicyContext.of(environment)
    assert context.action_mode == "control"
    assert context.control_period_s == 0.5
    assert context.base is environment


def test_waypoints_are_a_trajectory_action_or_controls_that_start_towards_them(make_environment):
    ahead = np.stack([8.0 * np.array(WAYPOINT_TIMES_S), np.zeros(4)], axis=1)
    trajectory = PolicyContext.of(make_environment())
    np.testing.assert_allclose(trajectory.action_from_waypoints(ahead, 8.0), ahead)
    control = PolicyContext.of(make_environment(action_mode="control"))
    np.testing.assert_allclose(control.action_from_waypoints(ahead, 8.0), [0.0, 0.0], atol=1e-6)
    left = ahead + np.array([0.0, 1.0])
    assert control.action_from_waypoints(left, 8.0)[0] > 0
    assert control.action_from_waypoints(1.2 * ahead, 8.0)[1] > 0
    for space, action in ((control.action_space, control.action_from_waypoints(100 * left, 8.0)),):
        assert space.contains(action)


def test_modes_that_cannot_say_where_waypoints_are_are_refused(make_environment):
    context = PolicyContext.of(make_environment(action_mode="goal"))
    with pytest.raises(InvalidConfig, match="'trajectory' or 'control'"):
        context.action_from_waypoints(np.zeros((4, 2)), 5.0)


def test_a_context_without_environment_says_so(make_environment):
    context = PolicyContext.of(make_environment())
    alone = PolicyContext(context.observation_space, context.action_space, "trajectory", 1.0)
    with pytest.raises(InvalidConfig, match="where there is none"):
        _ = alone.base


def test_speed_and_camera_are_found_in_both_observation_modes(make_environment):
    for mode in ("video", "frame"):
        environment = make_environment(obs_mode=mode)
        observation, info = environment.reset(seed=0)
        assert present_speed_mps(observation, info) == pytest.approx(8.0, rel=1e-3)
        assert episode_camera(PolicyContext.of(environment), info) == environment.get_state().camera


def test_random_numbers_of_an_episode_depend_on_seed_scene_and_policy_only():
    draws = {
        key: episode_random({"scene": scene, "seed": seed}, own).normal()
        for key, (scene, seed, own) in enumerate([("a", 0, 0), ("a", 0, 0), ("b", 0, 0), ("a", 1, 0), ("a", 0, 1)])
    }
    assert draws[0] == draws[1]
    assert len(set(draws.values())) == 4
