"""A second whose frames are put together one by one is made as it is driven, and no frame of it in vain."""

from dataclasses import replace

import numpy as np
import pytest

from longdwm_env.geometry.spline import trajectory_from_controls
from longdwm_env.models.world import DiffusionWorld
from longdwm_env.scenes.builtin import BuiltinScenes
from longdwm_env.types import EgoState

from .test_composition import SIZE, composing  # noqa: F401 - a fixture

SEED = 21
"""A built-in scene with road users and scenery."""


@pytest.fixture
def world(composing):  # noqa: F811
    return DiffusionWorld(composing, "tiny", finish_seconds=True)


@pytest.fixture
def composed(world, monkeypatch):
    """The numbers of the frames that were put together."""
    numbers = []
    make = world._generation.composer.composed
    monkeypatch.setattr(
        world._generation.composer, "composed", lambda *given: (numbers.extend(given[-1]), make(*given))[1]
    )
    return numbers


@pytest.fixture
def start(world):
    scene = BuiltinScenes().scene(SEED)
    return world.begin(replace(scene, camera=scene.camera.fitted(SIZE)), 3)


def drive(world, state, steering, *counts):
    clips, ego = [], EgoState(speed_mps=8.0)
    for count in counts:
        (state,), (clip,) = world.advance([state], [trajectory_from_controls(steering, 0.0, ego)], count)
        clips.append(clip)
    return state, np.concatenate(clips)


@pytest.mark.parametrize("counts", [(2, 2, 4, 4), (1, 11), (6, 6)])
def test_held_input_sees_to_the_bit_what_one_action_a_second_sees(world, start, composed, counts):
    assert start.actors is not None
    assert len(start.actors.ids)
    whole, at_once = drive(world, start, 0.0, 12)
    composed.clear()
    parts, piecewise = drive(world, start, 0.0, *counts)
    assert np.array_equal(piecewise, at_once)
    assert sorted(composed) == list(range(1, 13))
    assert parts.values == whole.values
    assert parts.arrays.keys() == whole.arrays.keys()
    assert not [name for name in parts.arrays if name.startswith("rest")]


def test_who_turns_off_has_not_waited_for_frames_that_he_never_sees(world, start, composed):
    half, _ = drive(world, start, 0.0, 2)
    assert sorted(composed) == [1, 2, 12]
    composed.clear()
    turned, _ = drive(world, half, 0.2, 2)
    assert sorted(composed) == [1, 2, 12]
    assert turned.arrays["rest_track"].shape == (10, 3)


def test_a_batch_goes_on_as_its_members_would(world, start):
    states = [drive(world, start, steering, 4)[0] for steering in (0.0, 0.1)]
    ways = [trajectory_from_controls(steering, 0.0, EgoState(speed_mps=8.0)) for steering in (0.0, 0.1)]
    _, together = world.advance(states, ways, 4)
    alone = [world.advance([state], [way], 4)[1][0] for state, way in zip(states, ways, strict=True)]
    assert np.array_equal(together, np.stack(alone))
