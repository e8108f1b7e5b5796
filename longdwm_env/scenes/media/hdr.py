"""High dynamic range video shown in the standard one: HLG and PQ signals of ITU-R BT.2100.

White of the standard range is 203 cd/m2, as in BT.2408; what is brighter is rolled off by BT.2390's curve, alike for
the three colours of a pixel, so that hues stay.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

HLG, PQ = 18, 16
"""Transfer characteristics by their numbers in ITU-T H.273, as decoders give them."""

_PEAK_NITS, _WHITE_NITS = 1000.0, 203.0
_GAMMA = 2.4
_LUMA = np.array([[0.2627, 0.6780, 0.0593]], np.float32)
"""Of BT.2020's primaries."""
_BT709_FROM_BT2020 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)


def standard_range(signal: NDArray[np.uint16], transfer: int) -> NDArray[np.uint8]:
    """uint8 (h, w, 3) in BT.709 from an HDR signal (h, w, 3) in BT.2020, full scale 65535.

    Args:
        signal: R'G'B' as decoded.
        transfer: ``HLG`` or ``PQ``. What is brighter than 1000 cd/m2 is white.
    """
    # OpenCV's powers are a tenth of the work that numpy's are.
    light = np.take(_light(transfer), signal)
    if transfer == HLG:
        # The display's part: scenes are shown with a system gamma of 1.2 at 1000 cd/m2.
        light *= cv2.pow(cv2.transform(light, _LUMA), 0.2)[..., None]
    brightest = (light.max(axis=2) * 65535 + 0.5).astype(np.uint16)
    light *= np.take(_roll_off(), brightest)[..., None]
    narrow = np.clip(cv2.transform(light, _BT709_FROM_BT2020), 0, 1)
    return (cv2.pow(narrow, 1 / _GAMMA) * 255 + 0.5).astype(np.uint8)


@lru_cache(maxsize=2)
def _light(transfer: int) -> NDArray[np.float32]:
    """(65536,) light of every signal: of the scene for HLG, of the display for PQ; 1 is 1000 cd/m2."""
    signal = np.arange(65536) / 65535
    if transfer == HLG:
        a = 0.17883277
        b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
        return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12).astype(np.float32)
    return (_nits_of_pq(signal) / _PEAK_NITS).clip(0, 1).astype(np.float32)


@lru_cache(maxsize=1)
def _roll_off() -> NDArray[np.float32]:
    """(65536,) by what light is multiplied, by its brightest colour; the product's 1 is white. BT.2390, section 5.4."""
    nits = np.maximum(np.arange(65536), 1) / 65535 * _PEAK_NITS
    peak = _pq_of_nits(np.array(_PEAK_NITS))
    wanted = _pq_of_nits(np.array(_WHITE_NITS)) / peak
    knee = 1.5 * wanted - 0.5
    signal = _pq_of_nits(nits) / peak
    t = (signal - knee) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * wanted
    shown = _nits_of_pq(np.where(signal < knee, signal, spline) * peak) / _WHITE_NITS
    return (shown / (nits / _PEAK_NITS)).astype(np.float32)


def _nits_of_pq(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    root = signal ** (32 / 2523)
    result: NDArray[np.float64] = np.maximum(root - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * root)
    return 10_000 * result ** (16384 / 2610)


def _pq_of_nits(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    root = (nits / 10_000) ** (2610 / 16384)
    result: NDArray[np.float64] = (3424 / 4096 + 2413 / 128 * root) / (1 + 2392 / 128 * root)
    return result ** (2523 / 32)
