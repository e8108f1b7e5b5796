"""Does a video show what was commanded? Judged by the inverse-dynamics model, without people."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from longdwm_env.evaluation.statistics import Interval, correlation, mean_interval
from longdwm_env.models.readers.inverse_dynamics import InverseDynamics
from longdwm_env.models.readers.scorer import WINDOW_FRAMES, windows_of
from longdwm_env.types import Camera, FloatArray, Images

STRIDE_FRAMES = WINDOW_FRAMES // 2
LEAST_SPEED_MPS = 1.0
"""A drive that is slower on average has no speed error in percent."""


@dataclass(frozen=True)
class ReadMotion:
    """One drive as commanded and as read from its pictures: (n,) means over its windows of a second."""

    speed_mps: FloatArray
    yaw_rate_radps: FloatArray
    said_speed_mps: FloatArray
    said_yaw_rate_radps: FloatArray

    @property
    def speed_error_mps(self) -> float:
        """Mean absolute error."""
        return float(np.abs(self.said_speed_mps - self.speed_mps).mean())

    @property
    def yaw_rate_error_radps(self) -> float:
        """Mean absolute error."""
        return float(np.abs(self.said_yaw_rate_radps - self.yaw_rate_radps).mean())

    @property
    def speed_error_share(self) -> float:
        """Mean absolute error over the mean speed commanded; NaN in a drive that hardly moves."""
        wanted = float(self.speed_mps.mean())
        return self.speed_error_mps / wanted if wanted > LEAST_SPEED_MPS else float("nan")


def compliance_cells(drives: Sequence[ReadMotion]) -> tuple[Interval, Interval, float]:
    """Speed error as a share, yaw rate error in rad/s, and the correlation of yaw rates, over videos."""
    errors = np.array([(one.speed_error_share, one.yaw_rate_error_radps) for one in drives])
    return mean_interval(errors[:, 0]), mean_interval(errors[:, 1]), motion_correlation(drives, "yaw_rate_radps")


def motion_correlation(drives: Sequence[ReadMotion], name: str) -> float:
    """Of what was read with what was commanded, over all windows of drives."""
    said = np.concatenate([getattr(one, f"said_{name}") for one in drives])
    return correlation(said, np.concatenate([getattr(one, name) for one in drives]))


def commanded(speeds_mps: FloatArray, yaw_rates_radps: FloatArray, stride: int) -> tuple[FloatArray, FloatArray]:
    """Means of the command over windows, each (N,), as ``windows_of`` cuts them."""
    both = np.stack([speeds_mps, yaw_rates_radps])
    speeds, yaw_rates = sliding_window_view(both, WINDOW_FRAMES, axis=1)[:, ::stride].mean(axis=2)
    return speeds, yaw_rates


def read_motion(
    reader: InverseDynamics, video: Images, camera: Camera, speeds_mps: FloatArray, yaw_rates_radps: FloatArray
) -> ReadMotion:
    """Compare a video with its command.

    The video is uint8 (T, H, W, 3), T at least 12; speeds and yaw rates are those commanded, (T,).
    """
    motion = reader.read(windows_of(video, STRIDE_FRAMES), camera)
    return ReadMotion(*commanded(speeds_mps, yaw_rates_radps, STRIDE_FRAMES), motion.speed_mps, motion.yaw_rate_radps)
