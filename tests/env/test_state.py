import copy
import dataclasses
import json
import multiprocessing
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save as save_tensors

from longdwm_env import EgoState, EnvState, InvalidState, WorldState
from longdwm_env.episodes.lazy_frames import Frames
from longdwm_env.types import ActorTracks


@pytest.fixture(scope="module")
def state(make, kit):
    """A state with everything in it: arrays of many kinds, values that JSON does not have, absent road users."""
    env = make(kit.NoiseWorld())
    env.reset(seed=0)
    env.step(kit.ahead())
    poses = np.full((13, 2, 3), np.nan)
    poses[:, 0] = 50.0
    lights = np.zeros((13, 2, 3), bool)
    lights[3:, 1, 0] = True
    looks = {"classes": [2, 5], "colours": [[226, 228, 230], [44, 46, 52]], "lights": lights}
    actors = ActorTracks(poses, np.ones((2, 3)), np.full((13, 2), np.nan), ("a", "b é"), **looks)
    arrays = {
        "latents": np.arange(24, dtype=np.float16).reshape(2, 3, 4),
        "flags": np.array([True, False]),
        "scalar": np.array(3.5),
        "empty": np.zeros((0, 4), np.int64),
        "strided": np.arange(12, dtype=np.int32).reshape(3, 4).T,
        "not finite": np.array([np.nan, np.inf]),
    }
    values = {"nan": float("nan"), "deep": [{"x": -float("inf")}, None, "é"], "int": 2**70, "none": None, "no": False}
    return dataclasses.replace(
        env.unwrapped.get_state(), world_state=WorldState(arrays, values, actors), prompt='Weather: "rain".\nTime: é.'
    )


@pytest.fixture(scope="module")
def saved(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("states") / "state.safetensors"
    state.save(path)
    return path


def test_loading_gives_back_what_was_saved(state, saved, kit):
    loaded = EnvState.load(saved)
    assert kit.same_state(state, loaded)
    assert loaded.world_state.arrays["scalar"].shape == ()


def test_road_users_without_looks_are_saved_as_before(state, tmp_path, kit):
    bare = dataclasses.replace(state.world_state.actors, classes=None, colours=None, lights=None)
    state = dataclasses.replace(state, world_state=dataclasses.replace(state.world_state, actors=bare))
    state.save(tmp_path / "bare.safetensors")
    with safe_open(tmp_path / "bare.safetensors", framework="numpy") as file:
        names = [name for name in file.keys() if name.startswith("actors.")]  # noqa: SIM118 - not a dict
    assert sorted(names) == ["actors.poses", "actors.sizes_m", "actors.speeds_mps"]
    loaded = EnvState.load(tmp_path / "bare.safetensors")
    assert kit.same_state(state, loaded)
    assert not loaded.world_state.actors.looks


def test_a_state_cannot_be_changed(state):
    with pytest.raises(dataclasses.FrozenInstanceError):
        state.seed = 3
    for array in (state.frames, state.ego_poses, state.past_motion, state.world_state.arrays["latents"]):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    with pytest.raises(TypeError):
        state.world_state.values["int"] = 3


def test_copies_are_the_state_itself(state):
    assert copy.copy(state) is state
    assert copy.deepcopy({"deep": [state]})["deep"][0] is state


def test_a_state_travels_to_another_process_and_back(state, kit):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (back,) = pool.map(copy.copy, [state])
    assert kit.same_state(state, back)
    assert not back.frames.flags.writeable


def test_arrays_of_the_caller_stay_theirs(state):
    frames = np.array(state.frames)
    kept = dataclasses.replace(state, clip=Frames.of(frames))
    frames[:] = 0
    np.testing.assert_array_equal(kept.frames, state.frames)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"frames_driven": True}, "frames_driven"),
        ({"clip": Frames.of(np.zeros((2, 3, 4, 3), np.uint8))}, "frames"),
        ({"ego_poses": np.zeros((3, 3))}, "ego_poses"),
        ({"past_motion": np.zeros((99, 3))}, "past_motion"),
        ({"past_motion": np.full((1, 3), np.nan)}, "finite"),
        ({"ego": EgoState(speed_mps=float("inf"))}, "finite"),
        ({"terminated": 1}, "terminated"),
        ({"scene": 3}, "scene"),
        ({"image_size": (40, 60, 3)}, "image_size"),
    ],
)
def test_a_state_that_makes_no_sense_cannot_be_built(state, change, message):
    with pytest.raises(InvalidState, match=message):
        dataclasses.replace(state, **change)


@pytest.mark.parametrize(
    "world_state",
    [
        WorldState({"names": np.array(["a"])}),
        WorldState({"complex": np.array([1j])}),
        WorldState({"objects": np.array([None])}),
        WorldState(values={"a set": {1, 2}}),
        WorldState(values={"an array": np.zeros(3)}),
        WorldState(values={"deep": {3: 4}}),
        WorldState(values={"$float": "nan"}),
    ],
)
def test_what_is_neither_numbers_nor_json_is_refused_before_a_file_is_written(state, world_state, tmp_path):
    with pytest.raises(InvalidState):
        dataclasses.replace(state, world_state=world_state).save(tmp_path / "state.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        EnvState.load(tmp_path / "nowhere.safetensors")


def test_foreign_files_are_refused(tmp_path, saved):
    contents = {
        "empty": b"",
        "text": b"hello, this is a letter",
        "folder": None,
        "huge header": struct.pack("<Q", 2**62) + b"{}",
        "deep header": struct.pack("<Q", 200_000) + b"[" * 200_000,
        "other tensors": save_tensors({"a": np.zeros(3)}),
        "other version": save_tensors({"a": np.zeros(3)}, {"format": "longdwm-env-state", "version": "99"}),
        "no record": save_tensors({"a": np.zeros(3)}, {"format": "longdwm-env-state", "version": "1"}),
    }
    for name, data in contents.items():
        path = tmp_path / name
        path.mkdir() if data is None else path.write_bytes(data)
        with pytest.raises(InvalidState, match=name):
            EnvState.load(path)


def _damaged(saved, tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    path.write_bytes(data)
    try:
        EnvState.load(path)
    except InvalidState as error:
        return str(error)
    return None


@settings(max_examples=5 * settings.default.max_examples)
@given(data=st.data())
def test_damaged_files_are_always_found(saved, tmp_path_factory, data):
    """A flipped bit anywhere, also in a pixel, is an InvalidState and nothing else."""
    original = saved.read_bytes()
    header = 8 + struct.unpack("<Q", original[:8])[0]
    damaged = bytearray(original)
    places = st.one_of(st.integers(0, 7), st.integers(8, header - 1), st.integers(header, len(original) - 1))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(places)
        damaged[place] ^= data.draw(st.integers(1, 255))
    if bytes(damaged) != original:
        message = _damaged(saved, tmp_path_factory, bytes(damaged))
        # White space around the header's JSON and the order of its keys mean nothing; all else does.
        assert message or _same_meaning(bytes(damaged), original)


def _same_meaning(one, other):
    def parts(data):
        size = struct.unpack("<Q", data[:8])[0]
        return json.loads(data[8 : 8 + size]), data[8 + size :]

    return parts(one) == parts(other)
