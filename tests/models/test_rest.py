"""A second that was generated is driven to its end while the way stays the same, where that is switched on.

Where its frames are put together one by one, they are made as it is driven, and none in vain.
"""

from dataclasses import replace

import numpy as np
import pytest

from longdwm_env.geometry.spline import trajectory_from_controls
from longdwm_env.models.world import DiffusionWorld
from longdwm_env.scenes.builtin import BuiltinScenes
from longdwm_env.types import EgoState
from longdwm_env.world import FinishingWorld

from .test_composition import composing  # noqa: F401 - a fixture

SIZE = (32, 48)
STEERED, STRAIGHT = 0.2, 0.0


@pytest.fixture
def world(pipeline):
    return DiffusionWorld(pipeline, "tiny", finish_seconds=True)


@pytest.fixture
def made(world, monkeypatch):
    """How many seconds the world has generated."""
    counted = []
    second = world._generation.second
    monkeypatch.setattr(
        world._generation, "second", lambda presents, *rest: (counted.extend(presents), second(presents, *rest))[1]
    )
    return counted


def drive(world, state, steering, *counts, speed_mps=8.0):
    """Clips of driving on with the input held, acting after each of these numbers of frames."""
    clips, ego = [], EgoState(speed_mps=speed_mps)
    for count in counts:
        trajectory = trajectory_from_controls(steering, 0.0, ego)
        (state,), (clip,) = world.advance([state], [trajectory], count)
        clips.append(clip)
    return state, np.concatenate(clips)


@pytest.mark.parametrize("counts", [(6, 6), (4, 4, 4), (1, 11)])
def test_held_input_sees_what_one_action_a_second_sees(world, scene_with, made, counts):
    state = world.begin(scene_with(SIZE), 3)
    whole, at_once = drive(world, state, STEERED, 12)
    assert len(made) == 1
    parts, piecewise = drive(world, state, STEERED, *counts)
    assert len(made) == 2
    assert np.array_equal(piecewise, at_once)
    assert np.array_equal(parts.arrays["frames"], whole.arrays["frames"])
    np.testing.assert_allclose(parts.arrays["track"][-1], whole.arrays["track"][-1], atol=1e-6)
    assert parts.values == whole.values
    assert not [name for name in parts.arrays if name.startswith("rest")]


def test_another_way_is_generated_from_the_present_frame(world, pipeline, scene_with, made):
    state = world.begin(scene_with(SIZE), 3)
    half, _ = drive(world, state, STRAIGHT, 6)
    _, turned = drive(world, half, STEERED, 6)
    assert len(made) == 2
    assert np.array_equal(made[1].history[-1], half.arrays["frames"][-1])
    _, kept = drive(world, half, STRAIGHT, 6)
    assert len(made) == 2
    assert not np.array_equal(turned, kept)


def test_each_of_a_batch_goes_its_own_way(world, scene_with, made):
    states = [drive(world, world.begin(scene_with(SIZE, seed=seed), seed), STRAIGHT, 6)[0] for seed in (0, 1)]
    ways = [trajectory_from_controls(steering, 0.0, EgoState(speed_mps=8.0)) for steering in (STEERED, STRAIGHT)]
    made.clear()
    _, together = world.advance(states, ways, 6)
    assert len(made) == 1
    alone = [world.advance([state], [way], 6)[1][0] for state, way in zip(states, ways, strict=True)]
    assert np.array_equal(together, np.stack(alone))


def test_it_is_off_unless_switched_on(world, pipeline, scene_with):
    plain = DiffusionWorld(pipeline, "tiny")
    assert isinstance(plain, FinishingWorld)
    assert not plain.finish_seconds
    state = plain.begin(scene_with(SIZE), 3)
    half, _ = drive(plain, state, STRAIGHT, 6)
    assert not [name for name in half.arrays if name.startswith("rest")]
    begun, _ = drive(world, world.begin(scene_with(SIZE), 3), STRAIGHT, 6)
    _, fresh = drive(plain, begun, STRAIGHT, 6)
    _, finished = drive(world, begun, STRAIGHT, 6)
    assert not np.array_equal(fresh, finished)


@pytest.fixture
def composer(composing):  # noqa: F811
    return DiffusionWorld(composing, "tiny", finish_seconds=True)


@pytest.fixture
def composed(composer, monkeypatch):
    """The numbers of the frames that were put together."""
    numbers, parts = [], composer._generation.composer
    make = parts.composed
    monkeypatch.setattr(parts, "composed", lambda *given: (numbers.extend(given[-1]), make(*given))[1])
    return numbers


@pytest.fixture
def start(composer):
    """A built-in scene with road users and scenery."""
    scene = BuiltinScenes().scene(21)
    return composer.begin(replace(scene, camera=scene.camera.fitted(SIZE)), 3)


@pytest.mark.parametrize("counts", [(2, 2, 4, 4), (1, 11)])
def test_frames_put_together_one_by_one_are_those_of_one_action_a_second(composer, start, composed, counts):
    assert len(start.actors.ids)
    whole, at_once = drive(composer, start, STRAIGHT, 12)
    composed.clear()
    parts, piecewise = drive(composer, start, STRAIGHT, *counts)
    assert np.array_equal(piecewise, at_once)
    assert sorted(composed) == list(range(1, 13))
    assert parts.values == whole.values
    assert parts.arrays.keys() == whole.arrays.keys()
    assert not [name for name in parts.arrays if name.startswith("rest")]


def test_who_turns_off_has_not_waited_for_frames_that_he_never_sees(composer, start, composed):
    half, _ = drive(composer, start, STRAIGHT, 2)
    assert sorted(composed) == [1, 2, 12]
    composed.clear()
    turned, _ = drive(composer, half, STEERED, 2)
    assert sorted(composed) == [1, 2, 12]
    assert turned.arrays["rest_track"].shape == (10, 3)
