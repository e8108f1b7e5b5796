"""How fast the car is where a photograph or a video starts: as given, as the video shows, or assumed."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from longdwm_env.clock import FPS, FRAME_S
from longdwm_env.errors import InvalidConfig, InvalidScene
from longdwm_env.scenes.ego_motion.motion_estimate import FEWEST_FRAMES, Given, estimate_motion
from longdwm_env.scenes.ego_motion.poses_file import SUFFIX, TRUSTED, read_trust
from longdwm_env.scenes.ego_motion.tracks import working_size
from longdwm_env.scenes.media.sidecar import Sidecar
from longdwm_env.scenes.media.video_frames import VideoFacts, frames_at
from longdwm_env.types import EgoState

ASSUMED_SPEED_MPS = 8.0
"""Of the car that took a photograph: 29 km/h, in town."""

READ_S = 1.0
"""Seconds before and after a video's start that are looked at."""


def motion_at(video: Path, facts: VideoFacts, start_s: float, sidecar: Sidecar) -> tuple[EgoState, bool]:
    """How the car moves at a moment of a video, and whether that is assumed.

    From the poses beside the video where they can be trusted, else from what ``sidecar`` says, else from the pictures
    around the moment, else assumed.

    Args:
        video: the file.
        facts: of it.
        start_s: seconds after its first frame.
        sidecar: what stands beside it.

    Raises:
        InvalidScene: the poses beside the video are broken.
    """
    known = _posed(video, int(start_s * FPS + 0.5))
    if known is not None:
        return known, False
    if sidecar.speed_mps is not None:
        return EgoState(speed_mps=sidecar.speed_mps), False
    seen = _seen(video, facts, start_s, sidecar)
    return (EgoState(speed_mps=ASSUMED_SPEED_MPS), True) if seen is None else (seen, False)


def _posed(video: Path, frame: int) -> EgoState | None:
    path = video.with_suffix(SUFFIX)
    if not path.is_file():
        return None
    try:
        trust = read_trust(path)
    except InvalidConfig as error:
        raise InvalidScene(str(error)) from error
    if frame >= len(trust.speeds_mps) or trust.share(frame, 1) < 1:
        return None
    earlier = max(0, frame - FPS // 4)
    gained = float(trust.speeds_mps[frame] - trust.speeds_mps[earlier])
    return EgoState(
        speed_mps=float(trust.speeds_mps[frame]),
        acceleration_mps2=gained * FPS / (frame - earlier) if frame > earlier else 0.0,
        yaw_rate_radps=float(trust.yaw_rates_radps[frame]) if len(trust.yaw_rates_radps) else 0.0,
    )


def _seen(video: Path, facts: VideoFacts, start_s: float, sidecar: Sidecar) -> EgoState | None:
    """From the pictures; None where they cannot be trusted at the moment."""
    window = _Window(video, facts, start_s)
    if len(window.times_s) < FEWEST_FRAMES:
        return None
    try:
        motion = estimate_motion(window, Given(sidecar.camera))
    except InvalidScene:
        return None
    here = int(np.abs(motion.times_s + window.times_s[0] - start_s).argmin())
    if motion.confidence[here] < TRUSTED:
        return None
    return EgoState(speed_mps=float(motion.speeds_mps[here]), yaw_rate_radps=float(motion.yaw_rates_radps[here]))


class _Window:
    """Grey pictures of a part of a video, as ``ego_motion.footage.Footage``."""

    def __init__(self, video: Path, facts: VideoFacts, middle_s: float) -> None:
        first, last = max(0.0, middle_s - READ_S), min(facts.last_s, middle_s + READ_S)
        self.times_s = np.arange(first, last + FRAME_S / 2, FRAME_S).clip(0, facts.last_s)
        self.name, self.image_size, self.last_s = video.name, facts.image_size, float(last - first)
        self._height, self._width = working_size(facts.image_size)
        self._images = [self._grey(image) for _, image in frames_at(video, facts, self.times_s.tolist())]

    def frames(self, from_s: float = 0.0) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        """Seconds after the first one, and pictures."""
        for time_s, image in zip((self.times_s - self.times_s[0]).tolist(), self._images, strict=True):
            if time_s >= from_s - 1e-4:
                yield time_s, image

    def samples(self) -> list[NDArray[np.uint8]]:
        """All of them."""
        return self._images

    def _grey(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return np.asarray(cv2.resize(grey, (self._width, self._height), interpolation=cv2.INTER_AREA), np.uint8)
