"""Policies on disk: one safetensors file whose metadata holds a header as JSON. No pickle."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from longdwm_env.errors import InvalidConfig
from longdwm_env.io.files import atomic_write_bytes
from longdwm_env.types import JsonObject

FORMAT = "longdwm-policy"
VERSION = 1
KINDS = ("cloned", "sb3")

MAX_SPACE_BYTES = 1 << 26
"""One observation in all its parts, as large as one message may be: twelve frames of 4K would be more."""

MAX_SPACES = 16
MAX_DIMENSIONS = 5
MAX_COMMANDS = 1 << 16


@dataclass(frozen=True)
class PolicyHeader:
    """What a file says about the policy in it.

    Attributes:
        kind: which program reads the weights: "cloned" or "sb3".
        action_mode, obs_mode: of the environment that it was made for.
        settings: of the network, as JSON values.
    """

    kind: str
    action_mode: str
    obs_mode: str
    settings: JsonObject

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidConfig(f"a saved policy of kind {self.kind!r} does not exist; there are {', '.join(KINDS)}")


def write_policy(path: Path, header: PolicyHeader, tensors: Mapping[str, np.ndarray]) -> None:
    """Write a policy, whole or not at all."""
    from safetensors.numpy import save

    record = {"format": FORMAT, "version": str(VERSION), "header": json.dumps(asdict(header), allow_nan=False)}
    atomic_write_bytes(path, save({name: np.ascontiguousarray(array) for name, array in tensors.items()}, record))


def read_header(path: Path) -> PolicyHeader:
    """The header of a saved policy.

    Raises:
        InvalidConfig: there is no such file, or it is damaged or of another kind.
    """
    return _read(path)[0]


def read_policy(path: Path) -> tuple[PolicyHeader, dict[str, np.ndarray]]:
    """Header and weights of a saved policy.

    Raises:
        InvalidConfig: there is no such file, or it is damaged, of another kind or holds numbers that are not finite.
    """
    return _read(path, tensors=True)


def _read(path: Path, tensors: bool = False) -> tuple[PolicyHeader, dict[str, np.ndarray]]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise InvalidConfig(f"there is no saved policy at {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT or metadata.get("version") != str(VERSION):
                raise InvalidConfig(f"{path} is not a policy of this package (format {FORMAT}, version {VERSION})")
            header = PolicyHeader(**json.loads(metadata["header"]))
            weights = {name: file.get_tensor(name) for name in file.keys()} if tensors else {}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InvalidConfig):
            raise
        raise InvalidConfig(f"{path} cannot be read as a policy: {error}") from error
    for name, array in weights.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InvalidConfig(f"{path}: {name!r} holds numbers that are not finite, so no action can come of it")
    return header, weights


def space_to_json(space: spaces.Space[object]) -> dict[str, object]:
    """A Box (of one bound below and above per number), Discrete or Dict space as JSON values.

    Raises:
        InvalidConfig: any other space.
    """
    if isinstance(space, spaces.Box):
        same = np.unique(space.low).size == 1 and np.unique(space.high).size == 1
        bounds = [float(bound.flat[0]) if same else bound.tolist() for bound in (space.low, space.high)]
        return {"box": bounds, "shape": list(space.shape), "dtype": str(space.dtype)}
    if isinstance(space, spaces.Discrete):
        return {"discrete": int(space.n)}
    if isinstance(space, spaces.Dict):
        return {"dict": {key: space_to_json(part) for key, part in space.spaces.items()}}
    raise InvalidConfig(f"a policy for the space {space} cannot be saved; Box, Discrete and Dict can")


def space_from_json(value: JsonObject) -> spaces.Space[Any]:
    """The space that ``space_to_json`` wrote. Nothing is made before all of it is known to be small enough.

    Raises:
        InvalidConfig: the value is not one, or its parts together are larger than any observation.
    """
    try:
        space_bytes(value)
        return _space(value)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        if isinstance(error, InvalidConfig):
            raise
        raise InvalidConfig(f"not a saved space: {str(value)[:200]} ({str(error)[:200]})") from error


def space_bytes(value: JsonObject) -> int:
    """Bytes of one sample of the space that ``space_from_json`` would make, all its parts together.

    Raises:
        InvalidConfig: more of them, or larger ones, than any observation has.
        ValueError: the value is not a space.
    """
    parts = list(_parts(value, depth=2))
    if len(parts) > MAX_SPACES:
        raise InvalidConfig(f"a space of {len(parts)} parts; allowed are {MAX_SPACES}")
    size = sum(parts)
    if size > MAX_SPACE_BYTES:
        raise InvalidConfig(f"a space of {size} bytes is larger than allowed: {MAX_SPACE_BYTES}, all parts together")
    return size


def _parts(value: JsonObject, depth: int) -> Iterator[int]:
    """Bytes of each part of a space."""
    if depth == 0:
        raise ValueError("a dict within a dict of dicts is no observation")
    if "box" in value:
        yield math.prod(_shape(value)) * _dtype(value).itemsize
    elif "discrete" in value:
        if type(value["discrete"]) is not int or not 1 <= value["discrete"] <= MAX_COMMANDS:
            raise ValueError(f"a discrete space is of 1 to {MAX_COMMANDS} numbers")
        yield 8
    else:
        if not isinstance(value["dict"], Mapping):
            raise ValueError("'dict' holds spaces by name")
        for part in value["dict"].values():
            yield from _parts(part, depth - 1)


def _shape(value: JsonObject) -> tuple[int, ...]:
    shape = value["shape"]
    sides = isinstance(shape, list | tuple) and 1 <= len(shape) <= MAX_DIMENSIONS
    if not sides or not all(type(side) is int and 1 <= side <= MAX_SPACE_BYTES for side in shape):
        raise ValueError(f"a shape is 1 to {MAX_DIMENSIONS} whole numbers from 1")
    return tuple(shape)


def _dtype(value: JsonObject) -> np.dtype:
    dtype = np.dtype(value["dtype"])
    if dtype.kind not in "iuf" or dtype.shape:
        raise ValueError(f"numbers of type {dtype}; allowed are whole numbers and floats")
    return dtype


def _bound(bound: object, dtype: np.dtype) -> np.ndarray:
    numbers = np.asarray(bound, dtype=np.float64)
    if dtype.kind in "iu":
        ends = np.iinfo(dtype)
        if not ((numbers >= ends.min) & (numbers <= ends.max)).all():
            raise ValueError(f"bounds of {dtype} from {ends.min} to {ends.max}, got {str(bound)[:100]}")
        return np.asarray(bound).astype(dtype)
    with np.errstate(over="ignore"):
        return numbers.astype(dtype)


def _space(value: JsonObject) -> spaces.Space[Any]:
    if "box" in value:
        shape, dtype = _shape(value), _dtype(value)
        low, high = (np.broadcast_to(_bound(bound, dtype), shape) for bound in value["box"])
        return spaces.Box(low, high, shape, dtype.type)
    if "discrete" in value:
        return spaces.Discrete(value["discrete"])
    return spaces.Dict({key: _space(part) for key, part in value["dict"].items()})
