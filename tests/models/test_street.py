"""Drives without a map, along the street of their first picture."""

from dataclasses import replace

import numpy as np
import pytest

from longdwm_env.models.world import DiffusionWorld

SIZE = (32, 48)


@pytest.fixture(scope="module")
def pipeline(built):
    """A pipeline whose settings say so, as mini's do."""
    made = built("debug")
    made.register_to_config(settings={**made.settings.to_json(), "street_without_map": True})
    return made


@pytest.fixture
def straight(drive_at):
    return drive_at(8.0)


def driven(world, state, trajectory, seconds):
    frames = []
    for _ in range(seconds):
        (state,), clip = world.advance([state], [trajectory], 12)
        frames.append(clip[0])
    return state, np.concatenate(frames)


def test_a_drive_without_a_map_goes_on_as_its_picture(pipeline, scene_with, straight):
    world, scene = DiffusionWorld(pipeline), scene_with(SIZE, num_past=36)
    state = world.begin(scene, 1)
    first = state.arrays["frames"][-1].astype(float)
    state, frames = driven(world, state, straight, 20)
    assert state.values["street"]["driven_m"] == pytest.approx(160, rel=0.01)
    early, late = (np.abs(np.diff(part.astype(float), axis=-2)).mean() for part in (first, frames[-12:]))
    assert 0.3 * early < late < 2 * early, "it is neither a blur nor noise"
    assert np.abs(frames[-12:].mean(axis=(0, 1, 2)) - first.mean(axis=(0, 1))).max() < 40, "it keeps its light"
    assert (frames[-1] != frames[-2]).any()


def test_states_say_all_there_is(pipeline, scene_with, straight):
    """Any number of frames at once, alone or in a batch: the same pictures."""
    world, scene = DiffusionWorld(pipeline), scene_with(SIZE, num_past=36)
    state = world.begin(scene, 1)
    (whole, _), clips = world.advance([state, state], [straight, straight], 12)
    assert (clips[0] == clips[1]).all()
    (part,), _ = world.advance([state], [straight], 5)
    (end,), rest = world.advance([part], [straight], 7)
    np.testing.assert_allclose(end.arrays["track"][-1], whole.arrays["track"][-1], atol=1e-6)
    assert np.abs(rest[0].astype(int) - clips[0][5:]).max() <= 1
    finishing = DiffusionWorld(pipeline, finish_seconds=True)
    (opened,), begun = finishing.advance([finishing.begin(scene, 1)], [straight], 4)
    np.testing.assert_array_equal(begun[0], clips[0][:4])
    assert opened.values["street"]["driven_m"] == pytest.approx(8 * 4 / 12, rel=0.02)


def test_where_more_is_known_the_models_drive(pipeline, scene_with, straight):
    from longdwm_env.simulator.scene import builtin_scene

    scene = builtin_scene(21)
    world = DiffusionWorld(pipeline)
    assert "street" not in world.begin(replace(scene, camera=scene.camera.fitted(SIZE)), 1).arrays
    pipeline.register_to_config(settings=replace(pipeline.settings, street_without_map=False).to_json())
    try:
        assert "street" not in DiffusionWorld(pipeline).begin(scene_with(SIZE, num_past=36), 1).arrays
    finally:
        pipeline.register_to_config(settings=replace(pipeline.settings, street_without_map=True).to_json())
