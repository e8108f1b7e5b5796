"""Grey working pictures of a drive with the times they were taken at, as often as they are asked for."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from longdwm_env.clock import FRAME_S
from longdwm_env.scenes.ego_motion.tracks import working_size
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

    def frames(self, from_s: float = 0.0) -> Timed:
        """Seconds after the first frame, and grey pictures of ``working_size(image_size)``; about 12 a second.

        The same ones wherever they begin.
        """
        ...

    def samples(self) -> list[NDArray[np.uint8]]:
        """Some of them, from all over the drive."""
        ...


class VideoFootage:
    """A video file.

    Raises:
        InvalidScene: it cannot be read; the message names it.
    """

    def __init__(self, path: Path, watch: Callable[[float], None] = lambda time_s: None) -> None:
        facts = video_facts(path)
        self._watch = watch
        self.name, self.path = path.name, path
        self.image_size, self.last_s = facts.image_size, facts.last_s
        self._size = working_size(facts.image_size)
        self._first_s, self._timed = facts.first_s, facts.timed

    def frames(self, from_s: float = 0.0) -> Timed:
        """Pictures at most as often as the clock ticks, at their own times, whatever the file's frame rate."""
        # A little earlier: whether a frame is the first one in its tick depends on the one before.
        begin_s = self._first_s + from_s - 3 * FRAME_S if self._timed and from_s > 5 * FRAME_S else None
        due = _Due(self._first_s, from_s)
        for stamp, image in grey_frames(self.path, self._size, from_s=begin_s, taken=due):
            self._watch(stamp - self._first_s)
            yield stamp - self._first_s, image

    def samples(self) -> list[NDArray[np.uint8]]:
        """Keyframes of the codec, where there are enough of them; else frames at equal steps."""
        keys = [image for _, image in grey_frames(self.path, self._size, keyframes=True)]
        if len(keys) >= SAMPLES // 3:
            return keys[:: max(1, len(keys) // SAMPLES)]
        step_s = max(self.last_s / SAMPLES, FRAME_S)
        due = _Due(self._first_s, 0.0, step_s)
        return [image for _, image in grey_frames(self.path, self._size, taken=due)]


class _Due:
    """Whether a frame is the first one of its tick, to a third of a tick: of frames that come faster, some are not."""

    def __init__(self, first_s: float, from_s: float, step_s: float = FRAME_S) -> None:
        self._first_s, self._from_s, self._step_s = first_s, from_s, step_s
        self._last = -1

    def __call__(self, stamp: float) -> bool:
        time_s = stamp - self._first_s
        tick = math.floor(time_s / self._step_s + 1 / 3)
        fresh, self._last = tick > self._last, max(tick, self._last)
        return fresh and time_s >= self._from_s - 1e-4
