"""What a training step costs, counted by taking one on tensors without data; see ``network.module_costs``."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast
from unittest.mock import patch

import torch
from torch import Tensor, nn

from longdwm_env.errors import InvalidConfig
from longdwm_env.models.codec.small_decoder import SmallDecoder
from longdwm_env.models.codec.video_codec import CogVideoXCodec
from longdwm_env.models.network.dit import LongDWMTransformer3DModel
from longdwm_env.models.network.module_costs import Cost, bytes_of, cost_of, without_data
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.presets import PRESETS, build
from longdwm_env.training.config import Recipe, StageConfig
from longdwm_env.training.data.batches import Batch, CoarseBatch, DistillBatch, FineBatch
from longdwm_env.training.data.encoded.latents import SEGMENT_FRAMES
from longdwm_env.training.losses.coarse_objective import CoarseObjective
from longdwm_env.training.losses.decoder_loss import DecoderBatch, DecoderChoices, DecoderObjective, OwnDecoder
from longdwm_env.training.losses.distilling.distill import DistillObjective
from longdwm_env.training.losses.distilling.fewer_steps import FewStepBatch, FewStepObjective, exit_of
from longdwm_env.training.losses.fine_objective import FineObjective
from longdwm_env.training.losses.objective import NoiseChoices, Objective
from longdwm_env.training.scaling.lora import add_lora
from longdwm_env.training.scaling.optimizers import adamw, moments_as_tensors
from longdwm_env.training.stage_list import stage_named

COUNTED = ("coarse", "fine", "warp", "distill", "ar-baseline", "few-steps-coarse", "few-steps-fine", "decoder")
"""Stages whose step is counted for the tables; of those that teach few steps, the dearest kind of step."""


@dataclass(frozen=True)
class StepCost:
    """What one process needs for one micro-batch of a stage, and keeps between.

    Attributes:
        cost: of the passes forward and back; what it holds are activations, gradients and weights in 16 bits.
        weights: bytes of what is trained and what is not of the same model.
        gradients: bytes, a part of what ``cost`` holds.
        moments: bytes of AdamW's moments.
        average: bytes of the moving average.
    """

    stage: str
    cost: Cost
    weights: float
    frozen: float
    gradients: float
    moments: float
    average: float
    trained: int
    samples: int

    def bytes_in_all(self, processes: int = 1) -> float:
        """Most bytes of one process, where so many share weights, gradients and moments."""
        shared = self.weights + self.gradients + self.moments + self.average
        return shared / processes + self.frozen + self.cost.held - self.gradients


def step_cost(recipe: Recipe, stage: str, config: StageConfig | None = None) -> StepCost:
    """Count one micro-batch of a stage at the size of its recipe, and the moments that its optimizer keeps.

    Args:
        recipe: gives the model.
        stage: one with ``is_estimated``.
        config: the stage's; None for the recipe's own. "8bit" moments and low-rank changes are counted where their
            packages are installed.
    """
    config = config or recipe.stage(stage)
    _look_up_codes(config)
    with without_data():
        objective, batch = made(recipe, stage, config)
        frozen = _frozen(objective)
        if isinstance(objective, DistillObjective | FewStepObjective):
            # What has no data cannot be brought anywhere; it lies where everything lies.
            frozen.__dict__["to"] = lambda device: frozen
        trained = [p for p in objective.parameters() if p.requires_grad]
        cost = cost_of(lambda: _there_and_back(objective, batch, config))
        gradients = float(sum(p.grad.numel() * p.grad.element_size() for p in trained if p.grad is not None))
        moments = _bytes_of_moments(objective, config)
    numbers = sum(p.numel() for p in trained)
    return StepCost(
        stage,
        cost,
        bytes_of(objective),
        bytes_of(frozen),
        gradients,
        moments,
        4.0 * numbers * (config.optimizer.ema_decay > 0),
        numbers,
        config.loop.micro_batch_size,
    )


def made(recipe: Recipe, stage: str, config: StageConfig, device: str = "cpu") -> tuple[Objective, Batch]:
    """A stage's objective with random weights, and a micro-batch of zeros for it.

    Raises:
        InvalidConfig: no step of the stage is counted, or it trains no model of this kind.
    """
    known, model = stage_named(stage), PRESETS[recipe.preset]()
    if not known.is_estimated:
        raise InvalidConfig(f"steps are counted of stages that learn from latents, not of {stage!r}")
    if known.component == "small_decoder" and model.codec != "cogvideox":
        raise InvalidConfig(f"what {stage} needs is of models of CogVideoX's kind alone, not of {recipe.preset}")
    # Which frames are known are numbers, and here are none: all are computed.
    coarse, fine = (replace(transformer, keep_known=False) for transformer in (model.coarse, model.fine))
    pipeline = build(replace(model, coarse=coarse, fine=fine), device=device, text_encoder=False)
    objective = _objective(stage, config, pipeline)
    if device != "cpu":
        objective.to(device)
    if config.lora.rank:
        # peft moves what it adds; tensors without data cannot be moved in place, and begin where they belong.
        with torch.device(device), patch.object(nn.Module, "to", lambda module, *_, **__: module):
            add_lora(cast(LongDWMTransformer3DModel, objective.trained), config.lora, config.loop.seed)
    if config.loop.gradient_checkpointing:
        for model in _transformers(objective):
            model.enable_gradient_checkpointing()
    objective.train()
    return objective, _batch(stage, config, pipeline).to(device)


def _transformers(objective: Objective) -> list[LongDWMTransformer3DModel]:
    """Those that are trained."""
    return [model for model in objective.children() if isinstance(model, LongDWMTransformer3DModel)]


def _frozen(objective: Objective) -> nn.Module | None:
    """The other model that an objective asks."""
    if isinstance(objective, DistillObjective | FewStepObjective):
        return objective._teacher[0].transformer
    if isinstance(objective, DecoderObjective):
        return cast(OwnDecoder, objective.decode).codec.vae
    return None


def _objective(stage: str, config: StageConfig, pipeline: LongDWMPipeline) -> Objective:
    if stage_named(stage).component == "small_decoder":
        codec = CogVideoXCodec(pipeline.vae)
        small = SmallDecoder(codec.latent_channels, config.decoder.widths)
        return DecoderObjective(small, OwnDecoder(codec), config.decoder, config.loop.seed)
    if stage_named(stage).few_steps:
        inner = _objective(stage_named(stage).component, config, pipeline)
        choices = config.few_steps
        if choices.guidance_scale == 0:
            choices = replace(choices, guidance_scale=pipeline.settings.guidance_scale)
        return FewStepObjective(cast(CoarseObjective | FineObjective, inner), choices)
    transformer = pipeline.coarse.config
    empty = torch.zeros(transformer.max_text_seq_length, transformer.text_embed_dim)
    settings, seed = pipeline.settings, config.loop.seed
    coarse_noise = NoiseChoices(settings.coarse_steps, config.sampler_ratio)
    sample = stage_named(stage).sample
    if sample == "windows":
        return CoarseObjective(
            pipeline.coarse, pipeline.scheduler, empty, config.choices, coarse_noise, seed, config.use_warp
        )
    last_is_exact = pipeline.codec.latent_frames(SEGMENT_FRAMES) == SEGMENT_FRAMES
    if sample == "whole":
        distilled = replace(config.distill, use_warp=config.use_warp)
        return DistillObjective(
            pipeline.coarse, pipeline.fine, pipeline.scheduler, coarse_noise, distilled, seed, last_is_exact
        )
    return FineObjective(
        pipeline.fine,
        pipeline.scheduler,
        empty,
        config.choices,
        NoiseChoices(settings.fine_steps, config.sampler_ratio),
        seed,
        last_is_exact,
        config.use_warp,
        autoregressive=stage == "ar-baseline",
    )


def _batch(stage: str, config: StageConfig, pipeline: LongDWMPipeline) -> Batch:
    samples = config.loop.micro_batch_size
    if stage_named(stage).component == "small_decoder":
        return _squares(samples, config.decoder, pipeline)
    if stage_named(stage).few_steps:
        inner = cast(CoarseBatch | FineBatch, _batch(stage_named(stage).component, config, pipeline))
        return FewStepBatch(inner.counts, _dearest_step(config), inner)
    sample = stage_named(stage).sample
    if sample == "windows":
        window = max(config.windows, key=lambda w: w.history + w.future)
        return _coarse(samples, window.history, window.future, pipeline)
    if sample == "whole":
        intervals = pipeline.settings.keyframes - 1
        coarse = _coarse(samples, 1, intervals, pipeline)
        return DistillBatch(coarse.counts, coarse, _fine(samples * intervals, pipeline))
    return _fine(samples, pipeline)


def _coarse(samples: int, history: int, future: int, pipeline: LongDWMPipeline) -> CoarseBatch:
    size, text = _sizes(pipeline)
    return CoarseBatch(
        counts=tuple(range(samples)),
        clean=torch.zeros(samples, history + future, *size),
        history=history,
        text=torch.zeros(samples, *text),
        warp=torch.zeros(samples, future, *size),
        warp_mask=torch.ones(samples, future),
        motion=torch.zeros(samples, future, 6),
        poses=None,
        cameras=(),
    )


def _fine(samples: int, pipeline: LongDWMPipeline) -> FineBatch:
    size, text = _sizes(pipeline)
    latents = pipeline.codec.latent_frames(SEGMENT_FRAMES)
    clean, end = torch.zeros(samples, latents, *size), torch.zeros(samples, *size)
    warps, motion = torch.zeros(samples, 1, latents, *size), torch.zeros(samples, latents, 6)
    return FineBatch(tuple(range(samples)), clean, end, end.clone(), torch.zeros(samples, *text), warps, motion)


def _squares(samples: int, choices: DecoderChoices, pipeline: LongDWMPipeline) -> DecoderBatch:
    (channels, height, width), _ = _sizes(pipeline)
    if choices.crop and choices.crop <= min(height, width):
        height = width = choices.crop
    latents = torch.zeros(samples, pipeline.codec.latent_frames(SEGMENT_FRAMES), channels, height, width)
    return DecoderBatch(tuple(range(samples)), latents, SEGMENT_FRAMES, choices.border if height == width else 0)


def _dearest_step(config: StageConfig) -> int:
    """A step in which the student has its turn at matching and draws down to its last step."""
    choices = config.few_steps
    turns = range(choices.consistency_steps, choices.consistency_steps + 1000, choices.critic_updates)
    return next(step for step in turns if exit_of(config.loop.seed, step, choices.steps) == choices.steps - 1)


def _sizes(pipeline: LongDWMPipeline) -> tuple[tuple[int, int, int], tuple[int, int]]:
    """(C, h, w) of a latent and (S, D) of a text."""
    config = pipeline.coarse.config
    factor = pipeline.codec.spatial_factor
    height, width = pipeline.settings.image_size
    latent = (config.in_channels, height // factor, width // factor)
    return latent, (config.max_text_seq_length, config.text_embed_dim)


def _there_and_back(objective: Objective, batch: Batch, config: StageConfig) -> None:
    with in_precision(config, "cpu"):
        loss: Tensor = objective(batch)[0]
    loss.backward()


@contextlib.contextmanager
def in_precision(config: StageConfig, device: str) -> Iterator[None]:
    """Autocast, where the loop has it."""
    with torch.autocast(device, dtype=torch.bfloat16, enabled=config.loop.precision == "bf16"):
        yield


def bytes_of_moments(recipe: Recipe, stage: str, config: StageConfig) -> float:
    """Bytes of the moments that a stage's optimizer keeps."""
    _look_up_codes(config)
    with without_data():
        return _bytes_of_moments(made(recipe, stage, config)[0], config)


def _look_up_codes(config: StageConfig) -> None:
    """Torchao computes the values of its codes once, with numbers, which are not to be had without data."""
    if config.optimizer.moments == "8bit":
        some = torch.nn.Parameter(torch.zeros(4096))
        optimizer: Any = adamw([some], config.optimizer)
        for signed in (True, False):
            optimizer._new_buffer(some, signed)


def _bytes_of_moments(objective: Objective, config: StageConfig) -> float:
    parameters = [p for p in objective.parameters() if p.requires_grad]
    # Parameters that a stage leaves without gradients have no moments; before its first step that is not known.
    trained = [p for p in parameters if p.grad is not None] or parameters
    optimizer: Any = adamw(trained, config.optimizer)
    # A step would need numbers; the moments are made as the optimizer makes them before its first.
    if config.optimizer.moments == "8bit":
        for parameter in trained:
            optimizer.state[parameter] = {
                name: optimizer._new_buffer(parameter, signed) for name, signed in (("exp_avg", 1), ("exp_avg_sq", 0))
            }
    else:
        for parameter in trained:
            parameter.grad = torch.zeros_like(parameter)
        for group in optimizer.param_groups:
            optimizer._init_group(group, *([] for _ in range(6)))
    kept = moments_as_tensors(objective, optimizer)
    return float(sum(tensor.numel() * tensor.element_size() for tensor in kept.values()))
