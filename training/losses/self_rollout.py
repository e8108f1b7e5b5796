"""Training on the model's own keyframes, so that it forgives in a closed loop what it gets wrong.

Deviation: the paper trains on recorded keyframes only. A closed loop feeds a model what it made itself; a model that
has never seen that drifts within seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.pose import relative_to
from longdwm_env.models.codec.video_codec import Codec, images_from_uint8, uint8_from_images
from longdwm_env.models.conditioning.denoiser_inputs import coarse_conditioning, motion_features
from longdwm_env.models.conditioning.road_users import in_view
from longdwm_env.models.conditioning.warped_pictures import keyframe_views
from longdwm_env.models.network.denoiser import Denoiser
from longdwm_env.models.settings import LongDWMSettings
from longdwm_env.training.data.batches import CoarseBatch
from longdwm_env.training.losses.objective import draw_noise
from longdwm_env.types import FloatArray, Images

LEARN_EVERY = 6
"""Of a long roll not only the last keyframe is learned from but, counted back from it, every so many: making a roll
costs more than learning from it."""


@dataclass(frozen=True)
class Rollout:
    """What a closed loop is made of.

    Attributes:
        codec: decodes the model's keyframe, so that it can be warped, and encodes the warp.
        settings: of the pipeline: denoising steps, warp, how many keyframes are remembered.
    """

    codec: Codec
    settings: LongDWMSettings


@torch.no_grad()
def next_keyframe(model: Denoiser, batch: CoarseBatch, steps: int, seed: int, purpose: str) -> Tensor:
    """The keyframe after the known ones of a batch, (B, 1, C, h, w), as the model makes it.

    Args:
        model: the Coarse model; no gradient flows through what it makes.
        batch: with one new keyframe.
        steps: denoising steps.
        seed: of the run.
        purpose: of the noise, which is drawn from this, ``seed`` and the samples' numbers.
    """
    views = batch.views(with_layout=model.transformer.config.layout_view)
    known = batch.clean[:, : batch.history]
    given = coarse_conditioning(known, batch.history + 1, batch.text, **views)
    return model.sample(given, draw_noise(seed, batch.counts, given.known, purpose), steps)[:, -1:]


@torch.no_grad()
def roll_history(model: Denoiser, batch: CoarseBatch, rollout: Rollout, seed: int) -> CoarseBatch:
    """Let the model make all keyframes of a batch but the last, one after another as in a closed loop.

    Args:
        model: the Coarse model in its present state; no gradient flows through what it makes.
        batch: B samples of N known keyframes and R >= 2 later ones, with poses.
        rollout: codec and settings.
        seed: of the run.

    Returns:
        A batch whose history ends with R - 1 keyframes of the model's own, and whose one future keyframe is the
        recorded last one: B samples. Where R is above ``LEARN_EVERY`` they come after those of earlier moments of the
        same roll, ``LEARN_EVERY`` keyframes apart, which are learned from as well.

    Raises:
        InvalidConfig: the batch has no poses, without which its own keyframes cannot be warped.
    """
    if batch.poses is None or batch.warp is None or batch.motion is None or batch.warp_mask is None:
        raise InvalidConfig("training on the model's own keyframes needs clips with poses")
    settings = rollout.settings
    history, warp, motion = batch.clean[:, : batch.history], batch.warp[:, :1], batch.motion[:, :1]
    further = None if batch.further is None else batch.further[:, :1]
    last = batch.clean.shape[1] - 1
    boxes = _known_at_the_start(batch)
    learned: list[CoarseBatch] = []
    images = uint8_from_images(rollout.codec.decode_keyframes(batch.clean[:, batch.history - 1 : batch.history])[:, 0])
    for present in range(batch.history, last + 1):
        seen = history[:, -settings.history_keyframes :]
        now = replace(
            _at(batch, present - batch.history),
            clean=torch.cat([seen, batch.clean[:, present : present + 1]], dim=1),
            history=seen.shape[1],
            warp=warp,
            motion=motion,
            further=further,
            poses=None,
            self_rollout=False,
            boxes=(),
        )
        if present > batch.history and (last - present) % LEARN_EVERY == 0:
            learned.append(now)
        if present == last:
            break
        made = next_keyframe(model, now, settings.coarse_steps, seed, f"rollout {present}")
        before, images = images, uint8_from_images(rollout.codec.decode_keyframes(made)[:, 0])
        steps = [relative_to(own[present + 1 : present + 2], own[present]) for own in batch.poses]
        back = [relative_to(own[present - 1 : present], own[present])[0] for own in batch.poses]
        # Driving keeps pictures, not latents, so what the model sees of its own keyframe went through the codec again.
        seen_again = rollout.codec.encode_keyframes(images_from_uint8(images[:, None], made.device))
        history = torch.cat([history, seen_again.to(history.dtype)], dim=1)
        befores = list(zip(before, back, strict=True))
        seen_boxes = [None if own is None else own[present : present + 2] for own in boxes]
        warp, further = (views.to(history) for views in _views(images, batch, steps, befores, seen_boxes, rollout))
        motion = torch.stack([torch.from_numpy(motion_features(step)) for step in steps]).to(motion)
    return _joined([now for now in learned if now.history == learned[-1].history])


def _joined(batches: Sequence[CoarseBatch]) -> CoarseBatch:
    """The samples of several moments of one roll; each draws noise of its own."""
    joined: dict[str, Any] = {}
    for name in (field.name for field in fields(CoarseBatch)):
        if isinstance(getattr(batches[-1], name), Tensor):
            joined[name] = torch.cat([getattr(batch, name) for batch in batches])
    # The last moment's samples keep their numbers; no run counts as far as those of the others.
    counts = [n + 2**44 * back for back in reversed(range(len(batches))) for n in batches[-1].counts]
    cameras = [camera for batch in batches for camera in batch.cameras]
    return replace(batches[-1], counts=tuple(counts), cameras=tuple(cameras), **joined)


def _known_at_the_start(batch: CoarseBatch) -> list[FloatArray | None]:
    """Boxes of the other road users without those that came into view later: the model's own drive has none of them."""
    kept = []
    for own, camera in zip(batch.boxes or [None] * len(batch.cameras), batch.cameras, strict=True):
        if own is not None:
            known = in_view(own[batch.history - 1], camera.intrinsics.image_size)
            own = np.where(known[:, None], own, np.nan)
        kept.append(own)
    return kept


def _at(batch: CoarseBatch, future: int) -> CoarseBatch:
    """A batch whose one new keyframe is one of those to come: its layout, warps as valid as the first."""
    here = slice(future, future + 1)
    return replace(
        batch,
        warp_mask=None if batch.warp_mask is None else batch.warp_mask[:, :1],
        layout=None if batch.layout is None else batch.layout[:, here],
        layout_mask=None if batch.layout_mask is None else batch.layout_mask[:, here],
    )


def _views(
    images: Images,
    batch: CoarseBatch,
    steps: list[np.ndarray],
    befores: list[tuple[Images, np.ndarray]],
    boxes: list[FloatArray | None],
    rollout: Rollout,
) -> tuple[Tensor, Tensor]:
    """Latents (B, 1, C, h, w) and (B, 1, S, C, h, w), S possibly 0, of B keyframes as seen from one keyframe ahead.

    Between keyframes there are no frames here, so what is matched lies a whole keyframe back.
    """
    given = zip(images, batch.cameras, steps, befores, boxes, strict=True)
    views = np.stack(
        [
            keyframe_views(image, camera, step, before, rollout.settings, seen)[0][0]
            for image, camera, step, before, seen in given
        ]
    )
    encoded: Tensor = rollout.codec.encode_keyframes(images_from_uint8(views, batch.clean.device))
    return encoded[:, :1], encoded[:, None, 1:]
