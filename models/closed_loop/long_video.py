"""Long videos: keyframes a rollout at a time, the gaps between them filled, rolled on for any length.

Memory does not grow with length: what is kept between rollouts is the last few keyframes.
"""

import logging
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from longdwm_env import clock
from longdwm_env.geometry.layout import RoadLayout
from longdwm_env.geometry.pose import relative_to
from longdwm_env.models.closed_loop.generation import Generation
from longdwm_env.models.closed_loop.samples import Gap, Present, Sampling
from longdwm_env.types import Camera, FloatArray, Images

STEP = clock.FRAMES_PER_INTERVAL

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Drive:
    """One long video to make.

    Attributes:
        history: uint8 (N, H, W, 3) keyframes up to the start, one second apart, the last being the start.
        poses: (T, 3) poses of the frames to come, in the ego frame of the start; whole seconds, T >= num_frames.
        text: (S, D) embedding of the prompt.
        most_history: most keyframes to give the Coarse model.
        layout: of the road, in the ego frame of the start; None where there is no map.
    """

    history: Images
    camera: Camera
    poses: FloatArray
    text: Tensor
    seed: int
    num_frames: int
    at_once: int
    most_history: int
    layout: RoadLayout | None = None


@dataclass(frozen=True)
class Standing:
    """Where a long video stands after some rollouts: all that the next one goes on from.

    Attributes:
        driven: frames made so far, whole rollouts.
        history: uint8 (N, H, W, 3) the last keyframes, N at most ``Drive.most_history``.
        before: the keyframe before the last one, (H, W, 3), and its pose (3,) in the ego frame of the last; None before
            the first rollout.
    """

    driven: int
    history: Images
    before: tuple[Images, FloatArray] | None = None


def drive_on(
    generation: Generation,
    drive: Drive,
    sampling: Sampling,
    stopped: Callable[[], bool] = lambda: False,
    fill: bool = True,
) -> Iterator[tuple[Images, Tensor]]:
    """The video second by second.

    Args:
        generation: models at work.
        drive: what to make.
        sampling: steps and guidance.
        stopped: asked before each rollout; True ends the video there.
        fill: False leaves the gaps empty: for keyframes alone.

    Yields:
        uint8 (T, H, W, 3), T = 12 but for a last part (T = 0 where gaps are not filled), and the latent (C, h, w) of
        the keyframe that the second ends on.
    """
    standing = begun(drive)
    while standing.driven < drive.num_frames and not stopped():
        standing = yield from rolled_on(generation, drive, sampling, standing, fill)


def begun(drive: Drive) -> Standing:
    """Where a video stands before its first rollout."""
    return Standing(0, drive.history[-drive.most_history :])


def rolled_on(
    generation: Generation, drive: Drive, sampling: Sampling, standing: Standing, fill: bool = True
) -> Generator[tuple[Images, Tensor], None, Standing]:
    """One rollout: keyframes at once, then the gaps before them, as many in a pass as ``Generation.gaps_at_once``.

    Yields:
        As ``drive_on``.

    Returns:
        Where the video stands then.
    """
    driven = standing.driven
    count = min(drive.at_once, -(-(drive.num_frames - driven) // STEP))
    origin = np.zeros(3) if driven == 0 else drive.poses[driven - 1]
    ahead = relative_to(drive.poses[driven : driven + count * STEP], origin)
    layout = None if drive.layout is None else drive.layout.seen_from(origin)
    present = Present(standing.history, drive.camera, drive.text, drive.seed, driven, standing.before, layout)
    ((latents, keyframes),) = generation.keyframes([present], [ahead[STEP - 1 :: STEP]], sampling)
    gaps, index = _gaps(present, ahead, latents, keyframes), 0
    while index < count:
        # How many are filled at once may change on the way: a smaller batch where the one before did not fit.
        chunk = gaps[index : index + generation.gaps_at_once]
        clips = _filled(generation, chunk, sampling) if fill else [gap.last[None][:0] for gap in chunk]
        for clip in clips:
            yield clip[: drive.num_frames - driven - index * STEP], latents[index]
            index += 1
    history = np.concatenate([standing.history, keyframes])
    end = ahead[count * STEP - 1]
    penultimate = np.zeros(3) if count == 1 else ahead[(count - 1) * STEP - 1]
    before = (history[-2], relative_to(penultimate[None], end)[0])
    return Standing(driven + count * STEP, history[-drive.most_history :], before)


def _filled(generation: Generation, gaps: list[Gap], sampling: Sampling) -> list[Images]:
    """As many of the gaps, from the first on, as fit into memory at once.

    Raises:
        torch.OutOfMemoryError: not even one does.
    """
    while True:
        chunk = gaps[: generation.gaps_at_once]
        try:
            return generation.fill(chunk, sampling)
        except torch.OutOfMemoryError:
            if generation.gap_batch == 1:
                raise
            generation.gap_batch = -(-generation.gap_batch // 2)
            log.warning("that many gaps do not fit into memory at once; going on with %d", generation.gap_batch)
        # Only here is what the failed pass had made let go.
        if generation.device.type == "cuda":
            torch.cuda.empty_cache()


def passes(generation: Generation, num_frames: int, at_once: int, fill: bool = True) -> tuple[int, int]:
    """How often ``drive_on`` samples with the Coarse and the Fine model for one video."""
    seconds = -(-num_frames // STEP)
    rollouts = [min(at_once, seconds - start) for start in range(0, seconds, at_once)]
    gaps = sum(-(-count // generation.gap_batch) for count in rollouts) if fill else 0
    return len(rollouts), gaps


def _gaps(present: Present, ahead: FloatArray, latents: Tensor, keyframes: Images) -> list[Gap]:
    """The gaps between the present frame and each new keyframe.

    Args:
        present: where the rollout starts.
        ahead: (R * 12, 3) poses of the frames to come, in the present ego frame.
        latents: (R, C, h, w) of the new keyframes.
        keyframes: uint8 (R, H, W, 3).
    """
    origins = np.concatenate([np.zeros((1, 3)), ahead[STEP - 1 :: STEP]])
    firsts = np.concatenate([present.history[-1:], keyframes[:-1]])
    return [
        Gap(
            first=firsts[index],
            last=keyframes[index],
            last_latent=latents[index],
            camera=present.camera,
            poses=relative_to(ahead[index * STEP : (index + 1) * STEP], origins[index]),
            text=present.text,
            seed=present.seed,
            counter=present.counter + index * STEP,
            layout=None if present.layout is None else present.layout.seen_from(origins[index]),
        )
        for index in range(len(keyframes))
    ]
