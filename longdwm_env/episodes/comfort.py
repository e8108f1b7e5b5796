"""Whether a drive is comfortable, by the limits of the nuPlan benchmark.

Numbers and smoothing are those of nuPlan's ``ego_is_comfortable`` (Karnchanachari et al., "Towards learning-based
planning: the nuPlan benchmark for real-world autonomous driving", arXiv:2403.04133): accelerations are smoothed with a
Savitzky-Golay filter of 8 samples and second order, jerks are its derivative over 15 samples. The window is causal: it
holds what was driven, never what is planned.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from longdwm_env.clock import FRAME_S
from longdwm_env.types import FloatArray

ACCELERATION_WINDOW = 8
JERK_WINDOW = 15
YAW_WINDOW = 5


MIN_LONGITUDINAL_ACCELERATION_MPS2 = -4.05
MAX_LONGITUDINAL_ACCELERATION_MPS2 = 2.40
MAX_LATERAL_ACCELERATION_MPS2 = 4.89
MAX_YAW_RATE_RADPS = 0.95
MAX_YAW_ACCELERATION_RADPS2 = 1.93
MAX_LONGITUDINAL_JERK_MPS3 = 4.13
MAX_JERK_MPS3 = 8.37


def uncomfortable(motion: FloatArray) -> NDArray[np.bool_]:
    """Which moments of a motion at the frame rate go beyond a limit, (T,).

    Args:
        motion: (T, 3) speed m/s, acceleration m/s2, yaw rate rad/s at T consecutive frames.
    """
    speed, acceleration, yaw_rate = np.asarray(motion, dtype=np.float64).T
    longitudinal = smoothed(acceleration, ACCELERATION_WINDOW)
    lateral = smoothed(speed * yaw_rate, ACCELERATION_WINDOW)
    magnitude = smoothed(np.hypot(acceleration, speed * yaw_rate), ACCELERATION_WINDOW)
    jerk = smoothed(magnitude, JERK_WINDOW, derivative=1)
    longitudinal_jerk = smoothed(longitudinal, JERK_WINDOW, derivative=1)
    yaw_acceleration = smoothed(yaw_rate, YAW_WINDOW, derivative=1)
    return (
        (longitudinal < MIN_LONGITUDINAL_ACCELERATION_MPS2)
        | (longitudinal > MAX_LONGITUDINAL_ACCELERATION_MPS2)
        | (np.abs(lateral) > MAX_LATERAL_ACCELERATION_MPS2)
        | (np.abs(yaw_rate) > MAX_YAW_RATE_RADPS)
        | (np.abs(yaw_acceleration) > MAX_YAW_ACCELERATION_RADPS2)
        | (np.abs(longitudinal_jerk) > MAX_LONGITUDINAL_JERK_MPS3)
        | (np.abs(jerk) > MAX_JERK_MPS3)
    )


def smoothed(values: FloatArray, window: int, derivative: int = 0) -> FloatArray:
    """Savitzky-Golay filter of second order over at most ``window`` samples, or its derivative per second, (T,).

    What ``scipy.signal.savgol_filter`` gives, whose import alone takes half a second. With a window of an even number
    of samples SciPy's value is that half a sample later; this one stays at the sample.
    """
    return _filter_matrix(len(values), min(window, len(values)), derivative) @ values


@lru_cache(maxsize=64)
def _filter_matrix(count: int, window: int, derivative: int) -> FloatArray:
    """The filter as a (T, T) matrix: a parabola is fitted to the window around each sample, within the ends."""
    matrix = np.zeros((count, count))
    order = min(2, window - 1)
    for sample in range(count):
        first = min(max(sample - window // 2, 0), count - window)
        offsets = (np.arange(first, first + window) - sample) * FRAME_S
        # Row k of the pseudo-inverse maps samples to the coefficient of the k-th power of the fitted polynomial.
        coefficients = np.linalg.pinv(np.vander(offsets, order + 1, increasing=True))
        if derivative <= order:
            matrix[sample, first : first + window] = coefficients[derivative]
    matrix.flags.writeable = False
    return matrix
