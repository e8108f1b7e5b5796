"""Training the small decoder: it is to show what the autoencoder's own decoder shows.

What is compared are pictures, of segments and of keyframes alone, since a pipeline decodes both. Squares of latents are
cut out at random, so that the large decoder need not decode whole pictures; their borders, where it sees less than it
would in a whole picture, do not count.

Deviation: not in the paper. TAEHV adds a critic; without one, fine texture that latents do not determine stays softer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from longdwm_env.errors import InvalidConfig
from longdwm_env.models.codec.small_decoder import SmallDecoder
from longdwm_env.models.codec.video_codec import CogVideoXCodec
from longdwm_env.training.data.batches import Batch
from longdwm_env.training.data.encoded.latents import SEGMENT_FRAMES, LatentStore
from longdwm_env.training.draws import normal, numbers, uniform
from longdwm_env.training.losses.codec import codec_loss
from longdwm_env.training.losses.objective import Objective

Decode = Callable[[Tensor, int], Tensor]
"""(latents (B, F, C, h, w), frames) -> (B, frames, 3, H, W)."""


@dataclass(frozen=True)
class OwnDecoder:
    """The large autoencoder's own decoder, of keyframes alone as of segments.

    Attributes:
        codec: with the autoencoder.
    """

    codec: CogVideoXCodec

    def __call__(self, latents: Tensor, num_frames: int) -> Tensor:
        """See ``Decode``."""
        if num_frames == 1:
            return self.codec.decode_keyframes(latents).float()
        return self.codec.decode_clip(latents, num_frames).float()


@dataclass(frozen=True)
class DecoderChoices:
    """How the small decoder is trained.

    Attributes:
        width_scale: its widths over the usual ones (160, 96, 64, 64), which make 4.5 million parameters.
        keyframe_share: share of the steps that decode keyframes, a latent alone; the others decode segments.
        crop: side in latents of the squares that are decoded; 0 for whole pictures.
        border: latents from a square's side in which pictures do not count.
        edge_weight: of the differences of neighbouring pixels, see ``losses.codec``.
        latent_noise: standard deviation of the noise on the latents that the small decoder sees, so that it forgives
            what a denoiser gets wrong.
    """

    width_scale: float = 1.0
    keyframe_share: float = 0.25
    crop: int = 24
    border: int = 2
    edge_weight: float = 0.25
    latent_noise: float = 0.02

    def __post_init__(self) -> None:
        if not 0 < self.width_scale <= 4 or not 0 <= self.keyframe_share <= 1:
            raise InvalidConfig("decoder.width_scale lies in (0, 4], decoder.keyframe_share in [0, 1]")
        if self.border < 0 or self.crop < 0 or (self.crop and 2 * self.border >= self.crop):
            raise InvalidConfig(f"decoder.crop={self.crop} leaves nothing within borders of {self.border} latents")
        if self.edge_weight < 0 or self.latent_noise < 0:
            raise InvalidConfig("decoder.edge_weight and decoder.latent_noise are at least 0")

    @property
    def widths(self) -> tuple[int, int, int, int]:
        """Of the decoder."""
        wide, middle, narrow, last = (max(4, round(width * self.width_scale)) for width in (160, 96, 64, 64))
        return wide, middle, narrow, last


@dataclass(frozen=True)
class DecoderBatch(Batch):
    """Latents to decode.

    Attributes:
        latents: (B, F, C, h, w): segments, or keyframes with F = 1.
        border: latents from the sides in which pictures do not count.
    """

    latents: Tensor
    num_frames: int
    border: int


class DecoderSampler:
    """Draws squares of segments and keyframes."""

    def __init__(self, store: LatentStore, choices: DecoderChoices, seed: int) -> None:
        self.store, self.choices, self.seed = store, choices, seed
        self._segments = [(c, s) for c, entry in enumerate(store.entries) for s in range(entry.facts["intervals"])]
        self._keyframes = [
            (c, k) for c, entry in enumerate(store.entries) for k in range(entry.facts["keyframes"][0]["count"])
        ]

    def batch(self, step: int, counts: Sequence[int]) -> DecoderBatch:
        """The samples with these running numbers; all of a step are of one kind."""
        alone = numbers(self.seed, step, "kind").random() < self.choices.keyframe_share
        places = self._keyframes if alone else self._segments
        drawn = []
        for count in counts:
            rng = numbers(self.seed, count, "place")
            clip, place = places[rng.integers(len(places))]
            rows = self.store.rows(clip, "keyframes.0" if alone else "segments", slice(place, place + 1))
            drawn.append(self._square(rows if alone else rows[0], rng))
        border = self.choices.border if self._cuts(drawn[0]) else 0
        return DecoderBatch(tuple(counts), torch.stack(drawn), 1 if alone else SEGMENT_FRAMES, border)

    def _cuts(self, latents: Tensor) -> bool:
        return latents.shape[-1] == latents.shape[-2] == self.choices.crop

    def _square(self, latents: Tensor, rng: np.random.Generator) -> Tensor:
        height, width = latents.shape[-2:]
        side = self.choices.crop
        if not side or side > min(height, width):
            return latents
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        return latents[..., top : top + side, left : left + side]


class DecoderObjective(Objective):
    """The difference of two decoders' pictures.

    Args:
        decoder: trained.
        decode: the autoencoder's own decoder, frozen.
        choices: weights.
        seed: of the run.
    """

    component, network = "small_decoder", "decoder"

    def __init__(self, decoder: SmallDecoder, decode: Decode, choices: DecoderChoices, seed: int) -> None:
        super().__init__(seed)
        self.decoder = decoder
        self.choices = choices
        self.decode = decode

    def forward(self, batch: DecoderBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of one batch, and its PSNR."""
        with torch.no_grad():
            wanted = self.decode(batch.latents, batch.num_frames)
        seen = batch.latents
        if self.training and self.choices.latent_noise > 0:
            noise = normal(self.seed, batch.counts, "latent noise", seen.shape[1:]).to(seen)
            share = uniform(self.seed, batch.counts, "noise strength").to(seen).reshape(-1, 1, 1, 1, 1)
            seen = seen + self.choices.latent_noise * share * noise
        # All latents at once: what is streamed when driving is the same numbers, latent by latent.
        made, _ = self.decoder(seen)
        made = made[:, -batch.num_frames :]
        pixels = batch.border * (made.shape[-1] // batch.latents.shape[-1])
        if pixels:
            inside = (..., slice(pixels, -pixels), slice(pixels, -pixels))
            made, wanted = made[inside], wanted[inside]
        loss, squared = codec_loss(made.flatten(0, 1), wanted.flatten(0, 1), self.choices.edge_weight)
        return loss, {"psnr_db": 10 * torch.log10(4 / squared.detach().clamp(min=1e-10))}
