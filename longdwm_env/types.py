"""The values that cross boundaries: frozen, validated, in SI units.

Arrays are in ``values.arrays``, cameras in ``values.pinhole``; both are imported from here.

Frames of reference. *Ego*: ISO 8855, x forward, y left, z up, metres, origin on the ground below the middle of the
rear axle. *Camera*: OpenCV, x right, y down, z forward. *World*: the episode's fixed frame, z up, in which ``EgoState``
and ``ActorTracks`` are given. A pose is (x m, y m, heading rad), heading counter-clockwise from x.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from longdwm_env.errors import InvalidState
from longdwm_env.values.arrays import (
    MAX_SIDE_PX,
    AnyArray,
    FloatArray,
    Images,
    ImageSize,
    JsonObject,
    Scalar,
    frozen_array,
    wrap_angle,
)
from longdwm_env.values.pinhole import FORWARD_WXYZ, Camera, Intrinsics, Mounting

__all__ = [
    "FORWARD_WXYZ",
    "LOOKS",
    "MAX_SIDE_PX",
    "ROAD_USER_CLASSES",
    "ActorTracks",
    "AnyArray",
    "Camera",
    "EgoState",
    "FloatArray",
    "ImageSize",
    "Images",
    "Intrinsics",
    "JsonObject",
    "LaneFit",
    "Mounting",
    "PromptedLog",
    "RoadMap",
    "Scalar",
    "Scene",
    "SceneLog",
    "SceneSource",
    "Trajectory",
    "WorldState",
    "frozen_array",
    "wrap_angle",
]


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
    def looks(self) -> dict[str, AnyArray]:
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

    arrays: Mapping[str, AnyArray] = field(default_factory=dict)
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
