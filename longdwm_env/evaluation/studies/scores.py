"""What is remembered of a system's drives: a few numbers for each scene, in one file for each system and seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from longdwm_env.evaluation.compliance import STRIDE_FRAMES, read_motion
from longdwm_env.evaluation.image_quality import psnr_db, ssim, unevenness
from longdwm_env.evaluation.networks import Networks
from longdwm_env.evaluation.paper.continuations import Sample
from longdwm_env.io.files import atomic_path
from longdwm_env.models.readers.scorer import windows_of
from longdwm_env.types import Images

SSIM_EVERY = 6
"""SSIM of every half second."""

Row = dict[str, np.ndarray]


@dataclass(frozen=True)
class Scores:
    """Arrays with scenes on their first axis.

    Attributes:
        arrays: of S scenes: ``psnr_db`` (S, T) and ``ssim`` (S, T / 6) of frames, ``unevenness`` (S, 1) in grey levels,
            ``seconds`` (S, N) of processor time; with an encoder ``features`` (S, W, D); with a reader
            ``speed_error_share`` (S, 1), NaN where hardly moving, and ``yaw_rate_error_radps`` (S, 1).
    """

    arrays: Mapping[str, np.ndarray]

    @property
    def scenes(self) -> int:
        """S."""
        return len(next(iter(self.arrays.values())))

    @staticmethod
    def gathered(rows: list[Row]) -> "Scores":
        """Of scenes one by one."""
        return Scores({name: np.stack([row[name] for row in rows]) for name in rows[0]})

    def save(self, path: Path) -> None:
        """Write the file whole."""
        with atomic_path(path) as temporary:
            save_file({name: np.ascontiguousarray(array) for name, array in self.arrays.items()}, temporary)

    @staticmethod
    def load(path: Path) -> "Scores":
        """Read it back."""
        return Scores(load_file(path))


def scored(networks: Networks, sample: Sample, video: Images, seconds: list[float]) -> Row:
    """One scene.

    Args:
        networks: an encoder for features, an inverse-dynamics model for compliance, or neither.
        sample: the truth and what was commanded.
        video: uint8 (T + 1, H, W, 3), the given frame first.
        seconds: (N,) processor time of making it, or parts of it.
    """
    frames = len(video) - 1
    truth = sample.truth[:frames]
    row = {
        "psnr_db": psnr_db(video[1:], truth),
        "ssim": ssim(video[SSIM_EVERY::SSIM_EVERY], truth[SSIM_EVERY - 1 :: SSIM_EVERY]),
        "unevenness": np.array([unevenness(video)]),
        "seconds": np.array(seconds, np.float64),
    }
    if networks.encoder is not None:
        row["features"] = networks.encoder.read(windows_of(video, STRIDE_FRAMES)).features.numpy()
    if networks.reader is not None:
        speeds, yaw_rates = (
            np.concatenate([values[:1], values[:frames]]) for values in (sample.speeds_mps, sample.yaw_rates_radps)
        )
        read = read_motion(networks.reader, video, sample.camera, speeds, yaw_rates)
        row["speed_error_share"] = np.array([read.speed_error_share])
        row["yaw_rate_error_radps"] = np.array([read.yaw_rate_error_radps])
    return row
