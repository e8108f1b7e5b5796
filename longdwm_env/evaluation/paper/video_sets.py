"""All metrics of two sets of videos: ``longdwm metrics --real DIR --generated DIR``, and what protocols share.

A video is read once, by each network, and what it said is kept; distances are then taken between those numbers. So
videos are held one at a time, however many there are.
"""

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from longdwm_env.clock import FPS
from longdwm_env.errors import InvalidConfig, MissingDependency
from longdwm_env.evaluation.frechet import (
    STRIDE_FRAMES,
    frechet_distance,
    frechet_interval,
    gaussian_of,
    video_features,
)
from longdwm_env.evaluation.image_quality import psnr_db, ssim
from longdwm_env.evaluation.networks import Networks
from longdwm_env.evaluation.paper.feature_networks import InceptionFeatures
from longdwm_env.evaluation.paper.kept_numbers import KeptNumbers, NumbersOf
from longdwm_env.evaluation.report import Cell
from longdwm_env.evaluation.statistics import bootstrap
from longdwm_env.models.readers.scorer import WINDOW_FRAMES
from longdwm_env.types import Images

FRAMES_AT_ONCE = 32
"""That go through Inception together."""


def read_video(
    networks: Networks, video: Images, lengths: Sequence[int] = (), given: int = 0, alone: bool = True
) -> dict[str, np.ndarray]:
    """What each network at hand says of one video, by name.

    Args:
        networks: at hand.
        video: uint8 (T, H, W, 3).
        lengths: at which FVD is wanted; none for T alone.
        given: frames at its start that were given; as in Vista and the paper, they count for FVD and FDS alone.
        alone: whether frames are also read one by one, for FID.

    Returns:
        ``inception`` (T - given, 2048), ``i3d.N`` (400,) for each length N, and ``windows`` (n, D) of FDS.

    Raises:
        MissingWeights: a network is not there.
        InvalidConfig: the video is too short for one.
    """
    said: dict[str, np.ndarray] = {}
    if networks.inception is not None and alone:
        said["inception"] = _frame_features(networks.inception_network, video[given:])
    if networks.i3d is not None:
        for length in lengths or (len(video),):
            stacked = torch.from_numpy(np.ascontiguousarray(video[None, :length])).movedim(-1, 2)
            said[f"i3d.{length}"] = networks.i3d_network(stacked)[0].float().cpu().numpy()
    if networks.encoder is not None and len(video) >= WINDOW_FRAMES:
        said["windows"] = video_features(networks.encoder, [video])[0]
    return said


def _frame_features(network: InceptionFeatures, frames: Images) -> np.ndarray:
    images = torch.from_numpy(np.ascontiguousarray(frames)).movedim(-1, 1)
    return torch.cat([network(part).float().cpu() for part in images.split(FRAMES_AT_ONCE)]).numpy()


def frechet_cells(
    networks: Networks, real: NumbersOf, made: NumbersOf, length: int, alone: bool = True
) -> tuple[Cell, Cell, Cell]:
    """FID, FVD and FDS of videos of ``length`` frames, from what was read of them; None without the network."""
    windows = (length - WINDOW_FRAMES) // STRIDE_FRAMES + 1
    fds: Cell = None
    if networks.encoder is not None:
        features = [[one[:windows] for one in numbers.each("windows")] for numbers in (real, made)]
        found = frechet_interval(*features)
        fds = replace(found, low=max(0.0, found.low))
    fvd: Cell = None
    if networks.i3d is not None:
        fvd = frechet_distance(*(gaussian_of(numbers.stacked(f"i3d.{length}")) for numbers in (real, made)))
    with_fid = networks.inception is not None and alone
    return fid_of(real.each("inception"), made.each("inception")) if with_fid else None, fvd, fds


class KeptFeatures(nn.Module):
    """In place of a network: features that it was read before."""

    num_features = InceptionFeatures.num_features

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, D), as they are."""
        return features


def fid_of(real: Iterable[np.ndarray], made: Iterable[np.ndarray]) -> float:
    """Frechet Inception distance of features (n, 2048) of each video, which are added up one after the other.

    By ``torchmetrics.image.fid.FrechetInceptionDistance``, as in the paper.

    Raises:
        MissingDependency: torchmetrics is not installed.
    """
    try:
        from torchmetrics.image.fid import FrechetInceptionDistance
    except ImportError as error:
        raise MissingDependency("FID needs torchmetrics: pip install 'longdwm[train]'") from error
    metric = FrechetInceptionDistance(feature=KeptFeatures())
    for videos, is_real in ((real, True), (made, False)):
        for features in videos:
            metric.update(torch.from_numpy(features), real=is_real)
    return float(metric.compute())


def measure(
    real: Sequence[Images], generated: Sequence[Images], networks: Networks, is_paired: bool, fps: int = FPS
) -> tuple[dict[str, Cell], dict[str, str]]:
    """Every metric that the networks at hand allow.

    Args:
        real: videos, uint8 (T, H, W, 3), which may be read when they are asked for; one at a time is held.
        generated: videos; the same number and length as ``real`` if ``is_paired``.
        networks: at hand.
        is_paired: whether video i of both shows the same drive, so that frames can be compared.
        fps: frames per second.

    Returns:
        By the name of a metric what was found, None where it is left out, with how PSNR and SSIM fall from second to
        second (drift); and by the same names why.
    """
    values: dict[str, list[np.ndarray]] = {"PSNR": [], "SSIM": []}
    with tempfile.TemporaryDirectory() as folder:
        kept = [KeptNumbers(Path(folder), name, {}) for name in ("real", "generated")]
        lengths: set[int] = set()
        long_enough: list[list[int]] = [[], []]
        for place in range(max(len(real), len(generated))):
            shown: dict[int, Images] = {}
            for side, videos in enumerate((real, generated)):
                if place >= len(videos):
                    continue
                shown[side] = video = videos[place]
                lengths.add(len(video))
                if networks.i3d is not None and len(lengths) > 1:
                    raise InvalidConfig("FVD compares videos of one length; cut them first")
                kept[side].put(place, read_video(networks, video), {"frames": len(video)})
                if networks.encoder is None or len(video) >= WINDOW_FRAMES:
                    long_enough[side].append(place)
            if is_paired:
                frames = min(map(len, shown.values()))
                for name, compared in (("PSNR", psnr_db), ("SSIM", ssim)):
                    values[name].append(compared(shown[1][:frames], shown[0][:frames]))
        if not all(long_enough):
            raise InvalidConfig(f"FDS needs videos of at least {WINDOW_FRAMES} frames")
        numbers = [kept[side].of(long_enough[side]) for side in (0, 1)]
        distances = frechet_cells(networks, numbers[0], numbers[1], max(lengths))
    cells: dict[str, Cell] = dict(zip(("FID", "FVD", "FDS"), distances, strict=True))
    reasons = {
        "FID": "no Inception weights given (--inception)",
        "FVD": "no I3D weights given (--i3d)",
        "FDS": "no trained scorer came with this installation, and none was given (--encoder)",
    }
    left_out = {name: reason for name, reason in reasons.items() if cells[name] is None}
    if not is_paired:
        return cells | {"PSNR (dB)": None, "SSIM": None}, left_out | {"PSNR, SSIM": "no names are in both folders"}
    drift: dict[str, Cell] = {}
    for name, unit in (("PSNR", " (dB)"), ("SSIM", "")):
        cells[name + unit] = bootstrap(np.array([one.mean() for one in values[name]]))
        drift |= {f"{name}, second {place}{unit}": one for place, one in enumerate(per_second(values[name], fps), 1)}
    return cells | dict(sorted(drift.items(), key=lambda cell: int(cell[0].split()[2]))), left_out


def per_second(values: Sequence[np.ndarray], fps: int = FPS) -> tuple[float, ...]:
    """Mean over videos of each whole second that all of them have."""
    seconds = min(len(v) for v in values) // fps
    return tuple(float(np.mean([v[s * fps : (s + 1) * fps].mean() for v in values])) for s in range(seconds))
