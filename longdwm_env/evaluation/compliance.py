"""Does the video show what was commanded? Judged by the inverse-dynamics model, without people."""

from dataclasses import dataclass

import numpy as np

from longdwm_env.evaluation.statistics import Interval, bootstrap
from longdwm_env.models.inverse_dynamics import InverseDynamics
from longdwm_env.models.scorer import WINDOW_FRAMES, windows_of
from longdwm_env.types import Camera, FloatArray, Images


@dataclass(frozen=True)
class Compliance:
    """How well videos follow their commands; intervals are over videos.

    Attributes:
        videos: how many.
        speed_error_share: mean over videos of |speed read - speed commanded| over the commanded, videos below 1 m/s
            left out.
        speed_error_mps: mean absolute error.
        yaw_rate_error_radps: mean absolute error.
        speed_correlation, yaw_rate_correlation: over all windows of all videos; NaN where the command never varies.
    """

    videos: int
    speed_error_share: Interval
    speed_error_mps: Interval
    yaw_rate_error_radps: Interval
    speed_correlation: float
    yaw_rate_correlation: float


def commanded(speeds_mps: FloatArray, yaw_rates_radps: FloatArray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of the command over windows, each (N,), as ``windows_of`` cuts them."""
    starts = range(0, len(speeds_mps) - WINDOW_FRAMES + 1, stride)
    means = [(speeds_mps[s : s + WINDOW_FRAMES].mean(), yaw_rates_radps[s : s + WINDOW_FRAMES].mean()) for s in starts]
    return np.array([m[0] for m in means]), np.array([m[1] for m in means])


def compliance(
    reader: InverseDynamics,
    videos: list[Images],
    cameras: list[Camera],
    speeds_mps: list[FloatArray],
    yaw_rates_radps: list[FloatArray],
    stride: int = WINDOW_FRAMES // 2,
) -> Compliance:
    """Compare videos with their commands.

    Args:
        reader: the inverse-dynamics model.
        videos: each uint8 (T, H, W, 3), T at least 12.
        cameras: that took them.
        speeds_mps: each (T,) commanded.
        yaw_rates_radps: each (T,) commanded.
        stride: frames between windows.
    """
    said_speed, said_yaw, want_speed, want_yaw = [], [], [], []
    for video, camera, speeds, yaw_rates in zip(videos, cameras, speeds_mps, yaw_rates_radps, strict=True):
        motion = reader.read(windows_of(video, stride), camera)
        speed, yaw = commanded(np.asarray(speeds), np.asarray(yaw_rates), stride)
        said_speed.append(motion.speed_mps)
        said_yaw.append(motion.yaw_rate_radps)
        want_speed.append(speed)
        want_yaw.append(yaw)
    errors = np.array([np.abs(a - b).mean() for a, b in zip(said_speed, want_speed, strict=True)])
    yaw_errors = np.array([np.abs(a - b).mean() for a, b in zip(said_yaw, want_yaw, strict=True)])
    driven = np.array([want.mean() for want in want_speed])
    shares = errors[driven > 1] / driven[driven > 1]
    return Compliance(
        len(videos),
        bootstrap(shares) if len(shares) else Interval(np.nan, np.nan, np.nan),
        bootstrap(errors),
        bootstrap(yaw_errors),
        correlation(np.concatenate(said_speed), np.concatenate(want_speed)),
        correlation(np.concatenate(said_yaw), np.concatenate(want_yaw)),
    )


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's; NaN where one of them does not vary."""
    if len(a) < 2 or a.std() < 1e-9 or b.std() < 1e-9:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
