"""A loss for how keyframes look where nobody can know what they show.

Squared error is least for the mean of everything that may come into view: a blur. In a closed loop the blur is what the
next second is made from, and after a few seconds nothing is left of houses and trees. The Gram matrices of a picture's
features say how it looks without saying where (Gatys et al. 2015). The features here are the codec's latents; their
Gram matrices over small windows are those of the recorded keyframe only where the made one has its contrast and its
edges, wherever these lie.

Deviation: the paper trains with squared error alone, and samples in many steps. A model that draws in one step is only
as sharp as its loss.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

WINDOW, STRIDE = 6, 3
"""Of the windows, in latents: about a third of mini's picture."""


def gram_matrices(latents: Tensor) -> Tensor:
    """Products of channels, averaged over windows: (N, C, h, w) -> (N, C * C, h', w')."""
    latents = latents.float()
    products = torch.einsum("nchw,ndhw->ncdhw", latents, latents).flatten(1, 2)
    window = min(WINDOW, *latents.shape[-2:])
    return avg_pool2d(products, window, min(STRIDE, window), ceil_mode=True, count_include_pad=False)


def texture_loss(predicted: Tensor, clean: Tensor, channel_weights: Tensor | None = None) -> Tensor:
    """Mean squared difference of the Gram matrices of latents (N, C, h, w).

    Args:
        predicted: of the model.
        clean: recorded.
        channel_weights: (C,) with mean 1, how much each channel counts; None for all alike.
    """
    if channel_weights is not None:
        scale = channel_weights.to(clean).sqrt()[:, None, None]
        predicted, clean = predicted * scale, clean * scale
    return (gram_matrices(predicted) - gram_matrices(clean)).square().mean()


__all__ = ["gram_matrices", "texture_loss"]
