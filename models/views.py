"""What the models are shown of a frame: its warps along the trajectory, as latents.

Pictures are made frame by frame on the CPU (``conditioning``), and all views of a batch are encoded in one pass.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from longdwm_env.models.codec import Codec, images_from_uint8
from longdwm_env.models.conditioning import (
    backward_clip_sweep,
    backward_clip_warps,
    clip_between,
    clip_sweep,
    clip_warps,
    keyframe_views,
)
from longdwm_env.models.lanes import Lanes
from longdwm_env.models.settings import LongDWMSettings
from longdwm_env.types import Camera, FloatArray, Images

Pictures = Sequence[Images]


@dataclass(frozen=True)
class Views:
    """Latents of B frames as seen along B trajectories.

    Attributes:
        warp: (B, F, C, h, w) through the warp.
        sweep: (B, F, S, C, h, w) through the planes of the sweep; None where the model has none.
        pictures: B x uint8 (T, H, W, 3), what ``warp`` was encoded from.
    """

    warp: Tensor
    sweep: Tensor | None
    pictures: tuple[Images, ...]


class ViewEncoder:
    """Pictures to latents, and frames to their views.

    Args:
        codec: between pictures and latents.
        settings: warp and sweeps.
        device: where the codec works.
        dtype: of the latents.
        lanes: where pictures are warped, side by side.
    """

    def __init__(
        self, codec: Codec, settings: LongDWMSettings, device: torch.device, dtype: torch.dtype, lanes: Lanes
    ) -> None:
        self.codec, self.settings, self.device, self.dtype, self.lanes = codec, settings, device, dtype, lanes

    def keyframes(self, images: Pictures) -> Tensor:
        """B x (K, H, W, 3) -> (B, K, C, h, w)."""
        return self.codec.encode_keyframes(self._tensor(images)).to(self.dtype)

    def next_keyframes(
        self,
        firsts: Pictures,
        cameras: Sequence[Camera],
        poses: Sequence[FloatArray],
        befores: Sequence[tuple[Images, FloatArray] | None],
    ) -> tuple[Callable[[], Views], Tensor]:
        """For the Coarse model: frames as seen from R keyframes ahead.

        Args:
            firsts: B frames (H, W, 3).
            cameras: their cameras.
            poses: B x (R, 3) of the keyframes in the ego frames of ``firsts``.
            befores: earlier frames with their poses, see ``Present.before``.

        Returns:
            A function that encodes them, and (B, R), 1 where the warp means something.
        """
        given = zip(firsts, cameras, poses, befores, strict=True)
        made = self.lanes.run([partial(self._one_keyframe, *each) for each in given])
        mask = torch.from_numpy(np.stack([known for _, _, known in made]))
        return partial(self._encoded, [(warp, swept) for warp, swept, _ in made], self.keyframes), mask

    def forward(self, firsts: Pictures, cameras: Sequence[Camera], poses: Sequence[FloatArray]) -> Callable[[], Views]:
        """For the Fine model: clips that first frames make when they are moved along trajectories.

        Args:
            firsts: B frames (H, W, 3).
            cameras: their cameras.
            poses: B x (T, 3) of the frames after them, in their ego frames.

        Returns:
            A function that encodes them.
        """
        given = zip(firsts, cameras, poses, strict=True)
        made = self.lanes.run([partial(self._one_forward, *each) for each in given])
        return partial(self._encoded, made, self._clips)

    def backward(
        self, lasts: Pictures, cameras: Sequence[Camera], poses: Sequence[FloatArray], forward: Pictures
    ) -> Callable[[], Views]:
        """As ``forward``, of the clips' last frames moved back; ``forward`` shows what they do not reach."""
        given = zip(lasts, cameras, poses, forward, strict=True)
        made = self.lanes.run([partial(self._one_backward, *each) for each in given])
        return partial(self._encoded, made, self._clips)

    def between(
        self,
        firsts: Pictures,
        lasts: Pictures,
        cameras: Sequence[Camera],
        poses: Sequence[FloatArray],
        forward: Pictures,
    ) -> Callable[[], Tensor]:
        """For the Fine model with a matched sweep: clips between two frames.

        Returns:
            A function that encodes them, (B, F, C, h, w).
        """
        given = zip(firsts, lasts, cameras, poses, [self.settings] * len(firsts), forward, strict=True)
        made = self.lanes.run([partial(clip_between, *each) for each in given])
        return partial(self._clips, made)

    def _one_keyframe(
        self, image: Images, camera: Camera, poses: FloatArray, before: tuple[Images, FloatArray] | None
    ) -> tuple[Images, Images, np.ndarray]:
        return keyframe_views(image, camera, poses, before, self.settings)

    def _one_forward(self, image: Images, camera: Camera, poses: FloatArray) -> tuple[Images, Images]:
        return clip_warps(image, camera, poses, self.settings), clip_sweep(image, camera, poses, self.settings)

    def _one_backward(self, image: Images, camera: Camera, poses: FloatArray, forward: Images) -> tuple[Images, Images]:
        warped = backward_clip_warps(image, camera, poses, self.settings, forward)
        return warped, backward_clip_sweep(image, camera, poses, self.settings)

    def _encoded(self, made: Sequence[tuple[Images, Images]], encode: Callable[[Pictures], Tensor]) -> Views:
        """Views of B pairs: warped (T, H, W, 3) and swept (T, S, H, W, 3)."""
        planes = made[0][1].shape[1]
        videos = [video for warped, swept in made for video in (warped, *swept.swapaxes(0, 1))]
        latents = encode(videos).unflatten(0, (len(made), 1 + planes)).transpose(1, 2)
        return Views(latents[:, :, 0], latents[:, :, 1:] if planes else None, tuple(warped for warped, _ in made))

    def _clips(self, clips: Pictures) -> Tensor:
        """B x (T, H, W, 3) -> (B, F, C, h, w)."""
        return self.codec.encode_clip(self._tensor(clips)).to(self.dtype)

    def _tensor(self, images: Pictures) -> Tensor:
        return images_from_uint8(np.stack(images), self.device, self.dtype)
