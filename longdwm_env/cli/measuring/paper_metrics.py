"""``longdwm metrics short | long | ... | scorer | inverse-dynamics``: the paper's protocols, and how well we read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from longdwm_env.cli.destination import holding_its
from longdwm_env.cli.extras import need
from longdwm_env.cli.tables import command_line, written
from longdwm_env.episodes.kept_seeds import FIRST_TEST_SEED

if TYPE_CHECKING:
    from longdwm_env.evaluation.networks import Networks
    from longdwm_env.evaluation.paper.interpolators import Interpolator
    from longdwm_env.evaluation.paper.protocols import Protocol
    from longdwm_env.evaluation.paper.sample_sets import Which
    from longdwm_env.evaluation.paper.systems import System
    from longdwm_env.evaluation.report import Table
    from longdwm_env.models.pipeline import LongDWMPipeline


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
        samples: how many to measure; default: of nuScenes all of the paper's (every keyframe of the split for short and
            interpolation, the first five of each scene for long, every third for controllable), else 40. Fewer are
            drawn evenly.
        first_seed: of the simulator's test seeds.
        out: folder of the tables; what was read of each video is kept in its folder ``features``, and a command that
            was stopped goes on when it is given again.
        device: where model and feature networks run, such as cuda.
        dtype: of the model's weights and pictures; feature networks compute in float32, as FID and FVD are defined.
        vista: Vista's annotations (nuScenes_val.json): samples are chosen among its own, and controllable follows its
            trajectories; without, the recorded motion is asked for.
        peer: NAME=FOLDER of another model of Table 2 (svd, i2vgen-xl, cogvideox-i2v), rolled out beside ours.
    """

    model: Path
    baseline: Path | None = None
    scenes: Path | None = None
    split: str = "val"
    samples: int | None = None
    first_seed: int = FIRST_TEST_SEED
    out: Path = Path("outputs/metrics")
    device: str = "cpu"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    vista: Path | None = None
    peer: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()


NetworksFlag = Annotated[NetworkOptions, tyro.conf.arg(name="")]
ProtocolFlag = Annotated[ProtocolOptions, tyro.conf.arg(name="")]

OWN_NETWORKS = NetworkOptions()
"""Those that come with the package."""


@holding_its("folder")
def short(protocol: ProtocolFlag, networks: NetworksFlag = OWN_NETWORKS) -> int:
    """Short prediction (LongDWM, Table 1)."""
    from longdwm_env.evaluation.paper.protocols import SHORT_FRAMES, short

    return _compared(short, protocol, networks, "every keyframe", SHORT_FRAMES)


@holding_its("folder")
def long(protocol: ProtocolFlag, networks: NetworksFlag = OWN_NETWORKS) -> int:
    """Long prediction at 25, 69 and 113 frames (LongDWM, Table 2)."""
    from longdwm_env.evaluation.paper.protocols import DRIVE_FRAMES, long

    return _compared(long, protocol, networks, "first five", DRIVE_FRAMES)


@holding_its("folder")
def controllable(protocol: ProtocolFlag, networks: NetworksFlag = OWN_NETWORKS) -> int:
    """Prediction along trajectories, and whether they are obeyed (LongDWM, Table 4)."""
    from longdwm_env.evaluation.paper.protocols import SHORT_FRAMES, controllable

    return _compared(controllable, protocol, networks, "every third", SHORT_FRAMES)


def _compared(
    made: "Callable[[Protocol, list[System]], Table]",
    protocol: ProtocolOptions,
    networks: NetworkOptions,
    which: "Which",
    frames: int,
) -> int:
    from longdwm_env.evaluation.paper.systems import compared_systems

    pipeline, prepared = _prepared(protocol, networks, which, frames)
    return written(made(prepared, compared_systems(pipeline, protocol.baseline, _peers(protocol))), protocol.out)


def _peers(options: ProtocolOptions) -> "list[System]":
    import torch

    from longdwm_env.errors import InvalidConfig
    from longdwm_env.evaluation.paper.systems import PeerRolledOut
    from longdwm_env.evaluation.peers import PEERS, DiffusersPeer

    found: list[System] = []
    for entry in options.peer:
        name, equals, folder = entry.partition("=")
        if not equals or name not in PEERS:
            raise InvalidConfig(f"--peer {entry!r}: expected NAME=FOLDER, NAME one of {', '.join(PEERS)}")
        peer = DiffusersPeer.from_folder(name, folder, options.device, getattr(torch, options.dtype))  # type: ignore[arg-type]
        found.append(PeerRolledOut(name, peer, folder))
    return found


@holding_its("folder")
def interpolation(protocol: ProtocolFlag, networks: NetworksFlag = OWN_NETWORKS) -> int:
    """Filling gaps between recorded keyframes (LongDWM, Table 8)."""
    from longdwm_env.clock import FRAMES_PER_INTERVAL
    from longdwm_env.errors import InvalidConfig
    from longdwm_env.evaluation.paper.interpolators import Blend, FineBetween, WarpBetween
    from longdwm_env.evaluation.paper.protocols import interpolation

    if protocol.samples == 1:
        raise InvalidConfig("a gap is one window of a second, and Frechet distances need two: --samples 2 or more")
    pipeline, prepared = _prepared(protocol, networks, "every keyframe", FRAMES_PER_INTERVAL + 1)
    rivals: list[Interpolator] = [FineBetween(pipeline), Blend(), WarpBetween(pipeline.settings)]
    return written(interpolation(prepared, rivals), protocol.out)


@holding_its("folder")
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
    from longdwm_env.evaluation.paper.protocols import ablation, drive_frames
    from longdwm_env.evaluation.paper.systems import LongDWM, same_size_baseline

    pipeline, prepared = _prepared(protocol, networks, "first five", drive_frames(frames))
    parts = {**_named(variant, protocol, pipeline), "complete": pipeline}
    rivals = [*same_size_baseline(pipeline, protocol.baseline), *(LongDWM(*part) for part in parts.items())]
    return written(ablation(prepared, rivals, frames), protocol.out)


@holding_its("folder")
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
    from functools import partial

    from longdwm_env.evaluation.paper.protocols import distillation_steps, drive_frames
    from longdwm_env.evaluation.paper.systems import LongDWM, System
    from longdwm_env.evaluation.paper.vbench import vbench_scores

    pipeline, prepared = _prepared(protocol, networks, "first five", drive_frames(frames))
    rivals: dict[int, System] = {
        int(name): LongDWM(name, made) for name, made in {"0": pipeline, **_named(variant, protocol, pipeline)}.items()
    }
    scores = partial(vbench_scores, out=protocol.out / "vbench", device=protocol.device) if vbench else None
    videos = protocol.out / "videos"
    return written(distillation_steps(prepared, rivals, scores, frames, videos), protocol.out)


@holding_its("folder")
def scorer(
    encoder: Path | None = None,
    samples: int = 40,
    first_seed: int = FIRST_TEST_SEED,
    out: Path = Path("outputs/metrics"),
) -> int:
    """How well the scorer reads simulator footage that nothing was trained on.

    Args:
        encoder: its folder; default: the one that comes with the package.
        samples: drives.
        first_seed: of the simulator's test seeds.
        out: folder of the table.
    """
    from longdwm_env.evaluation.networks import Networks, opened_encoder

    networks = Networks(opened_encoder(encoder, needed=True), encoder_from=str(encoder or "bundled"))
    return _read(networks, samples, first_seed, out)


@holding_its("folder")
def inverse_dynamics(
    reader: Path | None = None,
    samples: int = 40,
    first_seed: int = FIRST_TEST_SEED,
    out: Path = Path("outputs/metrics"),
) -> int:
    """How well the inverse-dynamics model reads simulator footage that nothing was trained on.

    Args:
        reader: its folder; default: the one that comes with the package.
        samples: drives.
        first_seed: of the simulator's test seeds.
        out: folder of the table.
    """
    from longdwm_env.evaluation.networks import Networks, opened_reader

    networks = Networks(reader=opened_reader(reader, needed=True), reader_from=str(reader or "bundled"))
    return _read(networks, samples, first_seed, out)


def _read(networks: "Networks", samples: int, first_seed: int, out: Path) -> int:
    from longdwm_env.evaluation.reader_quality import quality_on_test_seeds

    return written(quality_on_test_seeds(networks, samples, first_seed, {"command": command_line()}), out)


def opened_networks(options: NetworkOptions, device: str = "cpu") -> "Networks":
    """The networks that were asked for; the two that come with the package unless others are given."""
    from longdwm_env.evaluation.networks import Networks

    if options.inception is not None:
        need("FID", "train", "torchmetrics")

    return Networks.opened(options.encoder, options.reader, options.inception, options.i3d, device)


def _prepared(
    options: ProtocolOptions, networks: NetworkOptions, which: "Which", frames: int
) -> "tuple[LongDWMPipeline, Protocol]":
    """The model where it is to run, and what it is measured on; all that can be missing is looked for first."""
    from longdwm_env.evaluation.paper.opening import check_device, opened_pipeline, protocol_clips
    from longdwm_env.evaluation.paper.protocols import Protocol
    from longdwm_env.training.data.encoded.latents import pipeline_hash

    check_device(options.device)
    opened = opened_networks(networks, options.device)
    opened.check_files()
    # The paper's sets take long: what their tables will lack is said now, not at the end.
    for sentence in opened.left_out():
        print(sentence, flush=True)
    pipeline = opened_pipeline(options.model, options.device, options.dtype)
    source = protocol_clips(
        options.scenes,
        pipeline.settings.image_size,
        which,
        frames,
        options.samples,
        split=options.split,
        vista=options.vista,
        first_seed=options.first_seed,
        drives=options.out / "drives",
    )
    samples = len(source) if options.samples is None else options.samples
    facts = {
        "model": options.model,
        "model hash": pipeline_hash(pipeline),
        "dtype": options.dtype,
        "command": command_line(),
    }
    return pipeline, Protocol(source, samples, opened, facts, options.out / "features")


def _named(
    variants: tuple[str, ...], options: ProtocolOptions, beside: "LongDWMPipeline"
) -> "dict[str, LongDWMPipeline]":
    from longdwm_env.errors import InvalidConfig
    from longdwm_env.evaluation.paper.opening import opened_pipeline

    named = {}
    for entry in variants:
        name, equals, folder = entry.partition("=")
        if not equals or not Path(folder).is_dir():
            raise InvalidConfig(f"--variant {entry!r}: expected NAME=FOLDER of a saved pipeline")
        named[name] = opened_pipeline(Path(folder), options.device, options.dtype, (options.model, beside))
    return named
