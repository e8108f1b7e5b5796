"""The pictures of a control period, each drawn when it is looked at."""

from collections.abc import Callable, Sequence

import numpy as np

from longdwm_env.errors import LongDWMError
from longdwm_env.types import Images, ImageSize, frozen_array


class Frames:
    """T frames of one size, as a value: the same whenever, and in whatever order, they are looked at.

    Where pictures decide nothing of what happens, as in the reference simulator, most of them need not be drawn at all:
    an agent that sees the newest frame only, or a planner that asks for rewards only, then costs a fraction.

    Args:
        count: T, from 1.
        image_size: (height, width).
        draw: gives frame i of T, uint8 (H, W, 3). Called once for each frame at most, so it must be pure.
    """

    def __init__(self, count: int, image_size: ImageSize, draw: Callable[[int], Images]) -> None:
        self.shape = (count, *image_size, 3)
        self._draw = draw
        self._newest: Images | None = None
        self._images: Images | None = None

    @classmethod
    def of(cls, images: Images) -> "Frames":
        """Frames (T, H, W, 3) that are there already: read-only ones are shared, others copied.

        Raises:
            ValueError: images of another shape.
        """
        kept = isinstance(images, np.ndarray) and images.base is None and not images.flags.writeable
        drawn = images if kept and images.dtype == np.uint8 else frozen_array(images, np.uint8)
        if drawn.ndim != 4 or drawn.shape[-1] != 3:
            raise ValueError(f"frames are (T, H, W, 3), got {drawn.shape}")
        frames = cls(len(drawn), (drawn.shape[1], drawn.shape[2]), drawn.__getitem__)
        frames._images = drawn
        return frames

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def images(self) -> Images:
        """All frames, (T, H, W, 3), read-only."""
        if self._images is None:
            images = np.empty(self.shape, np.uint8)
            for index in range(len(self) - 1):
                images[index] = self._draw(index)
            images[-1] = self.newest
            images.flags.writeable = False
            self._images = images
            # What was needed to draw them can go.
            self._draw, self._newest = images.__getitem__, None
        return self._images

    @property
    def newest(self) -> Images:
        """The last frame, (H, W, 3), read-only; the others are not drawn for it."""
        if self._images is not None:
            return self._images[-1]
        if self._newest is None:
            self._newest = frozen_array(self._draw(len(self) - 1), np.uint8)
        return self._newest

    def failing_as(self, failure: Callable[[Exception], LongDWMError]) -> "Frames":
        """The same frames; what drawing them raises, whenever that is, is raised as ``failure`` makes of it."""
        if self._images is not None:
            return self

        def draw(index: int) -> Images:
            try:
                frame = self.newest if index == len(self) - 1 else self._draw(index)
                if frame.shape != self.shape[1:]:
                    raise ValueError(f"a frame is {frame.shape}, expected {self.shape[1:]}")
            except LongDWMError:
                raise
            except Exception as error:
                raise failure(error) from error
            return frame

        return Frames(len(self), self.shape[1:3], draw)

    def held(self) -> "Frames":
        """As many frames that all show the newest."""
        return Frames(len(self), self.shape[1:3], lambda index: self.newest)

    def __reduce__(self) -> tuple[object, ...]:
        # To another process travel pictures, not the way to draw them.
        return Frames.of, (self.images,)


def stack_frames(frames: Sequence[Images]) -> Images:
    """(B, T, H, W, 3) from B clips of one shape."""
    return np.stack(list(frames)) if len(frames) else np.zeros((0, 0, 0, 0, 3), np.uint8)
