"""All metrics of two sets of videos: ``longdwm metrics --real DIR --generated DIR``."""

from pathlib import Path

import numpy as np
import torch

from longdwm_env.clock import FPS
from longdwm_env.errors import InvalidConfig, MissingDependency
from longdwm_env.evaluation.frechet import fds_interval, frechet_distance, gaussian_of
from longdwm_env.evaluation.image_quality import psnr_db, ssim
from longdwm_env.evaluation.networks import Networks
from longdwm_env.evaluation.paper.feature_networks import InceptionFeatures, VideoFeatures
from longdwm_env.evaluation.report import Cell
from longdwm_env.evaluation.statistics import bootstrap
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


def frechet_cells(
    networks: Networks, real: list[Images], made: list[Images], given: int = 0
) -> tuple[Cell, Cell, Cell]:
    """FID, FVD and FDS; None where the network is not there.

    Args:
        networks: at hand.
        real: videos, uint8 (T, H, W, 3).
        made: videos.
        given: frames at the start of each video that were given; as in Vista and the paper, they count for FVD alone.
    """
    without = ([video[given:] for video in real], [video[given:] for video in made])
    return (
        None if networks.inception is None else fid(networks.inception, *without),
        None if networks.i3d is None else fvd(networks.i3d, real, made),
        None if networks.encoder is None else fds_interval(networks.encoder, real, made),
    )


def measure(
    real: list[Images], generated: list[Images], networks: Networks, is_paired: bool, fps: int = FPS
) -> tuple[dict[str, Cell], dict[str, str]]:
    """Every metric that the networks at hand allow.

    Args:
        real: videos, uint8 (T, H, W, 3).
        generated: videos; the same number and length as ``real`` if ``is_paired``.
        networks: at hand.
        is_paired: whether video i of both shows the same drive, so that frames can be compared.
        fps: frames per second.

    Returns:
        By the name of a metric what was found, None where it is left out, with how PSNR and SSIM fall from second to
        second (drift); and by the same names why.
    """
    cells: dict[str, Cell] = dict(zip(("FID", "FVD", "FDS"), frechet_cells(networks, real, generated), strict=True))
    reasons = {
        "FID": "no Inception weights given (--inception)",
        "FVD": "no I3D weights given (--i3d)",
        "FDS": "no trained scorer came with this installation, and none was given (--encoder)",
    }
    left_out = {name: reason for name, reason in reasons.items() if cells[name] is None}
    if not is_paired:
        return cells | {"PSNR (dB)": None, "SSIM": None}, left_out | {"PSNR, SSIM": "no names are in both folders"}
    lengths = [min(len(a), len(b)) for a, b in zip(real, generated, strict=True)]
    pairs = [(a[:n], b[:n]) for a, b, n in zip(generated, real, lengths, strict=True)]
    drift: dict[str, Cell] = {}
    for name, unit, compared in (("PSNR", " (dB)", psnr_db), ("SSIM", "", ssim)):
        values = [compared(*pair) for pair in pairs]
        cells[name + unit] = bootstrap(np.array([one.mean() for one in values]))
        drift |= {f"{name}, second {place}{unit}": one for place, one in enumerate(per_second(values, fps), 1)}
    return cells | dict(sorted(drift.items(), key=lambda cell: int(cell[0].split()[2]))), left_out


def per_second(values: list[np.ndarray], fps: int = FPS) -> tuple[float, ...]:
    """Mean over videos of each whole second that all of them have."""
    seconds = min(len(v) for v in values) // fps
    return tuple(float(np.mean([v[s * fps : (s + 1) * fps].mean() for v in values])) for s in range(seconds))
