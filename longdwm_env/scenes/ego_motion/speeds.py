"""From evidence for every speed at every frame to the speed that a car can have driven."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from longdwm_env.scenes.ego_motion.road import SPEEDS_MPS
from longdwm_env.types import FloatArray

HARDEST_MPS2 = 7.0
"""Changes of speed beyond this cost as much as a whole correlation."""

_SHARPNESS = 8.0
_SMOOTH_CHANGE = 0.02
_NOISE = 0.28
"""Correlation that the best of all speeds reaches on a strip without anything on it."""
_POINTS = 0.6
"""Points are worth less than the road itself: many lie on other cars."""
_NOT_STANDING = 0.6
_STANDING = 0.4


def mixed(strips: Float[np.ndarray, "frames strips speeds"]) -> Float[np.ndarray, "frames speeds"]:
    """One evidence of several strips' correlations: the best ones count, and those that see something else do not."""
    best = strips.max(axis=1, keepdims=True)
    weights = np.exp(_SHARPNESS * (strips - best))
    return np.asarray((weights * strips).sum(axis=1) / weights.sum(axis=1))


@dataclass(frozen=True)
class SpeedPath:
    """Speeds of a drive's steps from frame to frame.

    Attributes:
        speeds_mps: (T,).
        support: (T,) correlation at the speed, of the strip of road that sees it best.
        united: (T,) how much of what the strips see speaks for that speed, 0 to 1.
    """

    speeds_mps: FloatArray
    support: FloatArray
    united: FloatArray


def likely_speeds(
    strips: Float[np.ndarray, "frames strips speeds"], seconds: FloatArray, still_share: FloatArray
) -> SpeedPath:
    """The most likely speeds of a car that cannot change its speed at once (Viterbi).

    Args:
        strips: correlations by step, strip and speed; the last strip is that of followed points.
        seconds: (T,) duration of each step.
        still_share: (T,) share of the scenery that did not move: a car stands where most of it is still, and drives
            where little is, even if the car ahead stays as far away as it was.
    """
    strips = np.concatenate([strips[:, :-1], _POINTS * strips[:, -1:]], axis=1)
    evidence = mixed(strips)
    slow = np.exp(-SPEEDS_MPS / 0.3)
    evidence = evidence - _NOT_STANDING * np.clip((0.5 - still_share) / 0.3, 0, 1)[:, None] * slow
    evidence = evidence + _STANDING * np.clip((still_share - 0.7) / 0.2, 0, 1)[:, None] * slow
    apart = np.abs(SPEEDS_MPS[:, None] - SPEEDS_MPS[None])
    cost = -evidence[0]
    came_from = np.zeros((len(evidence), len(SPEEDS_MPS)), np.int16)
    for step in range(1, len(evidence)):
        change = apart / (HARDEST_MPS2 * max((seconds[step - 1] + seconds[step]) / 2, 1e-3))
        total = cost[None] + np.where(change <= 1, _SMOOTH_CHANGE * change**2, 1.0)
        came_from[step] = total.argmin(axis=1)
        cost = np.take_along_axis(total, came_from[step][:, None].astype(int), axis=1)[:, 0] - evidence[step]
    path = np.zeros(len(evidence), int)
    path[-1] = cost.argmin()
    for step in range(len(evidence) - 1, 0, -1):
        path[step - 1] = came_from[step, path[step]]
    rows = np.arange(len(path))
    speeds = _between(evidence, path)
    # A step and its neighbours share most of their evidence; what is left of the grid is smoothed away.
    rate = 1 / max(float(np.median(seconds)), 1e-3)
    smooth = gaussian_filter1d(speeds, 0.15 * rate, mode="nearest")
    return SpeedPath(np.maximum(smooth, 0), np.maximum(strips[rows, :-1, path].max(axis=1), 0), _united(strips, path))


def _between(evidence: FloatArray, path: np.ndarray) -> FloatArray:
    """Speeds between those that were tried, by parabolas; standstill stays exact."""
    inner = path.clip(1, len(SPEEDS_MPS) - 2)
    rows = np.arange(len(path))
    left, here, right = (evidence[rows, inner + offset] for offset in (-1, 0, 1))
    curve = left - 2 * here + right
    offset = np.where(curve < -1e-9, 0.5 * (left - right) / np.where(curve < -1e-9, curve, 1), 0).clip(-1, 1)
    refined = np.interp(inner + offset, np.arange(len(SPEEDS_MPS)), SPEEDS_MPS)
    return np.where(path == 0, 0.0, np.where(path == inner, refined, SPEEDS_MPS[path]))


def _united(strips: FloatArray, path: np.ndarray) -> FloatArray:
    """Of what the strips' best speeds weigh, the share that lies about the speed of the path."""
    best = strips.argmax(axis=2)
    weight = np.maximum(strips.max(axis=2) - _NOISE, 0) ** 2
    chosen = SPEEDS_MPS[path][:, None]
    near = np.abs(SPEEDS_MPS[best] - chosen) < 0.2 * chosen + 0.2
    return np.asarray((weight * near).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-6))
