"""Training the Coarse model: LongDWM, Eq. 3 to 5, section 3.1."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from longdwm_env.errors import InvalidConfig
from longdwm_env.models.conditioning.denoiser_inputs import Conditioning, coarse_conditioning, noised_history
from longdwm_env.models.network.denoiser import Denoiser
from longdwm_env.models.network.dit import LongDWMTransformer3DModel
from longdwm_env.models.network.sampler import Scheduler
from longdwm_env.models.settings import OpenChoices
from longdwm_env.training.data.batches import CoarseBatch
from longdwm_env.training.draws import uniform
from longdwm_env.training.losses.high_pass import high_pass
from longdwm_env.training.losses.objective import (
    DenoisingObjective,
    NoiseChoices,
    draw_noise,
    dropped_text,
    dropped_views,
    squared_error,
)
from longdwm_env.training.losses.self_rollout import Rollout, roll_history


@dataclass(frozen=True)
class CoarseLoss:
    """Parts of LongDWM, Eq. 5: ``total = diffusion + beta_s * structure``."""

    total: Tensor
    diffusion: Tensor
    structure: Tensor


def coarse_loss(
    predicted: Tensor,
    clean: Tensor,
    structure_weight: float,
    high_pass_cutoff: float,
    frame_mask: Tensor | None = None,
    channel_weights: Tensor | None = None,
    sample_weights: Tensor | None = None,
) -> CoarseLoss:
    """LongDWM, Eq. 3 to 5.

    Eq. 3: ``L_diffusion = E || D(x_t, t, p, x^1) - x ||^2``; Eq. 4: ``L_struct = E || H(D(...)) - H(x) ||^2``;
    Eq. 5: ``L_coarse = L_diffusion + beta_s L_struct``. Norms are means over elements, so that the weight does not
    depend on the picture's size.

    Args:
        predicted: (B, F, C, h, w) D(x_t, t, p, x^1), the one-step prediction.
        clean: (B, F, C, h, w) x.
        structure_weight: beta_s; 0 leaves Eq. 4 out.
        high_pass_cutoff: of H.
        frame_mask: (B, F), how much each frame counts. Deviation: frames that the model is given and that sampling puts
            back count nothing; the paper's equation includes the first frame, which the model can copy.
        channel_weights: (C,) with mean 1.
        sample_weights: (B,), see ``objective.error_weights``; of both parts, so that beta_s means the same at all
            timesteps.
    """
    diffusion = squared_error(predicted, clean, frame_mask, channel_weights, sample_weights)
    if structure_weight == 0:
        return CoarseLoss(diffusion, diffusion, torch.zeros_like(diffusion))
    structure = squared_error(
        high_pass(predicted, high_pass_cutoff),
        high_pass(clean, high_pass_cutoff),
        frame_mask,
        channel_weights,
        sample_weights,
    )
    return CoarseLoss(diffusion + structure_weight * structure, diffusion, structure)


class CoarseObjective(DenoisingObjective):
    """Eq. 5 on batches of keyframes; see ``DenoisingObjective``.

    Args:
        transformer: trained.
        scheduler: of the pipeline.
        empty_text, choices, noise, seed, use_warp, channel_weights: as there.
        rollout: how self-rollouts are made, or None where there are none.
    """

    component = "coarse"

    def __init__(
        self,
        transformer: LongDWMTransformer3DModel,
        scheduler: Scheduler,
        empty_text: Tensor,
        choices: OpenChoices,
        noise: NoiseChoices,
        seed: int,
        use_warp: bool = True,
        channel_weights: Tensor | None = None,
        rollout: Rollout | None = None,
    ) -> None:
        super().__init__(Denoiser(transformer, scheduler), empty_text, choices, noise, seed, use_warp, channel_weights)
        self.rollout = rollout

    def forward(self, batch: CoarseBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Eq. 5 of one batch."""
        if batch.self_rollout:
            if self.rollout is None:
                raise InvalidConfig("a self-rollout needs the codec and the settings to roll with")
            batch = roll_history(self.model, batch, self.rollout, self.seed)
        predicted, counts, weights = self.predicted(batch, self.conditioning(batch))
        loss = coarse_loss(
            predicted,
            batch.clean,
            self.choices.structure_weight,
            self.choices.high_pass_cutoff,
            counts,
            self.channel_weights,
            weights,
        )
        return loss.total, {"diffusion": loss.diffusion.detach(), "structure": loss.structure.detach()}

    def conditioning(self, batch: CoarseBatch) -> Conditioning:
        """What the model is given of a batch, with this run's drops and noise."""
        counts, choices = batch.counts, self.choices
        given = coarse_conditioning(
            batch.clean[:, : batch.history],
            batch.clean.shape[1],
            dropped_text(batch.text, self.empty_text, choices.text_drop_ratio, self.seed, counts),
            **batch.views(with_layout=self.transformer.config.layout_view, with_warp=self.use_warp),
        )
        if self.use_warp:
            given = dropped_views(given, choices, self.seed, counts, self.transformer.config.layout_view)
        if choices.history_noise_max > 0:
            strength = choices.history_noise_max * uniform(self.seed, counts, "history strength")
            noise = draw_noise(self.seed, counts, batch.clean, "history")
            given = noised_history(given, noise, strength.to(noise.device))
        return given
