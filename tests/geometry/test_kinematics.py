import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longdwm_env.geometry.kinematics import (
    CAR,
    LIMITS,
    Car,
    Limits,
    bicycle_step,
    max_curvature_per_m,
    roll_bicycle,
    violations,
)
from longdwm_env.types import Trajectory


@given(st.floats(0, 30), st.floats(-8, 4), st.floats(-0.2, 0.2), st.floats(0.1, 3))
def test_a_step_is_exact_so_its_halves_make_the_whole(speed, acceleration, curvature, duration):
    start = np.array([1.0, -2.0, 0.3])
    whole_pose, whole_speed = bicycle_step(start, speed, acceleration, curvature, duration)
    pose, middle = bicycle_step(start, speed, acceleration, curvature, duration / 2)
    pose, final = bicycle_step(pose, middle, acceleration, curvature, duration / 2)
    np.testing.assert_allclose(pose, whole_pose, atol=1e-9)
    assert final == pytest.approx(whole_speed, abs=1e-9)


def test_the_bicycle_obeys_its_differential_equation():
    """Against a thousand Euler steps of x' = v cos, y' = v sin, heading' = v kappa, v' = a."""
    x = y = heading = 0.0
    speed, step = 8.0, 1.5 / 20000
    for _ in range(20000):
        x, y = x + step * speed * np.cos(heading), y + step * speed * np.sin(heading)
        heading, speed = heading + step * speed * 0.1, speed + step * 2.0
    pose, final = bicycle_step(np.zeros(3), 8.0, 2.0, 0.1, 1.5)
    np.testing.assert_allclose([*pose, final], [x, y, heading, speed], atol=2e-3)


def test_a_batch_of_steps_equals_a_loop():
    random = np.random.default_rng(0)
    poses, rest = random.normal(size=(5, 3)), random.uniform(0.1, 2, size=(3, 5))
    batch = bicycle_step(poses, *rest, 0.5)
    for i in range(5):
        pose, speed = bicycle_step(poses[i], *rest[:, i], 0.5)
        np.testing.assert_array_equal(pose, batch[0][i])
        assert speed == batch[1][i]


def test_braking_ends_at_standstill_and_stays_there():
    drive = roll_bicycle(np.array([-5.0]), np.array([0.1]), np.array([10.0]), 10.0)
    poses, speeds, accelerations, yaw_rates = drive.sample(np.array([1.0, 2.0, 3.0, 10.0]))
    np.testing.assert_allclose(speeds, [5, 0, 0, 0])
    np.testing.assert_allclose(accelerations, [-5, 0, 0, 0])
    np.testing.assert_allclose(yaw_rates, [0.5, 0, 0, 0])
    np.testing.assert_allclose(poses[1:, 2], 10 * 10 / 2 / 5 * 0.1)
    np.testing.assert_array_equal(poses[1], poses[3])


def test_full_throttle_ends_at_top_speed():
    pose, speed = bicycle_step(np.zeros(3), 38.0, 4.0, 0.0, 2.0)
    assert speed == LIMITS.max_speed_mps
    assert pose[0] == pytest.approx((38 + 40) / 2 * 0.5 + 40 * 1.5)


def test_steering_and_curvature_are_inverse():
    assert CAR.steering_rad(CAR.curvature_per_m(0.4)) == pytest.approx(0.4)
    assert 1 / CAR.curvature_per_m(LIMITS.max_steering_rad) == pytest.approx(4.1, abs=0.05)


@given(st.floats(0.1, 40))
def test_the_tightest_curvature_meets_every_limit(speed):
    curvature = float(max_curvature_per_m(speed))
    rates = speed**2 * curvature, speed * curvature, CAR.steering_rad(curvature)
    limits = LIMITS.max_lateral_acceleration_mps2, LIMITS.max_yaw_rate_radps, LIMITS.max_steering_rad
    assert all(rate <= limit * (1 + 1e-9) for rate, limit in zip(rates, limits, strict=True))
    assert any(rate >= limit * (1 - 1e-9) for rate, limit in zip(rates, limits, strict=True))


def motion(**rates: float) -> Trajectory:
    values = {"speeds_mps": 10.0, "accelerations_mps2": 0.0, "yaw_rates_radps": 0.0} | rates
    arrays = {name: np.full(3, value) for name, value in values.items()}
    return Trajectory(np.zeros((1, 2)), np.zeros((3, 3)), requested_waypoints_m=np.zeros((1, 2)), **arrays)


@pytest.mark.parametrize(
    ("rates", "names"),
    [
        ({}, set()),
        ({"speeds_mps": 50.0}, {"speed_mps"}),
        ({"speeds_mps": -1.0}, {"reverse_mps"}),
        ({"accelerations_mps2": 5.0}, {"acceleration_mps2"}),
        ({"accelerations_mps2": -9.0}, {"braking_mps2"}),
        ({"yaw_rates_radps": 0.7}, {"lateral_acceleration_mps2"}),
        ({"speeds_mps": 1.0, "yaw_rates_radps": -0.5}, {"steering_yaw_rate_radps"}),
        ({"speeds_mps": 0.0, "yaw_rates_radps": 0.1}, {"steering_yaw_rate_radps"}),
    ],
)
def test_violations_name_the_limit(rates, names):
    assert set(violations(motion(**rates))) == names


def test_violations_say_by_how_much():
    assert violations(motion(accelerations_mps2=5.5)) == {"acceleration_mps2": pytest.approx(1.5)}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Limits)])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_limits_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        Limits(**{name: value})


@pytest.mark.parametrize("change", [{"length_m": 3.0}, {"width_m": 0.0}, {"rear_overhang_m": -1.0}])
def test_an_impossible_car_is_refused(change):
    with pytest.raises(ValueError, match=r"dimensions|length"):
        Car(**change)
