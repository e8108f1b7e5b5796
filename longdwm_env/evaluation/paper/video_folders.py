"""Folders of videos to measure: mp4 files, or one folder of pictures per video; paired by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from longdwm_env.clock import FRAME_S
from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.camera import fit_images
from longdwm_env.scenes.media.image_file import IMAGE_SUFFIXES, read_image
from longdwm_env.scenes.media.video_frames import VIDEO_SUFFIXES, frames_at, video_facts
from longdwm_env.types import Images, ImageSize


@dataclass(frozen=True)
class VideoFolder:
    """The videos of a folder, read one by one.

    Raises:
        InvalidConfig: it holds neither videos nor folders of pictures.
    """

    path: Path

    def __post_init__(self) -> None:
        if not self.names:
            raise InvalidConfig(f"{self.path} holds neither videos nor folders of pictures")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the videos without suffix, sorted."""
        if not self.path.is_dir():
            raise InvalidConfig(f"{self.path} is not a folder")
        found = [p.stem for p in self.path.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES]
        found += [p.name for p in self.path.iterdir() if p.is_dir() and _pictures(p)]
        return tuple(sorted(found))

    def read(self, name: str, image_size: ImageSize | None = None) -> Images:
        """One video, uint8 (T, H, W, 3); videos at 12 frames per second, pictures as they are.

        Args:
            name: one of ``names``.
            image_size: (height, width) to fit to; None leaves the size.
        """
        folder = self.path / name
        if folder.is_dir():
            frames = np.stack([read_image(picture) for picture in _pictures(folder)])
        else:
            file = next(p for p in self.path.iterdir() if p.stem == name and p.suffix.lower() in VIDEO_SUFFIXES)
            facts = video_facts(file)
            times = np.arange(int(facts.last_s / FRAME_S + 0.5) + 1) * FRAME_S
            frames = np.stack([image for _, image in frames_at(file, facts, times.tolist())])
        return frames if image_size is None else fit_images(frames, image_size)


@dataclass(frozen=True)
class ReadWhenAsked(Sequence[Images]):
    """Videos of a folder as a sequence; each is read when it is asked for, and none is kept.

    Attributes:
        image_size: (height, width) to fit to.
    """

    folder: VideoFolder
    names: tuple[str, ...]
    image_size: ImageSize

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, place: Any) -> Any:
        return self.folder.read(self.names[place], self.image_size)


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)


def paired(real: VideoFolder, generated: VideoFolder) -> tuple[str, ...]:
    """Names that both folders have."""
    return tuple(sorted(set(real.names) & set(generated.names)))
