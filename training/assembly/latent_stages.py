"""Stages that train the Coarse or the Fine transformer on encoded clips."""

from dataclasses import dataclass, replace

import torch
from accelerate import PartialState
from torch import Tensor

from longdwm_env.clock import FRAMES_PER_INTERVAL
from longdwm_env.models.network.denoiser import Denoiser
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.training.assembly.assembled import Assembled, Ingredients
from longdwm_env.training.assembly.order import check_teacher
from longdwm_env.training.config import StageConfig
from longdwm_env.training.data.encoded.latents import SEGMENT_FRAMES, LatentStore
from longdwm_env.training.data.samplers import CoarseSampler, DistillSampler, FineSampler
from longdwm_env.training.data.shards import BadLimit
from longdwm_env.training.lengths import keyframes_needed
from longdwm_env.training.losses.coarse_objective import CoarseObjective
from longdwm_env.training.losses.distilling.distill import DistillObjective
from longdwm_env.training.losses.fine_objective import FineObjective
from longdwm_env.training.losses.objective import NoiseChoices
from longdwm_env.training.losses.self_rollout import Rollout
from longdwm_env.training.losses.warp_loss import train_guidance_alone


@dataclass(frozen=True)
class _Latents:
    """The encoded clips of a workspace, and what its stages share.

    Attributes:
        seen, unseen: to train on and to validate with.
        config: without what needs poses, where the clips have none.
        last_frames: the frame of a segment on which each of its latents ends.
    """

    store: LatentStore
    seen: LatentStore
    unseen: LatentStore
    config: StageConfig
    last_frames: tuple[int, ...]

    @property
    def last_is_exact(self) -> bool:
        """Whether each frame of a segment has a latent of its own, so that the last one is known exactly."""
        return len(self.last_frames) == SEGMENT_FRAMES


def open_store(given: Ingredients) -> LatentStore:
    """The workspace's encoded clips, of its own codec."""
    store = LatentStore(given.workspace.latents, BadLimit(given.recipe.data.bad_share))
    store.check_codec(given.pipeline)
    return store


def _opened(given: Ingredients) -> _Latents:
    config, store = given.config, open_store(given)
    seen, unseen = store.split()
    needed = keyframes_needed(given.stage.name, config, given.pipeline.settings, store.has_poses)
    if min(seen.longest, unseen.longest) <= (needed - 1) * FRAMES_PER_INTERVAL:
        # The few clips that are long enough are on one side: as in a small store, all are on both.
        seen = unseen = store
    if not store.has_poses:
        config = replace(config, use_warp=False, windows=tuple(w for w in config.windows if not w.self_rollout))
    return _Latents(store, seen, unseen, config, given.pipeline.codec.last_frames(SEGMENT_FRAMES))


def coarse(given: Ingredients) -> Assembled:
    """The Coarse model and windows of keyframes."""
    latents, pipeline = _opened(given), given.pipeline
    config, settings, seed = latents.config, pipeline.settings, given.config.loop.seed
    rollout = Rollout(pipeline.codec, settings) if any(window.self_rollout for window in config.windows) else None
    objective = CoarseObjective(
        pipeline.coarse,
        pipeline.scheduler,
        latents.store.empty_text(),
        config.choices,
        NoiseChoices(settings.coarse_steps, config.sampler_ratio, config.loss_weighting),
        seed,
        config.use_warp,
        channel_weights(pipeline, config.channel_weight_power),
        rollout,
    )
    seen, unseen = (CoarseSampler(part, config.windows, seed) for part in (latents.seen, latents.unseen))
    kinds = [f"{seen.distinct(window):,} of {window.name}" for window in seen.windows]
    _say_samples(given, "keyframe windows", ", ".join(kinds), latents.seen)
    return Assembled(objective, seen.batch, unseen.batch, latents.store.made_from)


def distill(given: Ingredients) -> Assembled:
    """The Coarse model as student of the Fine one, and the keyframes of whole drives.

    Raises:
        InvalidConfig: the teacher has never learnt from what it would be given.
    """
    latents, pipeline = _opened(given), given.pipeline
    config, settings, seed = latents.config, pipeline.settings, given.config.loop.seed
    if latents.store.has_poses:
        check_teacher(given.workspace, pipeline.fine, config.use_warp)
    seen, unseen = (
        DistillSampler(part, latents.last_frames, seed, settings.keyframes) for part in (latents.seen, latents.unseen)
    )
    _say_samples(given, "clips", f"{seen.distinct:,}", latents.seen)
    objective = DistillObjective(
        pipeline.coarse,
        pipeline.fine,
        pipeline.scheduler,
        NoiseChoices(settings.coarse_steps, config.sampler_ratio, config.loss_weighting),
        replace(config.distill, use_warp=config.use_warp, target=config.distill_target),
        seed,
        latents.last_is_exact,
        pipeline.codec,
    )
    return Assembled(objective, seen.batch, unseen.batch, latents.store.made_from)


def fine(given: Ingredients) -> Assembled:
    """The Fine model, with warp guidance or as the autoregressive baseline too, and segments between keyframes."""
    latents, pipeline, stage = _opened(given), given.pipeline, given.stage.name
    config, settings, seed = latents.config, pipeline.settings, given.config.loop.seed
    own_ratio = config.choices.own_keyframes_ratio if latents.store.has_poses else 0.0
    own_keyframes = None
    if own_ratio > 0:
        pipeline.coarse.requires_grad_(False).to(pipeline.vae.device)
        own_keyframes = Denoiser(pipeline.coarse, pipeline.scheduler), Rollout(pipeline.codec, settings)
    objective = FineObjective(
        pipeline.fine,
        pipeline.scheduler,
        latents.store.empty_text(),
        config.choices,
        NoiseChoices(settings.fine_steps, config.sampler_ratio, config.loss_weighting),
        seed,
        latents.last_is_exact,
        config.use_warp,
        config.end_noise_max,
        channel_weights(pipeline, config.channel_weight_power),
        autoregressive=stage == "ar-baseline",
        own_keyframes=own_keyframes,
    )
    if stage == "warp" and config.guidance_only:
        train_guidance_alone(pipeline.fine)
    seen, unseen = (
        FineSampler(part, latents.last_frames, seed, own_ratio, settings.history_keyframes)
        for part in (latents.seen, latents.unseen)
    )
    _say_samples(given, "segments", f"{seen.distinct:,}", latents.seen)
    return Assembled(objective, seen.batch, unseen.batch, latents.store.made_from)


def _say_samples(given: Ingredients, what: str, counted: str, store: LatentStore) -> None:
    if PartialState().is_main_process:
        print(f"{given.stage.name}: distinct {what} to train on: {counted}, from {len(store):,} clips", flush=True)


def channel_weights(pipeline: LongDWMPipeline, power: float) -> Tensor | None:
    """How much each latent channel counts, (C,) with mean 1: its raw standard deviation to a power; None for all alike.

    Latents are normalised, but a channel that hardly varies in the picture matters little there.
    """
    std = dict(pipeline.vae.config).get("latents_std")
    if power == 0 or std is None:
        return None
    weights = torch.tensor(std) ** power
    return weights / weights.mean()
