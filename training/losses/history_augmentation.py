"""History augmentation: known frames that look as after a long drive, washed out and off in colour.

A closed loop degrades its own pictures: each second adds a little blur and shifts the light a little, over the whole
history and all warps of it alike. A few seconds on the model's own keyframes (``self_rollout``) show only the beginning
of that. Here it is drawn at random instead, at no cost, and the recorded keyframe stays what is asked for, so that the
model learns to bring back contrast and colours that the prompt and the rest of the picture speak for.

Deviation: the paper trains on recorded keyframes as they are.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from longdwm_env.models.conditioning.denoiser_inputs import Conditioning
from longdwm_env.training.draws import normal, uniform

BLUR = 5
"""Width in latents of the average that an augmented picture goes towards."""
FIELD = (3, 4)
"""Rows and columns of the smooth field that is added."""
MOST_SHIFT = 0.5
"""Largest standard deviation of that field; normalised latents have 1."""


def augmented_history(
    given: Conditioning, seed: int, counts: Sequence[int], ratio: float, *, with_layout: bool
) -> Conditioning:
    """The same conditioning, with augmented history in a share of the samples.

    Known frames and all views of them are changed alike; a map's layout, which no drive wears out, is left as it is.

    Args:
        given: B clips.
        seed: of the run.
        counts: B running numbers of the samples; everything drawn depends on these and ``seed`` alone.
        ratio: share of samples that are augmented.
        with_layout: whether the last view is the layout.
    """
    channels, height, width = given.known.shape[2:]
    on = (uniform(seed, counts, "wear") < ratio).float()
    blur = (on * uniform(seed, counts, "wear blur")).to(given.known)
    shift = (on * MOST_SHIFT * uniform(seed, counts, "wear shift")).to(given.known)
    field = normal(seed, counts, "wear field", (channels, *FIELD)).to(given.known)
    smooth = interpolate(field, (height, width), mode="bilinear", align_corners=False)
    added = shift[:, None, None, None] * smooth

    def degraded(latents: Tensor) -> Tensor:
        """(B, F, ..., C, h, w) washed out and shifted."""
        flat = latents.reshape(-1, channels, height, width)
        mean = avg_pool2d(flat, BLUR, 1, BLUR // 2, count_include_pad=False).reshape(latents.shape)
        each = (-1, *[1] * (latents.ndim - 1))
        return torch.lerp(latents, mean, blur.reshape(each)) + added.reshape(
            len(latents), *[1] * (latents.ndim - 4), channels, height, width
        )

    views = degraded(given.warp)
    if with_layout:
        views = torch.cat([views[:, :, :-1], given.warp[:, :, -1:]], dim=2)
    return replace(given, known=degraded(given.known) * given.known_mask[:, :, None, None, None], warp=views)


__all__ = ["augmented_history"]
