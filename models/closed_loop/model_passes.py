"""Passes of the Coarse model, the Fine model and the codec: keyframes, and the frames between two of them.

Work runs in batches of one fixed size, filled up by repeating the last sample: matrix products of different batch sizes
differ in their last bits, so this is what makes the result of a sample independent of the batch that it came in. On a
CPU even its place in the batch shows in the last bits, and so does the number of threads; there each sample is made
alone, by one thread, and as many at a time as there are cores (``threads``).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from longdwm_env import clock, timing
from longdwm_env.models.closed_loop.sample_threads import SampleThreads
from longdwm_env.models.closed_loop.samples import CoarseInputs, Gap, Present, Sampling
from longdwm_env.models.codec.video_codec import Codec, uint8_from_images
from longdwm_env.models.conditioning.denoiser_inputs import coarse_conditioning, fine_conditioning, motion_features
from longdwm_env.models.conditioning.frame_views import ViewEncoder
from longdwm_env.models.network.denoiser import Denoiser
from longdwm_env.models.network.sampler import Purpose, counted_noise
from longdwm_env.models.settings import LongDWMSettings
from longdwm_env.types import FloatArray, Images

Result = TypeVar("Result")

CLIP_FRAMES = clock.FRAMES_PER_INTERVAL + 1
"""Frames of a clip of the Fine model: both keyframes and those between."""


class ModelPasses:
    """Coarse model, Fine model and codec at work together. Keeps nothing between calls that what is made depends on.

    Args:
        coarse: the Coarse model.
        fine: the Fine model.
        codec: between pictures and latents.
        settings: of the pipeline.
        device: where to work.
        dtype: of latents and conditions.
        micro_batch: samples in each pass, always exactly this many.
        in_threads: whether passes run side by side, each on one core of the CPU, rather than one after the other.
        gap_batch: gaps in each pass of the Fine model, always exactly this many; None for ``micro_batch``.
    """

    def __init__(
        self,
        coarse: Denoiser,
        fine: Denoiser,
        codec: Codec,
        settings: LongDWMSettings,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        micro_batch: int = 1,
        in_threads: bool = False,
        gap_batch: int | None = None,
    ) -> None:
        if micro_batch < 1:
            raise ValueError(f"micro_batch is at least 1, got {micro_batch}")
        self.gap_batch = micro_batch if gap_batch is None else gap_batch
        if self.gap_batch < 1:
            raise ValueError(f"gaps_at_once is at least 1, got {gap_batch}")
        self.coarse, self.fine, self.codec, self.settings = coarse, fine, codec, settings
        self.device, self.dtype, self.micro_batch, self.in_threads = (
            torch.device(device),
            dtype,
            micro_batch,
            in_threads,
        )
        self.threads = SampleThreads(torch.get_num_threads())
        self.views = ViewEncoder(codec, settings, self.device, dtype, self.threads)
        self._last_is_exact = codec.latent_frames(CLIP_FRAMES) == CLIP_FRAMES
        self._keeps_ends = self._last_is_exact and fine.transformer.config.keep_known

    @property
    def gaps_at_once(self) -> int:
        """How many gaps are worth giving at once."""
        return self.gap_batch * (self.threads.count if self.in_threads else 1)

    @property
    def each_alone(self) -> bool:
        """Whether drivers share no pass, so that a batch of them is but several tasks, each of which asks for its own.

        Threads then have one after the other; in a GPU's passes they go together.
        """
        return self.in_threads and self.micro_batch == 1

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
        return self._in_chunks(presents, poses, sampling, self._keyframes)

    def _in_chunks(
        self,
        presents: Sequence[Present],
        poses: Sequence[FloatArray],
        sampling: Sampling,
        make: Callable[[Sequence[Present], Sequence[FloatArray], Sampling], list[Result]],
    ) -> list[Result]:
        """What is made of each driver, in passes of drivers with one length of history and one guidance."""
        kinds = [(len(present.history), present.guidance_scale) for present in presents]
        chunks: list[tuple[list[int], int]] = []
        for kind in sorted(set(kinds)):
            chunks += _chunks([index for index, own in enumerate(kinds) if own == kind], self.micro_batch)
        passes = [
            partial(make, [presents[i] for i in chunk], [poses[i] for i in chunk], sampling) for chunk, _ in chunks
        ]
        results: dict[int, Result] = {}
        for (chunk, real), made in zip(chunks, self.run(passes), strict=True):
            results.update(zip(chunk[:real], made[:real], strict=True))
        return [results[index] for index in range(len(presents))]

    @torch.no_grad()
    def _keyframes(
        self, presents: Sequence[Present], poses: Sequence[FloatArray], sampling: Sampling
    ) -> list[tuple[Tensor, Images]]:
        inputs = self.coarse_inputs(presents, poses)
        sampling = sampling.guided(presents[0].guidance_scale)
        latents = self.sampled_keyframes(inputs, self._noise(presents, "coarse", inputs.noise_shape), sampling)
        return list(zip(latents, self.pictures(latents), strict=True))

    @torch.no_grad()
    def coarse_inputs(self, presents: Sequence[Present], poses: Sequence[FloatArray]) -> CoarseInputs:
        """What the Coarse model is given, as in ``keyframes``, for B drivers with histories of one length."""
        with self._stage("geometry"):
            seen = self.views.next_keyframes(presents, poses)
            motion = torch.from_numpy(np.stack([motion_features(ahead) for ahead in poses]))
        text = torch.stack([present.text for present in presents]).to(self.device, self.dtype)
        with self._stage("decode"):
            history, (views, pictures) = self.views.shown([present.history for present in presents]), seen()
        frames = history.shape[1] + motion.shape[1]
        return CoarseInputs(
            coarse_conditioning(history, frames, text, motion=motion, **views), history.shape[1], pictures
        )

    @torch.no_grad()
    def sampled_keyframes(self, inputs: CoarseInputs, noise: Tensor, sampling: Sampling) -> Tensor:
        """Latents (B, R, C, h, w) of new keyframes from noise (B, N + R, C, h, w), in one pass of the Coarse model."""
        with self._stage("coarse"):
            return self.coarse.sample(
                inputs.given,
                noise,
                sampling.coarse_steps,
                sampling.guidance_scale,
                sampling.unconditional_text,
                sampling.on_coarse_step,
            )[:, inputs.known :]

    @torch.no_grad()
    def pictures(self, latents: Tensor) -> Images:
        """Keyframes' latents (B, R, C, h, w) as uint8 (B, R, H, W, 3)."""
        with self._stage("decode"):
            return uint8_from_images(self.codec.decode_keyframes(latents))

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
        chunks = _chunks(list(range(len(gaps))), self.gap_batch)
        passes = [partial(self._fill, [gaps[i] for i in chunk], sampling, num_frames) for chunk, _ in chunks]
        return [clip for (_, real), made in zip(chunks, self.run(passes), strict=True) for clip in made[:real]]

    @torch.no_grad()
    def _fill(self, gaps: Sequence[Gap], sampling: Sampling, num_frames: int) -> list[Images]:
        between = min(num_frames, clock.FRAMES_PER_INTERVAL - 1)
        ends = np.array(self.codec.last_frames(CLIP_FRAMES))
        with self._stage("geometry"):
            seen = self.views.between(gaps, ends=not self._keeps_ends)
        with self._stage("decode"):
            views = seen()
        with self._stage("geometry"):
            all_poses = [np.concatenate([np.zeros((1, 3)), gap.poses]) for gap in gaps]
            motion = torch.from_numpy(np.stack([motion_features(ahead[ends]) for ahead in all_poses]))
        with self._stage("decode"):
            first = self.views.shown([gap.first[None] for gap in gaps])[:, 0]
        noise = self._noise(gaps, "fine", views["warp_first"].shape[1:])
        with self._stage("fine"):
            last = torch.stack([gap.last_latent for gap in gaps]).to(self.device, self.dtype)
            text = torch.stack([gap.text for gap in gaps]).to(self.device, self.dtype)
            given = fine_conditioning(
                first,
                last,
                noise.shape[1],
                text,
                motion=motion,
                last_is_exact=self._last_is_exact,
                held_ends=self.fine.transformer.config.held_views,
                **views,
            )
            latents = self.fine.sample(
                given,
                noise,
                sampling.fine_steps,
                sampling.guidance_scale,
                sampling.unconditional_text,
                sampling.on_fine_step,
            )
        with self._stage("decode"):
            images = uint8_from_images(self.codec.decode_clip(latents, CLIP_FRAMES, slice(1, 1 + between)))
        if num_frames == between:
            return list(images)
        return [np.concatenate([clip, gap.last[None]]) for clip, gap in zip(images, gaps, strict=True)]

    def run(self, passes: Sequence[Callable[[], Result]]) -> list[Result]:
        """Results of passes through the models, which on a CPU run side by side on one core each."""
        return self.threads.run(passes) if self.in_threads else [each() for each in passes]

    @contextmanager
    def _stage(self, name: timing.Stage) -> Iterator[None]:
        """A stage of the stopwatch that ends when the device is done, not when its work was queued."""
        with timing.stage(name):
            yield
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)

    def _noise(self, owners: Sequence[Present] | Sequence[Gap], purpose: Purpose, shape: Sequence[int]) -> Tensor:
        seeds, counters = [owner.seed for owner in owners], [owner.counter for owner in owners]
        return counted_noise(seeds, counters, purpose, shape, self.device, self.dtype)


def _chunks(members: list[int], size: int) -> list[tuple[list[int], int]]:
    """Chunks of exactly ``size``, the last filled up with its last member, and how many of each are real."""
    chunks = [members[start : start + size] for start in range(0, len(members), size)]
    return [(chunk + chunk[-1:] * (size - len(chunk)), len(chunk)) for chunk in chunks]
