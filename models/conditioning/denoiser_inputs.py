"""The one place that builds what a denoiser is given: known frames, warps, ego motion, text.

Training and driving both call it. The pictures come from ``warped_pictures``; here their latents are put in their
places.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from longdwm_env.geometry.pose import relative_to


@dataclass(frozen=True)
class Conditioning:
    """What a denoiser is given of B clips of F latent frames.

    Attributes:
        known: (B, F, C, h, w) clean latents where known, zeros elsewhere.
        known_mask: (B, F), 1 where ``known`` means something.
        exact_mask: (B, F), 1 where ``known`` is the very latent that the clip has there, so that sampling puts it back.
        text: (B, S, D) text embedding.
        warp: (B, F, V, C, h, w) latents of V views, in the order that ``coarse_conditioning`` and
            ``fine_conditioning`` give them.
        warp_mask: (B, F, V), 1 where the view means something.
        motion: (B, F, 6), see ``motion_features``.
    """

    known: Float[Tensor, "b f c h w"]
    known_mask: Float[Tensor, "b f"]
    exact_mask: Float[Tensor, "b f"]
    text: Float[Tensor, "b s d"]
    warp: Float[Tensor, "b f v c h w"]
    warp_mask: Float[Tensor, "b f v"]
    motion: Float[Tensor, "b f 6"]

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Conditioning":
        return Conditioning(**{name: change(getattr(self, name)) for name in self.__dataclass_fields__})

    def __len__(self) -> int:
        return len(self.known)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Conditioning":
        """Every tensor on a device, of a type."""
        return self._map(lambda tensor: tensor.to(device=device, dtype=dtype))

    def with_text(self, text: Tensor) -> "Conditioning":
        """The same with another (B, S, D) or (1, S, D) text embedding."""
        return replace(self, text=text.to(self.text).expand_as(self.text))

    def without_warp(self, keep: Tensor) -> "Conditioning":
        """The same without views and motion where ``keep`` (B,) is False: as if no trajectory were known."""
        held = _hold_last_known(self.known, self.known_mask)[:, :, None].expand_as(self.warp)
        chosen = keep.to(device=self.warp.device, dtype=torch.bool)
        return replace(
            self,
            warp=torch.where(chosen.reshape(-1, 1, 1, 1, 1, 1), self.warp, held),
            warp_mask=self.warp_mask * chosen.reshape(-1, 1, 1),
            motion=self.motion * chosen.reshape(-1, 1, 1),
        )

    def without_layout(self, keep: Tensor) -> "Conditioning":
        """The same without its last view, the road's layout, where ``keep`` (B,) is False: as if there were no map."""
        mask = self.warp_mask.clone()
        mask[:, :, -1] = mask[:, :, -1] * keep.to(mask)[:, None]
        return replace(self, warp_mask=mask)

    def repeated(self, times: int) -> "Conditioning":
        """Each clip ``times`` over."""
        return self._map(lambda tensor: tensor.repeat_interleave(times, dim=0))


def _hold_last_known(known: Tensor, known_mask: Tensor) -> Tensor:
    """(B, F, C, h, w): each frame repeats the latest frame known from the start on without a gap."""
    run = known_mask.cumprod(dim=1).sum(dim=1).long().clamp(min=1) - 1
    index = torch.minimum(torch.arange(known.shape[1], device=known.device)[None], run[:, None])
    return known.gather(1, index[:, :, None, None, None].expand_as(known))


def coarse_conditioning(
    history: Float[Tensor, "b n c h w"],
    num_frames: int,
    text: Float[Tensor, "b s d"],
    warp: Float[Tensor, "b r c h w"] | None = None,
    warp_mask: Float[Tensor, "b r"] | None = None,
    motion: Float[Tensor, "b r 6"] | None = None,
    further: Float[Tensor, "b r p c h w"] | None = None,
    layout: Float[Tensor, "b r c h w"] | None = None,
    layout_mask: Float[Tensor, "b r"] | None = None,
) -> Conditioning:
    """Conditions of the Coarse model: N clean keyframes, then R = num_frames - N to be made (LongDWM, Eq. 3).

    At the history's frames each view is the frame itself. Without a warp the last keyframe takes its place, masked out.
    The order of views: the warp, the further ones, the layout.

    Args:
        history: (B, N, C, h, w) clean latents of the keyframes so far, oldest first, one second apart.
        num_frames: keyframes of the pass, N + R.
        text: (B, S, D).
        warp: (B, R, C, h, w) latents of the last keyframe warped to each new keyframe.
        warp_mask: (B, R), 1 where that warp means something; None for everywhere.
        motion: (B, R, 6) ``motion_features`` of the new keyframes, counted from the last known one.
        further: (B, R, S, C, h, w) latents of the other views of ``warped.keyframe_views``, as valid as ``warp``.
        layout: (B, R, C, h, w) latents of the road's layout as seen from each new keyframe, for models that know it.
        layout_mask: (B, R), 1 where there is a map; None for everywhere.

    Raises:
        ValueError: there is no history, or no frame left to make.
    """
    batch, count = history.shape[:2]
    remaining = num_frames - count
    if count < 1 or remaining < 1:
        raise ValueError(f"{count} history keyframes of {num_frames}: at least one is known and one is made")
    known = torch.cat([history, history.new_zeros(batch, remaining, *history.shape[2:])], dim=1)
    mask = history.new_zeros(batch, num_frames)
    mask[:, :count] = 1
    guidance = mask.clone()
    ego_motion = history.new_zeros(batch, num_frames, 6)
    if warp is None:
        views = _hold_last_known(known, mask)
    else:
        views = torch.cat([history, warp.to(history)], dim=1)
        guidance[:, count:] = 1 if warp_mask is None else warp_mask.to(history)
    if motion is not None:
        ego_motion[:, count:] = motion.to(history)
    views, guidance = views[:, :, None], guidance[:, :, None]
    if further is not None and warp is not None:
        count_further = further.shape[2]
        held = history[:, :, None].expand(-1, -1, count_further, -1, -1, -1)
        views = torch.cat([views, torch.cat([held, further.to(history)], dim=1)], dim=2)
        guidance = guidance.expand(-1, -1, 1 + count_further)
    if layout is not None:
        views = torch.cat([views, torch.cat([history, layout.to(history)], dim=1)[:, :, None]], dim=2)
        present = torch.ones_like(mask)
        if layout_mask is not None:
            present[:, count:] = layout_mask.to(history)
        guidance = torch.cat([guidance, present[:, :, None]], dim=2)
    return Conditioning(known, mask, mask, text, views, guidance, ego_motion)


def fine_conditioning(
    first: Float[Tensor, "b c h w"],
    last: Float[Tensor, "b c h w"] | None,
    num_latents: int,
    text: Float[Tensor, "b s d"],
    warp_first: Float[Tensor, "b f c h w"] | None = None,
    warp_last: Float[Tensor, "b f c h w"] | None = None,
    motion: Float[Tensor, "b f 6"] | None = None,
    last_is_exact: bool = True,
    keep_last: Bool[Tensor, "b"] | Float[Tensor, "b"] | None = None,
    between: Float[Tensor, "b f c h w"] | None = None,
    held_ends: bool = False,
    layout: Float[Tensor, "b f c h w"] | None = None,
    layout_mask: Float[Tensor, "b f"] | None = None,
) -> Conditioning:
    """Conditions of the Fine model: the first frame, and the last one where it is known (LongDWM, Eq. 6).

    Args:
        first: (B, C, h, w) latent of the clip's first frame, encoded alone.
        last: (B, C, h, w) latent of its last frame, encoded alone; None for prediction instead of interpolation.
        num_latents: F, latent frames of the clip.
        text: (B, S, D).
        warp_first: (B, F, C, h, w) latents of the clip that the first frame warped along the trajectory gives.
        warp_last: the same, of the last frame warped back; None where the model has one view only.
        motion: (B, F, 6) ``motion_features`` at ``codec.last_frames``.
        last_is_exact: whether the clip's last latent is the last frame's own (no temporal compression).
        keep_last: (B,), False where the last frame is dropped; it takes its backward warp with it.
        between: (B, F, C, h, w) latents of ``warped.clip_between``; where the last frame is not known, ``warp_first``
            takes their place. ``warp_first`` is then also a view of its own.
        held_ends: both end frames, held, are views, where there are warps.
        layout: (B, F, C, h, w) latents of the road's layout, for models that know it.
        layout_mask: (B, F), 1 where there is a map; None for everywhere.
    """
    batch = len(first)
    kept = first.new_zeros(batch) if last is None else first.new_ones(batch)
    if last is not None and keep_last is not None:
        kept = keep_last.to(first)
    known = first.new_zeros(batch, num_latents, *first.shape[1:])
    mask = first.new_zeros(batch, num_latents)
    known[:, 0], mask[:, 0] = first, 1
    exact = mask.clone()
    if last is not None:
        known[:, -1] = last.to(first) * kept.reshape(-1, 1, 1, 1)
        mask[:, -1] = kept
        exact[:, -1] = kept * float(last_is_exact)
    held = first[:, None].expand_as(known)
    forward = held if warp_first is None else warp_first.to(first)
    if between is None:
        views = [forward]
    else:
        views = [torch.where(kept.reshape(-1, 1, 1, 1, 1) > 0.5, between.to(first), forward)]
    guidance = [torch.full_like(mask, float(warp_first is not None))]
    if warp_last is not None:
        views.append(warp_last.to(first))
        guidance.append(kept[:, None].expand_as(mask))
    held_ends = held_ends and warp_first is not None
    # The order of views is fixed: the matched sweep in the place of the warp, the backward warp, the warp again, the
    # held ends, the layout.
    if warp_last is None and (between is not None or held_ends):
        views.append(torch.zeros_like(known))
        guidance.append(torch.zeros_like(mask))
    if between is not None:
        views.append(forward)
        guidance.append(guidance[0])
    if held_ends:
        views += [first[:, None].expand_as(known), known[:, -1:].expand_as(known)]
        guidance += [torch.ones_like(mask), kept[:, None].expand_as(mask)]
    if layout is not None:
        views.append(layout.to(first))
        guidance.append(torch.ones_like(mask) if layout_mask is None else layout_mask.to(first))
    ego_motion = first.new_zeros(batch, num_latents, 6) if motion is None else motion.to(first)
    return Conditioning(known, mask, exact, text, torch.stack(views, 2), torch.stack(guidance, 2), ego_motion)


def noised_history(
    conditioning: Conditioning, noise: Float[Tensor, "b f c h w"], strength: Float[Tensor, "b"]
) -> Conditioning:
    """Known latents blended with noise, keeping their variance, so that the model forgives errors in them.

    Args:
        conditioning: B clips.
        noise: (B, F, C, h, w) Gaussian.
        strength: (B,) standard deviation of the noise in the blend, in [0, 1).
    """
    sigma = strength.to(noise).reshape(-1, 1, 1, 1, 1)
    blended = (1 - sigma**2).sqrt() * conditioning.known + sigma * noise
    return replace(conditioning, known=blended * conditioning.known_mask[:, :, None, None, None])


def motion_features(poses: Float[np.ndarray, "f 3"]) -> Float[np.ndarray, "f 6"]:
    """Ego motion as numbers near 1: where each latent frame is, and how it got there from the one before.

    Args:
        poses: (F, 3) poses at F latent frames, in the ego frame of the frame that they are counted from.

    Returns:
        float32 (F, 6): x / 10 m, y / 10 m, heading in rad, and the pose in the frame of the latent frame before, in the
        same units. The first latent frame's "before" is the origin.
    """
    poses = np.asarray(poses, dtype=np.float64).reshape(-1, 3)
    before = np.concatenate([np.zeros((1, 3)), poses[:-1]])
    steps = np.stack([relative_to(pose[None], origin)[0] for pose, origin in zip(poses, before, strict=True)])
    return np.asarray((np.concatenate([poses, steps], axis=1) / [10, 10, 1, 10, 10, 1]).astype(np.float32))
