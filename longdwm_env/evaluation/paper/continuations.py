"""What a protocol hands to a model, and the truth that it keeps to itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from longdwm_env.clock import FRAMES_PER_INTERVAL
from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.layout import RoadLayout
from longdwm_env.geometry.pose import relative_to
from longdwm_env.scenes.nuscenes.schema_tables import is_nuscenes
from longdwm_env.training.data.clip import BadClip, ClipSource
from longdwm_env.training.data.footage import Footage, is_footage
from longdwm_env.training.data.nuscenes import NuScenesClips
from longdwm_env.training.data.simulator_footage import unseen_clips
from longdwm_env.training.data.videos import VideoClips
from longdwm_env.types import Camera, FloatArray, Images, ImageSize, wrap_angle


@dataclass(frozen=True)
class Sample:
    """One drive to continue.

    Attributes:
        key: of the clip it was cut from.
        image: uint8 (H, W, 3), the one frame that the model is given.
        truth: uint8 (T, H, W, 3), what followed.
        poses: (T', 3) in the ego frame of ``image``, T' the whole seconds that T frames need.
        speeds_mps, yaw_rates_radps: (T,) of the frames to come.
        layout: of the road, in the ego frame of ``image``; None where the source has no map.
    """

    key: str
    image: Images
    truth: Images
    poses: FloatArray
    speeds_mps: FloatArray
    yaw_rates_radps: FloatArray
    camera: Camera
    prompt: str
    seed: int
    layout: RoadLayout | None = None

    @property
    def real(self) -> Images:
        """The given frame and the truth, (T + 1, H, W, 3)."""
        return np.concatenate([self.image[None], self.truth])


@dataclass(frozen=True)
class Command:
    """A motion that is asked for in place of the recorded one, in the ego frame of the given frame.

    Attributes:
        poses: (T, 3) of the frames to come.
        speeds_mps, yaw_rates_radps: (T,).
    """

    poses: FloatArray
    speeds_mps: FloatArray
    yaw_rates_radps: FloatArray


@runtime_checkable
class Commanding(Protocol):
    """A source whose clips come with a motion that is asked for."""

    def command(self, index: int, num_frames: int) -> Command | None:
        """Of one clip; None for the recorded motion."""
        ...


def sample_at(source: ClipSource, index: int, num_frames: int, seed: int, first: int = 0) -> Sample | None:
    """The sample of one clip of a source; None where the clip is damaged, too short, or without poses.

    Args:
        source: of clips.
        index: of the clip.
        num_frames: T, frames to continue.
        seed: of the noise.
        first: frame of the clip that is given.
    """
    seconds = -(-num_frames // FRAMES_PER_INTERVAL)
    try:
        clip = source.clip(index)
    except BadClip:
        return None
    last = first + seconds * FRAMES_PER_INTERVAL
    if clip.poses is None or len(clip.images) <= last:
        return None
    poses = relative_to(clip.poses[first + 1 : last + 1], clip.poses[first])
    every = np.concatenate([np.zeros((1, 3)), poses])
    recorded = Command(
        poses,
        np.linalg.norm(np.diff(every[:, :2], axis=0), axis=1) * FRAMES_PER_INTERVAL,
        wrap_angle(np.diff(every[:, 2])) * FRAMES_PER_INTERVAL,
    )
    asked = source.command(index, len(poses)) if isinstance(source, Commanding) else None
    command = recorded if asked is None else asked
    return Sample(
        clip.key,
        clip.images[first],
        clip.images[first + 1 : first + 1 + num_frames],
        command.poses,
        command.speeds_mps[:num_frames],
        command.yaw_rates_radps[:num_frames],
        clip.camera,
        clip.prompt,
        seed=seed,
        layout=None if clip.layout is None else clip.layout.seen_from(clip.poses[first]),
    )


def too_short(source: ClipSource, num_frames: int) -> InvalidConfig:
    """The error of a source of which no clip can be continued."""
    return InvalidConfig(f"{source.name} has no clip with poses of {num_frames + 1} frames")


def samples_from(source: ClipSource, count: int, num_frames: int, first: int = 0) -> Iterator[Sample]:
    """Cut samples from clips, one from each, until there are ``count``.

    Raises:
        InvalidConfig: no clip is long enough, or none has poses.
    """
    made = 0
    for index in range(len(source)):
        if made == count:
            return
        sample = sample_at(source, index, num_frames, made, first)
        if sample is not None:
            yield sample
            made += 1
    if made == 0:
        raise too_short(source, first + num_frames)


def clips_of(scenes: Path | None, split: str, count: int, first_seed: int, size: ImageSize, frames: int) -> ClipSource:
    """Clips to continue.

    Args:
        scenes: dataroot of nuScenes, a folder of videos with poses, or one of recorded footage; None for the
            simulator's test seeds.
        split: of nuScenes.
        count: how many are wanted of the simulator: twice as many are offered, since one that ends in a collision may
            be too short.
        first_seed: of the simulator.
        size: (height, width).
        frames: of a clip.

    Raises:
        InvalidConfig: recorded footage is of another size.
    """
    if scenes is None:
        return unseen_clips(2 * count, size, frames, first_seed)
    if is_footage(scenes):
        source = Footage(scenes)
        if (found := source.image_size) != size:
            raise InvalidConfig(f"the footage in {scenes} is {found}; the model wants {size}")
        return source
    return NuScenesClips(scenes, size, frames, split) if is_nuscenes(scenes) else VideoClips(scenes, size, frames)
