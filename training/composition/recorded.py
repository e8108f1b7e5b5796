"""Streets out of recorded footage: a random part of a clip, of which nothing is known but the ego's motion."""

import numpy as np

from longdwm_env.clock import FRAMES_PER_INTERVAL
from longdwm_env.errors import InvalidConfig
from longdwm_env.training.composition.streets import HISTORY, RecordedStreet, Street
from longdwm_env.training.data.footage import Footage
from longdwm_env.types import ImageSize


class FootageStreets:
    """Draws recorded streets; see ``choice.RecordedStreets``.

    Args:
        footage: with poses.

    Raises:
        InvalidConfig: no clip has poses and four known keyframes before a second.
    """

    def __init__(self, footage: Footage) -> None:
        self._footage = footage
        known = (HISTORY - 1) * FRAMES_PER_INTERVAL
        # Of each clip: how many frames there are to start from, with a second ahead.
        self._starts = {
            clip: entry.facts["frames"] - known - FRAMES_PER_INTERVAL
            for clip, entry in enumerate(footage.entries)
            if entry.facts["has_poses"] and entry.facts["frames"] > known + FRAMES_PER_INTERVAL
        }
        if not self._starts:
            raise InvalidConfig(
                f"no clip of the footage has poses and {known + FRAMES_PER_INTERVAL + 1} frames, which a street needs"
            )

    def __call__(self, rng: np.random.Generator, image_size: ImageSize) -> Street:
        """A street; every moment of the footage begins one as often.

        Raises:
            InvalidConfig: the footage has pictures of another size.
        """
        if self._footage.image_size != image_size:
            raise InvalidConfig(f"the footage has pictures of {self._footage.image_size}, not of {image_size}")
        clips, counts = list(self._starts), np.array(list(self._starts.values()))
        chosen = clips[int(rng.choice(len(clips), p=counts / counts.sum()))]
        start = (HISTORY - 1) * FRAMES_PER_INTERVAL + int(rng.integers(self._starts[chosen]))
        clip = self._footage.clip(chosen)
        assert clip.poses is not None
        return RecordedStreet(clip.images, clip.poses, clip.camera, clip.prompt, start, int(rng.integers(1 << 31)))
