"""The message format between an evaluation and a policy elsewhere: a JSON header and raw arrays. No pickle.

One websocket message is one binary message::

    bytes 0..3   length of the header, unsigned little-endian
    header       JSON object in UTF-8: {"version": 1, "type": ..., "arrays": [{"name", "dtype", "shape"}, ...], ...}
    the rest     the arrays' bytes in that order, C order, little-endian, without gaps

``docs/remote_policies.md`` says which messages exist and what follows what.
"""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from longdwm_env.env_options import MAX_SIDE_PX
from longdwm_env.errors import LongDWMError
from longdwm_env.types import AnyArray, Camera, Intrinsics, JsonObject, Mounting

VERSION = 1
MAX_HEADER_BYTES = 1 << 18
MAX_MESSAGE_BYTES = 1 << 26
MAX_ARRAYS = 16
MAX_DIMENSIONS = 5
DTYPES: Mapping[str, np.dtype] = {name: np.dtype(name) for name in ("uint8", "int64", "float32", "float64")}


class MalformedMessage(LongDWMError, ValueError):
    """Bytes that are no message of this format; says what is wrong and what is allowed."""


@dataclass(frozen=True)
class Message:
    """A type, named values (JSON) and named arrays."""

    type: str
    values: JsonObject = field(default_factory=dict)
    arrays: Mapping[str, AnyArray] = field(default_factory=dict)


def encode(message: Message) -> bytes:
    """The message as bytes.

    Raises:
        MalformedMessage: it holds what the format does not allow.
    """
    described, blobs = [], []
    for name, array in message.arrays.items():
        given = np.asarray(array)
        if given.dtype.name not in DTYPES:
            raise MalformedMessage(f"array {name!r} holds {given.dtype}; allowed are {', '.join(DTYPES)}")
        described.append({"name": name, "dtype": given.dtype.name, "shape": list(given.shape)})
        blobs.append(np.ascontiguousarray(given, given.dtype.newbyteorder("<")).tobytes())
    header = {"version": VERSION, "type": message.type, "arrays": described, **message.values}
    try:
        text = json.dumps(header, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise MalformedMessage(f"the values of a message are finite JSON values: {error}") from error
    data = b"".join([struct.pack("<I", len(text)), text, *blobs])
    if len(text) > MAX_HEADER_BYTES or len(data) > MAX_MESSAGE_BYTES:
        raise MalformedMessage(f"a message of {len(data)} bytes with a header of {len(text)} is larger than allowed")
    return data


def decode(data: object) -> Message:
    """The message in bytes; arrays are read-only views of them.

    Raises:
        MalformedMessage: anything that ``encode`` would not have written.
    """
    if not isinstance(data, bytes):
        raise MalformedMessage("messages are binary, this one is text")
    if not 4 <= len(data) <= MAX_MESSAGE_BYTES:
        raise MalformedMessage(f"a message has 4 to {MAX_MESSAGE_BYTES} bytes, got {len(data)}")
    (length,) = struct.unpack_from("<I", data)
    if length > MAX_HEADER_BYTES or 4 + length > len(data):
        raise MalformedMessage(
            f"the header's length is given as {length}; allowed is up to {MAX_HEADER_BYTES}, and not beyond the message"
        )
    header = _header(data[4 : 4 + length])
    arrays = _arrays(header.pop("arrays", []), data, 4 + length)
    version, kind = header.pop("version"), header.pop("type")
    if version != VERSION:
        raise MalformedMessage(f"the message has version {str(version)[:50]}, this program speaks {VERSION}")
    return Message(kind, header, arrays)


def _header(text: bytes) -> JsonObject:
    try:
        words = text.decode("utf-8")
        header = json.loads(words, parse_constant=_refuse)
        # Half a surrogate pair comes as an escape only. It could be written to no file, terminal or page.
        if "\\ud" in words.lower():
            header = _whole(header)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage(f"the header is not JSON in UTF-8: {error}") from error
    if not isinstance(header, dict) or not isinstance(header.get("type"), str) or "version" not in header:
        raise MalformedMessage("the header is a JSON object with 'version' and 'type' (a text)")
    return header


def _whole(value: Any) -> Any:
    """The same JSON value with U+FFFD for each half of a surrogate pair."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole(part) for part in value]
    if isinstance(value, dict):
        return {_whole(key): _whole(part) for key, part in value.items()}
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _arrays(described: object, data: bytes, offset: int) -> dict[str, AnyArray]:
    if not isinstance(described, list) or len(described) > MAX_ARRAYS:
        raise MalformedMessage(f"'arrays' is a list of at most {MAX_ARRAYS} descriptions")
    arrays: dict[str, AnyArray] = {}
    for entry in described:
        if not isinstance(entry, dict) or set(entry) != {"name", "dtype", "shape"}:
            raise MalformedMessage(f"an array is described by name, dtype and shape, got {str(entry)[:200]}")
        name, dtype, shape = entry["name"], entry["dtype"], entry["shape"]
        if not isinstance(name, str) or name in arrays:
            raise MalformedMessage(f"array names are distinct texts, got {str(name)[:100]!r}")
        if not isinstance(dtype, str) or dtype not in DTYPES:
            raise MalformedMessage(f"array {name!r} has dtype {str(dtype)[:50]!r}; allowed are {', '.join(DTYPES)}")
        sides = isinstance(shape, list) and all(type(n) is int and 0 <= n <= MAX_MESSAGE_BYTES for n in shape)
        if not sides or len(shape) > MAX_DIMENSIONS:
            raise MalformedMessage(
                f"array {name!r} has shape {str(shape)[:100]}; allowed are up to {MAX_DIMENSIONS} sizes"
            )
        kind = DTYPES[dtype].newbyteorder("<")
        size = math.prod(shape) * kind.itemsize
        if offset + size > len(data):
            raise MalformedMessage(f"array {name!r} of shape {shape} and type {dtype} reaches beyond the message's end")
        flat = np.frombuffer(data, kind, math.prod(shape), offset)
        arrays[name] = flat.reshape(shape)
        offset += size
    if offset != len(data):
        raise MalformedMessage(f"{len(data) - offset} bytes follow the last array")
    return arrays


def camera_to_json(camera: Camera) -> JsonObject:
    """A camera as JSON values."""
    inner = camera.intrinsics
    return {
        "intrinsics": [inner.fx_px, inner.fy_px, inner.cx_px, inner.cy_px],
        "width_px": inner.width_px,
        "height_px": inner.height_px,
        "translation_m": list(camera.mounting.translation_m),
        "rotation_wxyz": list(camera.mounting.rotation_wxyz),
    }


def camera_from_json(value: JsonObject) -> Camera:
    """The camera that ``camera_to_json`` wrote.

    Raises:
        MalformedMessage: the value is not one.
    """
    try:
        fx, fy, cx, cy = (float(n) for n in value["intrinsics"])
        sides = [value["width_px"], value["height_px"]]
        if not all(type(side) is int and 1 <= side <= MAX_SIDE_PX for side in sides):
            raise ValueError(f"width and height are whole numbers from 1 to {MAX_SIDE_PX}")
        mounting = Mounting(value["translation_m"], value["rotation_wxyz"])
        return Camera(Intrinsics(fx, fy, cx, cy, *sides), mounting)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise MalformedMessage(f"not a camera: {str(value)[:200]} ({str(error)[:200]})") from error
