"""What never moves in a drive's pictures: the car's own hood, a dashboard, burnt-in text."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

_FEWEST_SAMPLES, _SHORTEST_S = 8, 5.0
_STILL = 0.72
"""Share of an edge's strength that the mean of all pictures keeps, where it never moves."""
_FAINT = 6.0
_MOST = 0.5
_HOOD_FROM, _HOOD_SPAN, _HOOD_RISE = 0.6, 0.4, 0.15


def moving_area(samples: Sequence[NDArray[np.uint8]], lasting_s: float) -> NDArray[np.uint8]:
    """Where pictures from all over a drive show the world: uint8 (h, w), 255 there and 0 on what never moves.

    An edge that is always in the same place is as sharp in the mean of the pictures as in each of them; one that moves
    is blurred away. Below a still edge across the lower part lies the hood. Where most of the picture never moves the
    car stood all the time, and nothing is masked; nor in a drive of a few seconds, in which hardly anything moves far.
    """
    height, width = samples[0].shape
    everything = np.full((height, width), 255, np.uint8)
    if len(samples) < _FEWEST_SAMPLES or lasting_s < _SHORTEST_S:
        return everything
    each = np.zeros((height, width), np.float32)
    total = np.zeros((2, height, width), np.float32)
    for picture in samples:
        slopes = _slopes(picture)
        each += np.hypot(*slopes) / len(samples)
        total += slopes / len(samples)
    lasting = np.hypot(*total)
    still = (cv2.blur(lasting, (3, 3)) > _STILL * cv2.blur(each, (3, 3))) & (each > _FAINT)
    area = cv2.morphologyEx(still.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    reach = max(3, width // 90)
    masked = cv2.dilate(area, np.ones((reach, reach), np.uint8)) > 0
    masked |= _below_hood(masked)
    if masked.mean() > _MOST:
        return everything
    return np.where(masked, np.uint8(0), everything)


def _slopes(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    smooth = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1.0)
    return np.stack([cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)]) / 4


def _below_hood(masked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What lies below a still edge that spans much of the picture's lower part."""
    height, width = masked.shape
    below = np.zeros_like(masked)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(masked.astype(np.uint8), connectivity=8)
    first = int(_HOOD_FROM * height)
    for label in range(1, count):
        left, top, span, _, _ = stats[label]
        if top < first or span < _HOOD_SPAN * width:
            continue
        part = labels[:, left : left + span] == label
        rows = np.where(part.any(axis=0), part.argmax(axis=0), height)
        columns = np.arange(span)[rows < height]
        low, high = np.quantile(rows[rows < height], [0.1, 0.9])
        if high - low > _HOOD_RISE * height:
            continue
        edge = np.interp(np.arange(span), columns, rows[rows < height])
        below[:, left : left + span] |= np.arange(height)[:, None] >= edge
        # The hood reaches the sides of the picture even where its edge fades.
        below[:, :left] |= (np.arange(height) >= edge[0])[:, None]
        below[:, left + span :] |= (np.arange(height) >= edge[-1])[:, None]
    return below
