"""The one place that builds what a denoiser is told: known frames, warps, ego motion, text.

Training and driving both call it. Two layers: the lower one makes pictures from one frame and a trajectory
(``keyframe_warps``, ``clip_warps``, ``backward_clip_warps``) and numbers from poses (``motion_features``), and training
stores their latents; the upper one (``coarse_conditioning``, ``fine_conditioning``) puts latents in their places.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from longdwm_env import clock
from longdwm_env.geometry.pose import relative_to
from longdwm_env.geometry.sweep import images_between, predicted_images
from longdwm_env.geometry.warp import WarpSettings, warp_and_mask, warp_images
from longdwm_env.models.settings import LongDWMSettings
from longdwm_env.types import Camera


@dataclass(frozen=True)
class Conditioning:
    """What a denoiser is told about B clips of F latent frames.

    Attributes:
        known: (B, F, C, h, w) clean latents where known, zeros elsewhere.
        known_mask: (B, F), 1 where ``known`` means something.
        exact_mask: (B, F), 1 where ``known`` is the very latent that the clip has there, so that sampling puts it back.
        text: (B, S, D) text embedding.
        warp: (B, F, V, C, h, w) latents of V warped videos: from the first frame on, and back from the last.
        warp_mask: (B, F, V), 1 where the warp means something.
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

    def __getitem__(self, index: slice) -> "Conditioning":
        return self._map(lambda tensor: tensor[index])

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Conditioning":
        """Every tensor on a device, of a type."""
        return self._map(lambda tensor: tensor.to(device=device, dtype=dtype))

    def with_text(self, text: Tensor) -> "Conditioning":
        """The same with another (B, S, D) or (1, S, D) text embedding."""
        return replace(self, text=text.to(self.text).expand_as(self.text))

    def without_warp(self, keep: Tensor) -> "Conditioning":
        """The same without warp and motion where ``keep`` (B,) is False: as if no trajectory were known."""
        held = _hold_last_known(self.known, self.known_mask)[:, :, None].expand_as(self.warp)
        chosen = keep.to(device=self.warp.device, dtype=torch.bool)
        return replace(
            self,
            warp=torch.where(chosen.reshape(-1, 1, 1, 1, 1, 1), self.warp, held),
            warp_mask=self.warp_mask * chosen.reshape(-1, 1, 1),
            motion=self.motion * chosen.reshape(-1, 1, 1),
        )

    @staticmethod
    def concatenate(parts: Sequence["Conditioning"]) -> "Conditioning":
        """Several batches, of clips of one length, as one."""
        names = Conditioning.__dataclass_fields__
        return Conditioning(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


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
    sweep: Float[Tensor, "b r p c h w"] | None = None,
) -> Conditioning:
    """Conditions of the Coarse model: N clean keyframes, then R = num_frames - N to be made (LongDWM, Eq. 3).

    At the history's frames the warp is the frame itself. Without a warp the last keyframe takes its place, masked out.

    Args:
        history: (B, N, C, h, w) clean latents of the keyframes so far, oldest first, one second apart.
        num_frames: keyframes of the pass, N + R.
        text: (B, S, D).
        warp: (B, R, C, h, w) latents of the last keyframe warped to each new keyframe.
        warp_mask: (B, R), 1 where that warp means something; None for everywhere.
        motion: (B, R, 6) ``motion_features`` of the new keyframes, counted from the last known one.
        sweep: (B, R, S, C, h, w) latents of ``keyframe_sweep``, as valid as ``warp``.

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
    if sweep is not None and warp is not None:
        planes = sweep.shape[2]
        held = history[:, :, None].expand(-1, -1, planes, -1, -1, -1)
        views = torch.cat([views, torch.cat([held, sweep.to(history)], dim=1)], dim=2)
        guidance = guidance.expand(-1, -1, 1 + planes)
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
    sweep_first: Float[Tensor, "b f p c h w"] | None = None,
    sweep_last: Float[Tensor, "b f p c h w"] | None = None,
    between: Float[Tensor, "b f c h w"] | None = None,
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
        sweep_first: (B, F, S, C, h, w) latents of ``clip_sweep`` of the first frame.
        sweep_last: the same of the last frame; None where the model has forward views only, or no last frame.
        between: (B, F, C, h, w) latents of ``clip_between``; where the last frame is not known, ``warp_first`` takes
            their place. ``warp_first`` is then also a view of its own.
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
    if warp_last is None and (sweep_first is not None or between is not None):
        # The order of views is fixed: forward, backward, forward again behind a matched sweep, then the sweeps.
        views.append(torch.zeros_like(known))
        guidance.append(torch.zeros_like(mask))
    if between is not None:
        views.append(forward)
        guidance.append(guidance[0])
    if sweep_first is not None:
        views += [plane.to(first) for plane in sweep_first.unbind(2)]
        guidance += [torch.ones_like(mask)] * sweep_first.shape[2]
        if sweep_last is not None:
            views += [plane.to(first) for plane in sweep_last.unbind(2)]
            guidance += [kept[:, None].expand_as(mask)] * sweep_last.shape[2]
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
    return (np.concatenate([poses, steps], axis=1) / [10, 10, 1, 10, 10, 1]).astype(np.float32)


def keyframe_warps(
    image: UInt8[np.ndarray, "h w 3"], camera: Camera, poses: Float[np.ndarray, "r 3"], settings: LongDWMSettings
) -> tuple[UInt8[np.ndarray, "r h w 3"], Float[np.ndarray, "r"]]:
    """The present keyframe as it will look from R keyframes ahead, as far as a depth-free warp can say.

    Args:
        image: (H, W, 3) uint8.
        camera: its camera.
        poses: (R, 3) poses of the new keyframes, one interval apart, in the ego frame of ``image``.
        settings: variant and depth of the warp, and its horizon.

    Returns:
        uint8 (R, H, W, 3), and float32 (R,), 1 up to the horizon; beyond it the last warp is repeated.
    """
    count = len(poses)
    reach = max(1, min(count, int(settings.coarse_warp_horizon_s / clock.INTERVAL_S + 1e-9)))
    warped = warp_images(image, camera, np.asarray(poses)[:reach], settings.warp)
    mask = np.zeros(count, dtype=np.float32)
    mask[:reach] = float(settings.coarse_warp_horizon_s >= clock.INTERVAL_S)
    return np.concatenate([warped, np.repeat(warped[-1:], count - reach, axis=0)]), mask


def clip_warps(
    image: UInt8[np.ndarray, "h w 3"], camera: Camera, poses: Float[np.ndarray, "t 3"], settings: LongDWMSettings
) -> UInt8[np.ndarray, "t+1 h w 3"]:
    """A clip's first frame, and what it looks like from each later pose (LongDWM, Eq. 9).

    Args:
        image: (H, W, 3) uint8, frame 0.
        camera: its camera.
        poses: (T, 3) poses of frames 1..T in the ego frame of frame 0.
        settings: variant and depth of the warp.

    Returns:
        uint8 (T + 1, H, W, 3).
    """
    return np.concatenate([image[None], warp_images(image, camera, np.asarray(poses), settings.warp)])


def backward_clip_warps(
    last_image: UInt8[np.ndarray, "h w 3"],
    camera: Camera,
    poses: Float[np.ndarray, "t 3"],
    settings: LongDWMSettings,
    forward: UInt8[np.ndarray, "t+1 h w 3"],
) -> UInt8[np.ndarray, "t+1 h w 3"]:
    """A clip's last frame as seen from the poses of frames 0..T-1, and itself.

    Args:
        last_image: (H, W, 3) uint8, frame T.
        camera: its camera.
        poses: (T, 3) poses of frames 1..T in the ego frame of frame 0.
        settings: variant and depth of the warp.
        forward: what ``clip_warps`` made of the first frame; it fills what the last frame does not reach.

    Returns:
        uint8 (T + 1, H, W, 3).
    """
    poses = np.asarray(poses, dtype=np.float64)
    earlier = np.concatenate([np.zeros((1, 3)), poses[:-1]])
    from_last = relative_to(earlier, poses[-1])
    # Seen from behind, the last frame has a wide rim that it does not reach; inpainting it would take most of the time
    # of a second's geometry, and the first frame's warp shows what is there.
    warped, known = warp_and_mask(last_image, camera, from_last, settings.warp)
    np.copyto(warped, forward[:-1], where=~known[..., None])
    return np.concatenate([warped, last_image[None]])


def keyframe_prediction(
    image: UInt8[np.ndarray, "h w 3"],
    camera: Camera,
    poses: Float[np.ndarray, "r 3"],
    before: tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "3"]] | None,
    warped: UInt8[np.ndarray, "r h w 3"],
    settings: LongDWMSettings,
) -> UInt8[np.ndarray, "r h w 3"]:
    """``keyframe_warps`` by the planes that explain how the present keyframe came about.

    Args:
        image: (H, W, 3) uint8.
        camera: its camera.
        poses: (R, 3) poses of the new keyframes, one interval apart, in the ego frame of ``image``.
        before: an earlier frame (H, W, 3), and its pose (3,) in the ego frame of ``image``; None where there is none.
        warped: (R, H, W, 3), what ``keyframe_warps`` says: the answer without an earlier frame, and beyond the horizon.
        settings: how planes are matched, and the warp's horizon.
    """
    if before is None:
        return warped
    reach = max(1, min(len(poses), int(settings.coarse_warp_horizon_s / clock.INTERVAL_S + 1e-9)))
    near = np.asarray(poses, dtype=np.float64)[:reach]
    made = predicted_images(image, camera, near, *before, warped[:reach], settings.sweep)
    return np.concatenate([made, np.repeat(made[-1:], len(poses) - reach, axis=0)])


def keyframe_views(
    image: UInt8[np.ndarray, "h w 3"],
    camera: Camera,
    poses: Float[np.ndarray, "r 3"],
    before: tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "3"]] | None,
    settings: LongDWMSettings,
) -> tuple[UInt8[np.ndarray, "r h w 3"], UInt8[np.ndarray, "r p h w 3"], Float[np.ndarray, "r"]]:
    """All views of the new keyframes that the Coarse model is shown: the first, the further ones, and their mask.

    Args:
        image: (H, W, 3) uint8.
        camera: its camera.
        poses: (R, 3) poses of the new keyframes, one interval apart, in the ego frame of ``image``.
        before: see ``keyframe_prediction``.
        settings: which views.
    """
    warped, mask = keyframe_warps(image, camera, poses, settings)
    swept = keyframe_sweep(image, camera, poses, settings)
    if not settings.matched_sweep:
        return warped, swept, mask
    predicted = keyframe_prediction(image, camera, poses, before, warped, settings)
    return predicted, np.concatenate([warped[:, None], swept], axis=1), mask


def clip_between(
    first_image: UInt8[np.ndarray, "h w 3"],
    last_image: UInt8[np.ndarray, "h w 3"],
    camera: Camera,
    poses: Float[np.ndarray, "t 3"],
    settings: LongDWMSettings,
    forward: UInt8[np.ndarray, "t+1 h w 3"],
) -> UInt8[np.ndarray, "t+1 h w 3"]:
    """A clip between two known frames, by the planes that take one to the other.

    Args:
        first_image: (H, W, 3) uint8, frame 0.
        last_image: (H, W, 3) uint8, frame T.
        camera: of both.
        poses: (T, 3) poses of frames 1..T in the ego frame of frame 0.
        settings: how planes are matched.
        forward: what ``clip_warps`` made of the first frame; it fills what neither end shows.

    Returns:
        uint8 (T + 1, H, W, 3), both ends included.
    """
    poses = np.asarray(poses, dtype=np.float64)
    made = images_between(first_image, last_image, camera, poses, forward[1:-1], settings.sweep)
    return np.concatenate([first_image[None], made, last_image[None]])


def keyframe_sweep(
    image: UInt8[np.ndarray, "h w 3"], camera: Camera, poses: Float[np.ndarray, "r 3"], settings: LongDWMSettings
) -> UInt8[np.ndarray, "r s h w 3"]:
    """``keyframe_warps`` through each plane of ``settings.coarse_sweep``; what comes from outside repeats the border.

    Args:
        image: (H, W, 3) uint8.
        camera: its camera.
        poses: (R, 3) poses of the new keyframes, one interval apart, in the ego frame of ``image``.
        settings: planes, and the warp's horizon.

    Returns:
        uint8 (R, S, H, W, 3); beyond the horizon the last one is repeated.
    """
    count = len(poses)
    reach = max(1, min(count, int(settings.coarse_warp_horizon_s / clock.INTERVAL_S + 1e-9)))
    swept = _sweep(image, camera, np.asarray(poses)[:reach], settings.coarse_sweep)
    return np.concatenate([swept, np.repeat(swept[-1:], count - reach, axis=0)])


def clip_sweep(
    image: UInt8[np.ndarray, "h w 3"], camera: Camera, poses: Float[np.ndarray, "t 3"], settings: LongDWMSettings
) -> UInt8[np.ndarray, "t+1 s h w 3"]:
    """``clip_warps`` through each plane of ``settings.fine_sweep``."""
    swept = _sweep(image, camera, np.asarray(poses), settings.fine_sweep)
    return np.concatenate([np.repeat(image[None, None], swept.shape[1], axis=1), swept])


def backward_clip_sweep(
    last_image: UInt8[np.ndarray, "h w 3"], camera: Camera, poses: Float[np.ndarray, "t 3"], settings: LongDWMSettings
) -> UInt8[np.ndarray, "t+1 s h w 3"]:
    """``backward_clip_warps`` through each plane of ``settings.fine_sweep``."""
    poses = np.asarray(poses, dtype=np.float64)
    earlier = np.concatenate([np.zeros((1, 3)), poses[:-1]])
    swept = _sweep(last_image, camera, relative_to(earlier, poses[-1]), settings.fine_sweep)
    return np.concatenate([swept, np.repeat(last_image[None, None], swept.shape[1], axis=1)])


def _sweep(
    image: UInt8[np.ndarray, "h w 3"],
    camera: Camera,
    poses: Float[np.ndarray, "t 3"],
    planes: Sequence[tuple[float, float]],
) -> UInt8[np.ndarray, "t s h w 3"]:
    views = [
        warp_and_mask(image, camera, poses, WarpSettings(variant="plane", depth_m=depth, max_zoom=zoom))[0]
        for depth, zoom in planes
    ]
    return np.stack(views, axis=1) if views else np.empty((len(poses), 0, *image.shape), np.uint8)
