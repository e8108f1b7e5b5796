"""What every recorded log shares: the 12 fps clock, cropping and resizing, and a small cache of finished frames."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from longdwm_env.geometry.camera import fit_images
from longdwm_env.types import Camera, FloatArray, Images, ImageSize, frozen_array

CACHE_BYTES = 32 * 1024 * 1024
"""Finished frames that one log keeps, so that asking twice decodes once."""


class RecordedLog(ABC):
    """A ``SceneLog`` of recorded images: decoded on demand, cropped and resized, never held as a whole."""

    def __init__(self, num_past: int, num_future: int, ego_poses: FloatArray | None = None) -> None:
        """Describe the record.

        Args:
            num_past: frames of the 12 fps clock before the start.
            num_future: frames after it.
            ego_poses: (num_past + 1 + num_future, 3), or None where unknown.
        """
        self.num_past = num_past
        self.num_future = num_future
        self.ego_poses: FloatArray | None = None if ego_poses is None else frozen_array(ego_poses)
        self._cache: dict[tuple[int, ImageSize], NDArray[np.uint8]] = {}

    @abstractmethod
    def decode(self, positions: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield (position, image (h, w, 3)) at the recording's own size for each of the positions, which ascend.

        Position 0 is the first frame of the record on the 12 fps clock, ``num_past`` is the start.

        Raises:
            InvalidScene: a file cannot be read.
        """

    def images(self, first: int, count: int, camera: Camera) -> Images:
        """(count, H, W, 3) frames ``first``, ``first + 1``, ... at the size of ``camera``'s image.

        Raises:
            InvalidScene: a file cannot be read.
            ValueError: the frames reach beyond the record's end, or ``count`` is below one.
        """
        if count < 1 or first + count - 1 > self.num_future:
            raise ValueError(
                f"frames {first} to {first + count - 1} were asked for; "
                f"the record has {-self.num_past} to {self.num_future}"
            )
        size = camera.intrinsics.image_size
        positions = (np.maximum(np.arange(first, first + count), -self.num_past) + self.num_past).tolist()
        missing = sorted({p for p in positions if (p, size) not in self._cache})
        found = {p: self._cache[p, size] for p in positions if (p, size) in self._cache}
        for position, image in self.decode(missing) if missing else ():
            found[position] = fit_images(image, size)
            self._keep((position, size), found[position])
        return np.stack([found[p] for p in positions])

    def present_picture(self) -> Images:
        """(h, w, 3) the picture at the start, at the recording's own size.

        Raises:
            InvalidScene: its file cannot be read.
        """
        ((_, image),) = self.decode([self.num_past])
        return image

    def _keep(self, key: tuple[int, ImageSize], image: NDArray[np.uint8]) -> None:
        self._cache[key] = image
        while len(self._cache) * image.nbytes > CACHE_BYTES and len(self._cache) > 1:
            self._cache.pop(next(iter(self._cache)), None)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_cache": {}}
