"""What the models are given of a frame, as latents: its views along the trajectory, and the road's layout.

Pictures are made frame by frame on the CPU (``warped``), and all views of a batch are encoded in one pass.

Keyframes that have been shown are seen again: each is the present frame once, and part of the history for seconds.
CogVideoX's autoencoder takes longer over a picture than keeping its latent costs, so there each is encoded once. It is
then encoded alone, so that what it gives never depends on what was kept.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from longdwm_env.io.caching import Kept
from longdwm_env.models.closed_loop.sample_threads import SampleThreads
from longdwm_env.models.closed_loop.samples import Gap, Present
from longdwm_env.models.codec.video_codec import Codec, CogVideoXCodec, images_from_uint8
from longdwm_env.models.conditioning.warped_pictures import clip_views, keyframe_views, layout_pictures
from longdwm_env.models.settings import LongDWMSettings
from longdwm_env.types import FloatArray, Images

Pictures = Sequence[Images]

KEPT = 64
"""Latents of shown keyframes that are kept, with their pictures (1 MB each at full size): of a dozen drivers."""


Views = dict[str, Tensor]
"""Latents and masks, as ``coarse_conditioning`` and ``fine_conditioning`` name them."""


class ViewEncoder:
    """Pictures to latents, and frames to their views."""

    def __init__(
        self, codec: Codec, settings: LongDWMSettings, device: torch.device, dtype: torch.dtype, threads: SampleThreads
    ) -> None:
        self.codec, self.settings, self.device, self.dtype, self.threads = codec, settings, device, dtype, threads
        self._kept = Kept(self._alone, KEPT) if isinstance(codec, CogVideoXCodec) else None

    def keyframes(self, images: Pictures) -> Tensor:
        """B x (K, H, W, 3) -> (B, K, C, h, w)."""
        return self.codec.encode_keyframes(self._tensor(images)).to(self.dtype)

    def shown(self, images: Pictures) -> Tensor:
        """Keyframes that have been shown, B x (K, H, W, 3) -> (B, K, C, h, w): as ``keyframes``, each encoded once."""
        if self._kept is None:
            return self.keyframes(images)
        return torch.stack([torch.stack([self._kept(each.tobytes(), each.shape) for each in own]) for own in images])

    def _alone(self, picture: bytes, shape: tuple[int, ...]) -> Tensor:
        return self.keyframes([np.frombuffer(picture, np.uint8).reshape(1, *shape)])[0, 0]

    def next_keyframes(
        self, presents: Sequence[Present], poses: Sequence[FloatArray]
    ) -> Callable[[], tuple[Views, Images]]:
        """For the Coarse model: present frames as seen from R keyframes ahead.

        Args:
            presents: B drivers.
            poses: B x (R, 3) of the keyframes in the ego frames of the present ones.

        Returns:
            A function that encodes them, and gives the pictures too, uint8 (B, R, V, H, W, 3).
        """
        given = zip(presents, poses, strict=True)
        made = self.threads.run([partial(self._one_present, *each) for each in given])
        return partial(self._encoded_keyframes, *map(np.stack, zip(*made, strict=True)))

    def between(self, gaps: Sequence[Gap], ends: bool = True) -> Callable[[], Views]:
        """For the Fine model: what lies between two keyframes, as seen from either.

        Args:
            gaps: B gaps.
            ends: whether the model looks at the views of the keyframes themselves; else these are zeros, which takes a
                codec that encodes every frame alone.

        Returns:
            A function that encodes it.
        """
        made = self.threads.run([partial(self._one_gap, gap, ends) for gap in gaps])
        return partial(self._encoded_clips, made, ends)

    def _one_present(self, present: Present, poses: FloatArray) -> tuple[Images, FloatArray, FloatArray]:
        """(R, V, H, W, 3) pictures, and (R,) each: where the views mean something, where the layout does."""
        camera = present.camera
        shown, mask = keyframe_views(present.history[-1], camera, poses, present.before, self.settings, present.boxes)
        if not self.settings.road_layout:
            return shown, mask, np.zeros_like(mask)
        layouts, known = layout_pictures(present.layout, camera, poses)
        return np.concatenate([shown, layouts[:, None]], axis=1), mask, known

    def _one_gap(self, gap: Gap, ends: bool) -> tuple[Sequence[Images], FloatArray]:
        """V videos (T, H, W, 3), the layout last where the model knows it, and (F,), where that means something.

        Without ends, videos (T - 2, H, W, 3).
        """
        views = list(clip_views(gap.first, gap.last, gap.camera, gap.poses, self.settings))
        if not ends:
            views = [video[1:-1] for video in views]
        shown_by = self.codec.last_frames(len(gap.poses) + 1)
        if not self.settings.road_layout:
            return views, np.zeros(len(shown_by), np.float32)
        poses = np.concatenate([np.zeros((1, 3)), gap.poses]) if ends else gap.poses[:-1]
        layouts, known = layout_pictures(gap.layout, gap.camera, poses)
        return [*views, layouts], known[list(shown_by)] if ends else np.pad(known, 1)

    def _encoded_keyframes(self, shown: Images, mask: FloatArray, layout_mask: FloatArray) -> tuple[Views, Images]:
        """Views of (B, R, V, H, W, 3)."""
        latents = self.keyframes(list(shown.reshape(len(shown), -1, *shown.shape[3:]))).unflatten(1, shown.shape[1:3])
        views, pictures = {"warp": latents[:, :, 0], "warp_mask": torch.from_numpy(mask)}, latents
        if self.settings.road_layout:
            views |= {"layout": latents[:, :, -1], "layout_mask": torch.from_numpy(layout_mask)}
            pictures = latents[:, :, :-1]
        return views | ({"further": pictures[:, :, 1:]} if pictures.shape[2] > 1 else {}), shown

    def _encoded_clips(self, made: Sequence[tuple[Sequence[Images], FloatArray]], ends: bool) -> Views:
        """Views of B lists of V videos, as ``_one_gap`` makes them."""
        videos = [video for views, _ in made for video in views]
        latents = self.codec.encode_clip(self._tensor(videos)).to(self.dtype).unflatten(0, (len(made), -1))
        if not ends:
            latents = pad(latents, (0, 0, 0, 0, 0, 0, 1, 1))
        settings = self.settings
        views, pictures = {"warp_first": latents[:, 0]}, latents
        if settings.road_layout:
            known = torch.from_numpy(np.stack([known for _, known in made]))
            views |= {"layout": latents[:, -1], "layout_mask": known}
            pictures = latents[:, :-1]
        if settings.backward_warp:
            views["warp_last"] = pictures[:, 1]
        return views | ({"between": pictures[:, -1]} if settings.matched_sweep is not None else {})

    def _tensor(self, images: Pictures) -> Tensor:
        return images_from_uint8(np.stack(images), self.device, self.dtype)
