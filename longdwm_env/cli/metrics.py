"""``longdwm metrics short | long | ... | scorer | inverse-dynamics``: the paper's protocols, and how well we read."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from longdwm_env.cli.tables import command_line, written

if TYPE_CHECKING:
    from longdwm_env.evaluation.networks import Networks
    from longdwm_env.evaluation.paper.protocols import Protocol
    from longdwm_env.evaluation.paper.systems import Interpolator, System
    from longdwm_env.evaluation.report import Table
    from longdwm_env.models.pipeline import LongDWMPipeline
    from longdwm_env.training.data.simulator import SimulatorClips


@dataclass(frozen=True)
class NetworkOptions:
    """Networks to measure with; a metric without its network is left out.

    Attributes:
        encoder: folder of this project's video encoder, for FDS; default: the one that comes with the package.
        reader: folder of an inverse-dynamics model, for compliance; likewise.
        inception: TorchScript file of Inception (inception-2015-12-05.pt), for FID.
        i3d: TorchScript file of I3D (i3d_torchscript.pt), for FVD.
    """

    encoder: Path | None = None
    reader: Path | None = None
    inception: Path | None = None
    i3d: Path | None = None


@dataclass(frozen=True)
class ProtocolOptions:
    """What a protocol is run on.

    Attributes:
        model: folder of a saved pipeline.
        baseline: folder of the autoregressive baseline's transformer (``longdwm train ar-baseline``).
        scenes: dataroot of nuScenes (its val split), a folder of videos with poses, or one of recorded footage;
            default: the simulator's built-in test seeds, which nothing trains on.
        split: of nuScenes.
        samples: how many to measure.
        first_seed: of the simulator's test seeds.
        out: folder of the tables.
    """

    model: Path
    baseline: Path | None = None
    scenes: Path | None = None
    split: str = "val"
    samples: int = 40
    first_seed: int = 1_000_000
    out: Path = Path("outputs/metrics")


NetworksFlag = Annotated[NetworkOptions, tyro.conf.arg(name="")]
ProtocolFlag = Annotated[ProtocolOptions, tyro.conf.arg(name="")]

OWN_NETWORKS = NetworkOptions()
"""Those that come with the package."""


def short(protocol: ProtocolFlag, networks: NetworksFlag = OWN_NETWORKS) -> int:
    """Short prediction (LongDWM, Table 1)."""
    from longdwm_env.evaluation.paper import protocols as run

    pipeline, prepared = _prepared(protocol, networks)
    return written(run.short(prepared, _systems(pipeline, protocol)), protocol.out)


def long(protocol: ProtocolFlag, networks: NetworksFlag = OWN_NETWORKS) -> int:
    """Long prediction at 25, 69 and 113 frames (LongDWM, Table 2)."""
    from longdwm_env.evaluation.paper import protocols as run

    pipeline, prepared = _prepared(protocol, networks)
    return written(run.long(prepared, _systems(pipeline, protocol)), protocol.out)


def controllable(protocol: ProtocolFlag, networks: NetworksFlag = OWN_NETWORKS) -> int:
    """Prediction along trajectories, and whether they are obeyed (LongDWM, Table 4)."""
    from longdwm_env.evaluation.paper import protocols as run

    pipeline, prepared = _prepared(protocol, networks)
    return written(run.controllable(prepared, _systems(pipeline, protocol)), protocol.out)


def interpolation(protocol: ProtocolFlag, networks: NetworksFlag = OWN_NETWORKS) -> int:
    """Filling gaps between recorded keyframes (LongDWM, Table 8)."""
    from longdwm_env.evaluation.paper import protocols as run
    from longdwm_env.evaluation.paper import systems

    pipeline, prepared = _prepared(protocol, networks)
    rivals: list[Interpolator] = [
        systems.FineBetween(pipeline),
        systems.Blend(),
        systems.WarpBetween(pipeline.settings),
    ]
    return written(run.interpolation(prepared, rivals), protocol.out)


def ablation(
    protocol: ProtocolFlag,
    variant: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    networks: NetworksFlag = OWN_NETWORKS,
    frames: int = 113,
) -> int:
    """One part of the method after another (LongDWM, Table 6).

    Args:
        protocol: the complete model, and what to measure on.
        variant: NAME=FOLDER of saved pipelines with parts left out.
        networks: to measure with.
        frames: length of the videos.
    """
    from longdwm_env.evaluation.paper import protocols as run
    from longdwm_env.evaluation.paper import systems
    from longdwm_env.models.pipeline import LongDWMPipeline

    pipeline, prepared = _prepared(protocol, networks)
    rivals: list[System] = list(_baseline(pipeline, protocol))
    for name, folder in _named(variant).items():
        rivals.append(systems.LongDWM(name, LongDWMPipeline.from_pretrained(str(folder))))
    rivals.append(systems.LongDWM("complete", pipeline))
    return written(run.ablation(prepared, rivals, frames), protocol.out)


def distillation_steps(
    protocol: ProtocolFlag,
    variant: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    networks: NetworksFlag = OWN_NETWORKS,
    frames: int = 113,
    vbench: bool = False,
) -> int:
    """How long to distill (LongDWM, Table 10).

    Args:
        protocol: what to measure on; its model is the one before distillation.
        variant: STEPS=FOLDER of saved pipelines, such as 100=runs/distilled-100/pipeline.
        networks: to measure with.
        frames: length of the videos.
        vbench: measure VBench's dimensions too.
    """
    import tempfile

    from longdwm_env.evaluation.paper import protocols as run
    from longdwm_env.evaluation.paper import systems
    from longdwm_env.evaluation.paper.vbench import vbench_scores
    from longdwm_env.models.pipeline import LongDWMPipeline
    from longdwm_env.types import Images
    from longdwm_env.video import write_video

    pipeline, prepared = _prepared(protocol, networks)
    rivals: dict[int, System] = {0: systems.LongDWM("0", pipeline)}
    for name, folder in _named(variant).items():
        rivals[int(name)] = systems.LongDWM(name, LongDWMPipeline.from_pretrained(str(folder)))

    def scores(videos: list[Images]) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            for number, video in enumerate(videos):
                write_video(Path(folder) / f"{number:04d}.mp4", [video])
            return vbench_scores(Path(folder), protocol.out / "vbench")

    table = run.distillation_steps(prepared, rivals, scores if vbench else None, frames)
    return written(table, protocol.out)


def scorer(
    encoder: Path | None = None, samples: int = 40, first_seed: int = 1_000_000, out: Path = Path("outputs/metrics")
) -> int:
    """How well the scorer reads simulator footage that nothing was trained on.

    Args:
        encoder: its folder; default: the one that comes with the package.
        samples: drives.
        first_seed: of the simulator's test seeds.
        out: folder of the table.
    """
    opened = replace(opened_networks(NetworkOptions(encoder)), reader=None)
    return written(scorer_table(opened, samples, first_seed, {"command": command_line()}), out)


def scorer_table(
    networks: "Networks", samples: int, first_seed: int = 1_000_000, facts: dict[str, str] | None = None
) -> "Table":
    """The scorer's quality on the simulator's test seeds; ``train ship-scorer`` prints it on the card."""
    from longdwm_env.evaluation.reader_quality import scorer_quality
    from longdwm_env.models.scorer import bundled_scorer

    encoder, source = networks.encoder or bundled_scorer(), _unseen(samples, first_seed)
    described = {**networks.facts(), "data": source.description(), **(facts or {})}
    return scorer_quality(encoder, source, samples, described)


def inverse_dynamics(
    reader: Path | None = None, samples: int = 40, first_seed: int = 1_000_000, out: Path = Path("outputs/metrics")
) -> int:
    """How well the inverse-dynamics model reads simulator footage that nothing was trained on.

    Args:
        reader: its folder; default: the one that comes with the package.
        samples: drives.
        first_seed: of the simulator's test seeds.
        out: folder of the table.
    """
    opened = replace(opened_networks(NetworkOptions(reader=reader)), encoder=None)
    return written(reader_table(opened, samples, first_seed, {"command": command_line()}), out)


def reader_table(
    networks: "Networks", samples: int, first_seed: int = 1_000_000, facts: dict[str, str] | None = None
) -> "Table":
    """The reader's errors on the simulator's test seeds; ``train ship-inverse-dynamics`` prints it on the card."""
    from longdwm_env.evaluation.reader_quality import motion_quality
    from longdwm_env.models.inverse_dynamics import bundled_inverse_dynamics

    reader, source = networks.reader or bundled_inverse_dynamics(), _unseen(samples, first_seed)
    described = {**networks.facts(), "data": source.description(), **(facts or {})}
    return motion_quality(reader, source, samples, described)


def _unseen(samples: int, first_seed: int) -> "SimulatorClips":
    """Footage of test seeds, twice as many clips as are wanted: one that ends in a collision may be too short."""
    from longdwm_env.models.scorer import WINDOW_SIZE
    from longdwm_env.training.data.simulator import unseen_clips

    return unseen_clips(2 * samples, WINDOW_SIZE, first_seed=first_seed)


def opened_networks(options: NetworkOptions) -> "Networks":
    """The networks that were asked for; the two that come with the package unless others are given."""
    from longdwm_env.evaluation.networks import Networks

    return Networks.opened(options.encoder, options.reader, options.inception, options.i3d)


def _prepared(options: ProtocolOptions, networks: NetworkOptions) -> "tuple[LongDWMPipeline, Protocol]":
    from longdwm_env.errors import InvalidConfig
    from longdwm_env.evaluation.paper.protocols import DRIVE_FRAMES, Protocol
    from longdwm_env.models.pipeline import LongDWMPipeline
    from longdwm_env.scenes.tables import is_nuscenes
    from longdwm_env.training.data.clip import ClipSource
    from longdwm_env.training.data.footage import Footage, is_footage
    from longdwm_env.training.data.latents import weights_hash

    pipeline = LongDWMPipeline.from_pretrained(str(options.model))
    pipeline.set_progress_bar_config(disable=True)
    size = pipeline.settings.image_size
    source: ClipSource
    if options.scenes is None:
        from longdwm_env.training.data.simulator import unseen_clips

        # Twice as many: a clip that ends in a collision may be too short.
        source = unseen_clips(2 * options.samples, size, DRIVE_FRAMES, options.first_seed)
    elif is_footage(options.scenes):
        source = Footage(options.scenes)
        if (found := source.image_size) != size:
            raise InvalidConfig(f"the footage in {options.scenes} is {found}; {options.model} wants {size}")
    elif is_nuscenes(options.scenes):
        from longdwm_env.training.data.nuscenes import NuScenesClips

        source = NuScenesClips(options.scenes, size, DRIVE_FRAMES, options.split)
    else:
        from longdwm_env.training.data.videos import VideoClips

        source = VideoClips(options.scenes, size, DRIVE_FRAMES)
    facts = {
        "model": options.model,
        "model hash": weights_hash(pipeline.coarse, pipeline.fine, pipeline.vae),
        "command": command_line(),
    }
    return pipeline, Protocol(source, options.samples, opened_networks(networks), facts)


def _baseline(pipeline: "LongDWMPipeline", options: ProtocolOptions) -> "list[System]":
    from longdwm_env.evaluation.paper.systems import Autoregressive
    from longdwm_env.models.dit import LongDWMTransformer3DModel

    if options.baseline is None:
        return []
    transformer = LongDWMTransformer3DModel.from_pretrained(str(options.baseline)).eval()
    return [Autoregressive("autoregressive, same size", pipeline, transformer)]


def _systems(pipeline: "LongDWMPipeline", options: ProtocolOptions) -> "list[System]":
    from longdwm_env.evaluation.paper import systems

    return [
        systems.LongDWM("LongDWM, twelve keyframes at once", pipeline),
        systems.LongDWM("LongDWM, second by second", pipeline, at_once=1),
        *_baseline(pipeline, options),
        systems.Warp(pipeline.settings),
        systems.Copy(),
        systems.Reconstruction(pipeline),
    ]


def _named(variants: tuple[str, ...]) -> dict[str, Path]:
    from longdwm_env.errors import InvalidConfig

    named = {}
    for entry in variants:
        name, equals, folder = entry.partition("=")
        if not equals or not Path(folder).is_dir():
            raise InvalidConfig(f"--variant {entry!r}: expected NAME=FOLDER of a saved pipeline")
        named[name] = Path(folder)
    return named
