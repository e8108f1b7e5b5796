"""What people hand to the pipeline, brought into its own form; and frames into the form they ask for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import PIL.Image
import torch
from diffusers.utils import BaseOutput
from torch import Tensor

from longdwm_env import clock
from longdwm_env.episodes.seeding import MAX_SEED
from longdwm_env.geometry.camera import assumed_camera, fit_images
from longdwm_env.geometry.layout import RoadLayout
from longdwm_env.io.routes import open_route
from longdwm_env.models.closed_loop.long_video import Drive
from longdwm_env.models.settings import LongDWMSettings
from longdwm_env.types import Camera, FloatArray, Images, Trajectory

Picture = PIL.Image.Image | np.ndarray | Tensor
"""Uint8 (H, W, 3), or floating point in [0, 1], tensors with channels first; or frames (N, ...) of them."""

Source = torch.Generator | int | None
"""Of a seed."""

Videos = list[list[PIL.Image.Image]] | np.ndarray | Tensor
"""See ``LongDWMPipelineOutput``."""


@dataclass
class LongDWMPipelineOutput(BaseOutput):
    """Frames of B videos.

    Attributes:
        frames: "pil": a list of B lists of pictures; "np": float (B, T, H, W, 3) in [0, 1]; "pt": float (B, T, 3, H, W)
            in [0, 1]; "latent": (B, S, C, h, w), the keyframes' latents, one for each second begun.
    """

    frames: Videos


def as_list(value: object, count: int) -> list[Any]:
    """A list as it is, a single value ``count`` times."""
    return list(value) if isinstance(value, list | tuple) else [value] * count


def seed_from(generator: Source) -> int:
    """The seed itself, or one drawn from a generator; without either, from PyTorch's own.

    Raises:
        ValueError: the seed is negative.
    """
    if isinstance(generator, int):
        if not 0 <= generator <= MAX_SEED:
            raise ValueError(f"a seed is 0 to {MAX_SEED}, got {generator}")
        return generator
    device = "cpu" if generator is None else generator.device
    return int(torch.randint(MAX_SEED, (1,), generator=generator, device=device, dtype=torch.int64).item())


def seeds_from(generator: Source | Sequence[Source], count: int) -> list[int]:
    """One seed for each of ``count`` samples, from one source or from as many.

    Raises:
        ValueError: there are several sources, but not ``count``.
    """
    if isinstance(generator, list | tuple):
        if len(generator) != count:
            raise ValueError(f"{len(generator)} generators for {count} samples")
        return [seed_from(each) for each in generator]
    if isinstance(generator, int):
        return [seed_from(generator + index) for index in range(count)]
    return [seed_from(cast(torch.Generator | None, generator)) for _ in range(count)]


def frames_from(image: Picture) -> Images:
    """uint8 (N, H, W, 3) from a PIL picture, an array or a tensor.

    Raises:
        ValueError: it is none of what ``LongDWMPipeline.stream`` lists.
    """
    if isinstance(image, PIL.Image.Image):
        return np.array(image.convert("RGB"))[None]
    array = image.detach().cpu().float().movedim(-3, -1).numpy() if isinstance(image, Tensor) else np.asarray(image)
    array = array[None] if array.ndim == 3 else array
    if array.ndim != 4 or array.shape[-1] != 3 or 0 in array.shape:
        raise ValueError(
            f"an image is (H, W, 3) or frames (N, H, W, 3), tensors with channels first; got {array.shape}"
        )
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f" or not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
        raise ValueError(f"an image is uint8, or floating point in [0, 1]; got {array.dtype}")
    return (array * 255).round().astype(np.uint8)


def prepare_history(image: Picture, camera: Camera | None, settings: LongDWMSettings) -> tuple[Images, Camera]:
    """Keyframes up to the start, at the pipeline's size, oldest first, and their camera.

    Args:
        image: as in ``LongDWMPipeline.stream``.
        camera: of the image at its own size; None assumes a field of view.
        settings: size and history.
    """
    frames = frames_from(image)
    camera = assumed_camera((frames.shape[1], frames.shape[2])) if camera is None else camera
    every = frames[:: -clock.FRAMES_PER_INTERVAL][: settings.history_keyframes][::-1]
    return fit_images(np.ascontiguousarray(every), settings.image_size), camera.fitted(settings.image_size)


def path_poses(trajectory: str | Trajectory | FloatArray, num_frames: int) -> FloatArray:
    """(T, 3) poses of the frames to come, T being ``num_frames`` filled up to whole seconds.

    Args:
        trajectory: as in ``LongDWMPipeline.stream``.
        num_frames: frames to make.

    Raises:
        ValueError: the trajectory is shorter than that, or no trajectory.
    """
    whole = -(-num_frames // clock.FRAMES_PER_INTERVAL) * clock.FRAMES_PER_INTERVAL
    if isinstance(trajectory, str):
        poses = open_route(trajectory, whole / clock.FPS).poses[1:]
    else:
        poses = np.asarray(trajectory.poses if isinstance(trajectory, Trajectory) else trajectory, dtype=np.float64)
    if poses.ndim != 2 or poses.shape[1] != 3 or not np.isfinite(poses).all():
        raise ValueError(f"a trajectory is finite poses (T, 3): x m, y m, heading rad; got {poses.shape}")
    if len(poses) < num_frames:
        raise ValueError(
            f"the trajectory is {len(poses) / clock.FPS:g} s long, the video {num_frames / clock.FPS:g} s; "
            "give a longer one or ask for fewer seconds"
        )
    # The last second is made whole and cut, so its last pose is held where the trajectory ends within it.
    missing = max(0, whole - len(poses))
    return np.concatenate([poses[:whole], np.repeat(poses[-1:], missing, axis=0)])


def check_call(
    prompts: Sequence[str],
    batch: int,
    output_type: str,
    callback_tensor_inputs: Sequence[str] | None,
    callback_tensor_inputs_allowed: Sequence[str],
) -> None:
    """Reject what cannot be meant by a call of the pipeline.

    Raises:
        ValueError: an argument is out of range; the message says what is allowed.
    """
    if len(prompts) != batch:
        raise ValueError(f"{len(prompts)} prompts for {batch} pictures; give one, or one each")
    if output_type not in ("pil", "np", "pt", "latent"):
        raise ValueError(f"output_type must be 'pil', 'np', 'pt' or 'latent', got {output_type!r}")
    if unknown := set(callback_tensor_inputs or ()) - set(callback_tensor_inputs_allowed):
        raise ValueError(f"a callback may ask for {callback_tensor_inputs_allowed}, not for {sorted(unknown)}")


def steps_from(settings: LongDWMSettings, num_inference_steps: int | tuple[int, int] | None) -> tuple[int, int]:
    """Denoising steps of the Coarse and the Fine model, from the argument as in ``LongDWMPipeline.stream``.

    Raises:
        ValueError: there is not a step.
    """
    asked = (settings.coarse_steps, settings.fine_steps) if num_inference_steps is None else num_inference_steps
    coarse, fine = (asked, asked) if isinstance(asked, int) else asked
    if min(coarse, fine) < 1:
        raise ValueError(f"num_inference_steps must be at least 1, got {num_inference_steps}")
    return coarse, fine


@dataclass(frozen=True)
class Way:
    """What is the same for all videos of a call: arguments as in ``LongDWMPipeline.stream``."""

    trajectory: str | Trajectory | FloatArray
    seconds: float
    camera: Camera | None
    keyframes_per_rollout: int | None
    layout: RoadLayout | None

    @property
    def num_frames(self) -> int:
        """Frames to make."""
        return clock.frames_in(self.seconds)

    @property
    def whole_seconds(self) -> int:
        """Seconds begun."""
        return -(-self.num_frames // clock.FRAMES_PER_INTERVAL)

    def rollout_length(self, settings: LongDWMSettings) -> int:
        """Keyframes of a rollout.

        Raises:
            ValueError: the Coarse model does not make so many at once.
        """
        at_once = settings.keyframes - 1 if self.keyframes_per_rollout is None else self.keyframes_per_rollout
        if not 1 <= at_once < settings.keyframes:
            raise ValueError(f"keyframes_per_rollout is 1 to {settings.keyframes - 1}, got {at_once}")
        return at_once

    def drive(self, settings: LongDWMSettings, image: Picture, text: Tensor, seed: int) -> Drive:
        """One video to make, with a prompt's embedding (S, D).

        Raises:
            ValueError: an argument is out of range; the message says what is allowed.
        """
        at_once = self.rollout_length(settings)
        history, camera = prepare_history(image, self.camera, settings)
        most = min(settings.history_keyframes, settings.keyframes - at_once)
        poses = path_poses(self.trajectory, self.num_frames)
        return Drive(history, camera, poses, text, seed, self.num_frames, at_once, most, self.layout)


def output_from_parts(videos: Sequence[Sequence[Images | Tensor]], output_type: str) -> Videos:
    """Frames in the form that was asked for; see ``LongDWMPipelineOutput``.

    Args:
        videos: B lists of parts: uint8 (T, H, W, 3), or latents (1, C, h, w) for "latent".
        output_type: "pil", "np", "pt" or "latent".
    """
    if output_type == "latent":
        return torch.stack([torch.cat(cast(list[Tensor], list(parts))) for parts in videos])
    whole = [np.concatenate(list(parts)) for parts in videos]
    if output_type == "pil":
        return [[PIL.Image.fromarray(frame) for frame in video] for video in whole]
    scaled = np.stack(whole).astype(np.float32) / 255
    return scaled if output_type == "np" else torch.from_numpy(scaled).movedim(-1, -3)
