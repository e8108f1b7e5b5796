import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longdwm_env.agents.naming import make_policy
from longdwm_env.agents.policies.degraded import Degradation, Degraded, stretched
from longdwm_env.agents.policies.route_following import RouteFollower
from longdwm_env.agents.policy import PolicyContext
from longdwm_env.errors import InvalidConfig
from longdwm_env.io.routes import open_route
from longdwm_env.traffic.idm import IdmSettings, idm_acceleration

SPEEDS = st.floats(0.0, 40.0)


def path(infos):
    return np.concatenate([info["ego_pose"] for info in infos[1:]])


@given(SPEEDS, st.floats(1.0, 40.0))
def test_idm_settles_at_the_desired_speed(speed, desired):
    acceleration = idm_acceleration(speed, desired)
    assert np.sign(acceleration) == np.sign(desired - speed) or abs(acceleration) < 1e-6


@given(SPEEDS, st.floats(0.5, 200.0), st.floats(0.1, 50.0), SPEEDS)
def test_idm_brakes_harder_the_nearer_and_never_harder_than_it_may(speed, gap, more, leader):
    near = idm_acceleration(speed, 15.0, gap, leader)
    assert near <= idm_acceleration(speed, 15.0, gap + more, leader) + 1e-9
    assert near >= -IdmSettings().hardest_braking_mps2


def test_constant_velocity_goes_straight_on(make_environment, drive):
    for mode in ("trajectory", "control", "command"):
        environment = make_environment(action_mode=mode)
        infos, _ = drive(environment, make_policy("constant-velocity", PolicyContext.of(environment)), steps=3)
        np.testing.assert_allclose(path(infos)[-1], [24.0, 0.0, 0.0], atol=1e-3)


def test_log_replay_drives_the_log(make_environment, drive):
    environment = make_environment()
    infos, _ = drive(environment, make_policy("replay", PolicyContext.of(environment)), steps=5)
    logged = environment.scene.log.ego_poses[13 : 13 + 60]
    assert np.abs(path(infos)[:, :2] - logged[:, :2]).max() < 0.05


def test_a_route_follower_comes_back_to_its_route(make_environment, make_scene, drive):
    environment = make_environment(make_scene(ahead_m=None))
    context = PolicyContext.of(environment)
    follower = RouteFollower(open_route("straight", 10.0), context)
    observation, info = environment.reset(seed=0)
    follower.reset(observation, info)
    aside = np.float32([[4, 0.3], [8, 0.8], [12, 1.4], [16, 2.0]])
    observation, *_, info = environment.step(aside)
    follower.act(observation, info)
    assert abs(info["ego_pose"][-1, 1]) > 0.4
    for _ in range(4):
        observation, *_, info = environment.step(follower.act(observation, info))
    assert abs(info["ego_pose"][-1, 1]) < 0.1


def test_idm_stops_behind_a_parked_car_and_constant_velocity_does_not(make_environment, drive):
    environment = make_environment()
    infos, careful = drive(environment, make_policy("idm", PolicyContext.of(environment)))
    assert infos[-1]["termination"] == "time_limit"
    nose = path(infos)[-1, 0] + 3.6
    assert 60 - 2.25 - 8 < nose < 60 - 2.25 - 1
    infos, careless = drive(environment, make_policy("constant-velocity", PolicyContext.of(environment)))
    assert infos[-1]["termination"] == "collision"
    assert careful > careless
    infos, _ = drive(environment, make_policy("idm:traffic=false", PolicyContext.of(environment)))
    assert infos[-1]["termination"] == "collision"


def test_lane_keeping_needs_a_map(make_environment, make_scene, drive):
    environment = make_environment(make_scene(mapped=False))
    with pytest.raises(InvalidConfig, match="no map"):
        drive(environment, make_policy("idm", PolicyContext.of(environment)))


@given(st.floats(0.2, 3.0), st.floats(-0.03, 0.03))
def test_stretching_keeps_to_the_path(factor, curvature):
    turn = curvature * 8.0 * np.array([0.5, 1.0, 1.5, 2.0]) + 1e-9
    arc = np.stack([np.sin(turn), 1 - np.cos(turn)], axis=1) * (8.0 * np.array([0.5, 1.0, 1.5, 2.0]) / turn)[:, None]
    np.testing.assert_allclose(stretched(arc, 1.0), arc, atol=1e-6)
    far = stretched(arc, factor)
    lengths = [np.linalg.norm(np.diff(np.vstack([[0, 0], p]), axis=0), axis=1).sum() for p in (arc, far)]
    assert lengths[1] == pytest.approx(factor * lengths[0], rel=0.02)
    np.testing.assert_array_equal(stretched(np.zeros((4, 2)), factor), np.zeros((4, 2)))


class Counter:
    """Acts by counting: which action arrives shows the delay."""

    def reset(self, observation, info):
        self.count = 0

    def act(self, observation, info):
        self.count += 1
        return np.tile([[float(self.count), 0.0]], (4, 1))


def test_delay_noise_and_aggression_do_what_they_say(make_environment):
    context = PolicyContext.of(make_environment())
    late = Degraded(Counter(), context, Degradation(delay=2))
    late.reset(None, {})
    assert [late.act(None, {})[0, 0] for _ in range(5)] == [1, 1, 1, 2, 3]
    shaken = Degraded(Counter(), context, Degradation(noise=0.5))
    draws = []
    for _ in range(2):
        shaken.reset(None, {"scene": "a", "seed": 1})
        draws.append([shaken.act(None, {}) for _ in range(3)])
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.allclose(draws[0][0], np.tile([[1.0, 0.0]], (4, 1)))
