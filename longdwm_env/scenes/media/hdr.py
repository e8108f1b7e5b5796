"""High dynamic range video shown in the standard one: HLG and PQ signals (ITU-R BT.2100) by method A of BT.2446-1."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

HLG, PQ = 18, 16
"""Transfer characteristics by their numbers in ITU-T H.273, as decoders give them."""

_HDR_PEAK_NITS, _SDR_PEAK_NITS = 1000.0, 100.0
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
    display = cv2.pow(light, 1 / _GAMMA)
    luma = cv2.transform(display, _LUMA)
    toned = np.take(_toned(), (luma * 65535).astype(np.uint16))
    colour = (display - luma[..., None]) * (toned / np.maximum(1.1 * luma, 1e-6))[..., None]
    toned -= np.maximum(0.1 / 1.4746 * colour[..., 0], 0.0)
    wide = np.clip(colour + toned[..., None], 0, 1)
    narrow = cv2.transform(cv2.pow(wide, _GAMMA), _BT709_FROM_BT2020)
    return (cv2.pow(narrow.clip(0, 1), 1 / _GAMMA) * 255 + 0.5).astype(np.uint8)


@lru_cache(maxsize=1)
def _toned() -> NDArray[np.float32]:
    """(65536,) the standard range's luma for the high one's, both up to 1: method A's equations."""
    luma = np.arange(65536) / 65535
    high, low = (1 + 32 * (peak / 10_000) ** (1 / _GAMMA) for peak in (_HDR_PEAK_NITS, _SDR_PEAK_NITS))
    perceived = np.log(1 + (high - 1) * luma) / np.log(high)
    bent = np.where(
        perceived <= 0.7399,
        1.0770 * perceived,
        np.where(perceived < 0.9909, -1.1510 * perceived**2 + 2.7811 * perceived - 0.6302, 0.5 * perceived + 0.5),
    )
    return ((np.power(low, bent) - 1) / (low - 1)).astype(np.float32)


@lru_cache(maxsize=2)
def _light(transfer: int) -> NDArray[np.float32]:
    """(65536,) light of every signal: of the scene for HLG, of the display for PQ; 1 is 1000 cd/m2."""
    signal = np.arange(65536) / 65535
    if transfer == HLG:
        a = 0.17883277
        b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
        return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12).astype(np.float32)
    root = signal ** (32 / 2523)
    nits = 10_000 * (np.maximum(root - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * root)) ** (16384 / 2610)
    return (nits / _HDR_PEAK_NITS).clip(0, 1).astype(np.float32)
