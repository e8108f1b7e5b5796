"""Gaps as the Fine model meets them in a drive: their later keyframe made by the Coarse model.

A recorded keyframe is sharp, and everything in it is where the earlier one leads. The Coarse model's own is softer, and
what moves in it is a little elsewhere, so a model that has only filled recorded gaps blends the two into a blur, which
is what the driver sees, and what the next second is made from when he acts between two keyframes.

Deviation: the paper trains on recorded keyframes only.
"""

from dataclasses import replace

import numpy as np
import torch

from longdwm_env.models.codec.video_codec import images_from_uint8, uint8_from_images
from longdwm_env.models.conditioning.warped_pictures import clip_views
from longdwm_env.models.network.denoiser import Denoiser
from longdwm_env.training.data.batches import FineBatch
from longdwm_env.training.losses.self_rollout import Rollout, next_keyframe


@torch.no_grad()
def with_own_keyframes(batch: FineBatch, coarse: Denoiser, rollout: Rollout, seed: int) -> FineBatch:
    """Let the Coarse model make the later keyframe of each gap, and look at the gap from both ends again.

    Args:
        batch: with ``keyframes``; without, it is given back as it is.
        coarse: no gradient flows through what it makes.
        rollout: codec and settings.
        seed: of the run.

    Returns:
        A batch with other ``last`` and ``warps``; what is asked for between stays what was recorded.
    """
    own = batch.keyframes
    if own is None or batch.poses is None:
        return batch
    settings, codec = rollout.settings, rollout.codec
    last = next_keyframe(coarse, own, settings.coarse_steps, seed, "own keyframe")[:, 0].to(batch.last)
    ends = uint8_from_images(codec.decode_keyframes(torch.stack([batch.first, last], dim=1)))
    shown = zip(ends, own.cameras, batch.poses, strict=True)
    videos = [
        video
        for (before, after), camera, poses in shown
        for video in clip_views(before, after, camera, poses[1:], settings)
    ]
    latents = codec.encode_clip(images_from_uint8(np.stack(videos), batch.clean.device))
    warps = latents.to(batch.clean).unflatten(0, (len(last), -1))
    return replace(batch, last=last, warps=warps, keyframes=None)
