import json

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from longdwm_env.agents.saved import (
    PolicyHeader,
    read_header,
    read_policy,
    space_from_json,
    space_to_json,
    write_policy,
)
from longdwm_env.errors import InvalidConfig

BOXES = st.builds(
    lambda shape, low, high: spaces.Box(min(low, high), max(low, high) + 1, tuple(shape), np.float32),
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.integers(-9, 9),
    st.integers(-9, 9),
) | st.just(spaces.Box(np.float32([-1, -2]), np.float32([3, 4])))
SPACES = st.one_of(
    BOXES, st.integers(1, 9).map(spaces.Discrete), st.fixed_dictionaries({"a": BOXES, "b": BOXES}).map(spaces.Dict)
)


@given(SPACES)
def test_spaces_come_back(space):
    assert space_from_json(json.loads(json.dumps(space_to_json(space)))) == space


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda x: st.lists(x, max_size=3), max_leaves=5))
def test_what_is_no_space_is_refused(value):
    allowed = isinstance(value, list) and len(value) > 0 and all(type(n) is int and n > 0 for n in value)
    shaped = [] if allowed else [{"box": [0, 1], "shape": value, "dtype": "float32"}]
    for given_value in ({"box": value}, {"dict": value}, {}, *shaped):
        with pytest.raises(InvalidConfig):
            space_from_json(given_value)


def test_huge_spaces_are_refused():
    with pytest.raises(InvalidConfig, match="larger"):
        space_from_json({"box": [0, 255], "shape": [1 << 20, 1 << 20], "dtype": "uint8"})


def test_policies_come_back(tmp_path):
    header = PolicyHeader("cloned", "trajectory", "video", {"hidden": 3})
    weights = {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}
    write_policy(tmp_path / "p.safetensors", header, weights)
    found, tensors = read_policy(tmp_path / "p.safetensors")
    assert found == header
    np.testing.assert_array_equal(tensors["a"], weights["a"])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    header = PolicyHeader("cloned", "trajectory", "video", {})
    write_policy(tmp_path / "p.safetensors", header, {"fine": np.ones(2, np.float32), "bad": np.float32([0, value])})
    assert read_header(tmp_path / "p.safetensors") == header
    with pytest.raises(InvalidConfig, match="'bad' holds numbers that are not finite"):
        read_policy(tmp_path / "p.safetensors")
