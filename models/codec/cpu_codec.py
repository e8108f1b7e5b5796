"""The small codec as a CPU computes it fastest, within one step of 255 of what it is trained to give."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from longdwm_env.models.codec.mini_codec import MiniAutoencoder
from longdwm_env.models.machine import faster_in_bfloat16


class _InBfloat16(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return super().forward(x)


def quick_on_cpu(codec: MiniAutoencoder) -> MiniAutoencoder:
    """A copy for inference: the same in fewer passes, channels last, in bfloat16 where the processor is faster in it.

    The linear part stays in float32. The networks beside it add little to it, so half a percent of that is not seen:
    pictures of a trained codec differ by at most 1 of 255.
    """
    quick = copy.deepcopy(codec)
    quick.synthesis = _as_product(quick.synthesis)  # type: ignore[assignment]
    if quick.encoder is not None:
        quick.encoder = _without_unshuffles(quick.encoder)
    for module in quick.modules():
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if codec.dtype == torch.float32 and faster_in_bfloat16():
        quick.encoder = None if quick.encoder is None else _InBfloat16(*quick.encoder)
        quick.decoder = None if quick.decoder is None else _InBfloat16(*quick.decoder)
    return quick


def _without_unshuffles(network: nn.Sequential) -> nn.Sequential:
    """The same network, whose unshuffles are strides of the convolutions after them."""
    layers: list[nn.Module] = []
    for layer in network:
        if layers and isinstance(layers[-1], nn.PixelUnshuffle):
            layer = _strided(layer, layers.pop().downscale_factor)  # type: ignore[arg-type]
        layers.append(layer)
    return nn.Sequential(*layers)


def _strided(conv: nn.Conv2d, factor: int) -> nn.Conv2d:
    """The convolution that does at once what one (of 3 x 3) does after ``PixelUnshuffle(factor)``."""
    channels, side = conv.in_channels // factor**2, conv.kernel_size[0]
    made = _unset(channels, conv.out_channels, side * factor, factor, int(conv.padding[0]) * factor)
    folded = conv.weight.detach().unflatten(1, (channels, factor, factor))
    made.weight.data = folded.permute(0, 1, 4, 2, 5, 3).reshape(made.weight.shape).contiguous()
    made.bias = conv.bias
    return made


def _as_product(synthesis: nn.ConvTranspose2d) -> nn.Sequential:
    """A transposed convolution whose patches do not overlap, as one matrix product."""
    side = synthesis.kernel_size[0]
    product = _unset(synthesis.in_channels, synthesis.out_channels * side**2, 1, bias=synthesis.bias is not None)
    product.weight.data = synthesis.weight.detach().flatten(1).T[:, :, None, None].contiguous()
    if synthesis.bias is not None:
        product.bias = nn.Parameter(synthesis.bias.detach().repeat_interleave(side**2))
    return nn.Sequential(product, nn.PixelShuffle(side))


def _unset(*shape: int, bias: bool = True) -> nn.Conv2d:
    """A convolution without initial weights: those would be drawn from the caller's random numbers."""
    made: nn.Conv2d = skip_init(nn.Conv2d, *shape, bias=bias)
    return made
