"""Frechet distance between two sets of features, in float64, and how much it varies with the choice of scenes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch
from jaxtyping import Float
from torch import Tensor

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.statistics import Interval, bootstrap
from longdwm_env.models.readers.scorer import WINDOW_FRAMES, DrivingEncoder, windows_of
from longdwm_env.types import FloatArray, Images

Features = Sequence[FloatArray]
"""For each scene the features (n, D) of its windows."""

DRAWS = 200
STRIDE_FRAMES = WINDOW_FRAMES // 2
"""Windows of a second begin every half second."""


@dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of N features of D numbers.

    Attributes:
        mean: (D,).
        covariance: (D, D), with N - 1 in the denominator.
    """

    count: int
    mean: np.ndarray
    covariance: np.ndarray


def gaussian_of(features: Float[Tensor, "n d"] | np.ndarray) -> Gaussian:
    """Fit a Gaussian to features.

    Raises:
        InvalidConfig: there are fewer than two.
    """
    array = features.double().cpu().numpy() if isinstance(features, torch.Tensor) else np.asarray(features, np.float64)
    if array.ndim != 2 or len(array) < 2:
        raise InvalidConfig(f"a Frechet distance needs at least two features (N, D) on each side, got {array.shape}")
    return Gaussian(len(array), array.mean(axis=0), np.atleast_2d(np.cov(array, rowvar=False)))


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """Distance of two Gaussians; see ``FrechetReference``, which is quicker where many are compared with one."""
    return FrechetReference(a).distance(b)


class FrechetReference:
    """What others are compared with.

    ``|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))`` (Dowson and Landau 1982), as in FID and FVD.

    The trace of the root is the sum of the square roots of the eigenvalues of C_a C_b, which are those of the symmetric
    ``C_a^(1/2) C_b C_a^(1/2)``; taken that way no root of a non-symmetric matrix is needed, which is not stable when
    there are fewer samples than dimensions.
    """

    def __init__(self, a: Gaussian) -> None:
        self.gaussian = a
        values, vectors = scipy.linalg.eigh(a.covariance)
        self._root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T

    def distance(self, b: Gaussian) -> float:
        """From the reference to another."""
        a = self.gaussian
        cross = scipy.linalg.eigvalsh(self._root @ b.covariance @ self._root)
        trace = np.trace(a.covariance) + np.trace(b.covariance) - 2 * np.sqrt(np.clip(cross, 0, None)).sum()
        return float(((a.mean - b.mean) ** 2).sum() + max(trace, 0.0))


def frechet_interval(real: Features, made: Features) -> Interval:
    """Frechet distance of the features of all scenes; the real ones fixed, the made ones drawn again.

    A distance of few features is too high, and of drawn-again ones higher still: the interval is centred on the value,
    and says how much it wobbles with the choice of scenes.
    """
    return _centred([(real, made)], lambda distances: distances[0]).not_negative


def frechet_difference(real: Features, first: Features, second: Features) -> Interval:
    """Distance of the first minus that of the second, which drove the same scenes; both drawn again together."""
    return _centred([(real, first), (real, second)], lambda distances: distances[0] - distances[1])


def frechet_ratio(real_first: Features, first: Features, real_second: Features, second: Features) -> Interval:
    """Distance of the first from its truth over that of the second from its own; the same scenes drawn together."""
    pairs = [(real_first, first), (real_second, second)]
    return _centred(pairs, lambda distances: distances[0] / max(distances[1], 1e-12)).not_negative


def _centred(pairs: Sequence[tuple[Features, Features]], statistic: Callable[[list[float]], float]) -> Interval:
    """A statistic of the distances of (real, made) pairs whose made scenes are drawn again together."""
    references = [FrechetReference(gaussian_of(np.concatenate(list(real)))) for real, _ in pairs]

    def value(chosen: np.ndarray) -> float:
        drawn = (np.concatenate([made[i] for i in chosen.tolist()]) for _, made in pairs)
        return statistic([one.distance(gaussian_of(some)) for one, some in zip(references, drawn, strict=True)])

    return bootstrap(np.arange(len(pairs[0][1])), value, DRAWS, centred=True)


def window_features(encoder: DrivingEncoder, windows: Images) -> FloatArray:
    """(n, D) features of windows of a second (n, 12, H, W, 3)."""
    return np.asarray(encoder.read(windows).features.numpy(), np.float64)


def video_features(encoder: DrivingEncoder, videos: Sequence[Images]) -> list[FloatArray]:
    """Of each video (T, H, W, 3) the features of its windows; videos below a second are left out.

    Raises:
        InvalidConfig: all are too short.
    """
    long = [video for video in videos if len(video) >= WINDOW_FRAMES]
    if not long:
        raise InvalidConfig(f"FDS needs videos of at least {WINDOW_FRAMES} frames")
    return [window_features(encoder, windows_of(video, STRIDE_FRAMES)) for video in long]


def fds_interval(encoder: DrivingEncoder, real: Sequence[Images], generated: Sequence[Images]) -> Interval:
    """Frechet distance of this project's own encoder's features over windows of a second. Not FVD.

    Compare rows of one table with one another: the interval is a scale of the noise, see ``frechet_interval``.
    """
    return frechet_interval(video_features(encoder, real), video_features(encoder, generated))
