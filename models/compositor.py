"""The compositor: a frame put together at full resolution from what is known of it.

The Coarse model says in latents what the next keyframe is like, and latents are soft. What the last frames show, taken
along by geometry, is sharp, but has holes and is wrong where geometry is. What a map and boxes of road users show is
sharp and complete, but knows no light, weather or texture: the compositor lights it by factors and offsets that change
slowly over the picture (as Gharbi et al., "Deep bilateral learning", 2017), so its edges stay. Every pixel gets a share
of each of these pictures and a gated residual. One network makes keyframes and the frames between them.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn

PICTURES = ("first", "last", "matched", "coarse")
"""What a frame is put together from: the keyframe before it taken along, between keyframes the one after it taken back,
the matched sweep, and at keyframes the Coarse model's own picture."""

SHARES = (*PICTURES, "map")
"""What pixels have shares of: these pictures and the map's picture, lit."""

FLAGS = ("keyframe", "share", "layout", "scenery", "fineness")
"""Numbers about a frame: whether it is a keyframe, how far between keyframes it lies, what the map knows, and how many
times its pixels are halved against pictures 144 pixels wide."""


@dataclass(frozen=True)
class Ingredients:
    """What frames are put together from; pictures are in [-1, 1].

    Attributes:
        pictures: (B, 4, 3, H, W), see ``PICTURES``; zeros where one does not exist.
        masks: (B, 2, H, W), 1 where ``first`` and ``last`` show what the map says.
        map_picture: (B, 4, H, W), the map's picture and its inverse depth; zeros without a map.
        noise: (B, 1, H, W).
        text: (B, S, D) embedding of the prompt.
        flags: (B, 5), see ``FLAGS``.
    """

    pictures: Float[Tensor, "b 4 3 h w"]
    masks: Float[Tensor, "b 2 h w"]
    map_picture: Float[Tensor, "b 4 h w"]
    noise: Float[Tensor, "b 1 h w"]
    text: Float[Tensor, "b s d"]
    flags: Float[Tensor, "b 5"]

    def only(self, index: int) -> "Ingredients":
        """Those of one frame."""
        return Ingredients(**{name: part[index : index + 1] for name, part in vars(self).items()})


def _halved(x: Tensor) -> Tensor:
    """``pixel_unshuffle`` by 2 of (B, C, H, W), with channels last."""
    if x.dtype != torch.bfloat16 or x.requires_grad:
        return F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)
    # Two neighbours in a row stay neighbours: moved as one number of four bytes, this takes an eighth of the time.
    batch, channels, height, width = x.shape
    pairs = x.view(torch.int32).view(batch, channels, height // 2, 2, width // 2).transpose(1, 2)
    columns = pairs.reshape(batch, height // 2, 2 * channels, width // 2).transpose(2, 3).contiguous()
    return columns.view(torch.bfloat16).permute(0, 3, 1, 2)


def _begun_at_zero(layer: nn.Conv2d) -> nn.Conv2d:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class _Block(nn.Module):
    """Two convolutions beside a shortcut. Without norms: these would tie a picture's contrast to its brightest lamp."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = _begun_at_zero(nn.Conv2d(width, width, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.silu(self.first(F.silu(x))))


class Compositor(ModelMixin, ConfigMixin):
    """Shares of every picture at every pixel, and a gated residual.

    Args:
        text_dim: S x D of the prompt's embedding.
        widths: channels at a half, a quarter and an eighth of the picture's size.
        depths: blocks at each of these, on the way down; the last is the middle.
    """

    @register_to_config
    def __init__(
        self,
        text_dim: int = 320,
        widths: tuple[int, int, int] = (48, 96, 144),
        depths: tuple[int, int, int] = (1, 2, 3),
    ) -> None:
        super().__init__()
        a, b, c = widths
        self.stem = nn.Conv2d((3 * len(PICTURES) + 2 + 4 + 1) * 4, a, 3, padding=1)
        self.down0 = nn.Sequential(*(_Block(a) for _ in range(depths[0])))
        self.to1 = nn.Conv2d(a, b, 3, 2, 1)
        self.down1 = nn.Sequential(*(_Block(b) for _ in range(depths[1])))
        self.to2 = nn.Conv2d(b, c, 3, 2, 1)
        self.middle = nn.Sequential(*(_Block(c) for _ in range(depths[2])))
        self.from2 = nn.Conv2d(c, b, 1)
        self.up1 = nn.Sequential(*(_Block(b) for _ in range(depths[1])))
        self.from1 = nn.Conv2d(b, a, 1)
        self.up0 = nn.Sequential(*(_Block(a) for _ in range(depths[0])))
        self.light = _begun_at_zero(nn.Conv2d(b, 6, 1))
        self.head = _begun_at_zero(nn.Conv2d(a, (len(SHARES) + 4) * 4, 3, padding=1))
        self.told = nn.Sequential(nn.Linear(text_dim + len(FLAGS), 64), nn.SiLU(), nn.Linear(64, a + b + c))

    def forward(self, given: Ingredients) -> Float[Tensor, "b 3 h w"]:
        """Frames (B, 3, H, W), about in [-1, 1]; H and W are multiples of 8."""
        pictures, masks, flags = given.pictures, given.masks, given.flags
        x = torch.cat([pictures.flatten(1, 2), masks, given.map_picture, given.noise], dim=1)
        in_autocast = torch.is_autocast_enabled(x.device.type)
        # As the first convolution would have it, but before it is copied.
        x = _halved(x.to(torch.get_autocast_dtype(x.device.type) if in_autocast else self.dtype))
        told = self.told(torch.cat([given.text.flatten(1), flags], dim=1).to(self.dtype))
        at_a, at_b, at_c = told[..., None, None].split(list(self.config.widths), dim=1)
        a = self.down0(self.stem(x) + at_a)
        b = self.down1(self.to1(F.silu(a)) + at_b)
        c = self.middle(self.to2(F.silu(b)) + at_c)
        b = self.up1(b + F.interpolate(self.from2(c), scale_factor=2.0))
        a = self.up0(a + F.interpolate(self.from1(b), scale_factor=2.0))
        out = F.pixel_shuffle(self.head(F.silu(a)), 2).float()
        shares = (out[:, : len(SHARES)] + self._preferred(masks, flags)).softmax(dim=1)
        lit = self._lit(given.map_picture[:, :3], b)
        mixed = (shares[:, :-1, None] * pictures).sum(dim=1) + shares[:, -1:] * lit
        # Of values that lie apart the CPU takes four times as long to find the tangents.
        gate, own = out[:, len(SHARES) : len(SHARES) + 1], out[:, len(SHARES) + 1 :].contiguous()
        return mixed + 2 * torch.sigmoid(gate) * torch.tanh(own)

    def _lit(self, shown: Tensor, features: Tensor) -> Tensor:
        """(B, 3, H, W): the map's picture under factors and offsets that are said at every fourth pixel."""
        light = F.interpolate(self.light(F.silu(features)).float(), scale_factor=4.0, mode="bilinear")
        factor, offset = light.chunk(2, dim=1)
        return (shown + 1) * (1 + factor) - 1 + offset

    @staticmethod
    def _preferred(masks: Tensor, flags: Tensor) -> Tensor:
        """(B, 5, H, W): where an untrained network takes its pixels from. What does not exist gets no share."""
        keyframe, share = flags[:, 0, None, None], flags[:, 1, None, None]
        nowhere = -30.0
        first = 4 * masks[:, 0] - 1 - 2 * (1 - keyframe) * share
        last = (4 * masks[:, 1] - 1 - 2 * (1 - share)) * (1 - keyframe) + nowhere * keyframe
        matched = torch.zeros_like(first)
        coarse = keyframe * torch.ones_like(first) + nowhere * (1 - keyframe)
        known = flags[:, FLAGS.index("layout"), None, None]
        shown = nowhere * (1 - known) - torch.ones_like(first)
        return torch.stack([first, last, matched, coarse, shown], dim=1)


__all__ = ["FLAGS", "PICTURES", "SHARES", "Compositor", "Ingredients"]
