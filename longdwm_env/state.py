"""The state of an episode as one value: free to copy, safe to share, saved as safetensors and JSON."""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from longdwm_env.episodes.lazy_frames import Frames
from longdwm_env.errors import InvalidState
from longdwm_env.geometry.camera import camera_from_json
from longdwm_env.io.files import atomic_write_bytes
from longdwm_env.types import (
    LOOKS,
    ActorTracks,
    AnyArray,
    Camera,
    EgoState,
    FloatArray,
    Images,
    ImageSize,
    Scalar,
    WorldState,
    frozen_array,
)

FORMAT = "longdwm-env-state"
VERSION = 1

PAST_FRAMES = 14
"""Frames of past motion that a state keeps: with the frame at hand, the longest window of the comfort terms."""

MAX_COUNT = 2**63 - 1
"""Largest seed and number of frames: what a file or a message can hold."""

_WORLD = "world."
_ACTORS = ("actors.poses", "actors.sizes_m", "actors.speeds_mps")
_NOT_JSON = "$float"


@dataclass(frozen=True, eq=False)
class EnvState:
    """Everything that decides how an episode goes on. Two episodes in the same state have the same future.

    Immutable: arrays are read-only and copies, shallow or deep, are the state itself. Random numbers are counted, not
    streamed: ``seed`` and ``frames_driven`` say which come next.

    Attributes:
        world: name of the world that the episode runs in.
        image_size: (height, width) of its frames.
        source: name of the scene source.
        scene: key of the scene within the source.
        seed: the episode's seed.
        prompt: the final prompt.
        camera: the final camera, fitted to ``image_size``.
        ego: motion at the present frame, in the episode's world frame.
        frames_driven: frames since reset; the counter of the random numbers.
        clip: what was observed last, newest last; see ``frames`` and ``newest_frame``.
        ego_poses: (T, 3) x m, y m, heading rad at these frames.
        past_motion: (M, 3) speed m/s, acceleration m/s2, yaw rate rad/s at the last M <= 15 frames, this one last.
        world_state: what the world remembers.
        terminated: the episode is over: a collision, or the road was left.
        truncated: the episode's time is up.
        reason: "collision", "off_road", "time_limit", or empty while the episode goes on.
    """

    world: str
    image_size: ImageSize
    source: str
    scene: str
    seed: int
    prompt: str
    camera: Camera
    ego: EgoState
    frames_driven: int
    clip: Frames
    ego_poses: FloatArray
    past_motion: FloatArray
    world_state: WorldState = field(default_factory=WorldState)
    terminated: bool = False
    truncated: bool = False
    reason: str = ""

    def __post_init__(self) -> None:
        kinds = {"clip": Frames, "camera": Camera, "ego": EgoState, "world_state": WorldState}
        for name, kind in kinds.items():
            _require(isinstance(getattr(self, name), kind), f"{name} must be {kind.__name__}")
        _require(
            isinstance(self.image_size, list | tuple), f"image_size must be (height, width), got {self.image_size!r}"
        )
        object.__setattr__(self, "image_size", tuple(self.image_size))
        object.__setattr__(self, "ego_poses", _read_only(self.ego_poses, np.float64))
        object.__setattr__(self, "past_motion", _read_only(self.past_motion, np.float64))
        for name in ("world", "source", "scene", "prompt", "reason"):
            _require(isinstance(getattr(self, name), str), f"{name} must be a string")
        for name in ("seed", "frames_driven"):
            value = getattr(self, name)
            right = type(value) is int and 0 <= value <= MAX_COUNT
            _require(right, f"{name} must be a whole number from 0 to {MAX_COUNT}, got {value!r}")
        for name in ("terminated", "truncated"):
            _require(type(getattr(self, name)) is bool, f"{name} must be true or false")
        _require(
            len(self.image_size) == 2 and all(type(n) is int and n > 0 for n in self.image_size),
            f"image_size must be (height, width), got {self.image_size!r}",
        )
        count = len(self.clip)
        _require(
            count >= 1 and self.clip.shape == (count, *self.image_size, 3),
            f"frames are {self.clip.shape}, expected (T, {self.image_size[0]}, {self.image_size[1]}, 3)",
        )
        _require(self.camera.intrinsics.image_size == self.image_size, "the camera belongs to another image size")
        _require(self.ego_poses.shape == (count, 3), f"ego_poses are {self.ego_poses.shape}, expected ({count}, 3)")
        moments = self.past_motion.shape[0] if self.past_motion.ndim else 0
        _require(
            1 <= moments <= PAST_FRAMES + 1 and self.past_motion.shape == (moments, 3),
            f"past_motion is {self.past_motion.shape}, expected (1 to {PAST_FRAMES + 1}, 3)",
        )
        numbers = (*asdict(self.ego).values(), *self.ego_poses.flat, *self.past_motion.flat)
        real = all(isinstance(n, int | float | np.number) and not isinstance(n, bool) for n in numbers)
        _require(real and all(math.isfinite(n) for n in numbers), "the ego's motion must be finite numbers")

    @property
    def frames(self) -> Images:
        """(T, H, W, 3) the pictures of the last control period, newest last, read-only; those not yet drawn are."""
        return self.clip.images

    @property
    def newest_frame(self) -> Images:
        """(H, W, 3) the present picture, read-only. The others are drawn only when asked for."""
        return self.clip.newest

    def __repr__(self) -> str:
        over = f", over: {self.reason}" if self.terminated or self.truncated else ""
        driven = f"{self.frames_driven} frames driven, {self.ego.speed_mps:.1f} m/s"
        where = f"{self.scene[:60]!r} in {self.world[-40:]!r}"
        return (
            f"EnvState({where}, seed {self.seed}, {driven}, {self.image_size[0]} x {self.image_size[1]} pixels{over})"
        )

    def __copy__(self) -> "EnvState":
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> "EnvState":
        return self

    def __reduce__(self) -> tuple[object, ...]:
        # Through the constructor, so that a state sent to another process is read-only there too.
        return EnvState, tuple(getattr(self, f.name) for f in fields(self))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to one safetensors file whose metadata holds the rest as JSON; whole or not at all.

        Raises:
            InvalidState: the world keeps something in its state that is neither an array of numbers nor JSON.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import save

        tensors = self._tensors()
        for name, array in tensors.items():
            if array.dtype.kind not in "biuf":
                raise InvalidState(f"{name} holds {array.dtype}; a state can be saved when its arrays hold numbers")
        record = json.dumps(self._record(), allow_nan=False)
        metadata = {"format": FORMAT, "version": str(VERSION), "state": record, "sha256": _digest(record, tensors)}
        try:
            data = save(tensors, metadata)
        except (SafetensorError, KeyError, ValueError) as error:
            raise InvalidState(f"the state cannot be saved: {error}") from error
        atomic_write_bytes(path, data)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> "EnvState":
        """Read a state that ``save`` wrote, in any process; the world is not needed.

        Raises:
            FileNotFoundError: there is no such file.
            InvalidState: the file is damaged, truncated, of another kind or of another version.
        """
        from safetensors import SafetensorError, safe_open

        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"there is no saved state at {path}")
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT:
                    raise InvalidState("it is not a state of LongDWM-v0")
                if metadata.get("version") != str(VERSION):
                    raise InvalidState(f"it has version {metadata.get('version')}, this package reads {VERSION}")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            record = metadata["state"]
            if metadata.get("sha256") != _digest(record, tensors):
                raise InvalidState("its contents do not match their checksum")
            return _from_parts(json.loads(record), tensors)
        except (
            SafetensorError,
            OSError,
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
            ArithmeticError,
            RecursionError,
        ) as error:
            raise InvalidState(f"{path} cannot be loaded as a state: {error}") from error

    def _tensors(self) -> dict[str, NDArray[np.generic]]:
        tensors = {"frames": self.frames, "ego_poses": self.ego_poses, "past_motion": self.past_motion}
        tensors |= {_WORLD + name: array for name, array in self.world_state.arrays.items()}
        actors = self.world_state.actors
        if actors is not None:
            tensors |= dict(zip(_ACTORS, (actors.poses, actors.sizes_m, actors.speeds_mps), strict=True))
            tensors |= {f"actors.{name}": array for name, array in actors.looks.items()}
        return {name: np.asarray(array, order="C") for name, array in tensors.items()}

    def _record(self) -> dict[str, object]:
        kept_as_tensors = ("clip", "ego_poses", "past_motion", "world_state", "camera", "ego")
        record = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in kept_as_tensors}
        record["camera"] = asdict(self.camera)
        record["ego"] = asdict(self.ego)
        record["world_values"] = dict(self.world_state.values)
        actors = self.world_state.actors
        record["actor_ids"] = None if actors is None else list(actors.ids)
        saved = _jsonable(record)
        assert isinstance(saved, dict)
        return saved


def _from_parts(encoded: object, tensors: dict[str, NDArray[np.generic]]) -> EnvState:
    """The state of a decoded JSON record and its tensors, every part of which must be there."""
    record = _from_jsonable(encoded)
    names = {f.name for f in fields(EnvState)} - {"clip", "ego_poses", "past_motion", "world_state"}
    if not isinstance(record, dict) or set(record) != names | {"world_values", "actor_ids"}:
        raise InvalidState("its JSON record does not have the fields of a state")
    values, actor_ids = record.pop("world_values"), record.pop("actor_ids")
    actors = None
    if actor_ids is not None:
        poses, sizes_m, speeds_mps = (_take(tensors, name, np.float64) for name in _ACTORS)
        # States that were saved before looks were kept have none.
        looks = {name: f"actors.{name}" for name in LOOKS if f"actors.{name}" in tensors}
        known: dict[str, AnyArray] = {name: _take(tensors, tensor, LOOKS[name]) for name, tensor in looks.items()}
        actors = ActorTracks(poses, sizes_m, speeds_mps, tuple(actor_ids), **known)
    record["camera"] = camera_from_json(record["camera"])
    record["ego"] = EgoState(**record["ego"])
    record["image_size"] = tuple(record["image_size"])
    frames = _take(tensors, "frames", np.uint8)
    motion = [_take(tensors, name, np.float64) for name in ("ego_poses", "past_motion")]
    strangers = [name for name in tensors if not name.startswith(_WORLD)]
    if strangers:
        raise InvalidState(f"it holds unknown arrays {strangers}")
    arrays = {name.removeprefix(_WORLD): array for name, array in tensors.items()}
    return EnvState(
        clip=Frames.of(frames),
        ego_poses=motion[0],
        past_motion=motion[1],
        world_state=WorldState(arrays, values, actors),
        **record,
    )


def _take(tensors: dict[str, NDArray[np.generic]], name: str, dtype: type[Scalar]) -> NDArray[Scalar]:
    array = cast(NDArray[Scalar], tensors.pop(name))
    if array.dtype != dtype:
        raise InvalidState(f"{name} holds {array.dtype}, expected {np.dtype(dtype)}")
    return array


def _digest(record: str, tensors: Mapping[str, NDArray[np.generic]]) -> str:
    digest = hashlib.sha256(record.encode("utf-8", "surrogatepass"))
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode("utf-8", "surrogatepass"))
        digest.update(array.tobytes())
    return digest.hexdigest()


def _jsonable(value: object) -> object:
    """The value with NaN and infinities, which JSON does not have, as ``{"$float": "nan"}``."""
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value) or _NOT_JSON in value:
            raise InvalidState(f"a saved state's values have strings for keys, and none named {_NOT_JSON!r}")
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, np.number | np.bool_):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {_NOT_JSON: repr(float(value))}
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise InvalidState(f"a saved state's values are JSON, got {type(value).__name__}")


def _from_jsonable(value: object) -> object:
    if isinstance(value, dict):
        if set(value) == {_NOT_JSON}:
            return float(value[_NOT_JSON])
        return {key: _from_jsonable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_from_jsonable(item) for item in value]
    return value


def _read_only(array: object, dtype: type[Scalar]) -> NDArray[Scalar]:
    """The array itself where it cannot be written to, else a read-only copy."""
    if isinstance(array, np.ndarray) and array.dtype == dtype and array.base is None and not array.flags.writeable:
        return array
    try:
        return frozen_array(array, dtype)
    except Exception as error:  # whatever a stranger's object raises when it is asked for its numbers
        raise InvalidState(f"a state's motion is numbers, got {type(array).__name__}: {error}") from error


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise InvalidState(message)
