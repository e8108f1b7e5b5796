"""What the Coarse and the Fine model have in common: one-step prediction, and sampling."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from longdwm_env.models.conditioning.denoiser_inputs import Conditioning
from longdwm_env.models.network.dit import LongDWMTransformer3DModel
from longdwm_env.models.network.sampler import Scheduler, clean_from_output, denoise

StepCallback = Callable[[int, int, Tensor], Tensor | None]


class Denoiser:
    """A transformer and the noise schedule it is trained for; holds no weights of its own.

    The *Coarse model* makes keyframes after any number of clean ones: twelve from one (LongDWM, section 3.1), or the
    next from the last few, see ``coarse_conditioning``. The *Fine model* makes a clip from its first frame, and its
    last where that is known (sections 3.2 and 3.4), see ``fine_conditioning``.

    Args:
        transformer: predicts in the parametrization that ``scheduler.config.prediction_type`` names.
        scheduler: a diffusers scheduler.
        guidance: asked before each step for the scale of ``sample``, in place of that which it was called with: for a
            caller who may change it on the way.
    """

    def __init__(
        self,
        transformer: LongDWMTransformer3DModel,
        scheduler: Scheduler,
        guidance: Callable[[], float] | None = None,
    ) -> None:
        self.transformer = transformer
        self.scheduler = scheduler
        self.guidance = guidance

    def output(
        self, noisy: Float[Tensor, "b f c h w"], timesteps: Int[Tensor, "b"], conditioning: Conditioning
    ) -> Float[Tensor, "b f c h w"]:
        """What the network says, (B, F, C, h, w), in the scheduler's parametrization."""
        views = self.transformer.config.warp_views
        return self.transformer(
            noisy,
            conditioning.text,
            timesteps,
            known=conditioning.known,
            known_mask=conditioning.known_mask,
            warp=_views(conditioning.warp, views) if views else None,
            warp_mask=_views(conditioning.warp_mask, views) if views else None,
            motion=conditioning.motion,
            return_dict=False,
        )[0]

    def predict_clean(
        self, noisy: Float[Tensor, "b f c h w"], timesteps: Int[Tensor, "b"], conditioning: Conditioning
    ) -> Float[Tensor, "b f c h w"]:
        """One-step prediction of the clean latents: D of LongDWM, Eq. 3 and 6. Differentiable.

        Args:
            noisy: (B, F, C, h, w) x_t.
            timesteps: (B,) diffusion timesteps t.
            conditioning: B clips.

        Returns:
            (B, F, C, h, w); known frames are predicted like the others, not put back.
        """
        return clean_from_output(self.scheduler, self.output(noisy, timesteps, conditioning), noisy, timesteps)

    @torch.no_grad()
    def sample(
        self,
        conditioning: Conditioning,
        noise: Float[Tensor, "b f c h w"],
        num_steps: int,
        guidance_scale: float = 1.0,
        unconditional_text: Float[Tensor, "#b s d"] | None = None,
        on_step: StepCallback | None = None,
    ) -> Float[Tensor, "b f c h w"]:
        """Clean latents from noise, with the exactly known frames put back.

        Args:
            conditioning: B clips.
            noise: (B, F, C, h, w) Gaussian.
            num_steps: denoising steps.
            guidance_scale: classifier-free guidance; 1 switches it off.
            unconditional_text: (1, S, D) or (B, S, D) embedding of the empty prompt, needed with guidance.
            on_step: called after each step with (step, timestep, latents); a tensor it returns replaces the latents.

        Returns:
            (B, F, C, h, w).

        Raises:
            ValueError: guidance is asked for without the text to guide away from.
        """
        conditional = conditioning.to(noise.device, noise.dtype)
        unconditional = conditional if unconditional_text is None else conditional.with_text(unconditional_text)

        def predict(latents: Tensor, timesteps: Tensor) -> Tensor:
            scale = guidance_scale if self.guidance is None else self.guidance()
            if scale != 1 and unconditional_text is None:
                raise ValueError("guidance needs unconditional_text, the embedding of the empty prompt")
            output = self.output(latents, timesteps, conditional)
            if scale == 1:
                return output
            # One after the other, not one batch of two: the result of a sample then never depends on a batch's size.
            base = self.output(latents, timesteps, unconditional)
            return base + scale * (output - base)

        latents = denoise(self.scheduler, predict, noise, num_steps, on_step)
        exact = conditional.exact_mask[:, :, None, None, None]
        return torch.where(exact > 0, conditional.known, latents)


def _views(tensor: Tensor, count: int) -> Tensor:
    """The first ``count`` views of (B, F, V, ...); views that are not given are zeros."""
    missing = count - tensor.shape[2]
    if missing <= 0:
        return tensor[:, :, :count]
    return torch.cat([tensor, tensor.new_zeros(*tensor.shape[:2], missing, *tensor.shape[3:])], dim=2)
