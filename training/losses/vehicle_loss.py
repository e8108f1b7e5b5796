"""A loss that has other road users copied, not drawn anew.

The views show a vehicle whole and nearly where it will be (geometry/moved.py); what of its place or shape is still
open, squared error fills with the mean of all that may be, which is softer than any of it, and after four seconds of a
closed loop has dissolved. So where vehicles are, the model is to show what the best of its views shows: the one that is
nearest to the recorded keyframe there.

Only after recorded history. On a drive of its own a model that copies has nothing that brings a picture back: after
600 steps with copies there too, what the centre of the picture had lost stayed lost, and tail lamps grew.

Deviation: the paper trains with squared error alone, and samples in many steps.
"""

from torch import Tensor
from torch.nn.functional import avg_pool2d

from longdwm_env.training.losses.texture_loss import contrast

AROUND = 3
"""Side in latents of the square over which views are compared, so that neighbours choose alike."""


def vehicle_copy_loss(
    predicted: Tensor,
    clean: Tensor,
    views: Tensor,
    vehicles: Tensor,
    channel_weights: Tensor | None = None,
) -> Tensor:
    """Mean squared difference to the best view where vehicles are, over the picture's contrast; 0 where there are none.

    Args:
        predicted: (N, C, h, w) of the model.
        clean: (N, C, h, w) recorded.
        views: (N, V, C, h, w) of the last known keyframe; as they are, even where the model was given augmented ones.
        vehicles: (N, h, w) how much of each latent shows vehicles, 0 for samples whose views mean nothing.
        channel_weights: (C,) with mean 1, how much each channel counts; None for all alike.
    """
    weights = clean.new_ones(clean.shape[1]) if channel_weights is None else channel_weights.to(clean)
    weights = weights[:, None, None]
    error = ((views.float() - clean.float()[:, None]).square() * weights).mean(dim=2)
    error = avg_pool2d(error, AROUND, 1, AROUND // 2, count_include_pad=False)
    best = error.argmin(dim=1)[:, None, None].expand(-1, 1, *views.shape[2:])
    target = views.float().gather(1, best)[:, 0]
    missed = ((predicted.float() - target).square() * weights).mean(dim=1) / contrast(clean)[:, None, None]
    return (missed * vehicles).sum() / vehicles.sum().clamp(min=1e-6)


__all__ = ["vehicle_copy_loss"]
