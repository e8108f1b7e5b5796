"""Grey working pictures of a drive with the times they were taken at, as often as they are asked for."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from longdwm_env.clock import FRAME_S
from longdwm_env.errors import InvalidScene
from longdwm_env.scenes.ego_motion.tracks import working_size
from longdwm_env.scenes.media.image_file import read_image
from longdwm_env.scenes.media.video_frames import grey_frames, video_facts
from longdwm_env.types import ImageSize

Timed = Iterator[tuple[float, NDArray[np.uint8]]]

SAMPLES = 48
"""Pictures from all over a drive in which what never moves is looked for."""


class Footage(Protocol):
    """Pictures of one camera in the order of time."""

    name: str
    image_size: ImageSize
    """(height, width) of the upright pictures as they were recorded."""
    last_s: float
    """Time of the last picture after the first."""

    def frames(self) -> Timed:
        """Seconds after the first frame, and grey pictures of ``working_size(image_size)``; about 12 a second."""
        ...

    def samples(self) -> list[NDArray[np.uint8]]:
        """Some of them, from all over the drive."""
        ...


class VideoFootage:
    """A video file.

    Args:
        path: of the video.
        watch: called with the time of each frame that is read.

    Raises:
        InvalidScene: it cannot be read; the message names it.
    """

    def __init__(self, path: Path, watch: Callable[[float], None] = lambda time_s: None) -> None:
        facts = video_facts(path)
        self._watch = watch
        self.name, self.path = path.name, path
        self.image_size, self.last_s = facts.image_size, facts.last_s
        self._size = working_size(facts.image_size)

    def frames(self) -> Timed:
        """Pictures at most as often as the clock ticks, at their own times, whatever the file's frame rate."""
        for time_s, image in _thinned(grey_frames(self.path, self._size)):
            self._watch(time_s)
            yield time_s, image

    def samples(self) -> list[NDArray[np.uint8]]:
        """Keyframes of the codec, where there are enough of them; else frames at equal steps."""
        keys = [image for _, image in grey_frames(self.path, self._size, keyframes=True)]
        if len(keys) >= SAMPLES // 3:
            return keys[:: max(1, len(keys) // SAMPLES)]
        step_s = max(self.last_s / SAMPLES, FRAME_S)
        return [image for _, image in _thinned(grey_frames(self.path, self._size), step_s)]


class PictureFootage:
    """Picture files of one size, with their times.

    Args:
        name: what to call them.
        paths: the files, in the order of time.
        times_s: of each, ascending.

    Raises:
        InvalidScene: there are none, their times do not ascend, or the first cannot be read.
    """

    def __init__(self, name: str, paths: Sequence[Path], times_s: Sequence[float]) -> None:
        if len(paths) < 2 or len(paths) != len(times_s) or (np.diff(times_s) <= 0).any():
            raise InvalidScene(f"{name}: needs two or more pictures at ascending times")
        self.name, self._paths = name, list(paths)
        self._times_s = [float(time - times_s[0]) for time in times_s]
        height, width = read_image(self._paths[0]).shape[:2]
        self.image_size, self.last_s = (height, width), self._times_s[-1]
        self._size = working_size(self.image_size)

    def frames(self) -> Timed:
        """Pictures at most as often as the clock ticks."""
        return _thinned((time, self._grey(path)) for time, path in zip(self._times_s, self._paths, strict=True))

    def samples(self) -> list[NDArray[np.uint8]]:
        """Pictures at equal steps."""
        return [self._grey(path) for path in self._paths[:: max(1, len(self._paths) // SAMPLES)]]

    def _grey(self, path: Path) -> NDArray[np.uint8]:
        image = read_image(path)
        if image.shape[:2] != self.image_size:
            raise InvalidScene(f"{path} has another size than the first picture of {self.name}")
        height, width = self._size
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _thinned(frames: Timed, step_s: float = FRAME_S) -> Timed:
    """Frames about ``step_s`` apart: each the first one that is due, to a third of a step."""
    first_s: float | None = None
    due_s, last_s = 0.0, -np.inf
    for stamp, image in frames:
        first_s = stamp if first_s is None else first_s
        time = stamp - first_s
        if time > last_s + 1e-4 and time >= due_s - step_s / 3:
            yield time, image
            last_s = time
            # Slow footage does not run up a debt of frames that are all due at once.
            due_s = max(due_s + step_s, time + step_s / 2)
