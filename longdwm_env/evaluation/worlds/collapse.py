"""When a long generated drive has fallen apart: a detector that is set on the simulator's own long drives.

Every frame is described by a few logarithms of statistics, ``DESCRIPTION``, less their mean over the drive's first
second, which was or continues a given picture. How far a frame is from what the simulator's drives come to, in units of
their own spread (Mahalanobis distance), is its *anomaly*. How much it differs from the frame a quarter of a second
before, over its mean slope, is its *motion*, about how many pixels the picture has moved. Over slope, not contrast: a
soft picture that moves as it should changes less from frame to frame than a sharp one. It counts only while the car
drives.

A drive has collapsed when for more than ``LONGEST_S`` every frame is above a threshold of anomaly (blurred, washed out,
of one colour, noise, sky and road gone), or moves less than a share of what the simulator's pictures usually do
(frozen). The threshold of anomaly is put where the simulator's drives would cross it in ``FALSE_ALARMS`` of cases, by a
normal distribution fitted to the logarithm of the worst that each of them comes to.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.stats import norm

from longdwm_env.clock import FPS
from longdwm_env.errors import InvalidConfig
from longdwm_env.types import FloatArray, Images

DESCRIPTION = (
    "sharpness above the horizon", "sharpness below the horizon", "contrast", "fine detail over sharpness",
    "light above the horizon", "light below the horizon", "step of light at the horizon", "red over green",
    "blue over green", "colours", "difference of left and right",
)  # fmt: skip
LONGEST_S = 2.0
MOTION_S = 0.25
LEAST_SPEED_MPS = 3.0
"""A slower car may see a picture that stands still."""
LEAST_SLOPE = 0.25
"""Grey levels a pixel that are added to a picture's slope, so that one without any does not divide by nothing."""

FALSE_ALARMS = 0.005
"""Of anomaly."""
FROZEN_SHARE = 0.25
"""Of the simulator's median motion. Not a quantile of it: that would call soft scenery frozen, which moves less."""

_RUN = round(LONGEST_S * FPS)
_MOTION = round(MOTION_S * FPS)


def described(frames: Images) -> FloatArray:
    """(T, K) the logarithms of ``DESCRIPTION`` of frames (T, H, W, 3)."""
    return np.stack([_described(frame) for frame in frames])


def _described(frame: Images) -> FloatArray:
    colour = frame.astype(np.float32)
    grey = colour @ np.array([0.299, 0.587, 0.114], np.float32)
    middle, band = len(grey) // 2, max(1, len(grey) // 10)
    slope = _slope(grey)
    detail = np.abs(cv2.Laplacian(grey, cv2.CV_32F))
    above, below = grey[:middle], grey[middle:]
    step = abs(float(grey[middle - 2 * band : middle - band].mean() - grey[middle + band : middle + 2 * band].mean()))
    red, green, blue = colour.reshape(-1, 3).mean(0) + 4
    spread = (colour - grey[..., None]).std(axis=(0, 1)).mean()
    half = grey.shape[1] // 2
    aside = abs(float(grey[:, :half].mean() - grey[:, -half:].mean()))
    # What is added is about the least difference that can be seen, so that darkness does not make noise of nothing.
    return np.log(
        [
            float(slope[:middle].mean()) + 4,
            float(slope[middle:].mean()) + 4,
            float(grey.std()) + 4,
            (float(detail.mean()) + 2) / (float(slope.mean()) + 4),
            float(above.mean()) + 8,
            float(below.mean()) + 8,
            step + 8,
            red / green,
            blue / green,
            float(spread) + 4,
            aside + 8,
        ]
    )


def _slope(grey: np.ndarray) -> np.ndarray:
    """Eight times the grey levels by which neighbouring pixels differ."""
    slope: np.ndarray = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    return slope


@dataclass(frozen=True)
class Course:
    """How a drive looks over time.

    Attributes:
        change: (T, K) descriptions less their mean over the first second.
        motion: (T,) NaN where the car is slow.
    """

    change: FloatArray
    motion: FloatArray


def course(frames: Images, speeds_mps: FloatArray) -> Course:
    """Describe a drive, frames (T, H, W, 3) at speeds (T,)."""
    description = described(frames)
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in frames]
    motion = np.full(len(frames), np.nan)
    for index in range(_MOTION, len(frames)):
        if speeds_mps[index - _MOTION : index + 1].min() > LEAST_SPEED_MPS:
            moved = float(np.abs(greys[index] - greys[index - _MOTION]).mean())
            motion[index] = moved / (float(_slope(greys[index]).mean()) / 8 + LEAST_SLOPE)
    return Course(description - description[:FPS].mean(axis=0), motion)


@dataclass(frozen=True)
class Detector:
    """The detector, set on the simulator's drives.

    Attributes:
        mean: (K,) of their changes.
        whitening: (K, K) that makes their spread 1 in every direction.
        most_anomalous: the first threshold.
        least_motion: the second.
    """

    mean: FloatArray
    whitening: FloatArray
    most_anomalous: float
    least_motion: float

    @classmethod
    def fitted(cls, courses: Sequence[Course]) -> "Detector":
        """Set on drives of the simulator, at least three.

        Raises:
            InvalidConfig: there are fewer, or they are too short.
        """
        if len(courses) < 3 or min(len(one.motion) for one in courses) <= _RUN:
            raise InvalidConfig(f"a detector of collapse is set on at least 3 drives of more than {LONGEST_S:g} s")
        changes = np.concatenate([one.change for one in courses])
        # A little is added to the spread, so that a direction in which the simulator hardly varies does not decide all.
        covariance = np.cov(changes, rowvar=False) + 0.05**2 * np.eye(changes.shape[1])
        whitening = np.linalg.inv(np.linalg.cholesky(covariance))
        plain = cls(changes.mean(axis=0), whitening, np.inf, -np.inf)
        anomaly = np.array([plain.worst(one)[0] for one in courses])
        motions = np.concatenate([one.motion for one in courses])
        moving = motions[np.isfinite(motions)]
        usual = float(np.median(moving)) if len(moving) else -np.inf
        return cls(plain.mean, whitening, _quantile(anomaly, 1 - FALSE_ALARMS), FROZEN_SHARE * usual)

    def anomaly(self, one: Course) -> FloatArray:
        """(T,) Mahalanobis distances over the root of K: about 1 for the simulator's frames."""
        apart = (one.change - self.mean) @ self.whitening.T
        return np.sqrt((apart**2).mean(axis=1))

    def worst(self, one: Course) -> tuple[float, float]:
        """The greatest anomaly, and the least motion, that a drive keeps up for ``LONGEST_S``; NaN if it never moves.

        That is, the greatest threshold that its anomaly exceeds for so long.
        """
        anomaly, motion = self._held(one)
        moving = motion[np.isfinite(motion)]
        return float(anomaly.max()), float(moving.min()) if len(moving) else float("nan")

    def collapse_s(self, one: Course) -> float | None:
        """When a drive has collapsed: the end of the first ``LONGEST_S`` beyond a threshold; None if it never does."""
        anomaly, motion = self._held(one)
        beyond = np.flatnonzero((anomaly > self.most_anomalous) | (motion < self.least_motion))
        return float((beyond[0] + _RUN) / FPS) if len(beyond) else None

    def _held(self, one: Course) -> tuple[FloatArray, FloatArray]:
        """For each run of ``LONGEST_S``, by its first frame: the least anomaly, the greatest motion or infinity."""
        motion = np.where(np.isfinite(one.motion), one.motion, np.inf)
        runs = [sliding_window_view(series, _RUN + 1) for series in (self.anomaly(one), motion)]
        return runs[0].min(axis=1), runs[1].max(axis=1)


def _quantile(values: FloatArray, share: float) -> float:
    """Of a log-normal distribution fitted to values."""
    logs = np.log(values)
    return float(np.exp(logs.mean() + norm.ppf(share) * logs.std(ddof=1)))


def left_out_alarms(courses: Sequence[Course]) -> list[float | None]:
    """When a detector that is set on all other drives takes each drive for collapsed; None where it does not."""
    found = []
    for index, one in enumerate(courses):
        found.append(Detector.fitted([*courses[:index], *courses[index + 1 :]]).collapse_s(one))
    return found


def damaged(frames: Images, kind: str, first: int) -> Images:
    """A drive (T, H, W, 3) that collapses on purpose from a frame on, to see whether it is noticed.

    Raises:
        InvalidConfig: there is no such kind.
    """
    worse = frames.copy()
    height, width = frames.shape[1:3]
    if kind == "blurred":
        sigma = height / 16
        worse[first:] = [cv2.GaussianBlur(frame, (0, 0), sigma) for frame in frames[first:]]
    elif kind == "frozen":
        worse[first:] = frames[first]
    elif kind == "one colour":
        worse[first:] = frames[first].mean(axis=(0, 1)).astype(np.uint8)
    elif kind == "noise":
        noise = np.random.default_rng(0).normal(0, 40, (len(frames) - first, height, width, 3))
        worse[first:] = np.clip(frames[first:] + noise, 0, 255)
    elif kind == "upside down":
        worse[first:] = frames[first:, ::-1]
    else:
        raise InvalidConfig(f"there is no damage {kind!r}; there are {', '.join(DAMAGES)}")
    return worse


DAMAGES = ("blurred", "frozen", "one colour", "noise", "upside down")
