"""PSNR and SSIM of frames against the truth, and how evenly a video moves."""

import numpy as np
import torch

from longdwm_env.errors import InvalidConfig
from longdwm_env.types import Images

SSIM_SIGMA_PX = 1.5
SSIM_RADIUS_PX = 5
MOST_DB = 100.0
"""Equal frames count as this, so that a mean over frames is a number."""


def psnr_db(made: Images, truth: Images) -> np.ndarray:
    """Peak signal-to-noise ratio of each frame in dB, (...,) for uint8 (..., H, W, 3), at most ``MOST_DB``."""
    _check(made, truth)
    error = (made.astype(np.float64) - truth.astype(np.float64)) ** 2
    with np.errstate(divide="ignore"):
        return np.asarray(np.minimum(10 * np.log10(255.0**2 / error.mean(axis=(-3, -2, -1))), MOST_DB))


def ssim(made: Images, truth: Images) -> np.ndarray:
    """Structural similarity of each frame, (...,) for uint8 (..., H, W, 3) (Wang et al. 2004).

    Gaussian window of 11 pixels with sigma 1.5, K1 = 0.01, K2 = 0.03, channels averaged, borders left out.
    """
    _check(made, truth)
    shape = made.shape[:-3]
    pair = [_planes(x.reshape(-1, *x.shape[-3:])) for x in (made, truth)]
    offsets = torch.arange(-SSIM_RADIUS_PX, SSIM_RADIUS_PX + 1, dtype=torch.float64)
    window = torch.exp(-(offsets**2) / (2 * SSIM_SIGMA_PX**2))
    window = window / window.sum()

    def blurred(x: torch.Tensor) -> torch.Tensor:
        x = torch.nn.functional.conv2d(x, window.reshape(1, 1, -1, 1))
        return torch.nn.functional.conv2d(x, window.reshape(1, 1, 1, -1))

    values = []
    # A frame at a time: double precision of a whole video would not fit.
    for x, y in zip(*pair, strict=True):
        x, y = x[:, None], y[:, None]
        mean_x, mean_y = blurred(x), blurred(y)
        var_x, var_y = blurred(x * x) - mean_x**2, blurred(y * y) - mean_y**2
        both = blurred(x * y) - mean_x * mean_y
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        ratio = (2 * mean_x * mean_y + c1) * (2 * both + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
        values.append(float(ratio.mean()))
    return np.array(values).reshape(shape)


def unevenness(video: Images) -> float:
    """How far frames are from the middle of their neighbours, mean absolute grey levels of 255; even motion has little.

    It stands in for VBench's motion smoothness, which asks a network for the middle frame.
    """
    pixels = video.astype(np.int16)
    return float(np.abs(2 * pixels[1:-1] - pixels[:-2] - pixels[2:]).mean() / 2)


def _planes(frames: Images) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames)).movedim(-1, 1).double()


def _check(made: Images, truth: Images) -> None:
    if made.shape != truth.shape or made.dtype != np.uint8 or truth.dtype != np.uint8:
        raise InvalidConfig(
            f"frames to compare are uint8 of one shape, got {made.dtype} {made.shape} and {truth.dtype} {truth.shape}"
        )
