"""A small streaming decoder for latents of CogVideoX's autoencoder: a few million parameters in place of 123 million.

Every latent becomes four frames by itself, but for what its blocks remember of the latent before: so it decodes a video
of any length in constant memory, and a latent as soon as it is there. The architecture is that of TAEHV (Bohan 2025,
MIT licence), so that its published weights can be loaded; the code is our own.

Latents are normalised as ``codec.CogVideoXCodec`` gives them, pictures are in [-1, 1].
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from longdwm_env.errors import InvalidConfig, MissingWeights
from longdwm_env.models import limits

FRAMES_PER_LATENT = 4
BLOCKS = 3
"""Of each of the three sizes that latents are brought through."""

Memory = tuple[Tensor, ...]
"""What each block saw last, (B, C, h, w); empty before the first latent."""

PUBLISHED_SCALES = (0.5, 0.7 / 1.15258426, 0.8, 1.0, 1.25, 1.15258426 / 0.7, 2.0)
"""By which published weights may want latents multiplied: CogVideoX-2B scales by 1.15, CogVideoX-5B by 0.7."""

LEAST_LIKENESS_DB = 15.0
"""Below this a decoder shows something else than the autoencoder: it belongs to other latents."""


class _Remembering(nn.Module):
    """A residual block that sees what it saw at the moment before."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.third = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        """Two (N, C, h, w) -> (N, C, h, w)."""
        y = functional.relu(self.first(torch.cat([x, before], dim=1)))
        return functional.relu(self.third(functional.relu(self.second(y))) + x)


class _Growing(nn.Module):
    """Twice the size, ``times`` the moments, and another width."""

    def __init__(self, channels: int, out_channels: int, times: int) -> None:
        super().__init__()
        self.times = times
        self.in_time = nn.Conv2d(channels, channels * times, 1, bias=False)
        self.narrow = nn.Conv2d(channels, out_channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N * times, C', 2 h, 2 w)."""
        grown = self.in_time(functional.interpolate(x, scale_factor=2))
        return self.narrow(grown.reshape(-1, x.shape[1], *grown.shape[2:]))


class SmallDecoder(ModelMixin, ConfigMixin):
    """Latents to frames; see the module.

    Args:
        latent_channels: of the autoencoder, 16 in CogVideoX.
        widths: of the features at 1/8, 1/4 and 1/2 of the size, and at the full size.
        latent_scale: latents are multiplied by this first: what the weights were trained with, over what
            ``CogVideoXCodec`` gives.
    """

    _supports_gradient_checkpointing = False

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 16,
        widths: tuple[int, ...] = (160, 96, 64, 64),
        latent_scale: float = 1.0,
    ) -> None:
        limits.whole("latent_channels", latent_channels, 1, 1024)
        if not isinstance(widths, list | tuple) or len(widths) != 4:
            raise InvalidConfig(f"widths are four, for 1/8, 1/4, 1/2 and all of the size; got {widths}")
        for index, width in enumerate(widths):
            limits.whole(f"widths[{index}]", width, 1, 1024)
        if not 0 < latent_scale < 1e3:
            raise InvalidConfig(f"latent_scale lies above 0 and below 1000, got {latent_scale}")
        super().__init__()
        self.conv_in = nn.Conv2d(latent_channels, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(nn.ModuleList(_Remembering(width) for _ in range(BLOCKS)) for width in widths[:3])
        self.growing = nn.ModuleList(
            _Growing(width, wider, times) for width, wider, times in zip(widths, widths[1:], (1, 2, 2), strict=False)
        )
        self.conv_out = nn.Conv2d(widths[3], 3, 3, padding=1)
        nn.init.constant_(self.conv_out.bias, 0.5)  # type: ignore[arg-type]

    def forward(self, latents: Tensor, memory: Memory = ()) -> tuple[Tensor, Memory]:
        """Decode the latents that come next.

        Args:
            latents: (B, F, C, h, w).
            memory: what the call before returned; empty at the beginning of a video.

        Returns:
            (B, 4 F, 3, 8 h, 8 w) about [-1, 1], and what to remember. The first three frames of a video stand for
            moments before its first frame: see ``codec.CogVideoXCodec``.
        """
        batch = len(latents)
        x = latents.flatten(0, 1) * self.config.latent_scale
        # Far outliers, which a denoiser makes now and then, become mild ones.
        x = functional.relu(self.conv_in(3 * torch.tanh(x / 3)))
        remembered: list[Tensor] = []
        for blocks, growing in zip(self.blocks, self.growing, strict=True):
            for block in blocks:  # type: ignore[attr-defined]
                moments = x.unflatten(0, (batch, -1))
                first = memory[len(remembered)][:, None] if memory else torch.zeros_like(moments[:, :1])
                before = torch.cat([first, moments[:, :-1]], dim=1)
                remembered.append(moments[:, -1])
                x = block(x, before.flatten(0, 1))
            x = growing(x)
        images = 2 * self.conv_out(functional.relu(x)) - 1
        return images.unflatten(0, (batch, -1)), tuple(remembered)

    def decode(self, latents: Tensor, num_frames: int) -> Tensor:
        """(B, F, C, h, w) -> the last ``num_frames`` frames, (B, num_frames, 3, 8 h, 8 w), latent by latent."""
        kept: list[Tensor] = []
        memory: Memory = ()
        drop = FRAMES_PER_LATENT * latents.shape[1] - num_frames
        for index in range(latents.shape[1]):
            frames, memory = self(latents[:, index : index + 1], memory)
            kept.append(frames[:, min(max(drop, 0), FRAMES_PER_LATENT) :])
            drop -= FRAMES_PER_LATENT
        return torch.cat(kept, dim=1)


@dataclass(frozen=True)
class Likeness:
    """How near a decoder comes to its autoencoder.

    Attributes:
        scale: by which latents were multiplied.
        psnr_db: of its frames against the autoencoder's; pictures span [-1, 1].
    """

    scale: float
    psnr_db: float


@torch.no_grad()
def checked_scale(decoder: SmallDecoder, latents: Tensor, wanted: Tensor) -> Likeness:
    """Find the scale of latents that weights were trained with, and remember it in the decoder's configuration.

    CogVideoX's autoencoder is published with two scales of its latents, and a decoder that was trained for the other
    one shows pale or glaring pictures without any error.

    Args:
        decoder: with the weights to check.
        latents: (B, F, C, h, w) normalised, of real pictures.
        wanted: (B, T, 3, H, W) what the autoencoder decodes them to.

    Raises:
        InvalidConfig: at no scale do its pictures look like the autoencoder's; the message says how near they come.
    """
    found = []
    for scale in PUBLISHED_SCALES:
        made = decoder.decode(scale * latents.to(decoder.dtype), wanted.shape[1]).clamp(-1, 1).float()
        error = (made - wanted.float().clamp(-1, 1)).square().mean().clamp(min=1e-10)
        found.append(Likeness(scale, float(10 * torch.log10(4 / error))))
    best = max(found, key=lambda likeness: likeness.psnr_db)
    if best.psnr_db < LEAST_LIKENESS_DB:
        raise InvalidConfig(
            f"this decoder's pictures come to {best.psnr_db:.1f} dB of the autoencoder's at best (latents times "
            f"{best.scale:.2f}); at least {LEAST_LIKENESS_DB:g} are expected, so it belongs to another autoencoder"
        )
    decoder.register_to_config(latent_scale=float(decoder.config.latent_scale) * best.scale)
    return best


def load_published(path: Path) -> SmallDecoder:
    """A decoder from TAEHV's published weights for CogVideoX, as safetensors (such as ``taecvx.safetensors``).

    Its scale has not been checked yet: see ``checked_scale``.

    Raises:
        MissingWeights: the file is no safetensors file, or holds no such decoder; the message names what is missing. A
            ``.pth`` file is a pickle, which is never loaded.
    """
    if path.suffix in (".pth", ".pt", ".bin", ".ckpt"):
        raise MissingWeights(f"{path} is a pickle, which is never loaded; take the weights as safetensors")
    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise MissingWeights(f"{path} cannot be read ({error}); expected a safetensors file") from error
    ours = _named_as_ours(stored, path)
    widths = (
        *(ours[f"blocks.{level}.0.third.weight"].shape[0] for level in range(3)),
        ours["conv_out.weight"].shape[1],
    )
    decoder = SmallDecoder(int(ours["conv_in.weight"].shape[1]), tuple(int(width) for width in widths))
    wanted = {name: tuple(tensor.shape) for name, tensor in decoder.state_dict().items()}
    for name, tensor in ours.items():
        if wanted[name] != tuple(tensor.shape):
            raise MissingWeights(f"{path}: {name} has shape {tuple(tensor.shape)}, expected {wanted[name]}")
    decoder.load_state_dict({name: tensor.float() for name, tensor in ours.items()})
    return decoder.eval()


def _named_as_ours(stored: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """TAEHV's decoder is one sequence of layers: their numbers, and what they are called here."""
    places = {"decoder.1": "conv_in", "decoder.22": "conv_out"}
    for level, first in enumerate((3, 9, 15)):
        for block in range(BLOCKS):
            for layer, ours in ((0, "first"), (2, "second"), (4, "third")):
                places[f"decoder.{first + block}.conv.{layer}"] = f"blocks.{level}.{block}.{ours}"
        places[f"decoder.{first + 4}.conv"] = f"growing.{level}.in_time"
        places[f"decoder.{first + 5}"] = f"growing.{level}.narrow"
    made = {}
    for theirs, ours in places.items():
        for kind in ("weight", "bias"):
            if kind == "bias" and ours.startswith("growing"):
                continue
            if f"{theirs}.{kind}" not in stored:
                raise MissingWeights(f"{path} is no TAEHV decoder for CogVideoX: it lacks {theirs}.{kind}")
            made[f"{ours}.{kind}"] = stored[f"{theirs}.{kind}"]
    for level, times in enumerate((1, 2, 2)):
        name = f"growing.{level}.in_time.weight"
        # Published weights may grow more moments than are wanted here; the last of them are the ones to keep.
        made[name] = made[name][-times * made[name].shape[1] :]
    return made
