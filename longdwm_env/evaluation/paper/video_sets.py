"""All metrics of two sets of videos: ``longdwm metrics --real DIR --generated DIR``."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from longdwm_env.errors import InvalidConfig, MissingDependency
from longdwm_env.evaluation.frechet import fds_interval, frechet_distance, gaussian_of
from longdwm_env.evaluation.image_quality import psnr_db, ssim
from longdwm_env.evaluation.networks import Networks
from longdwm_env.evaluation.paper.feature_networks import InceptionFeatures, VideoFeatures
from longdwm_env.evaluation.statistics import Interval, bootstrap
from longdwm_env.types import Images


def fid(inception: Path, real: list[Images], generated: list[Images], batch: int = 32) -> float:
    """Frechet Inception distance of frames, by ``torchmetrics.image.fid.FrechetInceptionDistance`` as in the paper.

    Raises:
        MissingDependency: torchmetrics is not installed.
        MissingWeights: the network is not there.
    """
    try:
        from torchmetrics.image.fid import FrechetInceptionDistance
    except ImportError as error:
        raise MissingDependency("FID needs torchmetrics: pip install 'longdwm[train]'") from error
    metric = FrechetInceptionDistance(feature=InceptionFeatures(inception))
    for videos, is_real in ((real, True), (generated, False)):
        frames = np.concatenate(videos)
        for first in range(0, len(frames), batch):
            images = torch.from_numpy(frames[first : first + batch]).movedim(-1, 1)
            metric.update(images, real=is_real)
    return float(metric.compute())


def fvd(i3d: Path, real: list[Images], generated: list[Images], batch: int = 4) -> float:
    """Frechet video distance: one I3D feature per video (Unterthiner et al. 2018).

    Raises:
        MissingWeights: the network is not there.
        InvalidConfig: videos differ in length, or are too short.
    """
    if len({len(video) for video in [*real, *generated]}) != 1:
        raise InvalidConfig("FVD compares videos of one length; cut them first")
    network = VideoFeatures(i3d)
    features = []
    for videos in (real, generated):
        parts = []
        for first in range(0, len(videos), batch):
            stacked = torch.from_numpy(np.stack(videos[first : first + batch])).movedim(-1, 2)
            parts.append(network(stacked))
        features.append(torch.cat(parts))
    return frechet_distance(*map(gaussian_of, features))


@dataclass(frozen=True)
class Measures:
    """Metrics of generated videos against real ones.

    Attributes:
        videos: generated ones.
        fid, fvd, fds: None where the network is not there.
        psnr_db, ssim: over videos that are paired by name; None where none is.
        psnr_per_second, ssim_per_second: how they fall with time (drift), each (seconds,).
        left_out: metric to reason.
    """

    videos: int
    fid: float | None
    fvd: float | None
    fds: Interval | None
    psnr_db: Interval | None
    ssim: Interval | None
    psnr_per_second: tuple[float, ...]
    ssim_per_second: tuple[float, ...]
    left_out: dict[str, str]


def measure(
    real: list[Images], generated: list[Images], networks: Networks, is_paired: bool, fps: int = 12
) -> Measures:
    """Every metric that the networks at hand allow.

    Args:
        real: videos, uint8 (T, H, W, 3).
        generated: videos; the same number and length as ``real`` if ``is_paired``.
        networks: at hand.
        is_paired: whether video i of both shows the same drive, so that frames can be compared.
        fps: frames per second.
    """
    left_out = {}
    if networks.inception is None:
        left_out["FID"] = "no Inception weights given (--inception)"
    if networks.i3d is None:
        left_out["FVD"] = "no I3D weights given (--i3d)"
    if networks.encoder is None:
        left_out["FDS"] = "no trained scorer came with this installation, and none was given (--encoder)"
    psnr = similarity = None
    psnr_drift: tuple[float, ...] = ()
    ssim_drift: tuple[float, ...] = ()
    if is_paired:
        lengths = [min(len(a), len(b)) for a, b in zip(real, generated, strict=True)]
        pairs = [(a[:n], b[:n]) for a, b, n in zip(generated, real, lengths, strict=True)]
        signal = [psnr_db(a, b) for a, b in pairs]
        similar = [ssim(a, b) for a, b in pairs]
        psnr = bootstrap(np.array([s.mean() for s in signal]))
        similarity = bootstrap(np.array([s.mean() for s in similar]))
        psnr_drift, ssim_drift = per_second(signal, fps), per_second(similar, fps)
    else:
        left_out["PSNR, SSIM"] = "no names are in both folders"
    return Measures(
        len(generated),
        None if networks.inception is None else fid(networks.inception, real, generated),
        None if networks.i3d is None else fvd(networks.i3d, real, generated),
        None if networks.encoder is None else fds_interval(networks.encoder, real, generated),
        psnr,
        similarity,
        psnr_drift,
        ssim_drift,
        left_out,
    )


def per_second(values: list[np.ndarray], fps: int = 12) -> tuple[float, ...]:
    """Mean over videos of each whole second that all of them have."""
    seconds = min(len(v) for v in values) // fps
    return tuple(float(np.mean([v[s * fps : (s + 1) * fps].mean() for v in values])) for s in range(seconds))
