"""Footage on its way into a dataset: frames with the poses and boxes that they were made from."""

from collections.abc import Iterable
from dataclasses import dataclass

from longdwm_env.errors import InvalidConfig
from longdwm_env.types import ActorTracks, Camera, FloatArray, Images, RoadMap

MOST_CLIPS = 10_000_000
"""Clip numbers have seven digits in scene names."""


@dataclass(frozen=True)
class FootageChunk:
    """Some consecutive frames of a clip.

    Attributes:
        images: uint8 (T, H, W, 3).
        ego_poses: (T, 3) in the clip's world frame.
        actors: boxes at the same T frames, in the same frame.
    """

    images: Images
    ego_poses: FloatArray
    actors: ActorTracks


@dataclass(frozen=True)
class Clip:
    """One drive to be written as one nuScenes scene.

    Attributes:
        number: distinct among the clips; decides its name, tokens and time.
        chunks: the frames in order, made while they are read, so that no clip is ever held as a whole.
    """

    number: int
    camera: Camera
    prompt: str
    road_map: RoadMap
    chunks: Iterable[FootageChunk]

    def __post_init__(self) -> None:
        if not 0 <= self.number < MOST_CLIPS:
            raise InvalidConfig(f"a clip has the number {self.number}; allowed are 0 to {MOST_CLIPS - 1}")

    @property
    def name(self) -> str:
        """Seven digits keep it apart from nuScenes' own scenes, which have four."""
        return f"scene-{self.number:07d}"
