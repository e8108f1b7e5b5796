"""What the loop asks of an objective, and what the diffusion objectives share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from longdwm_env.errors import InvalidConfig
from longdwm_env.models.conditioning.denoiser_inputs import Conditioning
from longdwm_env.models.network.denoiser import Denoiser
from longdwm_env.models.network.sampler import Scheduler, add_noise
from longdwm_env.models.settings import OpenChoices
from longdwm_env.training.data.batches import CoarseBatch, FineBatch
from longdwm_env.training.draws import normal, uniform


class Objective(nn.Module, ABC):
    """A trainable module and its loss. Everything that it draws is counted from ``seed`` and the samples' numbers."""

    uses_all_parameters = True
    """Whether every step gives every trainable parameter a gradient."""

    component: str
    """Name of the pipeline's component that is trained: "coarse", "fine", "vae", ..."""

    network = "transformer"
    """Name of the attribute that is that component."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    @property
    def trained(self) -> nn.Module:
        """The module whose weights are saved."""
        module: nn.Module = getattr(self, self.network)
        return module

    @abstractmethod
    def forward(self, batch: Any) -> tuple[Tensor, Mapping[str, Tensor]]:
        """(loss averaged over the batch, named parts for the log)."""


LEAST_CONTRAST = 0.1
"""Variance of normalised latents; what has less counts as if it had this."""


def contrast(latents: Tensor) -> Tensor:
    """Variance over a picture, mean of its channels, at least ``LEAST_CONTRAST``: (..., C, h, w) -> (...).

    Rain at dusk has a twentieth of a clear day's squared errors, and would otherwise hardly be learnt from.
    """
    return latents.float().var(dim=(-2, -1)).mean(dim=-1).clamp(min=LEAST_CONTRAST)


LossWeighting = Literal["x0", "velocity"]


@dataclass(frozen=True)
class NoiseChoices:
    """How timesteps are drawn, and how much the error at each counts.

    Attributes:
        sampler_steps: denoising steps of the sampler that the model is trained for.
        sampler_ratio: how often a timestep is drawn from the sampler's own ``sampler_steps`` ones instead of from all;
            a few-step sampler sees no others. 0 is the paper's uniform draw.
        weighting: "x0": the error of the clean latent counts alike at all timesteps, Eq. 3 and 6 as the paper prints
            them. "velocity": it is divided by 1 - abar_t, which is the error of the velocity and what CogVideoX was
            trained with; timesteps with little noise, at which fine detail is drawn, then count as much as the others.
    """

    sampler_steps: int = 2
    sampler_ratio: float = 0.0
    weighting: LossWeighting = "x0"

    def __post_init__(self) -> None:
        if self.weighting not in get_args(LossWeighting):
            raise InvalidConfig(f"loss_weighting is one of {get_args(LossWeighting)}, got {self.weighting!r}")
        if self.sampler_steps < 1 or not 0 <= self.sampler_ratio <= 1:
            raise InvalidConfig(f"sampler_steps is at least 1 and sampler_ratio in [0, 1], got {self}")


def draw_timesteps(
    scheduler: Scheduler, choices: NoiseChoices, seed: int, counts: Sequence[int], device: torch.device | str
) -> Tensor:
    """(B,) timesteps t, one per sample."""
    total = scheduler.config.num_train_timesteps
    drawn = (uniform(seed, counts, "timestep") * total).long()
    if choices.sampler_ratio > 0:
        scheduler.set_timesteps(choices.sampler_steps)
        own = torch.as_tensor(scheduler.timesteps).long().cpu()
        picked = own[(uniform(seed, counts, "sampler timestep") * len(own)).long()]
        drawn = torch.where(uniform(seed, counts, "timestep kind") < choices.sampler_ratio, picked, drawn)
    return drawn.to(device)


def error_weights(scheduler: Scheduler, weighting: LossWeighting, timesteps: Tensor) -> Tensor | None:
    """(B,) how much the squared error of the clean latent counts at each timestep, or None for all alike.

    With x_t = sqrt(abar) x_0 + sqrt(1 - abar) eps a velocity error is the error of x_0 over -sqrt(1 - abar) (Salimans
    and Ho 2022), so 1 / (1 - abar) turns one squared error into the other.
    """
    if weighting == "x0":
        return None
    alphas = scheduler.alphas_cumprod.to(timesteps.device, torch.float32)[timesteps]
    return 1 / (1 - alphas)


def draw_noise(seed: int, counts: Sequence[int], like: Tensor, purpose: str = "noise") -> Tensor:
    """Gaussian noise shaped like a batch, (B, ...); sample by sample."""
    return normal(seed, counts, purpose, like.shape[1:]).to(like.device)


def dropped_text(text: Tensor, empty: Tensor, ratio: float, seed: int, counts: Sequence[int]) -> Tensor:
    """The prompts' embeddings (B, W, D), a share of them replaced by the empty prompt's (W, D)."""
    drop = (uniform(seed, counts, "text") < ratio).to(text.device)
    return torch.where(drop[:, None, None], empty.to(text), text)


def dropped_views(
    given: Conditioning, choices: OpenChoices, seed: int, counts: Sequence[int], with_layout: bool
) -> Conditioning:
    """The same conditioning without the map's layout, or without any warp, in a share of the samples."""
    if with_layout and choices.layout_drop_ratio > 0:
        given = given.without_layout(uniform(seed, counts, "layout") >= choices.layout_drop_ratio)
    if choices.warp_drop_ratio > 0:
        given = given.without_warp(uniform(seed, counts, "warp") >= choices.warp_drop_ratio)
    return given


def squared_error(
    predicted: Tensor,
    target: Tensor,
    frame_mask: Tensor | None = None,
    channel_weights: Tensor | None = None,
    sample_weights: Tensor | None = None,
) -> Tensor:
    """Mean of squared differences of (B, F, C, h, w), over the frames that count.

    Args:
        predicted: (B, F, C, h, w).
        target: (B, F, C, h, w).
        frame_mask: (B, F), how much each frame counts; None for all alike.
        channel_weights: (C,) with mean 1; None for all alike.
        sample_weights: (B,) factors of each sample's error, see ``error_weights``; unlike the mask they are not divided
            out again.
    """
    error = (predicted.float() - target.float()) ** 2
    if channel_weights is not None:
        error = error * channel_weights.to(error)[:, None, None]
    per_frame = error.mean(dim=(2, 3, 4))
    if sample_weights is not None:
        per_frame = per_frame * sample_weights.to(per_frame)[:, None]
    if frame_mask is None:
        return per_frame.mean()
    mask = frame_mask.to(per_frame)
    return (per_frame * mask).sum() / mask.sum().clamp(min=1e-6)


class DenoisingObjective(Objective):
    """One-step predictions of clean latents, with what is left out and disturbed in training.

    Args:
        model: Coarse or Fine; its transformer is trained.
        empty_text: (W, D) embedding of the empty prompt.
        choices: what the paper leaves open: drop ratios, weights, noise on what is given.
        noise: how timesteps are drawn.
        seed: of the run.
        use_warp: give the model the warped frames; False is the ablation without warp guidance.
        channel_weights: (C,) with mean 1, or None.
    """

    def __init__(
        self,
        model: Denoiser,
        empty_text: Tensor,
        choices: OpenChoices,
        noise: NoiseChoices,
        seed: int,
        use_warp: bool,
        channel_weights: Tensor | None,
    ) -> None:
        super().__init__(seed)
        self.model, self.transformer, self.scheduler = model, model.transformer, model.scheduler
        self.choices, self.noise, self.use_warp = choices, noise, use_warp
        self.empty_text: Tensor
        self.register_buffer("empty_text", empty_text, persistent=False)
        self.channel_weights = channel_weights

    @abstractmethod
    def conditioning(self, batch: Any) -> Conditioning:
        """What the model is given of a batch, with this run's drops and noise."""

    def predicted(
        self, batch: CoarseBatch | FineBatch, conditioning: Conditioning
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """The prediction, how much each of its frames counts, (B, F), and how much each sample's error, (B,)."""
        noise = draw_noise(self.seed, batch.counts, batch.clean)
        timesteps = draw_timesteps(self.scheduler, self.noise, self.seed, batch.counts, batch.clean.device)
        noisy = add_noise(self.scheduler, batch.clean, noise, timesteps)
        predicted = self.model.predict_clean(noisy, timesteps, conditioning)
        counts = 1 - conditioning.exact_mask
        if self.choices.contrast_power > 0:
            counts = counts * contrast(batch.clean).to(counts) ** -self.choices.contrast_power
        return predicted, counts, error_weights(self.scheduler, self.noise.weighting, timesteps)
