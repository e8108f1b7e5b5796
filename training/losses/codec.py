"""Training the small codec: reconstruction of single frames."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from longdwm_env.models.codec.mini_codec import MiniAutoencoder
from longdwm_env.training.data.batches import Batch
from longdwm_env.training.draws import normal
from longdwm_env.training.losses.objective import Objective


@dataclass(frozen=True)
class ImageBatch(Batch):
    """Frames.

    Attributes:
        images: (B, 3, H, W) in [-1, 1].
    """

    images: Tensor


@dataclass(frozen=True)
class CodecChoices:
    """Weights of the codec's loss.

    Attributes:
        edge_weight: of the difference of neighbouring pixels' differences; keeps lane lines and vehicles sharp.
        latent_noise: standard deviation of the noise on normalised latents during training, so that decoding forgives
            what a denoiser gets wrong.
        latent_penalty: weight of the distance of the latents from those of the linear codec that training started from;
            keeps latents smooth where only pixels would count.
        cycle_weight: weight of the distance between latents and those of the picture that they decode to, in standard
            deviations. A closed loop decodes and encodes its own pictures every second; without this term they have
            faded after ten.
        train_encoder: False to train the decoder alone, which keeps latents that were made before.
        crop_px: training looks at squares of this size, cut out at random; 0 for whole frames. A multiple of 8.
    """

    edge_weight: float = 0.25
    latent_noise: float = 0.05
    latent_penalty: float = 0.0
    cycle_weight: float = 0.0
    train_encoder: bool = True
    crop_px: int = 64


def codec_loss(reconstructed: Tensor, images: Tensor, edge_weight: float) -> tuple[Tensor, Tensor]:
    """Mean absolute difference of pixels, and of the differences of neighbouring pixels.

    Args:
        reconstructed: (B, 3, H, W).
        images: (B, 3, H, W).
        edge_weight: of the second part.

    Returns:
        (total, mean squared error): the second for the log, as PSNR comes from it.
    """
    error = reconstructed.float() - images.float()
    vertical, horizontal = error[..., 1:, :] - error[..., :-1, :], error[..., 1:] - error[..., :-1]
    total = error.abs().mean() + edge_weight * (vertical.abs().mean() + horizontal.abs().mean())
    return total, (error**2).mean()


class CodecObjective(Objective):
    """Reconstruction through noisy latents.

    Args:
        autoencoder: a ``MiniAutoencoder``, its linear part and statistics fitted.
        choices: weights.
        seed: of the run.
    """

    component, network = "vae", "autoencoder"

    def __init__(self, autoencoder: MiniAutoencoder, choices: CodecChoices, seed: int) -> None:
        super().__init__(seed)
        self.autoencoder = autoencoder
        self.choices = choices
        assert autoencoder.analysis.bias is not None
        self._linear = (autoencoder.analysis.weight.detach().clone(), autoencoder.analysis.bias.detach().clone())

        if not choices.train_encoder:
            for part in (autoencoder.analysis, autoencoder.encoder):
                if isinstance(part, nn.Module):
                    part.requires_grad_(False)

    def forward(self, batch: ImageBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of one batch."""
        latents = self.autoencoder.encode(batch.images)
        std = latents.new_tensor(self.autoencoder.config.latents_std).reshape(1, -1, 1, 1)
        seen = latents
        if self.choices.latent_noise > 0:
            noise = normal(self.seed, batch.counts, "latent noise", latents.shape[1:]).to(latents)
            seen = latents + self.choices.latent_noise * std * noise
        decoded = self.autoencoder.decode(seen)
        loss, squared = codec_loss(decoded, batch.images, self.choices.edge_weight)
        if self.choices.latent_penalty > 0:
            weight, bias = (part.to(batch.images) for part in self._linear)
            start = nn.functional.conv2d(batch.images, weight, bias, stride=weight.shape[-1])
            loss = loss + self.choices.latent_penalty * ((latents - start) ** 2).mean()
        # Images span 2: the peak signal's square is 4.
        parts = {"psnr_db": 10 * torch.log10(4 / squared.detach().clamp(min=1e-10))}
        if self.choices.cycle_weight > 0:
            cycle = (((self.autoencoder.encode(decoded) - seen.detach()) / std) ** 2).float().mean()
            loss = loss + self.choices.cycle_weight * cycle
            parts["cycle"] = cycle.detach()
        return loss, parts
