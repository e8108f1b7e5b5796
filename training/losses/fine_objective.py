"""Training the Fine model: LongDWM, Eq. 6, section 3.2."""

from collections.abc import Mapping

import torch
from torch import Tensor

from longdwm_env.errors import InvalidConfig
from longdwm_env.models.conditioning.denoiser_inputs import Conditioning, fine_conditioning
from longdwm_env.models.network.denoiser import Denoiser
from longdwm_env.models.network.dit import LongDWMTransformer3DModel
from longdwm_env.models.network.sampler import Scheduler
from longdwm_env.models.settings import OpenChoices
from longdwm_env.training.data.batches import FineBatch
from longdwm_env.training.draws import normal, uniform
from longdwm_env.training.losses.objective import (
    DenoisingObjective,
    NoiseChoices,
    dropped_text,
    dropped_views,
    squared_error,
)
from longdwm_env.training.losses.own_keyframes import with_own_keyframes
from longdwm_env.training.losses.self_rollout import Rollout


def last_frame_kept(drop_ratio: float, seed: int, counts: tuple[int, ...]) -> Tensor:
    """(B,) bool: False where x..^K of Eq. 6 is dropped, which happens with a fixed ratio."""
    return uniform(seed, counts, "last frame") >= drop_ratio


class FineObjective(DenoisingObjective):
    """LongDWM, Eq. 6, on batches of segments: ``L_fine = E || D_f(x_t, t, p, x^1, x..^K) - x ||^2``.

    The norm is ``squared_error``. Deviation: frames that sampling puts back count nothing. See ``DenoisingObjective``.

    Args:
        transformer: trained.
        scheduler: of the pipeline.
        empty_text, choices, noise, seed, use_warp, channel_weights: as there; without warps it is section 3.2.
        last_is_exact: whether a segment's last latent is its last frame's own (no temporal compression).
        end_noise_max: the given end frames are noised by a strength drawn from 0 to this, so that the model forgives
            keyframes that the Coarse model made.
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
        own_keyframes: tuple[Denoiser, Rollout] | None = None,
    ) -> None:
        super().__init__(Denoiser(transformer, scheduler), empty_text, choices, noise, seed, use_warp, channel_weights)
        self.last_is_exact, self.end_noise_max = last_is_exact, end_noise_max
        self.autoregressive, self.own_keyframes = autoregressive, own_keyframes

    def forward(self, batch: FineBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Eq. 6 of one batch."""
        are_own = batch.keyframes is not None
        if are_own:
            if self.own_keyframes is None:
                raise InvalidConfig("gaps with own keyframes need the Coarse model, the codec and the settings")
            batch = with_own_keyframes(batch, *self.own_keyframes, self.seed)
        predicted, counts, weights = self.predicted(batch, self.conditioning(batch))
        if are_own:
            # The nearer to a keyframe that is not the recorded one, the less the recorded frames are what is wanted.
            counts = counts * torch.linspace(1, 0, counts.shape[1]).to(counts)
        loss = squared_error(predicted, batch.clean, counts, self.channel_weights, weights)
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
