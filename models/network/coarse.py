"""The Coarse model: large motion from keyframe to keyframe (LongDWM, section 3.1)."""

from jaxtyping import Float
from torch import Tensor

from longdwm_env.models.conditioning.denoiser_inputs import coarse_conditioning
from longdwm_env.models.network.denoiser import Denoiser, StepCallback


class CoarseModel(Denoiser):
    """Makes keyframes after any number of clean ones: twelve from one (the paper), or the next from the last few."""

    def keyframes(
        self,
        history: Float[Tensor, "b n c h w"],
        noise: Float[Tensor, "b f c h w"],
        text: Float[Tensor, "b s d"],
        num_steps: int,
        warp: Float[Tensor, "b r c h w"] | None = None,
        warp_mask: Float[Tensor, "b r"] | None = None,
        motion: Float[Tensor, "b r 6"] | None = None,
        guidance_scale: float = 1.0,
        unconditional_text: Float[Tensor, "#b s d"] | None = None,
        on_step: StepCallback | None = None,
        further: Float[Tensor, "b r p c h w"] | None = None,
        layout: Float[Tensor, "b r c h w"] | None = None,
        layout_mask: Float[Tensor, "b r"] | None = None,
    ) -> Float[Tensor, "b r c h w"]:
        """New keyframes.

        Args:
            history: (B, N, C, h, w) clean latents, oldest first, one second apart.
            noise: (B, N + R, C, h, w) Gaussian; its length says how many keyframes to make.
            text: (B, S, D).
            num_steps: denoising steps.
            warp: (B, R, C, h, w), see ``coarse_conditioning``.
            warp_mask: (B, R), as there.
            motion: (B, R, 6), as there.
            guidance_scale: see ``Denoiser.sample``.
            unconditional_text: as there.
            on_step: as there.
            further: (B, R, S, C, h, w), see ``coarse_conditioning``.
            layout: (B, R, C, h, w), as there.
            layout_mask: (B, R), as there.

        Returns:
            (B, R, C, h, w).
        """
        inputs = coarse_conditioning(
            history, noise.shape[1], text, warp, warp_mask, motion, further, layout, layout_mask
        )
        latents = self.sample(inputs, noise, num_steps, guidance_scale, unconditional_text, on_step)
        return latents[:, history.shape[1] :]
