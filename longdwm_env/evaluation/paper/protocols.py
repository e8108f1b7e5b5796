"""The protocols: short, long, controllable, interpolation, ablation and distillation steps, each to one table."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm import tqdm

from longdwm_env import clock
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.compliance import compliance
from longdwm_env.evaluation.image_quality import psnr_db, ssim
from longdwm_env.evaluation.paper import published
from longdwm_env.evaluation.paper.continuations import Sample, samples_from
from longdwm_env.evaluation.paper.systems import Interpolator, System
from longdwm_env.evaluation.paper.video_sets import Networks, fds_interval, fid, fvd
from longdwm_env.evaluation.report import Cell, Table
from longdwm_env.evaluation.statistics import bootstrap
from longdwm_env.training.data.clip import ClipSource
from longdwm_env.types import Images

SHORT_FRAMES = 25
LONG_FRAMES = (25, 69, 113)

DRIVE_FRAMES = -(-max(LONG_FRAMES) // clock.FRAMES_PER_INTERVAL) * clock.FRAMES_PER_INTERVAL + 1
"""Frames of drives that are long enough for every protocol: whole intervals and one."""

SCALE_NOTE = (
    "Numbers of another data set, image size or feature network are not comparable with the paper's; its rows show the "
    "direction of effects."
)


@dataclass(frozen=True)
class Protocol:
    """What every protocol is run on.

    Attributes:
        source: of clips with poses; the simulator's reserved seeds, or nuScenes' val split.
        samples: how many to measure.
        networks: to measure with.
        facts: what the numbers depend on (model hash, data, command); they are printed under every table.
    """

    source: ClipSource
    samples: int
    networks: Networks
    facts: Mapping[str, Any] = field(default_factory=dict)

    def cut(self, num_frames: int) -> list[Sample]:
        """The samples, each with ``num_frames`` to continue."""
        samples = samples_from(self.source, self.samples, num_frames)
        return list(tqdm(samples, f"drives of {self.source.name}", self.samples, leave=False, unit="drive"))


@dataclass(frozen=True)
class Continued:
    """What one system made of all samples.

    Attributes:
        name: of the system.
        videos: each (T + 1, H, W, 3), the given frame first.
        seconds: wall clock per sample.
    """

    name: str
    videos: list[Images]
    seconds: float


def continue_all(system: System, samples: Sequence[Sample], num_frames: int) -> Continued:
    """Let a system continue every sample."""
    begun = time.perf_counter()
    videos = [
        np.concatenate([sample.image[None], system.continued(sample, num_frames)])
        for sample in tqdm(samples, desc=system.name, unit="drive", leave=False)
    ]
    return Continued(system.name, videos, (time.perf_counter() - begun) / len(samples))


def frechet_cells(networks: Networks, real: list[Images], made: list[Images]) -> tuple[Cell, ...]:
    """FID on the generated frames, FVD on all, FDS: None where the network is not there.

    As in Vista and the paper, the given frame counts for FVD and not for FID.
    """
    without_first = ([video[1:] for video in real], [video[1:] for video in made])
    return (
        None if networks.inception is None else fid(networks.inception, *without_first),
        None if networks.i3d is None else fvd(networks.i3d, real, made),
        None if networks.encoder is None else fds_interval(networks.encoder, real, made),
    )


def picture_cells(samples: Sequence[Sample], made: list[Images]) -> tuple[Cell, Cell]:
    """PSNR and SSIM of the generated frames against what really followed."""
    pairs = [(video[1:], sample.truth[: len(video) - 1]) for video, sample in zip(made, samples, strict=True)]
    return (
        bootstrap(np.array([np.minimum(psnr_db(a, b), 100).mean() for a, b in pairs])),
        bootstrap(np.array([ssim(a, b).mean() for a, b in pairs])),
    )


def short(protocol: Protocol, systems: Sequence[System]) -> Table:
    """Short prediction, Table 1: one frame given, 24 more made."""
    samples = protocol.cut(SHORT_FRAMES - 1)
    real = [sample.real for sample in samples]
    rows = []
    for system in systems:
        made = continue_all(system, samples, SHORT_FRAMES - 1).videos
        rows.append((system.name, (*frechet_cells(protocol.networks, real, made), *picture_cells(samples, made))))
    paper = [(name, (fid_, fvd_, None, None, None)) for name, (fid_, fvd_) in published.TABLE_1.items()]
    columns = ("model", "FID", "FVD", "FDS", "PSNR (dB)", "SSIM")
    return _table(
        "short", "Short prediction, 25 frames", columns, rows, paper, published.SHORT_SAMPLES, protocol, samples
    )


def long(protocol: Protocol, systems: Sequence[System], lengths: Sequence[int] = LONG_FRAMES) -> Table:
    """Long prediction, Table 2: FVD at 25, 69 and 113 frames, and the time it takes."""
    samples = protocol.cut(max(lengths) - 1)
    rows = []
    for system in systems:
        longest = continue_all(system, samples, max(lengths) - 1)
        quality: list[Cell] = []
        seconds: list[Cell] = []
        for frames in lengths:
            made = [video[:frames] for video in longest.videos]
            real = [sample.real[:frames] for sample in samples]
            _, video_distance, own_distance = frechet_cells(
                Networks(protocol.networks.encoder, None, protocol.networks.i3d), real, made
            )
            last_second = [video[-12:] for video in made]
            truth = [video[-12:] for video in real]
            signal = np.array([np.minimum(psnr_db(a, b), 100).mean() for a, b in zip(last_second, truth, strict=True)])
            quality += [video_distance, own_distance, bootstrap(signal)]
            # Timed on its own: a shorter video may need fewer rollouts.
            seconds.append(_seconds(system, samples[0], frames - 1))
        rows.append((system.name, (*quality, *seconds)))
    columns = ["model"]
    for frames in lengths:
        columns += [f"FVD {frames}", f"FDS {frames}", f"PSNR of the last second, {frames} (dB)"]
    columns += [f"seconds for {frames}" for frames in lengths]
    paper = []
    if tuple(lengths) == LONG_FRAMES:
        for name, cells in published.TABLE_2.items():
            distances = [value for cell in cells[:3] for value in (cell, None, None)]
            paper.append((name, (*distances, *cells[3:])))
    return _table("long", "Long prediction", tuple(columns), rows, paper, published.LONG_SAMPLES, protocol, samples)


def controllable(protocol: Protocol, systems: Sequence[System]) -> Table:
    """Prediction along a commanded trajectory, Table 4, and how well the command is obeyed."""
    samples = protocol.cut(SHORT_FRAMES - 1)
    real = [sample.real for sample in samples]
    rows = []
    reader = protocol.networks.reader
    commands = ([s.camera for s in samples], [s.speeds_mps for s in samples], [s.yaw_rates_radps for s in samples])
    named = [(system.name, continue_all(system, samples, SHORT_FRAMES - 1).videos) for system in systems]
    for name, made in [*named, ("the truth itself", real)]:
        cells: list[Cell] = list(frechet_cells(protocol.networks, real, made)) if made is not real else [None] * 3
        if reader is None:
            cells += [None] * 3
        else:
            obeyed = compliance(reader, [video[1:] for video in made], *commands)
            cells += [obeyed.speed_error_share, obeyed.yaw_rate_error_radps, obeyed.yaw_rate_correlation]
        rows.append((name, tuple(cells)))
    paper = [(name, (fid_, fvd_, None, None, None, None)) for name, (fid_, fvd_) in published.TABLE_4.items()]
    columns = ("model", "FID", "FVD", "FDS", "speed error (share)", "yaw rate error (rad/s)", "yaw rate correlation")
    return _table(
        "controllable", "Controllable prediction, 25 frames", columns, rows, paper,
        published.CONTROLLABLE_SAMPLES, protocol, samples,
        ("The row of the truth is the inverse-dynamics model's own error.",),
    )  # fmt: skip


def interpolation(protocol: Protocol, interpolators: Sequence[Interpolator]) -> Table:
    """Filling the second between two recorded keyframes, Table 8."""
    samples = protocol.cut(12)
    real = [sample.real for sample in samples]
    rows = []
    for interpolator in interpolators:
        made = [
            np.concatenate(
                [sample.image[None], interpolator.between(sample, sample.image, sample.truth[-1]), sample.truth[-1:]]
            )
            for sample in tqdm(samples, desc=interpolator.name, unit="gap", leave=False)
        ]
        between = [video[1:12] for video in made]
        truth = [video[1:12] for video in real]
        signal = np.array([np.minimum(psnr_db(a, b), 100).mean() for a, b in zip(between, truth, strict=True)])
        alike = np.array([ssim(a, b).mean() for a, b in zip(between, truth, strict=True)])
        distances = frechet_cells(protocol.networks, real, made)
        rows.append((interpolator.name, (*distances, bootstrap(signal), bootstrap(alike))))
    paper = [(name, (fid_, fvd_, None, None, None)) for name, (fid_, fvd_) in published.TABLE_8.items()]
    columns = ("model", "FID", "FVD", "FDS", "PSNR (dB)", "SSIM")
    return _table(
        "interpolation", "Interpolation between keyframes", columns, rows, paper,
        published.INTERPOLATION_SAMPLES, protocol, samples,
    )  # fmt: skip


def ablation(protocol: Protocol, systems: Sequence[System], num_frames: int = LONG_FRAMES[-1]) -> Table:
    """One part of the method after another, Table 6."""
    samples = protocol.cut(num_frames - 1)
    real = [sample.real for sample in samples]
    rows = []
    for system in systems:
        made = continue_all(system, samples, num_frames - 1).videos
        _, video_distance, own_distance = frechet_cells(protocol.networks, real, made)
        rows.append((system.name, (video_distance, own_distance, *picture_cells(samples, made))))
    paper = [(name, (fvd_, None, None, None)) for name, fvd_ in published.TABLE_6.items()]
    columns = ("model", "FVD", "FDS", "PSNR (dB)", "SSIM")
    title = f"Ablation, {num_frames} frames"
    return _table("ablation", title, columns, rows, paper, published.ABLATION_SAMPLES, protocol, samples)


def distillation_steps(
    protocol: Protocol,
    systems: Mapping[int, System],
    vbench: Callable[[list[Images]], Mapping[str, float]] | None = None,
    num_frames: int = LONG_FRAMES[-1],
) -> Table:
    """How long to distill, Table 10.

    Args:
        protocol: what to measure on.
        systems: by distillation steps; 0 is the model before.
        vbench: VBench's scores of videos by dimension, in [0, 1]; None leaves them out.
        num_frames: of each video.
    """
    samples = protocol.cut(num_frames - 1)
    real = [sample.real for sample in samples]
    rows = []
    for steps, system in sorted(systems.items()):
        made = continue_all(system, samples, num_frames - 1).videos
        scores: list[Cell] = [None] * 3
        if vbench is not None:
            found = vbench(made)
            wanted = ("motion_smoothness", "imaging_quality", "aesthetic_quality")
            scores = [100 * found[name] for name in wanted]
        _, video_distance, own_distance = frechet_cells(protocol.networks, real, made)
        rows.append((str(steps), (*scores, video_distance, own_distance, *picture_cells(samples, made))))
    paper = [(str(steps), (*scores, None, None, None, None)) for steps, scores in published.TABLE_10.items()]
    columns = (
        "distillation steps", "motion smoothness (%)", "imaging quality (%)", "aesthetic quality (%)", "FVD", "FDS",
        "PSNR (dB)", "SSIM",
    )  # fmt: skip
    return _table(
        "distillation-steps",
        "Distillation steps",
        columns,
        rows,
        paper,
        published.DISTILLATION_SAMPLES,
        protocol,
        samples,
    )


def _seconds(system: System, sample: Sample, num_frames: int) -> float:
    begun = time.perf_counter()
    system.continued(sample, num_frames)
    return time.perf_counter() - begun


def _table(
    name: str,
    title: str,
    columns: tuple[str, ...],
    rows: Sequence[tuple[str, tuple[Cell, ...]]],
    paper: Sequence[tuple[str, tuple[Cell, ...]]],
    paper_samples: int,
    protocol: Protocol,
    samples: Sequence[Sample],
    notes: tuple[str, ...] = (),
) -> Table:
    if not rows:
        raise InvalidConfig(f"protocol {name} needs at least one model")
    facts = {
        **protocol.facts,
        **protocol.networks.facts(),
        "data": protocol.source.description(),
        "samples from": f"{samples[0].key} to {samples[-1].key}",
        "seeds": f"{samples[0].seed} to {samples[-1].seed}",
    }
    left_out = [
        f"{metric} is left out: no weights were given."
        for metric, network in (
            ("FID", protocol.networks.inception),
            ("FVD", protocol.networks.i3d),
            ("FDS", protocol.networks.encoder),
        )
        if network is None
    ]
    return Table(
        name,
        title,
        columns,
        tuple(rows),
        tuple(paper),
        len(samples),
        paper_samples,
        facts,
        (*notes, *left_out, SCALE_NOTE),
    )


__all__ = [
    "Protocol",
    "ablation",
    "continue_all",
    "controllable",
    "distillation_steps",
    "interpolation",
    "long",
    "short",
]
