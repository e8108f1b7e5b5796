import pytest
from hypothesis import given
from hypothesis import strategies as st

from longdwm_env import clock


def test_an_interval_is_a_second_and_the_horizon_two():
    assert clock.INTERVAL_S == 1.0
    assert clock.FRAMES_PER_HORIZON == 24


@given(st.integers(1, 10_000))
def test_whole_numbers_of_frames_survive_the_round_trip(frames):
    assert clock.frames_in(frames / clock.FPS) == frames


@pytest.mark.parametrize("duration", [0.0, -1.0, 0.1, 1.0001, float("nan"), float("inf")])
def test_other_durations_are_refused(duration):
    with pytest.raises(ValueError, match="whole number"):
        clock.frames_in(duration)


def test_a_control_period_is_at_most_an_interval():
    assert clock.control_frames(1 / 12) == 1
    assert clock.control_frames(1.0) == 12
    with pytest.raises(ValueError, match="interval"):
        clock.control_frames(13 / 12)


def test_the_present_is_not_among_the_next_frames():
    assert clock.frame_times_s(12).tolist() == [(i + 1) / 12 for i in range(12)]
