"""The values that cross boundaries: frozen, validated, in SI units.

Frames of reference. *Ego*: ISO 8855, x forward, y left, z up, metres, origin on the ground below the middle of the
rear axle. *Camera*: OpenCV, x right, y down, z forward. *World*: the episode's fixed frame, z up, in which ``EgoState``
and ``ActorTracks`` are given. A pose is (x m, y m, heading rad), heading counter-clockwise from x.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol, TypeVar, overload, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from longdwm_env.errors import InvalidState

ImageSize = tuple[int, int]
"""(height, width) in pixels."""

MAX_SIDE_PX = 4096
"""Longest side of an image: beyond it, a typing error is likelier than an intention."""

FloatArray = NDArray[np.float64]
Images = NDArray[np.uint8]
"""uint8 RGB, (T, H, W, 3)."""

Scalar = TypeVar("Scalar", bound=np.generic)

FORWARD_WXYZ = (0.5, -0.5, 0.5, -0.5)
"""Rotation of a camera that looks along the ego's x axis, as a unit quaternion (w, x, y, z) ego_from_camera."""


@overload
def frozen_array(values: object) -> FloatArray: ...


@overload
def frozen_array(values: object, dtype: type[Scalar]) -> NDArray[Scalar]: ...


def frozen_array(values: object, dtype: type[np.generic] = np.float64) -> NDArray[np.generic]:
    """A read-only copy: the caller's own array stays writable."""
    array: NDArray[np.generic] = np.array(values, dtype=dtype)
    array.flags.writeable = False
    return array


def wrap_angle(angle_rad: Any) -> Any:
    """The same angle in [-pi, pi)."""
    return (angle_rad + math.pi) % (2 * math.pi) - math.pi


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole intrinsics of an image of ``width_px`` x ``height_px``; pixel centres are at whole numbers (OpenCV)."""

    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    width_px: int
    height_px: int

    def __post_init__(self) -> None:
        numbers = (self.fx_px, self.fy_px, self.cx_px, self.cy_px)
        if not all(math.isfinite(n) for n in numbers) or min(self.fx_px, self.fy_px) <= 0:
            raise ValueError(f"intrinsics need finite numbers and focal lengths above zero, got {numbers}")
        if self.width_px < 1 or self.height_px < 1:
            raise ValueError(f"an image of {self.width_px} x {self.height_px} pixels has no pixels")

    @property
    def matrix(self) -> FloatArray:
        """K, (3, 3)."""
        return np.array([[self.fx_px, 0, self.cx_px], [0, self.fy_px, self.cy_px], [0, 0, 1]], dtype=np.float64)

    @property
    def image_size(self) -> ImageSize:
        """(height, width) of the image that these intrinsics belong to."""
        return self.height_px, self.width_px

    @property
    def horizontal_fov_rad(self) -> float:
        """Angle between the left and right edges of the image."""
        return 2 * math.atan(self.width_px / (2 * self.fx_px))

    @classmethod
    def from_matrix(cls, K: object, image_size: ImageSize) -> "Intrinsics":
        """From a (3, 3) camera matrix without skew, for an image of (height, width)."""
        matrix = np.asarray(K, dtype=np.float64)
        if matrix.shape != (3, 3):
            raise ValueError(f"a camera matrix is (3, 3), got {matrix.shape}")
        fx, fy, cx, cy = (float(matrix[i]) for i in ((0, 0), (1, 1), (0, 2), (1, 2)))
        return cls(fx, fy, cx, cy, image_size[1], image_size[0])

    @classmethod
    def from_fov(cls, horizontal_fov_rad: float, image_size: ImageSize) -> "Intrinsics":
        """Square pixels and a centred principal point, from the horizontal field of view."""
        height, width = image_size
        if not 0 < horizontal_fov_rad < math.pi:
            raise ValueError(f"a pinhole camera sees more than 0 and less than pi rad, got {horizontal_fov_rad!r}")
        focal = width / (2 * math.tan(horizontal_fov_rad / 2))
        return cls(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)

    def fitted(self, image_size: ImageSize) -> "Intrinsics":
        """Intrinsics after the image is cropped about its middle to the new aspect ratio and resized to fit.

        The picture's counterpart is ``geometry.camera.fit_images``.
        """
        height, width = image_size
        scale = max(height / self.height_px, width / self.width_px)
        # Pixel centres at whole numbers: the left edge of the image is at -0.5.
        left = (self.width_px * scale - width) / 2
        top = (self.height_px * scale - height) / 2
        return Intrinsics(
            self.fx_px * scale,
            self.fy_px * scale,
            (self.cx_px + 0.5) * scale - left - 0.5,
            (self.cy_px + 0.5) * scale - top - 0.5,
            width,
            height,
        )


@dataclass(frozen=True)
class Mounting:
    """Where a camera sits in the ego frame: ``ego_from_camera`` as translation in metres and unit quaternion wxyz."""

    translation_m: tuple[float, float, float] = (1.7, 0.0, 1.5)
    rotation_wxyz: tuple[float, float, float, float] = FORWARD_WXYZ

    def __post_init__(self) -> None:
        object.__setattr__(self, "translation_m", tuple(float(v) for v in self.translation_m))
        object.__setattr__(self, "rotation_wxyz", tuple(float(v) for v in self.rotation_wxyz))
        if len(self.translation_m) != 3 or len(self.rotation_wxyz) != 4:
            raise ValueError(f"a mounting has 3 numbers of translation and 4 of rotation, got {self}")
        norm = math.sqrt(sum(v * v for v in self.rotation_wxyz))
        if not abs(norm - 1) < 1e-3 or not all(math.isfinite(v) for v in self.translation_m):
            raise ValueError(f"a mounting needs a finite translation and a unit quaternion, got {self}")
        if self.translation_m[2] <= 0:
            raise ValueError(f"the camera must be above the ground, got a height of {self.translation_m[2]} m")

    @property
    def ego_from_camera(self) -> FloatArray:
        """(4, 4) transform from camera coordinates to ego coordinates."""
        w, x, y, z = np.asarray(self.rotation_wxyz) / math.sqrt(sum(v * v for v in self.rotation_wxyz))
        transform = np.eye(4)
        transform[:3, :3] = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
        transform[:3, 3] = self.translation_m
        return transform


@dataclass(frozen=True)
class Camera:
    """A pinhole camera on the car: what it sees (intrinsics) and where it sits (mounting)."""

    intrinsics: Intrinsics
    mounting: Mounting = field(default_factory=Mounting)

    def fitted(self, image_size: ImageSize) -> "Camera":
        """The same camera for its image cropped and resized to (height, width); see ``Intrinsics.fitted``."""
        return replace(self, intrinsics=self.intrinsics.fitted(image_size))


@dataclass(frozen=True)
class EgoState:
    """Motion of the ego's rear axle in the episode's world frame."""

    x_m: float = 0.0
    y_m: float = 0.0
    heading_rad: float = 0.0
    speed_mps: float = 0.0
    acceleration_mps2: float = 0.0
    yaw_rate_radps: float = 0.0

    @property
    def pose(self) -> FloatArray:
        """(3,): x m, y m, heading rad."""
        return np.array([self.x_m, self.y_m, self.heading_rad])

    @property
    def curvature_per_m(self) -> float:
        """Curvature of the path, 1/m; 0 at standstill, where it is not defined."""
        return self.yaw_rate_radps / self.speed_mps if abs(self.speed_mps) > 0.1 else 0.0


@dataclass(frozen=True)
class Trajectory:
    """A planned motion of the rear axle, in the ego frame at the moment of planning, sampled at the frame times.

    Every action mode becomes one of these. Sample ``i`` is frame ``i + 1``, at ``(i + 1) / FPS`` seconds.

    Attributes:
        waypoints_m: (W, 2) waypoints that the motion passes through; (4, 2) for an action.
        poses: (T, 3) x m, y m, heading rad.
        speeds_mps, accelerations_mps2, yaw_rates_radps: (T,).
        requested_waypoints_m: (W, 2) what was asked for; differs from ``waypoints_m`` only when no car could follow it.
    """

    waypoints_m: FloatArray
    poses: FloatArray
    speeds_mps: FloatArray
    accelerations_mps2: FloatArray
    yaw_rates_radps: FloatArray
    requested_waypoints_m: FloatArray

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            object.__setattr__(self, name, frozen_array(getattr(self, name)))
        frames = len(self.poses)
        if self.poses.shape != (frames, 3) or self.waypoints_m.ndim != 2 or self.waypoints_m.shape[1] != 2:
            raise ValueError(f"poses are (T, 3) and waypoints (W, 2), got {self.poses.shape}, {self.waypoints_m.shape}")
        for name in ("speeds_mps", "accelerations_mps2", "yaw_rates_radps"):
            if getattr(self, name).shape != (frames,):
                raise ValueError(f"{name} is {getattr(self, name).shape}, expected ({frames},) like the poses")

    def __repr__(self) -> str:
        end = ", ".join(f"{value:.2f}" for value in self.poses[-1]) if len(self.poses) else "none"
        return f"Trajectory({len(self.poses)} frames, to ({end}), moved by {self.projection_m:.2f} m to be drivable)"

    @property
    def projection_m(self) -> float:
        """Largest distance by which a waypoint had to move so that a car can follow; 0 when none did."""
        if not len(self.waypoints_m):
            return 0.0
        return float(np.linalg.norm(self.waypoints_m - self.requested_waypoints_m, axis=1).max())


ROAD_USER_CLASSES: tuple[str, ...] = (
    "car", "hatchback", "sedan", "suv", "van", "truck", "bus", "motorcycle", "bicycle", "pedestrian", "other",
)  # fmt: skip
"""What a road user may be; a "car" is one of unknown shape. New classes go to the end: files hold indices."""


LOOKS: Mapping[str, type[np.uint8] | type[np.bool_]] = {"classes": np.uint8, "colours": np.uint8, "lights": np.bool_}
"""How road users look, by the names of ``ActorTracks``, and what each array holds."""


@dataclass(frozen=True)
class ActorTracks:
    """Boxes of the other road users over T frames, in the episode's world frame; NaN where an actor is absent.

    How they look is optional: None where it is not known.

    Attributes:
        poses: (T, A, 3) x m, y m of the box's centre, heading rad.
        sizes_m: (A, 3) length, width, height.
        speeds_mps: (T, A) along the heading.
        ids: A names that stay with an actor through an episode.
        classes: (A,) uint8 indices into ``ROAD_USER_CLASSES``.
        colours: (A, 3) uint8 RGB of the body in even light.
        lights: (T, A, 3) bool, whether brake lights, left indicator and right indicator shine; False for the absent.
    """

    poses: FloatArray
    sizes_m: FloatArray
    speeds_mps: FloatArray
    ids: tuple[str, ...]
    classes: NDArray[np.uint8] | None = None
    colours: NDArray[np.uint8] | None = None
    lights: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        for name in ("poses", "sizes_m", "speeds_mps"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))
        object.__setattr__(self, "ids", tuple(self.ids))
        frames, actors = self.poses.shape[:2]
        if (self.poses.shape, self.sizes_m.shape, self.speeds_mps.shape, len(self.ids)) != (
            (frames, actors, 3),
            (actors, 3),
            (frames, actors),
            actors,
        ):
            raise ValueError("poses, sizes, speeds and ids of actor tracks disagree about frames or actors")
        shapes: dict[str, tuple[int, ...]] = {
            "classes": (actors,), "colours": (actors, 3), "lights": (frames, actors, 3)
        }  # fmt: skip
        for name, values in self.looks.items():
            array = frozen_array(values, LOOKS[name])
            if array.shape != shapes[name]:
                raise ValueError(f"{name} of actor tracks are {array.shape}, expected {shapes[name]}")
            object.__setattr__(self, name, array)
        if self.classes is not None and (self.classes >= len(ROAD_USER_CLASSES)).any():
            raise ValueError(f"classes of actor tracks are 0 to {len(ROAD_USER_CLASSES) - 1}")

    @property
    def looks(self) -> dict[str, NDArray[Any]]:
        """What is known of how the actors look, by the names of ``LOOKS``."""
        return {name: value for name in LOOKS if (value := getattr(self, name)) is not None}

    def __repr__(self) -> str:
        return f"ActorTracks({len(self.ids)} actors, {len(self.poses)} frames)"

    def during(self, frames: slice) -> "ActorTracks":
        """The same actors at some of the frames."""
        lights = None if self.lights is None else self.lights[frames]
        return replace(self, poses=self.poses[frames], speeds_mps=self.speeds_mps[frames], lights=lights)

    def of(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> "ActorTracks":
        """Some of the actors: indices, or a mask (A,)."""
        ids = tuple(np.array(self.ids, dtype=object)[which])
        looks = {name: value[:, which] if name == "lights" else value[which] for name, value in self.looks.items()}
        return ActorTracks(self.poses[:, which], self.sizes_m[which], self.speeds_mps[:, which], ids, **looks)


@dataclass(frozen=True)
class LaneFit:
    """How poses lie in their lanes; each (T,), NaN where there is no lane.

    ``lateral_m`` is positive to the left of the centre line, ``heading_error_rad`` counter-clockwise from its tangent.
    """

    lateral_m: FloatArray
    heading_error_rad: FloatArray
    width_m: FloatArray


@runtime_checkable
class RoadMap(Protocol):
    """What the rewards need to know of a map, in the episode's world frame."""

    def drivable(self, points_m: FloatArray) -> NDArray[np.bool_]:
        """Whether each of (N, 2) points lies on drivable road."""
        ...

    def fit_lanes(self, poses: FloatArray) -> LaneFit:
        """The lane that each of (N, 3) poses drives in."""
        ...


class SceneLog(Protocol):
    """What was recorded around a scene's start: index 0 is the start, -1 one frame (1/12 s) earlier."""

    num_past: int
    """Frames recorded before the start; 0 for a photograph."""
    num_future: int
    """Frames recorded after the start."""
    ego_poses: FloatArray | None
    """(num_past + 1 + num_future, 3) poses in the episode's world frame, or None where they are not known."""

    def images(self, first: int, count: int, camera: Camera) -> Images:
        """(count, H, W, 3) frames ``first``, ``first + 1``, ..., at the size of ``camera``'s image.

        Frames before the record begins repeat its first frame. A rendered scene draws what ``camera`` sees; a recorded
        one crops and resizes.

        Raises:
            InvalidScene: a file cannot be read.
            ValueError: the frames asked for reach beyond the record's end.
        """
        ...


@runtime_checkable
class PromptedLog(SceneLog, Protocol):
    """A log that is drawn, not recorded, so that it can be drawn as another prompt says."""

    def prompted(self, prompt: str) -> SceneLog:
        """The same moments under another prompt."""
        ...


@dataclass(frozen=True)
class Scene:
    """Where an episode starts.

    Attributes:
        key: name of the scene, unique within its source, from which the source finds it again.
        log: the frames up to the start, and after it where they were recorded.
        camera: the camera of the log at its own size; None where it is unknown.
        start: the ego at the start.
        prompt: caption in the four-line form (Weather, Time, Road environment, Critical objects); may be empty.
        road_map: None where there is no map.
        actors: boxes at frames 0 .. num_future of the log, or None where they were not recorded. A world whose traffic
            reacts has its own; see ``WorldState.actors``.
        log_prompt: what the log shows, where the prompt was changed after it was recorded; None where it shows the
            prompt.
        driven: the state of the world that drove here, where a drive goes on in another world or under another prompt:
            its road users go on as well. None where the scene is its own start.
        assumed_speed: the speed at the start is not known but assumed, as of a photograph.
    """

    key: str
    log: SceneLog
    camera: Camera | None
    start: EgoState = field(default_factory=EgoState)
    prompt: str = ""
    road_map: RoadMap | None = None
    actors: ActorTracks | None = None
    log_prompt: str | None = None
    driven: "WorldState | None" = None
    assumed_speed: bool = False

    def with_prompt(self, prompt: str) -> "Scene":
        """The scene under another prompt; a log that is drawn follows it, one that was recorded cannot."""
        if isinstance(self.log, PromptedLog):
            return replace(self, prompt=prompt, log=self.log.prompted(prompt))
        return self.with_changed_prompt(prompt)

    def with_changed_prompt(self, prompt: str) -> "Scene":
        """The scene as it is, and another prompt for what follows."""
        shown = self.prompt if self.log_prompt is None else self.log_prompt
        return replace(self, prompt=prompt, log_prompt=None if prompt == shown else shown)


class SceneSource(Protocol):
    """A set of scenes: the built-in ones, or what a path holds."""

    name: str

    def __len__(self) -> int:
        """How many scenes there are (for the built-in ones, how many indices are allowed)."""
        ...

    def scene(self, index: int) -> Scene:
        """The scene of an index, the same at every call.

        Raises:
            UnknownScene: no such index; the message says which exist.
        """
        ...

    def index_of_key(self, key: str) -> int:
        """The index of the scene with this key.

        Raises:
            UnknownScene: no scene of this source has the key.
        """
        ...

    def index_of_seed(self, seed: int) -> int:
        """The scene that an episode of this seed starts in: the same in every world."""
        ...


@dataclass(frozen=True)
class WorldState:
    """Everything a world remembers of one episode, as plain data: a value that can be kept, shared and saved.

    Attributes:
        arrays: named numpy arrays, read-only.
        values: named JSON values.
        actors: the road users at the present frame and at each frame just generated: T + 1 entries, the first being the
            frame before them (one entry after ``begin``). None where the world does not know any.
    """

    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    actors: ActorTracks | None = None

    def __post_init__(self) -> None:
        named = all(isinstance(part, Mapping) for part in (self.arrays, self.values))
        if not named or not all(isinstance(array, np.ndarray) for array in self.arrays.values()):
            raise InvalidState("a world's state is a mapping of names to numpy arrays, and one of names to JSON values")
        if self.actors is not None and not isinstance(self.actors, ActorTracks):
            raise InvalidState(f"the road users of a world's state are ActorTracks, got {type(self.actors).__name__}")
        for array in self.arrays.values():
            array.flags.writeable = False
        object.__setattr__(self, "arrays", MappingProxyType(dict(self.arrays)))
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))

    def __repr__(self) -> str:
        arrays = ", ".join(f"{name} {array.shape}" for name, array in self.arrays.items())
        actors = 0 if self.actors is None else len(self.actors.ids)
        text = f"arrays: {arrays or 'none'}; values: {', '.join(map(str, self.values)) or 'none'}"
        return f"WorldState({text[:140]}{'...' if len(text) > 140 else ''}; {actors} actors)"

    def __reduce__(self) -> tuple[object, ...]:
        return WorldState, (dict(self.arrays), dict(self.values), self.actors)

    def __deepcopy__(self, memo: dict[int, object]) -> "WorldState":
        return self
