"""One second, or one rollout, of video: the order in which warp, Coarse model, Fine model and codec work.

The pipeline (long videos) and the world (closed loop) both call this. Work runs in batches of one fixed size, filled
up by repeating the last sample: matrix products of different batch sizes differ in their last bits, so this is what
makes the result of a sample independent of the batch that it came in. On a CPU even its place in the batch shows in the
last bits; there a size of one is exact, and larger ones gain nothing.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from longdwm_env import clock, timing
from longdwm_env.models.coarse import CoarseModel
from longdwm_env.models.codec import Codec, images_from_uint8, uint8_from_images
from longdwm_env.models.conditioning import backward_clip_warps, clip_warps, keyframe_warps, motion_features
from longdwm_env.models.denoiser import StepCallback
from longdwm_env.models.fine import FineModel
from longdwm_env.models.sampler import Purpose, counted_noise
from longdwm_env.models.settings import LongDWMSettings
from longdwm_env.types import Camera, FloatArray, Images

CLIP_FRAMES = clock.FRAMES_PER_INTERVAL + 1
"""Frames of a clip of the Fine model: both keyframes and those between."""


@dataclass(frozen=True)
class Present:
    """What one driver has seen so far.

    Attributes:
        history: uint8 (N, H, W, 3) keyframes one second apart, oldest first; the last is the present frame.
        camera: their camera.
        text: (S, D) embedding of the prompt.
        seed: of the episode.
        counter: frames driven so far.
    """

    history: Images
    camera: Camera
    text: Tensor
    seed: int
    counter: int


@dataclass(frozen=True)
class Gap:
    """The second between two keyframes.

    Attributes:
        first: uint8 (H, W, 3) the earlier keyframe.
        last: uint8 (H, W, 3) the later one.
        last_latent: (C, h, w) what ``last`` was decoded from.
        camera: their camera.
        poses: (12, 3) poses of the frames after ``first``, in its ego frame.
        text: (S, D).
        seed: of the episode.
        counter: frames driven at ``first``.
    """

    first: Images
    last: Images
    last_latent: Tensor
    camera: Camera
    poses: FloatArray
    text: Tensor
    seed: int
    counter: int


@dataclass(frozen=True)
class Sampling:
    """How to sample: steps and guidance of one call.

    Attributes:
        coarse_steps: denoising steps of the Coarse model.
        fine_steps: denoising steps of the Fine model.
        guidance_scale: classifier-free guidance; 1 switches it off.
        unconditional_text: (1, S, D), needed with guidance.
        on_coarse_step: see ``Denoiser.sample``.
        on_fine_step: as ``on_coarse_step``.
    """

    coarse_steps: int
    fine_steps: int
    guidance_scale: float = 1.0
    unconditional_text: Tensor | None = None
    on_coarse_step: StepCallback | None = None
    on_fine_step: StepCallback | None = None


class Generation:
    """Coarse model, Fine model and codec at work together. Keeps nothing between calls.

    Args:
        coarse: the Coarse model.
        fine: the Fine model.
        codec: between pictures and latents.
        settings: of the pipeline.
        device: where to work.
        dtype: of latents and conditions.
        micro_batch: samples in each pass, always exactly this many.
    """

    def __init__(
        self,
        coarse: CoarseModel,
        fine: FineModel,
        codec: Codec,
        settings: LongDWMSettings,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        micro_batch: int = 1,
    ) -> None:
        if micro_batch < 1:
            raise ValueError(f"micro_batch is at least 1, got {micro_batch}")
        self.coarse, self.fine, self.codec, self.settings = coarse, fine, codec, settings
        self.device, self.dtype, self.micro_batch = torch.device(device), dtype, micro_batch

    @torch.no_grad()
    def keyframes(
        self, presents: Sequence[Present], poses: Sequence[FloatArray], sampling: Sampling
    ) -> list[tuple[Tensor, Images]]:
        """New keyframes for each driver.

        Args:
            presents: B drivers.
            poses: B arrays (R, 3): poses of the new keyframes in the ego frame of the newest frame; one R for all.
            sampling: steps and guidance.

        Returns:
            B pairs: latents (R, C, h, w), and what they decode to, uint8 (R, H, W, 3).
        """
        results: list[tuple[Tensor, Images] | None] = [None] * len(presents)
        for length in sorted({len(present.history) for present in presents}):
            members = [index for index, present in enumerate(presents) if len(present.history) == length]
            for chunk, real in _chunks(members, self.micro_batch):
                made = self._keyframes([presents[i] for i in chunk], [poses[i] for i in chunk], sampling)
                for position in range(real):
                    results[chunk[position]] = made[position]
        return [result for result in results if result is not None]

    def _keyframes(
        self, presents: Sequence[Present], poses: Sequence[FloatArray], sampling: Sampling
    ) -> list[tuple[Tensor, Images]]:
        with self._stage("geometry"):
            pairs = zip(presents, poses, strict=True)
            warps = [keyframe_warps(p.history[-1], p.camera, ahead, self.settings) for p, ahead in pairs]
            motion = torch.from_numpy(np.stack([motion_features(q) for q in poses]))
        with self._stage("decode"):
            history = self._encode_keyframes([present.history for present in presents])
            warp = self._encode_keyframes([images for images, _ in warps])
        shape = (history.shape[1] + warp.shape[1], *warp.shape[2:])
        noise = self._noise(presents, "coarse", shape)
        with self._stage("coarse"):
            latents = self.coarse.keyframes(
                history,
                noise,
                torch.stack([present.text for present in presents]).to(self.device, self.dtype),
                sampling.coarse_steps,
                warp,
                torch.from_numpy(np.stack([mask for _, mask in warps])),
                motion,
                sampling.guidance_scale,
                sampling.unconditional_text,
                sampling.on_coarse_step,
            )
        with self._stage("decode"):
            images = uint8_from_images(self.codec.decode_keyframes(latents))
        return list(zip(latents, images, strict=True))

    @torch.no_grad()
    def fill(
        self, gaps: Sequence[Gap], sampling: Sampling, num_frames: int = clock.FRAMES_PER_INTERVAL
    ) -> list[Images]:
        """The frames after each gap's first keyframe.

        Args:
            gaps: B gaps.
            sampling: steps and guidance.
            num_frames: how many of the twelve are wanted; the rest are not decoded.

        Returns:
            B arrays uint8 (num_frames, H, W, 3); a twelfth frame is the later keyframe itself.
        """
        made: list[Images] = []
        for chunk, real in _chunks(list(range(len(gaps))), self.micro_batch):
            made += self._fill([gaps[i] for i in chunk], sampling, num_frames)[:real]
        return made

    def _fill(self, gaps: Sequence[Gap], sampling: Sampling, num_frames: int) -> list[Images]:
        between = min(num_frames, clock.FRAMES_PER_INTERVAL - 1)
        ends = np.array(self.codec.last_frames(CLIP_FRAMES))
        with self._stage("geometry"):
            forward = [clip_warps(gap.first, gap.camera, gap.poses, self.settings) for gap in gaps]
            backward = None
            if self.settings.backward_warp:
                backward = [backward_clip_warps(gap.last, gap.camera, gap.poses, self.settings) for gap in gaps]
            all_poses = [np.concatenate([np.zeros((1, 3)), gap.poses]) for gap in gaps]
            motion = torch.from_numpy(np.stack([motion_features(poses[ends]) for poses in all_poses]))
        with self._stage("decode"):
            warp_first = self._encode_clips(forward)
            warp_last = None if backward is None else self._encode_clips(backward)
            first = self._encode_keyframes([gap.first[None] for gap in gaps])[:, 0]
        noise = self._noise(gaps, "fine", warp_first.shape[1:])
        with self._stage("fine"):
            latents = self.fine.clip(
                first,
                torch.stack([gap.last_latent for gap in gaps]).to(self.device, self.dtype),
                noise,
                torch.stack([gap.text for gap in gaps]).to(self.device, self.dtype),
                sampling.fine_steps,
                warp_first,
                warp_last,
                motion,
                self.codec.latent_frames(CLIP_FRAMES) == CLIP_FRAMES,
                sampling.guidance_scale,
                sampling.unconditional_text,
                sampling.on_fine_step,
            )
        with self._stage("decode"):
            images = uint8_from_images(self.codec.decode_clip(latents, CLIP_FRAMES, slice(1, 1 + between)))
        if num_frames == between:
            return list(images)
        return [np.concatenate([clip, gap.last[None]]) for clip, gap in zip(images, gaps, strict=True)]

    @contextmanager
    def _stage(self, name: timing.Stage) -> Iterator[None]:
        """A stage of the stopwatch that ends when the device is done, not when it was told what to do."""
        with timing.stage(name):
            yield
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)

    def _encode_keyframes(self, images: Sequence[Images]) -> Tensor:
        """B x (K, H, W, 3) -> (B, K, C, h, w)."""
        return self.codec.encode_keyframes(images_from_uint8(np.stack(images), self.device, self.dtype)).to(self.dtype)

    def _encode_clips(self, clips: Sequence[Images]) -> Tensor:
        """B x (T, H, W, 3) -> (B, F, C, h, w)."""
        return self.codec.encode_clip(images_from_uint8(np.stack(clips), self.device, self.dtype)).to(self.dtype)

    def _noise(self, owners: Sequence[Present] | Sequence[Gap], purpose: Purpose, shape: Sequence[int]) -> Tensor:
        seeds, counters = [owner.seed for owner in owners], [owner.counter for owner in owners]
        return counted_noise(seeds, counters, purpose, shape, self.device, self.dtype)


def _chunks(members: list[int], size: int) -> list[tuple[list[int], int]]:
    """Chunks of exactly ``size``, the last filled up with its last member, and how many of each are real."""
    chunks = [members[start : start + size] for start in range(0, len(members), size)]
    return [(chunk + chunk[-1:] * (size - len(chunk)), len(chunk)) for chunk in chunks]
