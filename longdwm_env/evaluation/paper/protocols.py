"""The protocols: short, long, controllable, interpolation, ablation and distillation steps, each to one table."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from longdwm_env import clock
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.compliance import compliance_cells, read_motion
from longdwm_env.evaluation.image_quality import psnr_db, ssim
from longdwm_env.evaluation.networks import Networks
from longdwm_env.evaluation.paper import published
from longdwm_env.evaluation.paper.continuations import Sample, samples_from
from longdwm_env.evaluation.paper.interpolators import Interpolator
from longdwm_env.evaluation.paper.systems import System
from longdwm_env.evaluation.paper.video_sets import frechet_cells
from longdwm_env.evaluation.report import Cell, Row, Table
from longdwm_env.evaluation.statistics import Interval, bootstrap
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

    @property
    def without_inception(self) -> "Protocol":
        """The same without FID, which is dear."""
        return replace(self, networks=replace(self.networks, inception=None))

    def table(
        self,
        name: str,
        title: str,
        columns: Sequence[str],
        rows: Sequence[Row],
        samples: Sequence[Sample],
        paper: Mapping[Any, Sequence[Cell]],
        paper_samples: int,
        notes: tuple[str, ...] = (),
    ) -> Table:
        """A protocol's table; the paper's rows have numbers in its first columns alone.

        Raises:
            InvalidConfig: there is no row.
        """
        if not rows:
            raise InvalidConfig(f"protocol {name} needs at least one model")
        facts = {
            **self.facts,
            **self.networks.facts(),
            "data": self.source.description(),
            "samples from": f"{samples[0].key} to {samples[-1].key}",
            "seeds": f"{samples[0].seed} to {samples[-1].seed}",
        }
        used = {"FID": self.networks.inception, "FVD": self.networks.i3d, "FDS": self.networks.encoder}
        left_out = [f"{metric} is left out: no weights were given." for metric, one in used.items() if one is None]
        blank = len(columns) - 1
        published_rows = tuple((str(key), (*cells, *[None] * (blank - len(cells)))) for key, cells in paper.items())
        told = (*notes, *left_out, SCALE_NOTE)
        return Table(
            name, title, tuple(columns), tuple(rows), len(samples), facts, told, published_rows, paper_samples
        )  # fmt: skip


def continue_all(system: System, samples: Sequence[Sample], num_frames: int) -> list[Images]:
    """What a system makes of every sample, each (T + 1, H, W, 3), the given frame first."""
    return [
        np.concatenate([sample.image[None], system.continued(sample, num_frames)])
        for sample in tqdm(samples, desc=system.name, unit="drive", leave=False)
    ]


def _psnr(made: Sequence[Images], truth: Sequence[Images]) -> Interval:
    return bootstrap(np.array([psnr_db(a, b).mean() for a, b in zip(made, truth, strict=True)]))


def picture_cells(made: Sequence[Images], truth: Sequence[Images]) -> tuple[Cell, Cell]:
    """PSNR and SSIM of videos against what really was there."""
    return _psnr(made, truth), bootstrap(np.array([ssim(a, b).mean() for a, b in zip(made, truth, strict=True)]))


def _measured(
    protocol: Protocol, systems: Sequence[System], samples: Sequence[Sample], num_frames: int
) -> Iterator[tuple[str, list[Images], tuple[Cell, ...]]]:
    """For each system its name, its videos, and FID, FVD, FDS, PSNR and SSIM of the frames that it made."""
    real = [sample.real for sample in samples]
    for system in systems:
        made = continue_all(system, samples, num_frames)
        pictures = picture_cells([video[1:] for video in made], [sample.truth for sample in samples])
        yield system.name, made, (*frechet_cells(protocol.networks, real, made, given=1), *pictures)


def short(protocol: Protocol, systems: Sequence[System]) -> Table:
    """Short prediction, Table 1: one frame given, 24 more made."""
    samples = protocol.cut(SHORT_FRAMES - 1)
    rows = [(name, cells) for name, _, cells in _measured(protocol, systems, samples, SHORT_FRAMES - 1)]
    columns = ("model", "FID", "FVD", "FDS", "PSNR (dB)", "SSIM")
    title = "Short prediction, 25 frames"
    return protocol.table("short", title, columns, rows, samples, published.TABLE_1, published.SHORT_SAMPLES)


def long(protocol: Protocol, systems: Sequence[System], lengths: Sequence[int] = LONG_FRAMES) -> Table:
    """Long prediction, Table 2: FVD at 25, 69 and 113 frames, and the time it takes."""
    samples = protocol.cut(max(lengths) - 1)
    rows: list[Row] = []
    for system in systems:
        longest = continue_all(system, samples, max(lengths) - 1)
        quality: list[Cell] = []
        seconds: list[Cell] = []
        for frames in lengths:
            made = [video[:frames] for video in longest]
            real = [sample.real[:frames] for sample in samples]
            _, *distances = frechet_cells(protocol.without_inception.networks, real, made)
            last_second = _psnr([video[-12:] for video in made], [video[-12:] for video in real])
            quality += [*distances, last_second]
            # Timed on its own: a shorter video may need fewer rollouts.
            seconds.append(_seconds(system, samples[0], frames - 1))
        rows.append((system.name, (*quality, *seconds)))
    columns = ["model"]
    for frames in lengths:
        columns += [f"FVD {frames}", f"FDS {frames}", f"PSNR of the last second, {frames} (dB)"]
    columns += [f"seconds for {frames}" for frames in lengths]
    paper = {}
    if tuple(lengths) == LONG_FRAMES:
        for name, cells in published.TABLE_2.items():
            paper[name] = [*(value for cell in cells[:3] for value in (cell, None, None)), *cells[3:]]
    return protocol.table("long", "Long prediction", columns, rows, samples, paper, published.LONG_SAMPLES)


def controllable(protocol: Protocol, systems: Sequence[System]) -> Table:
    """Prediction along a commanded trajectory, Table 4, and how well the command is obeyed."""
    samples = protocol.cut(SHORT_FRAMES - 1)

    def obeyed(videos: Sequence[Images]) -> tuple[Cell, ...]:
        reader = protocol.networks.reader
        if reader is None:
            return (None, None, None)
        return compliance_cells(
            [
                read_motion(reader, video[1:], one.camera, one.speeds_mps, one.yaw_rates_radps)
                for video, one in zip(videos, samples, strict=True)
            ]
        )

    rows: list[Row] = [
        (name, (*cells[:3], *obeyed(made)))
        for name, made, cells in _measured(protocol, systems, samples, SHORT_FRAMES - 1)
    ]
    rows.append(("the truth itself", (None, None, None, *obeyed([sample.real for sample in samples]))))
    columns = ("model", "FID", "FVD", "FDS", "speed error (share)", "yaw rate error (rad/s)", "yaw rate correlation")
    title = "Controllable prediction, 25 frames"
    note = "The row of the truth is the inverse-dynamics model's own error."
    return protocol.table(
        "controllable", title, columns, rows, samples, published.TABLE_4, published.CONTROLLABLE_SAMPLES, (note,)
    )


def interpolation(protocol: Protocol, interpolators: Sequence[Interpolator]) -> Table:
    """Filling the second between two recorded keyframes, Table 8."""
    samples = protocol.cut(clock.FRAMES_PER_INTERVAL)
    real = [sample.real for sample in samples]
    rows: list[Row] = []
    for interpolator in interpolators:
        made = [
            np.concatenate(
                [sample.image[None], interpolator.between(sample, sample.image, sample.truth[-1]), sample.truth[-1:]]
            )
            for sample in tqdm(samples, desc=interpolator.name, unit="gap", leave=False)
        ]
        pictures = picture_cells([video[1:-1] for video in made], [video[1:-1] for video in real])
        rows.append((interpolator.name, (*frechet_cells(protocol.networks, real, made, given=1), *pictures)))
    columns = ("model", "FID", "FVD", "FDS", "PSNR (dB)", "SSIM")
    title = "Interpolation between keyframes"
    paper, count = published.TABLE_8, published.INTERPOLATION_SAMPLES
    return protocol.table("interpolation", title, columns, rows, samples, paper, count)


def ablation(protocol: Protocol, systems: Sequence[System], num_frames: int = LONG_FRAMES[-1]) -> Table:
    """One part of the method after another, Table 6."""
    samples = protocol.cut(num_frames - 1)
    found = _measured(protocol.without_inception, systems, samples, num_frames - 1)
    rows = [(name, cells[1:]) for name, _, cells in found]
    columns = ("model", "FVD", "FDS", "PSNR (dB)", "SSIM")
    paper = {name: (value,) for name, value in published.TABLE_6.items()}
    title = f"Ablation, {num_frames} frames"
    return protocol.table("ablation", title, columns, rows, samples, paper, published.ABLATION_SAMPLES)


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
    steps = sorted(systems)
    found = _measured(protocol.without_inception, [systems[count] for count in steps], samples, num_frames - 1)
    rows: list[Row] = []
    for count, (_, made, cells) in zip(steps, found, strict=True):
        scores: list[Cell] = [None] * 3
        if vbench is not None:
            said = vbench(made)
            scores = [100 * said[name] for name in ("motion_smoothness", "imaging_quality", "aesthetic_quality")]
        rows.append((str(count), (*scores, *cells[1:])))
    columns = (
        "distillation steps", "motion smoothness (%)", "imaging quality (%)", "aesthetic quality (%)", "FVD", "FDS",
        "PSNR (dB)", "SSIM",
    )  # fmt: skip
    paper, count = published.TABLE_10, published.DISTILLATION_SAMPLES
    return protocol.table("distillation-steps", "Distillation steps", columns, rows, samples, paper, count)


def _seconds(system: System, sample: Sample, num_frames: int) -> float:
    begun = time.perf_counter()
    system.continued(sample, num_frames)
    return time.perf_counter() - begun
