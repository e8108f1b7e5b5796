"""A clip of driving footage, and what every source of clips offers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from longdwm_env.clock import FRAMES_PER_INTERVAL
from longdwm_env.errors import InvalidConfig, LongDWMError
from longdwm_env.geometry.layout import RoadLayout
from longdwm_env.geometry.map_view.scenery import SceneryLayer
from longdwm_env.types import ActorTracks, Camera, FloatArray, Images, Intrinsics, JsonObject, Mounting, frozen_array


class TooManyBadClips(LongDWMError):
    """More clips or files of a data set are damaged than the caller allows."""


class BadClip(LongDWMError):
    """One clip cannot be read; a walk over a data set reports it and goes on."""


@dataclass(frozen=True)
class Clip:
    """Consecutive frames at ``clock.FPS``.

    Attributes:
        key: name of the clip, unique within its source; says where the footage came from.
        images: (T, H, W, 3) uint8.
        camera: the camera, fitted to the images.
        poses: (T, 3) x m, y m, heading rad of the rear axle in any fixed frame, or None where unknown.
        prompt: caption in the four-line form; may be empty.
        labels: named ground truth per frame, each (T,) float32; NaN where not defined.
        layout: what a map says is painted on the road, in the frame of ``poses``; None where there is no map.
        actors: boxes of the other road users at these frames, in the frame of ``poses``; None where none were marked.
        scenery: what stands beside the road, in the frame of ``poses``; None where no map knows.
        later_prompts: (frame, caption), ascending: what is said of starts from that frame on, in place of ``prompt``.
    """

    key: str
    images: Images
    camera: Camera
    poses: FloatArray | None = None
    prompt: str = ""
    labels: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    layout: RoadLayout | None = None
    actors: ActorTracks | None = None
    scenery: SceneryLayer | None = None
    later_prompts: tuple[tuple[int, str], ...] = ()

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.uint8 or self.images.shape[-1] != 3:
            raise InvalidConfig(f"a clip's images are uint8 (T, H, W, 3), got {self.images.dtype} {self.images.shape}")
        frames = len(self.images)
        if self.camera.intrinsics.image_size != self.images.shape[1:3]:
            raise InvalidConfig(f"clip {self.key}: camera and images disagree about the image size")
        if self.poses is not None:
            object.__setattr__(self, "poses", frozen_array(self.poses))
            if self.poses.shape != (frames, 3) or not np.isfinite(self.poses).all():
                raise InvalidConfig(f"clip {self.key}: {frames} frames need finite poses ({frames}, 3)")
        if self.actors is not None and (self.poses is None or len(self.actors.poses) != frames):
            raise InvalidConfig(f"clip {self.key}: road users need poses, and boxes at each of {frames} frames")
        for name, values in self.labels.items():
            if values.shape != (frames,):
                raise InvalidConfig(f"clip {self.key}: label {name} is {values.shape}, expected ({frames},)")

    @property
    def intervals(self) -> int:
        """Whole intervals that the clip covers: its keyframes less one."""
        return (len(self.images) - 1) // FRAMES_PER_INTERVAL


def twin_key(key: str) -> str:
    """Key of the clip that shows the drive of clip ``key`` in other weather or at another time of day."""
    return f"{key}@twin"


class ClipSource(Protocol):
    """Numbered clips: ``clip(i)`` is the same at every call and in every process.

    Attributes:
        has_poses: whether ego poses are known in all clips.
        has_labels: whether the simulator's ground truth is.
    """

    name: str
    has_poses: bool
    has_labels: bool

    @property
    def longest(self) -> int:
        """Frames of its longest clip, as far as is known before it is read."""
        ...

    def description(self) -> dict[str, object]:
        """What decides the clips' contents, as JSON; two sources with the same description hold the same clips."""
        ...

    def __len__(self) -> int:
        """How many clips there are."""
        ...

    def clip(self, index: int) -> Clip:
        """One clip.

        Raises:
            BadClip: its files are damaged.
        """
        ...


def camera_as_json(camera: Camera) -> dict[str, object]:
    """A camera as plain JSON values."""
    intrinsics, mounting = camera.intrinsics, camera.mounting
    return {
        "intrinsics": [
            intrinsics.fx_px,
            intrinsics.fy_px,
            intrinsics.cx_px,
            intrinsics.cy_px,
            intrinsics.width_px,
            intrinsics.height_px,
        ],
        "translation_m": list(mounting.translation_m),
        "rotation_wxyz": list(mounting.rotation_wxyz),
    }


def camera_from_json(value: JsonObject) -> Camera:
    """The camera that ``camera_as_json`` wrote."""
    fx, fy, cx, cy, width, height = value["intrinsics"]
    mounting = Mounting(tuple(value["translation_m"]), tuple(value["rotation_wxyz"]))
    return Camera(Intrinsics(fx, fy, cx, cy, int(width), int(height)), mounting)
