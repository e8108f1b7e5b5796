"""Between pictures and latents: what a codec does, and CogVideoX's 3-D autoencoder as one.

Latents here are always normalised, so that one denoiser sees numbers near 1 whatever codec is behind it.
"""

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX
from torch import Tensor

from longdwm_env.errors import NotFinite
from longdwm_env.models.codec.small_decoder import SmallDecoder
from longdwm_env.types import Images


@runtime_checkable
class Codec(Protocol):
    """Pictures to normalised latents and back. Images are (B, T, 3, H, W) in [-1, 1], latents (B, F, C, h, w)."""

    latent_channels: int
    spatial_factor: int
    """Pixels per latent along each side."""

    def latent_frames(self, num_frames: int) -> int:
        """How many latent frames a clip of ``num_frames`` frames has."""
        ...

    def last_frames(self, num_frames: int) -> tuple[int, ...]:
        """The clip frame on which each latent frame ends."""
        ...

    def encode_keyframes(self, images: Tensor) -> Tensor:
        """(B, K, 3, H, W) -> (B, K, C, h, w), each image alone, without compression in time."""
        ...

    def encode_clip(self, images: Tensor) -> Tensor:
        """(B, T, 3, H, W) consecutive frames -> (B, latent_frames(T), C, h, w)."""
        ...

    def decode_keyframes(self, latents: Tensor) -> Tensor:
        """(B, K, C, h, w) -> (B, K, 3, H, W), each latent alone."""
        ...

    def decode_clip(self, latents: Tensor, num_frames: int, wanted: slice = slice(None)) -> Tensor:
        """(B, latent_frames(num_frames), C, h, w) -> (B, num_frames, 3, H, W), or the wanted ones of those frames."""
        ...


def images_from_uint8(frames: Images, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 (..., H, W, 3) -> (..., 3, H, W) in [-1, 1]."""
    tensor = torch.from_numpy(np.array(frames, copy=True)).to(device)
    return tensor.movedim(-1, -3).to(torch.float32).div_(127.5).sub_(1).to(dtype)


def uint8_from_images(images: Tensor) -> Images:
    """(..., 3, H, W) in [-1, 1] -> uint8 (..., H, W, 3); what lies outside is clipped.

    Raises:
        NotFinite: they hold NaN or infinity, which would show as black.
    """
    if not images.isfinite().all():
        raise NotFinite(
            f"{int((~images.isfinite()).sum())} of {images.numel()} numbers of generated pictures are not finite: the "
            "weights have diverged, or their type is too narrow for them (float32 has the widest range)"
        )
    scaled = (images.detach().to(torch.float32) + 1) * 127.5
    return scaled.round().clamp(0, 255).to(torch.uint8).movedim(-3, -1).contiguous().cpu().numpy()


class CogVideoXCodec:
    """CogVideoX's 3-D autoencoder: 8 x in space, 4 x in time, causal.

    Thirteen frames do not survive it unchanged. Encoding halves time twice and each time keeps an odd first frame:
    13 -> 1 + 6 -> 1 + 3, so latent 0 is frame 0 alone, and latent i holds frames 4 i - 3 to 4 i. Decoding doubles time
    twice but treats the first latent apart only where their number is odd: four latents become 4 x 4 = 16 frames, of
    which the first four stand for frame 0. The last of those four lies where frame 0 does on the grid of the others, so
    the first ``decoded - num_frames`` frames are dropped: frame j of the clip is frame 3 + j of what is decoded.

    Latents are the posterior's mode times ``scaling_factor``: encoding draws no random numbers.
    Deviation: CogVideoX samples the posterior in training; its standard deviation is small.

    Args:
        vae: the autoencoder. Inputs must be on its device; they are brought to its type.
        small_decoder: decodes in its place, in a small part of the time; None for the autoencoder's own decoder.
    """

    def __init__(self, vae: AutoencoderKLCogVideoX, small_decoder: SmallDecoder | None = None) -> None:
        self.vae, self.small_decoder = vae, small_decoder
        self.latent_channels: int = vae.config.latent_channels
        self.spatial_factor: int = 2 ** (len(vae.config.block_out_channels) - 1)

    def latent_frames(self, num_frames: int) -> int:
        """One for the first frame, and one for each four after it."""
        ratio = int(self.vae.config.temporal_compression_ratio)
        if num_frames < 1 or (num_frames - 1) % ratio:
            raise ValueError(f"a clip has 1 + {ratio} n frames, got {num_frames}")
        return (num_frames - 1) // ratio + 1

    def last_frames(self, num_frames: int) -> tuple[int, ...]:
        """0, 4, 8, ..."""
        ratio = int(self.vae.config.temporal_compression_ratio)
        return tuple(ratio * index for index in range(self.latent_frames(num_frames)))

    def _encode(self, images: Tensor) -> Tensor:
        video = images.movedim(1, 2).to(self.vae.dtype)
        parts = video.split(self._samples_at_once(images.shape[1], *images.shape[-2:]))
        latents = torch.cat([self.vae.encode(part).latent_dist.mode() for part in parts])
        return (latents * self.vae.config.scaling_factor).movedim(2, 1)

    def _decode(self, latents: Tensor) -> Tensor:
        video = latents.movedim(1, 2).to(self.vae.dtype) / self.vae.config.scaling_factor
        height, width = (side * self.spatial_factor for side in latents.shape[-2:])
        frames = latents.shape[1] * int(self.vae.config.temporal_compression_ratio)
        parts = video.split(self._samples_at_once(1 if latents.shape[1] == 1 else frames, height, width))
        return torch.cat([self.vae.decode(part).sample for part in parts]).movedim(2, 1)

    def _samples_at_once(self, frames: int, height: int, width: int) -> int:
        """How many videos go through the autoencoder in one pass.

        diffusers cuts the input of a convolution along time where it has more than 2 GiB in 16 bits, into pieces that
        may be shorter than the kernel, which fails: a dozen keyframes of 720 x 480 at once are too many.
        """
        widest = 2 * self.vae.config.block_out_channels[0]
        # It goes through eight frames at a time, and keeps two of those before in sight.
        numbers = widest * (min(frames, 8) + 2) * height * width
        return max(1, 2**30 // numbers)

    def encode_keyframes(self, images: Tensor) -> Tensor:
        """As videos of one frame each."""
        encoded = self._encode(images.flatten(0, 1)[:, None])
        return encoded.reshape(*images.shape[:2], *encoded.shape[2:])

    def encode_clip(self, images: Tensor) -> Tensor:
        """With compression in time."""
        self.latent_frames(images.shape[1])
        return self._encode(images)

    def decode_keyframes(self, latents: Tensor) -> Tensor:
        """As videos of one latent each, which decode to one frame each."""
        if self.small_decoder is not None:
            flat = latents.flatten(0, 1)[:, None].to(self.small_decoder.dtype)
            return self.small_decoder.decode(flat, 1)[:, 0].unflatten(0, latents.shape[:2])
        decoded = self._decode(latents.flatten(0, 1)[:, None])
        return decoded.reshape(*latents.shape[:2], *decoded.shape[2:])

    def decode_clip(self, latents: Tensor, num_frames: int, wanted: slice = slice(None)) -> Tensor:
        """Decode, and keep the last ``num_frames`` frames; see the class."""
        expected = self.latent_frames(num_frames)
        if latents.shape[1] != expected:
            raise ValueError(f"a clip of {num_frames} frames has {expected} latent frames, got {latents.shape[1]}")
        if self.small_decoder is not None:
            return self.small_decoder.decode(latents.to(self.small_decoder.dtype), num_frames)[:, wanted]
        return self._decode(latents)[:, -num_frames:][:, wanted]
