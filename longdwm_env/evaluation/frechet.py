"""Frechet distance between two sets of features, in float64, accumulated piece by piece."""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch
from jaxtyping import Float
from torch import Tensor

from longdwm_env.errors import InvalidConfig


@dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of N features of D numbers.

    Attributes:
        count: N.
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

    Args:
        a: the reference.
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
