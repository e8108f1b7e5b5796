"""From a recipe to a trained component: each stage's data, objective, pictures and result."""

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from torch import Tensor

from longdwm_env.clock import FRAMES_PER_INTERVAL
from longdwm_env.errors import InvalidConfig
from longdwm_env.io.files import one_writer
from longdwm_env.models.codec.video_codec import images_from_uint8
from longdwm_env.models.network.coarse import CoarseModel
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.readers.inverse_dynamics import InverseDynamics
from longdwm_env.models.readers.scorer import DrivingEncoder
from longdwm_env.models.speed import speed_up
from longdwm_env.training.checkpoint import checkpoints
from longdwm_env.training.config import Recipe, StageConfig, as_json
from longdwm_env.training.data.clip import ClipSource
from longdwm_env.training.data.encoded.encoding import encode_latents
from longdwm_env.training.data.encoded.encoding_memory import check_encoding_fits
from longdwm_env.training.data.encoded.latents import SEGMENT_FRAMES, LatentStore, weights_hash
from longdwm_env.training.data.footage import Footage, sample_images
from longdwm_env.training.data.samplers import CoarseSampler, DistillSampler, FineSampler
from longdwm_env.training.data.shards import BadLimit
from longdwm_env.training.decoder import decoder_stage
from longdwm_env.training.draws import numbers
from longdwm_env.training.few_steps import (
    FEW_STEP_STAGES,
    drawing,
    few_step_objective,
    hold_teacher,
)
from longdwm_env.training.lengths import keyframes_needed
from longdwm_env.training.loop import Progress, train
from longdwm_env.training.losses.coarse_objective import CoarseObjective
from longdwm_env.training.losses.codec import CodecObjective, ImageBatch
from longdwm_env.training.losses.distilling.distill import DistillObjective
from longdwm_env.training.losses.encoder import EncoderObjective, WindowSampler
from longdwm_env.training.losses.evidence import gathered
from longdwm_env.training.losses.fine_objective import FineObjective
from longdwm_env.training.losses.inverse_dynamics_objective import InverseDynamicsObjective, MotionSampler
from longdwm_env.training.losses.objective import NoiseChoices, Objective
from longdwm_env.training.losses.self_rollout import Rollout
from longdwm_env.training.losses.warp_loss import WarpObjective
from longdwm_env.training.order import check_teacher
from longdwm_env.training.run import SAMPLES
from longdwm_env.training.sample_pictures import PictureWriter
from longdwm_env.training.scaling.lora import add_lora
from longdwm_env.training.shipping.stage_export import COMPONENTS, export
from longdwm_env.training.workspace import Workspace

Draw = Callable[[int, Sequence[int]], Any]


def prepare_latents(
    recipe: Recipe,
    workspace: Workspace,
    source: ClipSource,
    device: torch.device | str = "cpu",
    workers: int = 1,
    check: bool = False,
) -> LatentStore:
    """Encode the source with the workspace's codec, as far as that has not been done; see ``encode_latents``.

    Args:
        recipe: what is encoded of each clip.
        workspace: whose codec encodes.
        source: of the clips.
        device: where the codec runs.
        workers: processes that encode at the same time.
        check: say what it needs before anything is encoded, and refuse what cannot fit.

    Raises:
        DoesNotFit: with advice.
    """
    pipeline = workspace.load()
    limit, choices = BadLimit(recipe.data.bad_share), recipe.data.latents
    if check and not workspace.latents.is_dir():
        check_encoding_fits(pipeline, choices, source, workspace.latents, device)
    return encode_latents(source, workspace.latents, pipeline, choices, device, limit, workers)


def run_stage(
    recipe: Recipe,
    stage: str,
    workspace: Workspace,
    config: StageConfig | None = None,
    device: torch.device | str | None = None,
    max_seconds: float | None = None,
) -> Progress:
    """Train one stage to its end, or until the time is up; continues where an earlier call stopped.

    Args:
        recipe: what to train.
        stage: one of ``config.STAGES``.
        workspace: prepared, with footage (codec) or latents (the others).
        config: the stage's configuration; None for the recipe's own.
        device: "cpu" keeps off an accelerator that is there.
        max_seconds: stop with a checkpoint after about this long.

    Raises:
        InvalidConfig: what the stage needs is missing.
    """
    config = config or recipe.stage(stage)
    with stage_writer(workspace, stage):
        return _run_stage(recipe, stage, workspace, config, device, max_seconds)


def stage_writer(workspace: Workspace, stage: str) -> AbstractContextManager[None]:
    """A stage's folder has one writer; of several processes that train together the first holds it for all."""
    if os.environ.get("RANK", "0") != "0":
        return nullcontext()
    return one_writer(workspace.stage(stage), wait=True)


def _run_stage(
    recipe: Recipe,
    stage: str,
    workspace: Workspace,
    config: StageConfig,
    device: torch.device | str | None,
    max_seconds: float | None,
) -> Progress:
    pipeline = workspace.load()
    folder = workspace.stage(stage)
    here = PartialState(cpu=str(device) == "cpu").device
    pipeline.vae.to(here)
    teacher_guidance = hold_teacher(stage, workspace, pipeline) if stage in FEW_STEP_STAGES else 1.0
    objective, draw, validation, data = _assemble(stage, config, recipe, workspace, pipeline)
    if stage in FEW_STEP_STAGES:
        checkpointed = config.loop.gradient_checkpointing
        objective = few_step_objective(objective, config.few_steps, pipeline, teacher_guidance, checkpointed)  # type: ignore[arg-type]
        draw, validation = drawing(draw), drawing(validation)
    if config.loop.gradient_checkpointing and stage in STAGES_ON_LATENTS:
        objective.trained.enable_gradient_checkpointing()  # type: ignore[operator]
    if stage in STAGES_ON_LATENTS:
        set_switches(objective, config, here)
    # Sharded parameters lie in memory in their own order.
    if not config.loop.shard and (str(device) == "cpu" or not torch.cuda.is_available()):
        _lay_out_for_cpu(objective)
    facts = {"recipe": recipe.name, "size": recipe.size, "stage": stage, "config": as_json(config), "data": data}
    pictures = PictureWriter(stage, objective, validation, pipeline, folder / SAMPLES)
    progress = train(
        objective,
        draw,
        config.loop,
        config.optimizer,
        folder,
        facts,
        on_sample=pictures,
        validation=validation,
        max_seconds=max_seconds,
        cpu=str(device) == "cpu",
    )
    if progress.finished and PartialState().is_main_process:
        # What is sharded or has changes beside it is no plain transformer any more.
        is_plain = not (config.loop.shard or config.lora.rank)
        export(stage, workspace, pipeline if is_plain else None)
        if COMPONENTS.get(stage) in ("coarse", "fine"):
            has_warps = config.use_warp and LatentStore(workspace.latents).has_poses
            workspace.note_training("ar-baseline" if stage == "ar-baseline" else COMPONENTS[stage], has_warps)
        workspace.mark_done(stage, {"steps": progress.step, "loss": progress.loss})
    return progress


def _lay_out_for_cpu(objective: Objective) -> None:
    """Convolution weights with channels last: a tenth faster on AVX512 processors, and the same numbers."""
    for module in objective.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def set_switches(objective: Objective, config: StageConfig, device: torch.device) -> None:
    """What a configuration asks for beside the paper: low-rank changes, compiled blocks, a kernel of attention."""
    transformer = objective.trained.to(device)
    if config.lora.rank:
        add_lora(transformer, config.lora, config.loop.seed)
    attention = None if config.loop.attention == "any" else config.loop.attention
    speed_up(transformer, compile_blocks=config.loop.compile, attention=attention)


STAGES_ON_LATENTS = tuple(stage for stage in COMPONENTS if stage not in ("codec", "decoder"))


def _assemble(
    stage: str, config: StageConfig, recipe: Recipe, workspace: Workspace, pipeline: LongDWMPipeline
) -> tuple[Objective, Draw, Draw, dict[str, Any]]:
    """(objective, training samples, validation samples, what the data was made from)."""
    seed = config.loop.seed
    if stage == "codec":
        return _codec(config, workspace, pipeline)
    if stage == "scorer":
        return _scorer(config, workspace)
    if stage == "inverse-dynamics":
        return _inverse_dynamics(config, workspace, pipeline)
    store = LatentStore(workspace.latents, BadLimit(recipe.data.bad_share))
    store.check_codec(pipeline)
    codec, settings = pipeline.codec, pipeline.settings
    if stage == "decoder":
        return *decoder_stage(config, store, pipeline), {"made_from": store.made_from}
    seen, unseen = store.split()
    needed = keyframes_needed(stage, config, settings, store.has_poses)
    if min(seen.longest, unseen.longest) <= (needed - 1) * FRAMES_PER_INTERVAL:
        # The few clips that are long enough are on one side: as in a small store, all are on both.
        seen = unseen = store
    last_frames = codec.last_frames(SEGMENT_FRAMES)
    last_is_exact = len(last_frames) == SEGMENT_FRAMES
    empty = store.empty_text()
    weights = channel_weights(pipeline, config.channel_weight_power)
    data = {"made_from": store.made_from}
    if not store.has_poses:
        config = replace(config, use_warp=False, windows=tuple(w for w in config.windows if not w.rolled))
    noise = NoiseChoices(settings.coarse_steps, config.sampler_ratio, config.loss_weighting)
    if stage in ("coarse", "sharpen", "few-steps-coarse"):
        rollout = Rollout(codec, settings) if any(window.rolled for window in config.windows) else None
        coarse = CoarseObjective(
            pipeline.coarse,
            pipeline.scheduler,
            empty,
            config.choices,
            noise,
            seed,
            config.use_warp,
            weights,
            rollout,
        )
        samplers = [CoarseSampler(part, config.windows, seed) for part in (seen, unseen)]
        kinds = [f"{samplers[0].distinct(window):,} of {window.name}" for window in samplers[0].windows]
        _say_samples(stage, "keyframe windows", ", ".join(kinds), seen)
        return coarse, samplers[0].batch, samplers[1].batch, data
    if stage == "distill":
        if store.has_poses:
            check_teacher(workspace, pipeline.fine, config.use_warp)
        drawing = [DistillSampler(part, last_frames, seed, settings.keyframes) for part in (seen, unseen)]
        _say_samples(stage, "clips", f"{drawing[0].distinct:,}", seen)
        distill = DistillObjective(
            pipeline.coarse,
            pipeline.fine,
            pipeline.scheduler,
            noise,
            replace(config.distill, use_warp=config.use_warp, target=config.distill_target),
            seed,
            last_is_exact,
            codec,
        )
        return distill, drawing[0].batch, drawing[1].batch, data
    if stage not in ("fine", "warp", "few-steps-fine", "ar-baseline"):
        raise InvalidConfig(f"stage {stage!r} has no latents to train on")
    kind = WarpObjective if stage == "warp" else FineObjective
    own_ratio = config.choices.own_keyframes_ratio if store.has_poses else 0.0
    own_keyframes = None
    if own_ratio > 0:
        pipeline.coarse.requires_grad_(False).to(pipeline.vae.device)
        own_keyframes = CoarseModel(pipeline.coarse, pipeline.scheduler), Rollout(codec, settings)
    fine = kind(
        pipeline.fine,
        pipeline.scheduler,
        empty,
        config.choices,
        NoiseChoices(settings.fine_steps, config.sampler_ratio, config.loss_weighting),
        seed,
        last_is_exact,
        config.use_warp,
        config.end_noise_max,
        weights,
        autoregressive=stage == "ar-baseline",
        own_keyframes=own_keyframes,
    )
    if isinstance(fine, WarpObjective) and config.guidance_only:
        fine.freeze_all_but_guidance()
    segments = [FineSampler(part, last_frames, seed, own_ratio, settings.history_keyframes) for part in (seen, unseen)]
    _say_samples(stage, "segments", f"{segments[0].distinct:,}", seen)
    return fine, segments[0].batch, segments[1].batch, data


def _say_samples(stage: str, what: str, counted: str, store: LatentStore) -> None:
    if PartialState().is_main_process:
        print(f"{stage}: distinct {what} to train on: {counted}, from {len(store):,} clips", flush=True)


def channel_weights(pipeline: LongDWMPipeline, power: float) -> Tensor | None:
    """How much each latent channel counts, (C,) with mean 1: its raw standard deviation to a power; None for all alike.

    Latents are normalised, but a channel that hardly varies in the picture matters little there.
    """
    config = pipeline.vae.config
    std = dict(config).get("latents_std")
    if power == 0 or std is None:
        return None
    weights = torch.tensor(std) ** power
    return weights / weights.mean()


def _codec(
    config: StageConfig, workspace: Workspace, pipeline: LongDWMPipeline
) -> tuple[Objective, Draw, Draw, dict[str, Any]]:
    footage = Footage(workspace.footage)
    seed = config.loop.seed
    vae: Any = pipeline.vae
    if not hasattr(vae, "fit_pca"):
        raise InvalidConfig("CogVideoX's autoencoder is used as it is; only the mini codec is trained")
    # The objective's reference and noise depend on the codec that training starts from, so a resumed run needs that
    # very one, whatever has been exported to the pipeline since.
    start = workspace.stage("codec") / "start"
    if not checkpoints(workspace.stage("codec") / "checkpoints"):
        if config.pca_images:
            vae.fit_pca(sample_images(footage, config.pca_images, seed))
            workspace.save_component("vae", vae)
        vae.save_pretrained(str(start), safe_serialization=True)
    elif start.is_dir():
        vae = type(vae).from_pretrained(str(start)).to(vae.device)
        pipeline.register_modules(vae=vae)

    def draw(step: int, counts: Sequence[int]) -> ImageBatch:
        del step
        drawn = []
        for count in counts:
            generator = numbers(seed, count, "place")
            clip = int(generator.integers(len(footage)))
            frame = int(generator.integers(footage.entries[clip].facts["frames"]))
            image = footage.images(clip, [frame])[0]
            if config.codec.crop_px:
                image = _crop(image, config.codec.crop_px, generator)
            drawn.append(images_from_uint8(image))
        return ImageBatch(tuple(counts), torch.stack(drawn))

    return CodecObjective(vae, config.codec, seed), draw, draw, {"made_from": footage.description()}


def _scorer(config: StageConfig, workspace: Workspace) -> tuple[Objective, Draw, Draw, dict[str, Any]]:
    footage = Footage(workspace.footage)
    seed = config.loop.seed
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = DrivingEncoder()
    samplers = [WindowSampler(footage, seed, part) for part in _seen_and_unseen(footage)]
    data = {"made_from": footage.description()}
    return EncoderObjective(encoder, seed), samplers[0].batch, samplers[1].batch, data


def _inverse_dynamics(
    config: StageConfig, workspace: Workspace, pipeline: LongDWMPipeline
) -> tuple[Objective, Draw, Draw, dict[str, Any]]:
    footage, seed = Footage(workspace.footage), config.loop.seed
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = InverseDynamics()
    folder = workspace.stage("inverse-dynamics") / "evidence"
    samplers = []
    for name, clips, share in zip(("seen", "unseen"), _seen_and_unseen(footage), (1, 16), strict=True):
        count = max(1, config.evidence_windows // share)
        known = gathered(
            footage,
            pipeline.codec,
            clips,
            folder / name,
            count,
            seed,
            torch.get_num_threads(),
            weights_hash(pipeline.vae),
        )
        samplers.append(MotionSampler(known, seed))
    data = {"made_from": footage.description()}
    return InverseDynamicsObjective(reader, seed), samplers[0].batch, samplers[1].batch, data


def _seen_and_unseen(footage: Footage) -> tuple[list[int], list[int]]:
    """Clips to train on, and one in twenty to validate with."""
    clips = range(len(footage))
    return [clip for clip in clips if clip % 20 != 19], [clip for clip in clips if clip % 20 == 19] or list(clips)


def _crop(image: np.ndarray, side: int, generator: np.random.Generator) -> np.ndarray:
    """A square of an image, or as much of one as fits."""
    height, width = min(side, image.shape[0]), min(side, image.shape[1])
    top = int(generator.integers(image.shape[0] - height + 1))
    left = int(generator.integers(image.shape[1] - width + 1))
    return image[top : top + height, left : left + width]


__all__ = ["COMPONENTS", "export", "prepare_latents", "run_stage"]
