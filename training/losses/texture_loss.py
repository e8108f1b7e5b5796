"""A loss for how frames look where what they show cannot be known.

Squared error is least for the mean of everything that may come into view: a blur. In a closed loop the blur is what the
next second is made from, and after a few seconds nothing is left of houses and trees. The Gram matrices of a picture's
features say how it looks without saying where (Gatys et al. 2015). The features here are the codec's latents, each with
its neighbours to the right and below, so that edges that go on and things that have a shape count too (Portilla and
Simoncelli 2000). The Gram matrices over small windows are those of the recorded keyframe only where the made one has
its contrast and its edges, wherever these lie.

Both this loss and, with a ``contrast_power``, squared error are taken relative to a picture's contrast: rain at dusk
has a twentieth of a clear day's squared Gram matrices, and would otherwise hardly be learnt from.

Deviation: the paper trains with squared error alone, and samples in many steps. A model that draws in few steps is only
as sharp as its loss.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

WINDOW, STRIDE = 6, 3
"""Of the windows, in latents: about a third of mini's picture."""

LEAST_CONTRAST = 0.1
"""Variance of normalised latents; what has less counts as if it had this."""


def gram_matrices(latents: Tensor) -> Tensor:
    """Products of channels at a place, with the place right of it, and with the one below, averaged over windows.

    Args:
        latents: (N, C, h, w).

    Returns:
        (N, 3 C C, h', w'). At the right and lower edge a place is its own neighbour.
    """
    with torch.autocast(latents.device.type, enabled=False):
        latents = latents.float()
        right = torch.cat([latents[..., 1:], latents[..., -1:]], dim=-1)
        below = torch.cat([latents[..., 1:, :], latents[..., -1:, :]], dim=-2)
        # A product of matrices a window: products place by place, averaged later, would be 200 times as many numbers.
        here = _windows(latents)
        beside = torch.stack([here, _windows(right), _windows(below)], dim=3)
        places = _windows(torch.ones_like(latents[:1, :1])).sum(dim=(-2, -1))
        sums = here[:, :, :, None] @ beside.mT
        return (sums / places[..., None, None, None]).flatten(3).movedim(-1, 1)


def _windows(x: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, h', w', C, places of a window); beyond the edges are zeros."""
    side = min(WINDOW, *x.shape[-2:])
    step = min(STRIDE, side)
    below, right = (-(size - side) % step for size in x.shape[-2:])
    return pad(x, (0, right, 0, below)).unfold(2, side, step).unfold(3, side, step).movedim(1, 3).flatten(-2)


def contrast(latents: Tensor) -> Tensor:
    """Variance over a picture, mean of its channels, at least ``LEAST_CONTRAST``: (..., C, h, w) -> (...)."""
    return latents.float().var(dim=(-2, -1)).mean(dim=-1).clamp(min=LEAST_CONTRAST)


def texture_loss(predicted: Tensor, clean: Tensor, channel_weights: Tensor | None = None) -> Tensor:
    """Root mean square difference of the Gram matrices of latents (N, C, h, w), over the recorded contrast.

    The root is taken sample by sample: lamps at night would otherwise outweigh all else.

    Args:
        predicted: of the model.
        clean: recorded.
        channel_weights: (C,) with mean 1, how much each channel counts; None for all alike.
    """
    if channel_weights is not None:
        scale = channel_weights.to(clean).sqrt()[:, None, None]
        predicted, clean = predicted * scale, clean * scale
    difference = (gram_matrices(predicted) - gram_matrices(clean)).square().mean(dim=(1, 2, 3))
    # A root has no slope at zero; no model comes near this.
    return ((difference + 1e-8).sqrt() / contrast(clean)).mean()


__all__ = ["contrast", "gram_matrices", "texture_loss"]
