import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longdwm_env.types import ActorTracks, EgoState, Intrinsics, Mounting, WorldState, wrap_angle


@pytest.mark.parametrize(
    "make",
    [
        lambda: Intrinsics(0, 1, 0, 0, 10, 10),
        lambda: Intrinsics(1, 1, float("nan"), 0, 10, 10),
        lambda: Intrinsics.from_fov(4, (10, 10)),
        lambda: Intrinsics.from_matrix(np.eye(4), (10, 10)),
        lambda: Mounting((0, 0, -1)),
        lambda: Mounting((0, 0, 1), (1, 1, 1, 1)),
        lambda: Mounting(()),
        lambda: Mounting((0, 0, 1), (1, 0, 0, 0, 0)),
    ],
)
def test_impossible_cameras_are_refused(make):
    with pytest.raises(ValueError):  # noqa: PT011 - six messages
        make()


def test_curvature_is_zero_at_standstill():
    assert EgoState(speed_mps=0.0, yaw_rate_radps=0.0).curvature_per_m == 0.0
    assert EgoState(speed_mps=10.0, yaw_rate_radps=0.5).curvature_per_m == pytest.approx(0.05)


@given(st.floats(-1e3, 1e3))
def test_wrapped_angles_are_the_same_angle(angle):
    wrapped = wrap_angle(angle)
    assert -np.pi <= wrapped <= np.pi
    assert np.cos(wrapped) == pytest.approx(np.cos(angle), abs=1e-9)


def test_a_world_state_cannot_be_changed_and_copies_for_nothing():
    state = WorldState({"frame": np.zeros((2, 2))}, {"count": 3})
    with pytest.raises(ValueError, match="read-only"):
        state.arrays["frame"][0, 0] = 1
    with pytest.raises(TypeError):
        state.values["count"] = 4
    assert copy.deepcopy(state) is state
    again = pickle.loads(pickle.dumps(state))  # how worker processes receive it
    assert np.array_equal(again.arrays["frame"], state.arrays["frame"])
    assert again.values == state.values


def test_actor_tracks_must_agree_with_themselves():
    with pytest.raises(ValueError, match="disagree"):
        ActorTracks(np.zeros((3, 2, 3)), np.zeros((1, 3)), np.zeros((3, 2)), ("a", "b"))


def looking_tracks() -> ActorTracks:
    """Three road users for five frames, each looking unlike the others."""
    lights = np.arange(45).reshape(5, 3, 3) % 2 == 0
    return ActorTracks(
        np.zeros((5, 3, 3)), np.ones((3, 3)), np.zeros((5, 3)), ("a", "b", "c"), [2, 5, 6], np.eye(3) * 200, lights
    )


def test_looks_go_with_their_actors_and_frames():
    tracks = looking_tracks()
    assert (tracks.classes.dtype, tracks.colours.dtype, tracks.lights.dtype) == (np.uint8, np.uint8, bool)
    later = tracks.during(slice(2, 4))
    assert np.array_equal(later.lights, tracks.lights[2:4])
    assert np.array_equal(later.colours, tracks.colours)
    some = tracks.of(np.array([True, False, True]))
    assert some.ids == ("a", "c")
    assert some.classes.tolist() == [2, 6]
    assert np.array_equal(some.lights, tracks.lights[:, [0, 2]])
    assert some.poses.shape == (5, 2, 3)
    assert replace(tracks, colours=None).of(np.array([1])).looks.keys() == {"classes", "lights"}


def test_looks_must_fit_their_actors():
    tracks = looking_tracks()
    with pytest.raises(ValueError, match="colours of actor tracks"):
        replace(tracks, colours=np.zeros((2, 3)))
    with pytest.raises(ValueError, match="lights of actor tracks"):
        replace(tracks, lights=np.zeros((4, 3, 3)))
    with pytest.raises(ValueError, match="classes of actor tracks are 0"):
        replace(tracks, classes=[2, 5, 200])
