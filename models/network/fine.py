"""The Fine model: small continuous motion between two keyframes, or from one (LongDWM, sections 3.2 and 3.4)."""

from jaxtyping import Float
from torch import Tensor

from longdwm_env.models.conditioning.denoiser_inputs import fine_conditioning
from longdwm_env.models.network.denoiser import Denoiser, StepCallback


class FineModel(Denoiser):
    """Makes a clip from its first frame, and its last where that is known."""

    def clip(
        self,
        first: Float[Tensor, "b c h w"],
        last: Float[Tensor, "b c h w"] | None,
        noise: Float[Tensor, "b f c h w"],
        text: Float[Tensor, "b s d"],
        num_steps: int,
        warp_first: Float[Tensor, "b f c h w"] | None = None,
        warp_last: Float[Tensor, "b f c h w"] | None = None,
        motion: Float[Tensor, "b f 6"] | None = None,
        last_is_exact: bool = True,
        guidance_scale: float = 1.0,
        unconditional_text: Float[Tensor, "#b s d"] | None = None,
        on_step: StepCallback | None = None,
        between: Float[Tensor, "b f c h w"] | None = None,
        layout: Float[Tensor, "b f c h w"] | None = None,
        layout_mask: Float[Tensor, "b f"] | None = None,
    ) -> Float[Tensor, "b f c h w"]:
        """The latents of one clip per sample.

        Args:
            first: (B, C, h, w) latent of the first frame.
            last: (B, C, h, w) latent of the last frame; None predicts instead of interpolating.
            noise: (B, F, C, h, w) Gaussian; its length says how many latent frames to make.
            text: (B, S, D).
            num_steps: denoising steps.
            warp_first: (B, F, C, h, w), see ``fine_conditioning``.
            warp_last: (B, F, C, h, w), as there.
            motion: (B, F, 6), as there.
            last_is_exact: as there.
            guidance_scale: see ``Denoiser.sample``.
            unconditional_text: as there.
            on_step: as there.
            between: (B, F, C, h, w), see ``fine_conditioning``.
            layout: (B, F, C, h, w), as there.
            layout_mask: (B, F), as there.

        Returns:
            (B, F, C, h, w); the first latent is ``first``.
        """
        inputs = fine_conditioning(
            first,
            last,
            noise.shape[1],
            text,
            warp_first,
            warp_last,
            motion,
            last_is_exact=last_is_exact,
            between=between,
            held_ends=self.transformer.config.held_views,
            layout=layout,
            layout_mask=layout_mask,
        )
        return self.sample(inputs, noise, num_steps, guidance_scale, unconditional_text, on_step)
