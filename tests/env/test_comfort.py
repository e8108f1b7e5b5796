import numpy as np
import pytest

from longdwm_env.clock import FPS
from longdwm_env.episodes import comfort
from longdwm_env.episodes.comfort import smoothed, uncomfortable


def motion(speed=10.0, acceleration=0.0, yaw_rate=0.0, count=30):
    series = [np.broadcast_to(np.asarray(values, dtype=float), count) for values in (speed, acceleration, yaw_rate)]
    return np.column_stack(series)


@pytest.mark.parametrize(
    ("change", "limit"),
    [
        ({"acceleration": 1.0}, comfort.MAX_LONGITUDINAL_ACCELERATION_MPS2),
        ({"acceleration": -1.0}, -comfort.MIN_LONGITUDINAL_ACCELERATION_MPS2),
        ({"yaw_rate": 0.1}, comfort.MAX_LATERAL_ACCELERATION_MPS2),
        ({"yaw_rate": -0.1}, comfort.MAX_LATERAL_ACCELERATION_MPS2),
        ({"yaw_rate": 1.0, "speed": 1.0}, comfort.MAX_YAW_RATE_RADPS),
        ({"acceleration": np.arange(30) / FPS - 1.0, "speed": 0.0}, comfort.MAX_LONGITUDINAL_JERK_MPS3),
        ({"yaw_rate": np.arange(30) / FPS - 1.0, "speed": 0.0}, comfort.MAX_YAW_ACCELERATION_RADPS2),
    ],
)
def test_each_limit_is_where_it_is_said_to_be(change, limit):
    """Each change has the size 1 in the limited quantity; scaled to just below and just above the limit."""
    for factor, expected in ((0.99, False), (1.01, True)):
        scaled = {n: v * limit * factor if n != "speed" else v for n, v in change.items()}
        found = uncomfortable(motion(**scaled))
        # Away from the ends, where a ramp that starts at -1 has not yet passed another limit.
        assert bool(found[15]) == expected, (change, factor)


def test_the_published_limits():
    assert (comfort.MIN_LONGITUDINAL_ACCELERATION_MPS2, comfort.MAX_LONGITUDINAL_ACCELERATION_MPS2) == (
        -4.05,
        2.40,
    )
    assert comfort.MAX_LATERAL_ACCELERATION_MPS2 == 4.89
    assert (comfort.MAX_YAW_RATE_RADPS, comfort.MAX_YAW_ACCELERATION_RADPS2) == (0.95, 1.93)
    assert (comfort.MAX_LONGITUDINAL_JERK_MPS3, comfort.MAX_JERK_MPS3) == (4.13, 8.37)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_short_records_are_judged_too(count):
    assert not uncomfortable(motion(count=count)).any()
    assert uncomfortable(motion(acceleration=-6.0, count=count)).all()


@pytest.mark.parametrize("window", [1, 3, 5, 9, 15])
@pytest.mark.parametrize("count", [3, 15, 16, 27])
@pytest.mark.parametrize("derivative", [0, 1])
def test_smoothing_is_scipys_savitzky_golay_filter(count, window, derivative):
    from scipy.signal import savgol_filter

    values = np.random.default_rng(count).standard_normal(count)
    length = min(window, count)
    order = min(2, length - 1)
    if derivative > order:
        expected = np.zeros(count)
    else:
        expected = savgol_filter(values, length, order, deriv=derivative, delta=1 / FPS)
    np.testing.assert_allclose(smoothed(values, window, derivative), expected, atol=1e-8)
