import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longdwm_env.actions import checked_action
from longdwm_env.agents.driving.input.held_keys import DOWN, LEFT, RIGHT, SHORTEST_TAP, UP, HeldKeys
from longdwm_env.agents.driving.input.pedals import FEEL, Controls, DriverInput, Feel, full_turn_rad, next_controls

steers = st.floats(-1, 1)
pedals = st.floats(0, 1)
speeds = st.floats(0, 40)


@given(steers, pedals, pedals, speeds, st.floats(-0.6, 0.6), st.floats(-8, 4), st.floats(1 / 12, 1))
def test_controls_are_always_an_allowed_action(steer, throttle, brake, speed, steering, acceleration, period):
    after = next_controls(Controls(steering, acceleration), DriverInput(steer, throttle, brake), speed, period)
    checked_action("control", [after.steering_rad, after.acceleration_mps2])


def test_full_turn_keeps_lateral_acceleration():
    for speed in (8.0, 15.0, 30.0):
        curvature = math.tan(full_turn_rad(speed)) / 2.8
        assert curvature * speed**2 == pytest.approx(FEEL.lateral_acceleration_mps2)
    assert full_turn_rad(0.0) == FEEL.full_steering_rad


def test_throttle_fades_at_top_speed_and_brake_wins():
    assert next_controls(Controls(), DriverInput(throttle=1), 31.0, 10.0).acceleration_mps2 <= 0
    assert next_controls(Controls(), DriverInput(throttle=1, brake=1), 10.0, 10.0).acceleration_mps2 < 0


@pytest.mark.parametrize("bad", [{"steer": 1.5}, {"throttle": -0.1}, {"brake": math.nan}])
def test_wishes_are_checked(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        DriverInput(**bad)
    with pytest.raises(ValueError, match="steering_s"):
        Feel(steering_s=0.0)


def test_tap_between_looks_is_not_lost_and_counts_its_share():
    keys = HeldKeys()
    keys.look(10.0)
    keys.press(RIGHT, 10.1)
    keys.release(RIGHT, 10.101)
    assert keys.look(10.25).steer == -SHORTEST_TAP
    assert keys.look(10.5).steer == 0.0
    keys.press(UP, 10.5)
    keys.release(UP, 10.75)
    assert keys.look(11.0).throttle == pytest.approx(0.5)


def test_opposite_keys_cancel_and_losing_the_keyboard_lets_go():
    keys = HeldKeys()
    for direction in (LEFT, RIGHT, DOWN):
        keys.press(direction, 1.0)
    assert keys.peek() == DriverInput(brake=1.0)
    keys.release_all()
    assert keys.look(2.0) == DriverInput()
