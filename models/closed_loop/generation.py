"""One second of video in a closed loop, by the compositor where there is a map, else by the Fine model."""

from collections.abc import Callable, Sequence
from functools import cached_property, partial

import numpy as np
import torch

from longdwm_env import clock
from longdwm_env.models.closed_loop.composition import BegunSeconds, FrameComposer, SecondParts
from longdwm_env.models.closed_loop.model_passes import ModelPasses
from longdwm_env.models.closed_loop.sample_threads import joined
from longdwm_env.models.closed_loop.samples import Gap, Present, Sampling
from longdwm_env.models.closed_loop.surroundings import Surroundings
from longdwm_env.models.conditioning.warped_pictures import enlarged, matched_view
from longdwm_env.types import FloatArray, Images, ImageSize

PREPARED_AHEAD = 4
"""Frames that are prepared beside the keyframe where they may be asked for later: about as many as take no longer."""


class Generation(ModelPasses):
    """Seconds of drives; rollouts and gaps are those of ``ModelPasses``.

    Attributes:
        composer: puts frames together in place of the Fine model where a drive goes second by second; None for none.
    """

    composer: FrameComposer | None = None

    @cached_property
    def _begun(self) -> BegunSeconds:
        return BegunSeconds()

    def second(
        self,
        presents: Sequence[Present],
        poses: Sequence[FloatArray],
        sampling: Sampling,
        num_frames: int,
        goes_on: bool = False,
    ) -> list[Images]:
        """The next second of each driver, in a closed loop.

        Args:
            presents: B drivers.
            poses: B arrays (12, 3): poses of the frames to come, in the ego frame of the newest frame.
            sampling: steps and guidance.
            num_frames: how many of the twelve are wanted.
            goes_on: also what the rest of the second needs: of drivers whose frames are composed, the keyframe follows
                the frames (``rest_of_second`` makes those between); of others, all twelve are made.

        Returns:
            B arrays uint8 (N, H, W, 3), N = ``num_frames``, or more where the second goes on.
        """
        composed = [index for index, present in enumerate(presents) if self.composes(present)]
        filled = [index for index in range(len(presents)) if index not in composed]
        made: dict[int, Images] = {}
        if composed:
            goes_on_composed = goes_on and num_frames < clock.FRAMES_PER_INTERVAL
            tasks = [
                partial(self._composed_second, presents[i], poses[i], sampling, num_frames, goes_on_composed)
                for i in composed
            ]
            # One task a driver: none waits for the others' keyframes. A single one shares its frames among the threads.
            clips = self.run(tasks) if len(tasks) > 1 else [tasks[0]()]
            made |= dict(zip(composed, clips, strict=True))
        if filled:
            sizes = [presents[i].camera.intrinsics.image_size for i in filled]
            small = [presents[i].reduced(self.coarse_size(size)) for i, size in zip(filled, sizes, strict=True)]
            fill = partial(self._second, num_frames=clock.FRAMES_PER_INTERVAL if goes_on else num_frames)
            clips = self._in_chunks(small, [poses[i] for i in filled], sampling, fill)
            for i, clip, size in zip(filled, clips, sizes, strict=True):
                made[i] = clip if clip.shape[1:3] == size else np.stack([enlarged(frame, size) for frame in clip])
        return [made[index] for index in range(len(presents))]

    def composes(self, present: Present) -> bool:
        """Whether a driver's frames are put together by the compositor, or filled in by the Fine model."""
        known = present.surroundings
        return self.composer is not None and (
            self.settings.compose_without_map or (known is not None and known.layout is not None)
        )

    def _second(
        self, presents: Sequence[Present], poses: Sequence[FloatArray], sampling: Sampling, num_frames: int
    ) -> list[Images]:
        keyframes = self._keyframes(presents, [ahead[-1:] for ahead in poses], sampling)
        gaps = [
            Gap(p.history[-1], images[0], latents[0], p.camera, ahead, p.text, p.seed, p.counter, p.layout)
            for p, ahead, (latents, images) in zip(presents, poses, keyframes, strict=True)
        ]
        return self._fill(gaps, sampling, num_frames)

    def _composed_second(
        self, present: Present, poses: FloatArray, sampling: Sampling, num_frames: int, and_keyframe: bool
    ) -> Images:
        """A second of one driver: the keyframe, then the frames between, side by side where threads are free."""
        surroundings = present.surroundings or Surroundings(np.concatenate([np.zeros((1, 3)), poses]))
        known = (present.history[-1], surroundings, present.camera)
        parts = self._begun.parts(*known) if and_keyframe else SecondParts(*known)

        def composed(coarse: tuple[Images | None, Images], seen: Images | None) -> Images:
            matched = seen if coarse[0] is None else coarse[0]
            assert matched is not None
            return self._composed_keyframe(present, matched, coarse[1], parts)

        # Beside the Coarse model another thread does what the keyframe needs and it does not say; beside the keyframe,
        # what the frames before it need and it does not say.
        tasks: list[Callable[[], Images | None]] = [
            *joined(
                partial(self._coarse, present, poses[-1], sampling),
                partial(self._seen, present, poses[-1], parts),
                composed,
            )
        ]
        last = max(num_frames, PREPARED_AHEAD) if and_keyframe else min(num_frames, clock.FRAMES_PER_INTERVAL - 1)
        tasks += [partial(self._prepare, parts, number) for number in range(1, last + 1)]
        keyframe = next(made for made in self.run(tasks) if made is not None)
        frames = self._composed_frames(present, keyframe, range(1, num_frames + 1), parts)
        return np.concatenate([frames, keyframe[None]]) if and_keyframe else frames

    def rest_of_second(
        self, presents: Sequence[Present], keyframes: Sequence[Images], numbers: Sequence[Sequence[int]]
    ) -> list[Images]:
        """Frames of seconds that ``second`` has begun, of drivers whose frames are composed, as it would make them.

        Args:
            presents: B drivers as they were when the second began; of the history only the last frame counts.
            keyframes: B keyframes (H, W, 3) at the end of it.
            numbers: which of the twelve frames, from 1.

        Returns:
            B arrays uint8 (N, H, W, 3).
        """
        tasks = []
        for present, keyframe, wanted in zip(presents, keyframes, numbers, strict=True):
            assert present.surroundings is not None
            parts = self._begun.parts(present.history[-1], present.surroundings, present.camera)
            tasks.append(partial(self._composed_frames, present, keyframe, wanted, parts))
        return self.run(tasks) if len(tasks) > 1 else [task() for task in tasks]

    def _composed_frames(
        self, present: Present, keyframe: Images, numbers: Sequence[int], parts: SecondParts
    ) -> Images:
        """Frames of a second whose keyframe is there, (N, H, W, 3), side by side where threads are free."""
        between = [number for number in numbers if number < clock.FRAMES_PER_INTERVAL]
        shares = [between[first :: self.threads.count] for first in range(min(self.threads.count, len(between)))]
        made = self.run([partial(self._composed_between, present, keyframe, share, parts) for share in shares])
        frames = {
            number: image
            for share, images in zip(shares, made, strict=True)
            for number, image in zip(share, images, strict=True)
        }
        frames[clock.FRAMES_PER_INTERVAL] = keyframe
        return np.stack([frames[number] for number in numbers])

    @torch.no_grad()
    def _composed_keyframe(self, present: Present, matched: Images, coarse: Images, parts: SecondParts) -> Images:
        assert self.composer is not None
        with self._stage("geometry"):
            given = parts.keyframe(matched, coarse)
        with self._stage("coarse"):
            return self.composer.composed([given], present, [clock.FRAMES_PER_INTERVAL])[0]

    def _prepare(self, parts: SecondParts, number: int) -> None:
        with self._stage("geometry"):
            parts.prepare(number)

    @torch.no_grad()
    def coarse_picture(self, present: Present, pose: FloatArray, sampling: Sampling) -> tuple[Images, Images]:
        """The matched sweep of the next keyframe and the Coarse model's picture of it, both (H, W, 3).

        The Coarse model works at the pipeline's own size; in larger pictures it is shown them reduced, and its own is
        enlarged.
        """
        matched, coarse = self._coarse(present, pose, sampling)
        return self._matched(present, pose) if matched is None else matched, coarse

    @torch.no_grad()
    def _coarse(self, present: Present, pose: FloatArray, sampling: Sampling) -> tuple[Images | None, Images]:
        """As ``coarse_picture``; None for the matched sweep where the Coarse model is shown a smaller one."""
        small = present.reduced(self.coarse_size(present.camera.intrinsics.image_size))
        inputs = self.coarse_inputs([small], [pose[None]])
        guided = sampling.guided(present.guidance_scale)
        latents = self.sampled_keyframes(inputs, self._noise([present], "coarse", inputs.noise_shape), guided)
        coarse = self.pictures(latents)[0, 0]
        if small is present:
            return inputs.pictures[0, 0, 0], coarse
        return None, enlarged(coarse, present.camera.intrinsics.image_size)

    def _matched(self, present: Present, pose: FloatArray) -> Images:
        with self._stage("geometry"):
            return matched_view(present.history[-1], present.camera, pose, present.before, self.settings)

    def _seen(self, present: Present, pose: FloatArray, parts: SecondParts) -> Images | None:
        """The matched sweep where ``_coarse`` gives none; and all else that a keyframe needs is prepared."""
        size = present.camera.intrinsics.image_size
        matched = None if self.coarse_size(size) == size else self._matched(present, pose)
        self._prepare(parts, clock.FRAMES_PER_INTERVAL)
        return matched

    def coarse_size(self, image_size: ImageSize) -> ImageSize:
        """The size that the Coarse model sees pictures of a size at: where these are a multiple of its own, its own."""
        own = self.settings.image_size
        times = image_size[0] // own[0]
        return own if self.composer is not None and image_size == (own[0] * times, own[1] * times) else image_size

    @torch.no_grad()
    def _composed_between(
        self, present: Present, keyframe: Images, numbers: Sequence[int], parts: SecondParts
    ) -> list[Images]:
        assert self.composer is not None
        with self._stage("geometry"):
            given = parts.between(keyframe, numbers)
        with self._stage("fine"):
            return self.composer.composed(given, present, numbers)

    @torch.no_grad()
    def restyled(self, present: Present, picture: Images) -> Images:
        """The present frame as the Coarse model drew it under another prompt, (H, W, 3), made sharp."""
        if self.composer is None or not self.composes(present):
            return picture
        surroundings = present.surroundings or Surroundings(np.zeros((1, 3)))
        given = SecondParts(picture, surroundings, present.camera).restyled()
        return self.composer.composed([given], present, [0])[0]
