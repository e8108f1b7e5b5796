"""Convolutions at latent resolution around the transformer: what a patch of 2 x 2 latents is too coarse for.

A bare patch embedding is blocky for a long time when a small model is trained for hours on a CPU. The stem reads every
condition at full latent resolution, the transformer works on tokens, and the head puts both together.
"""

import torch
from torch import Tensor, nn


def conv(in_channels: int, out_channels: int, *, zero: bool = False) -> nn.Conv2d:
    """3 x 3 convolution that keeps the size; ``zero`` starts it at zero."""
    layer = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
    if zero:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)
    return layer


class ResidualBlock(nn.Module):
    """Two convolutions beside an identity path; the second starts at zero, so a new block changes nothing.

    Args:
        channels: width.
        groups: groups of the normalisation; 0 for none (cheaper, enough where inputs are normalised).
    """

    def __init__(self, channels: int, groups: int = 0) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels) if groups else nn.Identity()
        self.conv_in = conv(channels, channels)
        self.conv_out = conv(channels, channels, zero=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) -> the same shape."""
        hidden = nn.functional.silu(self.conv_in(nn.functional.silu(self.norm(x))))
        return x + self.conv_out(hidden)


def group_count(channels: int) -> int:
    """Groups of 16 channels where that divides, else one group."""
    return channels // 16 if channels % 16 == 0 else 1


class ConvStem(nn.Module):
    """Everything known about each latent frame, read at latent resolution.

    Args:
        in_channels: channels of the noisy latent and the known frame.
        warp_channels: channels of all warped views.
        channels: width.
        blocks: residual blocks.
    """

    def __init__(self, in_channels: int, warp_channels: int, channels: int, blocks: int) -> None:
        super().__init__()
        self.conv_in = conv(in_channels, channels)
        # Without a bias a frame that has no warp needs no convolution of zeros.
        self.conv_warp = nn.Conv2d(warp_channels, channels, 3, padding=1, bias=False) if warp_channels else None
        self.blocks = nn.ModuleList(ResidualBlock(channels, group_count(channels)) for _ in range(blocks))

    def forward(self, frames: Tensor, warps: Tensor, warped: Tensor) -> Tensor:
        """Read B clips of F frames.

        Args:
            frames: (B, F, in_channels, h, w).
            warps: (B, W, warp_channels, h, w) of the frames that have warps.
            warped: (W,) which frames these are.

        Returns:
            (B, F, channels, h, w).
        """
        batch = len(frames)
        x = self.conv_in(frames.flatten(0, 1))
        if self.conv_warp is not None and len(warped):
            seen = self.conv_warp(warps.flatten(0, 1)).unflatten(0, (batch, -1))
            x = x.unflatten(0, (batch, -1)).index_add(1, warped, seen.to(x.dtype)).flatten(0, 1)
        for block in self.blocks:
            x = block(x)
        return x.unflatten(0, (batch, -1))


class ConvHead(nn.Module):
    """Transformer output and stem features together -> latents. The last layer starts at zero.

    Args:
        channels: width of both inputs.
        out_channels: channels of a latent.
        blocks: residual blocks.
        views: how many views it weighs; 0 for none.
    """

    def __init__(self, channels: int, out_channels: int, blocks: int, views: int = 0) -> None:
        super().__init__()
        self.conv_in = conv(2 * channels, channels)
        self.blocks = nn.ModuleList(ResidualBlock(channels, group_count(channels)) for _ in range(blocks))
        self.conv_out = conv(channels, out_channels, zero=True)
        self.conv_views = conv(channels, views, zero=True) if views else None

    def forward(self, decoded: Tensor, stem: Tensor) -> tuple[Tensor, Tensor | None]:
        """Two (N, channels, h, w) -> (N, out_channels, h, w), and logits of the views (N, views, h, w) or None."""
        x = self.conv_in(torch.cat([decoded, stem], dim=1))
        for block in self.blocks:
            x = block(x)
        x = nn.functional.silu(x)
        return self.conv_out(x), None if self.conv_views is None else self.conv_views(x)
