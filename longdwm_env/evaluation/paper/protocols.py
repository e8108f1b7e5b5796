"""The protocols: short, long, controllable, interpolation, ablation and distillation steps, each to one table."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from longdwm_env import clock
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.compliance import ReadMotion, compliance_cells, read_motion
from longdwm_env.evaluation.image_quality import psnr_db, ssim
from longdwm_env.evaluation.networks import Networks
from longdwm_env.evaluation.paper import published
from longdwm_env.evaluation.paper.continuations import Sample
from longdwm_env.evaluation.paper.gathering import Gathered, Maker, gathered
from longdwm_env.evaluation.paper.interpolators import Interpolator
from longdwm_env.evaluation.paper.kept_numbers import Numbers, NumbersOf
from longdwm_env.evaluation.paper.systems import System
from longdwm_env.evaluation.paper.video_sets import frechet_cells, read_video
from longdwm_env.evaluation.report import Cell, Row, Table
from longdwm_env.evaluation.statistics import bootstrap
from longdwm_env.training.data.clip import ClipSource
from longdwm_env.types import Images

SHORT_FRAMES = 25
LONG_FRAMES = (25, 69, 113)


def drive_frames(frames: int) -> int:
    """Frames of drives that videos of so many can continue: whole intervals and one."""
    return -(-(frames - 1) // clock.FRAMES_PER_INTERVAL) * clock.FRAMES_PER_INTERVAL + 1


DRIVE_FRAMES = drive_frames(max(LONG_FRAMES))
"""Of drives that are long enough for every protocol."""

SCALE_NOTE = (
    "Numbers of another data set, image size or feature network are not comparable with the paper's; its rows show the "
    "direction of effects."
)


@dataclass(frozen=True)
class Protocol:
    """What every protocol is run on.

    Attributes:
        source: of clips with poses; the simulator's reserved seeds, or nuScenes' val split.
        facts: what the numbers depend on (model hash, data, command); they are printed under every table.
        folder: where what was read of each video is kept, so that a stopped protocol goes on; None for nowhere.
    """

    source: ClipSource
    samples: int
    networks: Networks
    facts: Mapping[str, object] = field(default_factory=dict)
    folder: Path | None = None

    def table(
        self,
        name: str,
        title: str,
        columns: Sequence[str],
        rows: Sequence[Row],
        found: Gathered,
        paper: Mapping[str, Sequence[Cell]] | Mapping[int, Sequence[Cell]],
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
            "samples from": f"{found.keys[0]} to {found.keys[-1]}",
            "seeds": f"0 to {len(found.keys) - 1}",
        }
        blank = len(columns) - 1
        published_rows = tuple((str(key), (*cells, *[None] * (blank - len(cells)))) for key, cells in paper.items())
        all_notes = (*notes, *self.networks.left_out(), SCALE_NOTE)
        return Table(
            name, title, tuple(columns), tuple(rows), len(found.keys), facts, all_notes, published_rows, paper_samples
        )  # fmt: skip


def _gather(
    protocol: Protocol,
    name: str,
    makers: Sequence[Maker],
    num_frames: int,
    read: "Callable[[Sample, Images], Numbers]",
    alone: bool = True,
    lengths: Sequence[int] = (),
    read_truth: "Callable[[Sample], Numbers]" = lambda sample: {},
    videos: Path | None = None,
) -> Gathered:
    """What networks and ``read`` say of every maker's videos; see ``gathered``."""
    lengths = tuple(lengths) or (num_frames + 1,)

    def of_video(sample: Sample, video: Images) -> Numbers:
        return {**read_video(protocol.networks, video, lengths, given=1, alone=alone), **read(sample, video)}

    def of_truth(sample: Sample) -> Numbers:
        return {**read_video(protocol.networks, sample.real, lengths, given=1, alone=alone), **read_truth(sample)}

    measured = {"protocol": name, "lengths": list(lengths), "alone": alone, **protocol.networks.facts()}
    return gathered(
        protocol.source, protocol.samples, num_frames, makers, of_video, of_truth, measured, protocol.folder, videos
    )


def _continuing(systems: Mapping[str, System], num_frames: int) -> list[Maker]:
    """Systems by name as makers of videos (T + 1, H, W, 3), the given frame first."""

    def whole(system: System, sample: Sample) -> Images:
        return np.concatenate([sample.image[None], system.continued(sample, num_frames)])

    return [Maker(name, system, partial(whole, system)) for name, system in systems.items()]


def _by_name(systems: Sequence[System]) -> dict[str, System]:
    named = {system.name: system for system in systems}
    if len(named) < len(systems):
        raise InvalidConfig(f"models to compare have names of their own, got {[system.name for system in systems]}")
    return named


def _pictures(made: Images, truth: Images) -> Numbers:
    """PSNR and SSIM of one video's frames against what really was there."""
    return {"psnr": psnr_db(made, truth).mean(), "ssim": ssim(made, truth).mean()}


def _picture_cells(made: NumbersOf) -> tuple[Cell, Cell]:
    return bootstrap(made.stacked("psnr")), bootstrap(made.stacked("ssim"))


def _measured(
    protocol: Protocol, name: str, systems: Mapping[str, System], num_frames: int, alone: bool = True, **more: Any
) -> tuple[Gathered, dict[str, tuple[Cell, ...]]]:
    """What was read, and for each system FID, FVD, FDS, PSNR and SSIM of the frames that it made."""
    makers = _continuing(systems, num_frames)
    more.setdefault("read", lambda sample, video: _pictures(video[1:], sample.truth))
    found = _gather(protocol, name, makers, num_frames, alone=alone, **more)
    cells: dict[str, tuple[Cell, ...]] = {
        system: (
            *frechet_cells(protocol.networks, found.real, made, num_frames + 1, alone),
            *_picture_cells(made),
        )
        for system, made in found.made.items()
    }
    return found, cells


def short(protocol: Protocol, systems: Sequence[System]) -> Table:
    """Short prediction, Table 1: one frame given, 24 more made."""
    found, cells = _measured(protocol, "short", _by_name(systems), SHORT_FRAMES - 1)
    columns = ("model", "FID", "FVD", "FDS", "PSNR (dB)", "SSIM")
    title = "Short prediction, 25 frames"
    return protocol.table(
        "short", title, columns, list(cells.items()), found, published.TABLE_1, published.SHORT_SAMPLES
    )


def long(protocol: Protocol, systems: Sequence[System], lengths: Sequence[int] = LONG_FRAMES) -> Table:
    """Long prediction, Table 2: FVD at 25, 69 and 113 frames, and the time it takes."""
    longest = max(lengths)

    def last_seconds(sample: Sample, video: Images) -> Numbers:
        real = sample.real
        ends = {frames: slice(frames - clock.FRAMES_PER_INTERVAL, frames) for frames in lengths}
        return {f"psnr.{frames}": psnr_db(video[end], real[end]).mean() for frames, end in ends.items()}

    makers = _continuing(_by_name(systems), longest - 1)
    found = _gather(protocol, "long", makers, longest - 1, last_seconds, alone=False, lengths=lengths)
    rows: list[Row] = []
    for system in systems:
        made = found.made[system.name]
        quality: list[Cell] = []
        for frames in lengths:
            _, *distances = frechet_cells(protocol.networks, found.real, made, frames, alone=False)
            quality += [*distances, bootstrap(made.stacked(f"psnr.{frames}"))]
        # Timed on its own: a shorter video may need fewer rollouts.
        seconds = found.timed(system.name, [partial(_seconds, system, frames=frames - 1) for frames in lengths])
        rows.append((system.name, (*quality, *seconds)))
    columns = ["model"]
    for frames in lengths:
        columns += [f"FVD {frames}", f"FDS {frames}", f"PSNR of the last second, {frames} (dB)"]
    columns += [f"seconds for {frames}" for frames in lengths]
    paper = {}
    if tuple(lengths) == LONG_FRAMES:
        for name, cells in published.TABLE_2.items():
            paper[name] = [*(value for cell in cells[:3] for value in (cell, None, None)), *cells[3:]]
    return protocol.table("long", "Long prediction", columns, rows, found, paper, published.LONG_SAMPLES)


def controllable(protocol: Protocol, systems: Sequence[System]) -> Table:
    """Prediction along a commanded trajectory, Table 4, and how well the command is obeyed."""
    reader = protocol.networks.reader

    def motion(sample: Sample, video: Images) -> Numbers:
        if reader is None:
            return {}
        said = read_motion(reader, video, sample.camera, sample.speeds_mps, sample.yaw_rates_radps)
        return {f"motion.{name}": value for name, value in vars(said).items()}

    def obeyed(numbers: NumbersOf) -> tuple[Cell, ...]:
        if reader is None:
            return (None, None, None)
        named = {name: list(numbers.each(f"motion.{name}")) for name in ReadMotion.__dataclass_fields__}
        drives = [dict(zip(named, values, strict=True)) for values in zip(*named.values(), strict=True)]
        return compliance_cells([ReadMotion(**drive) for drive in drives])

    found, cells = _measured(
        protocol,
        "controllable",
        _by_name(systems),
        SHORT_FRAMES - 1,
        read=lambda sample, video: {**_pictures(video[1:], sample.truth), **motion(sample, video[1:])},
        read_truth=lambda sample: motion(sample, sample.truth),
    )
    rows: list[Row] = [(name, (*cells[name][:3], *obeyed(made))) for name, made in found.made.items()]
    rows.append(("the truth itself", (None, None, None, *obeyed(found.real))))
    columns = ("model", "FID", "FVD", "FDS", "speed error (share)", "yaw rate error (rad/s)", "yaw rate correlation")
    title = "Controllable prediction, 25 frames"
    note = "The row of the truth is the inverse-dynamics model's own error."
    return protocol.table(
        "controllable", title, columns, rows, found, published.TABLE_4, published.CONTROLLABLE_SAMPLES, (note,)
    )


def interpolation(protocol: Protocol, interpolators: Sequence[Interpolator]) -> Table:
    """Filling the second between two recorded keyframes, Table 8."""

    def whole(interpolator: Interpolator, sample: Sample) -> Images:
        between = interpolator.between(sample, sample.image, sample.truth[-1])
        return np.concatenate([sample.image[None], between, sample.truth[-1:]])

    makers = [Maker(one.name, one, partial(whole, one)) for one in interpolators]
    found = _gather(
        protocol,
        "interpolation",
        makers,
        clock.FRAMES_PER_INTERVAL,
        lambda sample, video: _pictures(video[1:-1], sample.truth[:-1]),
    )
    rows: list[Row] = [
        (
            name,
            (
                *frechet_cells(protocol.networks, found.real, made, clock.FRAMES_PER_INTERVAL + 1),
                *_picture_cells(made),
            ),
        )
        for name, made in found.made.items()
    ]
    columns = ("model", "FID", "FVD", "FDS", "PSNR (dB)", "SSIM")
    title = "Interpolation between keyframes"
    paper, count = published.TABLE_8, published.INTERPOLATION_SAMPLES
    return protocol.table("interpolation", title, columns, rows, found, paper, count)


def ablation(protocol: Protocol, systems: Sequence[System], num_frames: int = LONG_FRAMES[-1]) -> Table:
    """One part of the method after another, Table 6."""
    found, measured = _measured(protocol, "ablation", _by_name(systems), num_frames - 1, alone=False)
    rows = [(name, cells[1:]) for name, cells in measured.items()]
    columns = ("model", "FVD", "FDS", "PSNR (dB)", "SSIM")
    paper = {name: (value,) for name, value in published.TABLE_6.items()}
    title = f"Ablation, {num_frames} frames"
    return protocol.table("ablation", title, columns, rows, found, paper, published.ABLATION_SAMPLES)


def distillation_steps(
    protocol: Protocol,
    systems: Mapping[int, System],
    vbench: Callable[[Path], Mapping[str, float]] | None = None,
    num_frames: int = LONG_FRAMES[-1],
    videos: Path | None = None,
) -> Table:
    """How long to distill, Table 10.

    Args:
        protocol: what to measure on.
        systems: by distillation steps; 0 is the model before.
        vbench: VBench's scores of a folder of videos by dimension, in [0, 1]; None leaves them out.
        num_frames: of each video.
        videos: folder for the videos that ``vbench`` reads; a folder of each system is made in it.
    """
    found, measured = _measured(
        protocol,
        "distillation-steps",
        {str(count): systems[count] for count in sorted(systems)},
        num_frames - 1,
        alone=False,
        videos=None if vbench is None else videos,
    )
    rows: list[Row] = []
    for name, cells in measured.items():
        scores: list[Cell] = [None] * 3
        if vbench is not None:
            said = vbench((videos or Path()) / name)
            scores = [100 * said[one] for one in ("motion_smoothness", "imaging_quality", "aesthetic_quality")]
        rows.append((name, (*scores, *cells[1:])))
    columns = (
        "distillation steps", "motion smoothness (%)", "imaging quality (%)", "aesthetic quality (%)", "FVD", "FDS",
        "PSNR (dB)", "SSIM",
    )  # fmt: skip
    paper, count = published.TABLE_10, published.DISTILLATION_SAMPLES
    return protocol.table("distillation-steps", "Distillation steps", columns, rows, found, paper, count)


def _seconds(system: System, sample: Sample, frames: int) -> float:
    begun = time.perf_counter()
    system.continued(sample, frames)
    return time.perf_counter() - begun
