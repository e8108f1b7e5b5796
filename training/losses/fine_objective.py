"""Training the Fine model: LongDWM, Eq. 6, section 3.2."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from longdwm_env.errors import InvalidConfig
from longdwm_env.models.conditioning.denoiser_inputs import Conditioning, fine_conditioning
from longdwm_env.models.network.coarse import CoarseModel
from longdwm_env.models.network.dit import LongDWMTransformer3DModel
from longdwm_env.models.network.fine import FineModel
from longdwm_env.models.network.sampler import Scheduler, add_noise
from longdwm_env.models.settings import OpenChoices
from longdwm_env.training.data.batches import FineBatch
from longdwm_env.training.draws import normal, uniform
from longdwm_env.training.losses.objective import (
    NoiseChoices,
    Objective,
    contrast,
    draw_noise,
    draw_timesteps,
    dropped_text,
    dropped_views,
    error_weights,
    squared_error,
)
from longdwm_env.training.losses.own_keyframes import with_own_keyframes
from longdwm_env.training.losses.self_rollout import Rollout


def fine_loss(
    predicted: Tensor,
    clean: Tensor,
    frame_mask: Tensor | None = None,
    channel_weights: Tensor | None = None,
    sample_weights: Tensor | None = None,
) -> Tensor:
    """LongDWM, Eq. 6: ``L_fine = E || D_f(x_t, t, p, x^1, x..^K) - x ||^2``.

    Args:
        predicted: (B, L, C, h, w) D_f(...), the one-step prediction.
        clean: (B, L, C, h, w) x.
        frame_mask: (B, L), how much each latent frame counts. Deviation: frames that sampling puts back count nothing.
        channel_weights: (C,) with mean 1.
        sample_weights: (B,), see ``objective.error_weights``.
    """
    return squared_error(predicted, clean, frame_mask, channel_weights, sample_weights)


def last_frame_kept(drop_ratio: float, seed: int, counts: tuple[int, ...]) -> Tensor:
    """(B,) bool: False where x..^K of Eq. 6 is dropped, which happens with a fixed ratio."""
    return uniform(seed, counts, "last frame") >= drop_ratio


class FineObjective(Objective):
    """Eq. 6 on batches of segments.

    Args:
        transformer: trained.
        scheduler: of the pipeline.
        empty_text: (W, D) embedding of the empty prompt.
        choices: drop ratios.
        noise: how timesteps are drawn.
        seed: of the run.
        last_is_exact: whether a segment's last latent is its last frame's own (no temporal compression).
        use_warp: give the model the warped frames; False is section 3.2 before section 3.4.
        end_noise_max: the given end frames are noised by a strength drawn from 0 to this, so that the model forgives
            keyframes that the Coarse model made.
        channel_weights: (C,) with mean 1, or None.
        autoregressive: never show the last frame: the baseline that rolls out clip by clip.
        own_keyframes: the Coarse model, codec and settings that make later keyframes, see ``own_keyframes``; None where
            all are recorded.
    """

    component = "fine"

    def __init__(
        self,
        transformer: LongDWMTransformer3DModel,
        scheduler: Scheduler,
        empty_text: Tensor,
        choices: OpenChoices,
        noise: NoiseChoices,
        seed: int,
        last_is_exact: bool,
        use_warp: bool = True,
        end_noise_max: float = 0.0,
        channel_weights: Tensor | None = None,
        autoregressive: bool = False,
        own_keyframes: tuple[CoarseModel, Rollout] | None = None,
    ) -> None:
        super().__init__(seed)
        self.transformer = transformer
        self.scheduler = scheduler
        self.choices, self.noise = choices, noise
        self.last_is_exact, self.use_warp, self.end_noise_max = last_is_exact, use_warp, end_noise_max
        self.autoregressive = autoregressive
        self.own_keyframes = own_keyframes
        self.model = FineModel(transformer, scheduler)
        self.empty_text: Tensor
        self.register_buffer("empty_text", empty_text, persistent=False)
        self.channel_weights = channel_weights

    @property
    def trained(self) -> nn.Module:
        """The Fine transformer."""
        return self.transformer

    def forward(self, batch: FineBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Eq. 6 of one batch."""
        are_own = batch.keyframes is not None
        if are_own:
            if self.own_keyframes is None:
                raise InvalidConfig("gaps with own keyframes need the Coarse model, the codec and the settings")
            batch = with_own_keyframes(batch, *self.own_keyframes, self.seed)
        conditioning = self.conditioning(batch)
        noise = draw_noise(self.seed, batch.counts, batch.clean)
        timesteps = draw_timesteps(self.scheduler, self.noise, self.seed, batch.counts, batch.clean.device)
        noisy = add_noise(self.scheduler, batch.clean, noise, timesteps)
        predicted = self.model.predict_clean(noisy, timesteps, conditioning)
        counts = 1 - conditioning.exact_mask
        if are_own:
            # The nearer to a keyframe that is not the recorded one, the less the recorded frames are what is wanted.
            counts = counts * torch.linspace(1, 0, counts.shape[1]).to(counts)
        if self.choices.contrast_power > 0:
            counts = counts * contrast(batch.clean).to(counts) ** -self.choices.contrast_power
        weights = error_weights(self.scheduler, self.noise.weighting, timesteps)
        loss = fine_loss(predicted, batch.clean, counts, self.channel_weights, weights)
        return loss, {"diffusion": loss.detach()}

    def conditioning(self, batch: FineBatch) -> Conditioning:
        """What the model is given of a batch, with this run's drops and noise."""
        counts, choices = batch.counts, self.choices
        keep_warp = self.use_warp and batch.warps is not None
        knows_layout = self.transformer.config.layout_view
        given = fine_conditioning(
            self._noised(batch.first, counts, "first"),
            None if self.autoregressive else self._noised(batch.last, counts, "last"),
            batch.clean.shape[1],
            dropped_text(batch.text, self.empty_text, choices.text_drop_ratio, self.seed, counts),
            motion=batch.motion if self.use_warp else None,
            last_is_exact=self.last_is_exact,
            keep_last=last_frame_kept(choices.last_frame_drop_ratio, self.seed, counts).to(batch.clean.device),
            held_ends=self.transformer.config.held_views,
            **batch.views(with_last=not self.autoregressive, with_layout=knows_layout, with_warp=keep_warp),
        )
        return dropped_views(given, choices, self.seed, counts, knows_layout) if keep_warp else given

    def _noised(self, latents: Tensor, counts: tuple[int, ...], which: str) -> Tensor:
        if self.end_noise_max == 0:
            return latents
        sigma = self.end_noise_max * uniform(self.seed, counts, f"{which} strength").reshape(-1, 1, 1, 1)
        noise = normal(self.seed, counts, which, latents.shape[1:])
        return ((1 - sigma**2).sqrt().to(latents) * latents + (sigma * noise).to(latents)).to(latents.dtype)
