import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from longdwm_env.agents.remote.messages import (
    DTYPES,
    MalformedMessage,
    Message,
    camera_from_json,
    camera_to_json,
    decode,
    encode,
)
from longdwm_env.types import Camera, Intrinsics

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.text(max_size=8).filter(lambda name: name not in ("version", "type", "arrays"))
ARRAYS = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda name: arrays(DTYPES[name], array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)


@given(st.text(max_size=9), st.dictionaries(NAMES, JSON, max_size=3), st.dictionaries(NAMES, ARRAYS, max_size=3))
def test_messages_come_back(kind, values, given_arrays):
    found = decode(encode(Message(kind, values, given_arrays)))
    assert (found.type, found.values) == (kind, values)
    assert list(found.arrays) == list(given_arrays)
    for name, array in given_arrays.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array)


def raw(header, rest=b""):
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return struct.pack("<I", len(text)) + text + rest


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("text", "binary"),
        (b"", "bytes"),
        (struct.pack("<I", 1 << 31), "length"),
        (raw(b"\xff\xfe"), "JSON"),
        (raw(b"[" * 5000), "JSON"),
        (raw([]), "object"),
        (raw({"type": "act"}), "version"),
        (raw({"version": 2, "type": "act"}), "version 2"),
        (raw(b'{"version": 1, "type": "act", "x": NaN}'), "NaN"),
        (raw({"version": 1, "type": "act"}, b"more"), "follow"),
        (raw({"version": 1, "type": "act", "arrays": 3}), "list"),
        (raw({"version": 1, "type": "act", "arrays": [{"name": "x"}]}), "described"),
        (raw({"version": 1, "type": "a", "arrays": [{"name": "x", "dtype": "object", "shape": [1]}]}), "dtype"),
        (raw({"version": 1, "type": "a", "arrays": [{"name": "x", "dtype": "uint8", "shape": [-1]}]}), "shape"),
        (raw({"version": 1, "type": "a", "arrays": [{"name": "x", "dtype": "uint8", "shape": [1e9]}]}), "shape"),
        (raw({"version": 1, "type": "a", "arrays": [{"name": "x", "dtype": "uint8", "shape": [9]}]}), "beyond"),
        (raw({"version": 1, "type": "a", "arrays": [{"name": "x", "dtype": "uint8", "shape": [1] * 6}]}), "shape"),
        (raw({"version": 1, "type": "a", "arrays": [{"name": "x", "dtype": "uint8", "shape": [0]}] * 2}), "distinct"),
    ],
)
def test_each_mistake_is_named(data, message):
    with pytest.raises(MalformedMessage, match=message):
        decode(data)


def test_what_the_format_does_not_hold_is_not_sent():
    for bad in (
        Message("a", {"x": float("nan")}),
        Message("a", {"x": object()}),
        Message("a", {}, {"x": np.array("s")}),
    ):
        with pytest.raises(MalformedMessage):
            encode(bad)


def test_cameras_come_back():
    camera = Camera(Intrinsics.from_fov(1.1, (96, 144)))
    assert camera_from_json(json.loads(json.dumps(camera_to_json(camera)))) == camera


@given(JSON)
def test_what_is_no_camera_is_refused(value):
    with pytest.raises(MalformedMessage):
        camera_from_json(value)
