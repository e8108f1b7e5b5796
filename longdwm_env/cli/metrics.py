"""``longdwm metrics ...``: measure videos, run the paper's protocols, compare by people."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from longdwm_env.models.pipeline import LongDWMPipeline
    from longdwm_env.training.metrics.measure import Networks
    from longdwm_env.training.metrics.report import Table
    from longdwm_env.training.protocols.run import Protocol
    from longdwm_env.training.protocols.systems import Interpolator, System


@dataclass(frozen=True)
class NetworkOptions:
    """Networks to measure with; a metric without its network is left out.

    Attributes:
        encoder: folder of this project's video encoder, for FDS and compliance; default: the one that comes with the
            package.
        inception: TorchScript file of Inception (inception-2015-12-05.pt), for FID.
        i3d: TorchScript file of I3D (i3d_torchscript.pt), for FVD.
    """

    encoder: Path | None = None
    inception: Path | None = None
    i3d: Path | None = None


@dataclass(frozen=True)
class ProtocolOptions:
    """What a protocol is run on.

    Attributes:
        model: folder of a saved pipeline.
        baseline: folder of the autoregressive baseline's transformer (``longdwm train ar-baseline``).
        scenes: dataroot of nuScenes (its val split) or a folder of videos with poses; default: the simulator's built-in
            test seeds, which nothing trains on.
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


def folders(
    real: Path,
    generated: Path,
    networks: NetworksFlag = NetworkOptions(),
    out: Path = Path("outputs/metrics"),
    vbench: bool = False,
) -> int:
    """Compare a folder of generated videos with a folder of real ones; the same names are compared frame by frame.

    Args:
        real: mp4 files, or one folder of pictures per video.
        generated: likewise.
        networks: to measure with.
        out: folder of the table.
        vbench: also run VBench's dimensions on the generated mp4 files.
    """
    from longdwm_env.training.metrics.measure import measure
    from longdwm_env.training.metrics.report import Table
    from longdwm_env.training.metrics.vbench import vbench_scores
    from longdwm_env.training.metrics.videos import VideoFolder, paired

    truth, made = VideoFolder(real), VideoFolder(generated)
    both = paired(truth, made)
    height, width = truth.read(truth.names[0]).shape[1:3]
    names = (both, both) if both else (truth.names, made.names)
    videos = [
        [folder.read(name, (height, width)) for name in group]
        for folder, group in zip((truth, made), names, strict=True)
    ]
    opened = _networks(networks)
    found = measure(videos[0], videos[1], opened, is_paired=bool(both))
    columns = ["videos", "FID", "FVD", "FDS", "PSNR (dB)", "SSIM"]
    cells = [found.fid, found.fvd, found.fds, found.psnr_db, found.ssim]
    for second, (psnr, ssim) in enumerate(zip(found.psnr_per_second, found.ssim_per_second, strict=True)):
        columns += [f"PSNR, second {second + 1} (dB)", f"SSIM, second {second + 1}"]
        cells += [psnr, ssim]
    if vbench:
        scores = vbench_scores(generated, out / "vbench")
        columns += list(scores)
        cells += list(scores.values())
    notes = tuple(f"{metric}: {reason}" for metric, reason in found.left_out.items())
    facts = {"real": real, "generated": generated, **opened.facts()}
    table = Table(
        "videos", "Generated against real videos", tuple(columns), ((generated.name, tuple(cells)),), (),
        found.videos, found.videos, facts, notes,
    )  # fmt: skip
    return _written(table, out)


def short(protocol: ProtocolFlag, networks: NetworksFlag = NetworkOptions()) -> int:
    """Short prediction (LongDWM, Table 1)."""
    from longdwm_env.training.protocols import run

    pipeline, prepared = _prepared(protocol, networks)
    return _written(run.short(prepared, _systems(pipeline, protocol)), protocol.out)


def long(protocol: ProtocolFlag, networks: NetworksFlag = NetworkOptions()) -> int:
    """Long prediction at 25, 69 and 113 frames (LongDWM, Table 2)."""
    from longdwm_env.training.protocols import run

    pipeline, prepared = _prepared(protocol, networks)
    return _written(run.long(prepared, _systems(pipeline, protocol)), protocol.out)


def controllable(protocol: ProtocolFlag, networks: NetworksFlag = NetworkOptions()) -> int:
    """Prediction along trajectories, and whether they are obeyed (LongDWM, Table 4)."""
    from longdwm_env.training.protocols import run

    pipeline, prepared = _prepared(protocol, networks)
    return _written(run.controllable(prepared, _systems(pipeline, protocol)), protocol.out)


def interpolation(protocol: ProtocolFlag, networks: NetworksFlag = NetworkOptions()) -> int:
    """Filling gaps between recorded keyframes (LongDWM, Table 8)."""
    from longdwm_env.training.protocols import run, systems

    pipeline, prepared = _prepared(protocol, networks)
    rivals: list[Interpolator] = [
        systems.FineBetween(pipeline),
        systems.Blend(),
        systems.WarpBetween(pipeline.settings),
    ]
    return _written(run.interpolation(prepared, rivals), protocol.out)


def ablation(
    protocol: ProtocolFlag,
    variant: tuple[str, ...] = (),
    networks: NetworksFlag = NetworkOptions(),
    frames: int = 113,
) -> int:
    """One part of the method after another (LongDWM, Table 6).

    Args:
        protocol: the complete model, and what to measure on.
        variant: NAME=FOLDER of saved pipelines with parts left out.
        networks: to measure with.
        frames: length of the videos.
    """
    from longdwm_env.models.pipeline import LongDWMPipeline
    from longdwm_env.training.protocols import run, systems

    pipeline, prepared = _prepared(protocol, networks)
    rivals: list[System] = list(_baseline(pipeline, protocol))
    for name, folder in _named(variant).items():
        rivals.append(systems.LongDWM(name, LongDWMPipeline.from_pretrained(str(folder))))
    rivals.append(systems.LongDWM("complete", pipeline))
    return _written(run.ablation(prepared, rivals, frames), protocol.out)


def distillation_steps(
    protocol: ProtocolFlag,
    variant: tuple[str, ...] = (),
    networks: NetworksFlag = NetworkOptions(),
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

    from longdwm_env.models.pipeline import LongDWMPipeline
    from longdwm_env.training.metrics.vbench import vbench_scores
    from longdwm_env.training.protocols import run, systems
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
    return _written(table, protocol.out)


def compare_page(
    first: Path,
    second: Path,
    out: Path = Path("outputs/compare.html"),
    names: tuple[str, str] | None = None,
    questions: tuple[str, ...] = ("visual", "motion", "trajectory"),
    pairs: int = 40,
    seed: int = 0,
) -> int:
    """Build a page on which people choose between two models' videos, side by side in random order.

    Args:
        first: folder of mp4 files of one model.
        second: folder of mp4 files of the other; the same names show the same scene.
        out: page to write; its key is written beside it.
        names: of the two models; default: the folders' names.
        questions: visual, motion, trajectory.
        pairs: most pairs to show; 40 in the paper.
        seed: of order and sides.
    """
    from longdwm_env.errors import InvalidConfig
    from longdwm_env.training.metrics.compare_page import Pair, build_page

    common = sorted({p.name for p in first.glob("*.mp4")} & {p.name for p in second.glob("*.mp4")})[:pairs]
    if not common:
        raise InvalidConfig(f"{first} and {second} have no mp4 files of the same name")
    shown = [Pair(Path(name).stem, first / name, second / name) for name in common]
    page, key = build_page(shown, names or (first.name, second.name), out, questions, seed)
    print(f"{page}: {len(shown)} pairs. Keep {key} to yourself until the answers are in.")
    return 0


def win_rates(key: Path, answers: tuple[Path, ...], out: Path = Path("outputs/metrics")) -> int:
    """Count the answers that people saved from a comparison page.

    Args:
        key: written beside the page.
        answers: files of answers, one per person.
        out: folder of the table.
    """
    import json

    from longdwm_env.training.metrics.compare_page import win_rates as count
    from longdwm_env.training.metrics.report import Table

    first, second = json.loads(key.read_text())["names"]
    found = count(key, answers)
    rows = tuple((rate.question, (rate.answers, rate.wins, rate.share)) for rate in found)
    paper = (("visual", (800, None, 0.545)), ("motion", (800, None, 0.525)), ("trajectory", (800, None, 0.679)))
    total = sum(rate.answers for rate in found)
    table = Table(
        "win-rates", f"{first} against {second}, by people", ("question", "answers", f"{first} preferred", "share"),
        rows, paper, total, 2400, {"people": len(answers)}, ("The paper's rows are LongDWM against Vista.",),
    )  # fmt: skip
    return _written(table, out)


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
    import sys

    from longdwm_env.errors import MissingWeights
    from longdwm_env.models.scorer import BUNDLED

    opened = _networks(NetworkOptions(encoder))
    if opened.encoder is None:
        raise MissingWeights(f"{BUNDLED} holds no scorer, and none was given (--encoder)")
    command = " ".join(["longdwm", *sys.argv[1:]])
    return _written(scorer_table(opened, samples, first_seed, {"command": command}), out)


def scorer_table(
    networks: "Networks", samples: int, first_seed: int = 1_000_000, facts: dict[str, str] | None = None
) -> "Table":
    """The scorer's quality on the simulator's test seeds; ``train ship-scorer`` prints it on the card."""
    from longdwm_env.models.scorer import WINDOW_SIZE
    from longdwm_env.training.data.simulator import SimulatorClips
    from longdwm_env.training.metrics.scorer_quality import scorer_quality

    assert networks.encoder is not None
    source = SimulatorClips(2 * samples, WINDOW_SIZE, first_seed=first_seed, allow_test_seeds=True)
    return scorer_quality(
        networks.encoder, source, samples, {**networks.facts(), "data": source.description(), **(facts or {})}
    )


def _networks(options: NetworkOptions) -> "Networks":
    from longdwm_env.models.scorer import bundled_scorer, has_bundled_scorer, load_scorer
    from longdwm_env.training.metrics.measure import Networks

    encoder, origin = None, ""
    if options.encoder is not None:
        encoder, origin = load_scorer(options.encoder), str(options.encoder)
    elif has_bundled_scorer():
        encoder, origin = bundled_scorer(), "bundled"
    return Networks(encoder, options.inception, options.i3d, origin)


def _prepared(options: ProtocolOptions, networks: NetworkOptions) -> "tuple[LongDWMPipeline, Protocol]":
    import sys

    from longdwm_env.clock import FRAMES_PER_INTERVAL
    from longdwm_env.models.pipeline import LongDWMPipeline
    from longdwm_env.scenes.tables import is_nuscenes
    from longdwm_env.training.data.clip import ClipSource
    from longdwm_env.training.data.latents import weights_hash
    from longdwm_env.training.protocols.run import LONG_FRAMES, Protocol

    pipeline = LongDWMPipeline.from_pretrained(str(options.model))
    pipeline.set_progress_bar_config(disable=True)
    size = pipeline.settings.image_size
    frames = -(-max(LONG_FRAMES) // FRAMES_PER_INTERVAL) * FRAMES_PER_INTERVAL + 1
    source: ClipSource
    if options.scenes is None:
        from longdwm_env.training.data.simulator import SimulatorClips

        # Twice as many: a clip that ends in a collision may be too short.
        source = SimulatorClips(2 * options.samples, size, frames, first_seed=options.first_seed, allow_test_seeds=True)
    elif is_nuscenes(options.scenes):
        from longdwm_env.training.data.nuscenes import NuScenesClips

        source = NuScenesClips(options.scenes, size, frames, options.split)
    else:
        from longdwm_env.training.data.videos import VideoClips

        source = VideoClips(options.scenes, size, frames)
    facts = {
        "model": options.model,
        "model hash": weights_hash(pipeline.coarse, pipeline.fine, pipeline.vae),
        "command": " ".join(sys.argv),
    }
    return pipeline, Protocol(source, options.samples, _networks(networks), facts)


def _baseline(pipeline: "LongDWMPipeline", options: ProtocolOptions) -> "list[System]":
    from longdwm_env.models.dit import LongDWMTransformer3DModel
    from longdwm_env.training.protocols.systems import Autoregressive

    if options.baseline is None:
        return []
    transformer = LongDWMTransformer3DModel.from_pretrained(str(options.baseline)).eval()
    return [Autoregressive("autoregressive, same size", pipeline, transformer)]


def _systems(pipeline: "LongDWMPipeline", options: ProtocolOptions) -> "list[System]":
    from longdwm_env.training.protocols import systems

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


def _written(table: "Table", out: Path) -> int:
    print(table.as_markdown())
    print("written:", *(f"  {path}" for path in table.write(out)), sep="\n")
    return 0


COMMANDS = {
    "folders": folders,
    "short": short,
    "long": long,
    "controllable": controllable,
    "interpolation": interpolation,
    "ablation": ablation,
    "distillation-steps": distillation_steps,
    "compare-page": compare_page,
    "win-rates": win_rates,
    "scorer": scorer,
}
"""What ``longdwm metrics`` offers."""
