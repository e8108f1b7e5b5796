"""Drives without a map, along the street of their first picture."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.geometry.street_view import StreetView
from longdwm_env.models.closed_loop.street_tones import StreetTones
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


def test_a_road_that_was_learned_gives_its_tones_and_leaves_edges(pipeline, scene_with, straight):
    network = StreetTones()
    with torch.no_grad():
        network.change.bias[0] = 0.2
    scene = scene_with(SIZE, num_past=36)
    world = DiffusionWorld(pipeline)
    state = world.begin(scene, 1)
    _, (plain,) = world.advance([state], [straight], 12)
    pipeline.register_modules(street_tones=network)
    try:
        world = DiffusionWorld(pipeline)
        _, (toned,) = world.advance([state], [straight], 12)
        _, (some,) = world.advance([state], [straight], 5)
    finally:
        pipeline.register_modules(street_tones=None)
    assert (toned[..., 0].astype(float) - plain[..., 0]).mean() == pytest.approx(51, abs=8)
    assert np.abs(toned[..., 2].astype(float).mean() - plain[..., 2].mean()) < 1
    assert (toned[:5] == some).all(), "each frame as it is alone"
    sharp, soft = (np.abs(np.diff(part[..., 2].astype(float), axis=-1)).mean() for part in (plain, toned))
    assert 0.6 * sharp < soft <= sharp


def test_dim_walls_below_a_pale_sky_stay_walls():
    picture = np.empty((96, 144, 3), np.uint8)
    picture[:] = (140, 150, 160)
    rows, columns = np.mgrid[:96, :144]
    wall = (columns > 72 + 0.5 * (48 - rows)) & (rows < 48) & (columns > 84)
    picture[wall] = (125, 95, 95)
    picture[wall & (rows % 12 < 6)] = (113, 83, 83)  # faint rows of windows
    picture[48:] = (70, 70, 70)
    view = StreetView(picture, assumed_camera((96, 144)))
    turned, bend = 0.6, 0.01
    pose = [np.sin(turned) / bend, (1 - np.cos(turned)) / bend, turned]
    (frame,) = view.along(np.array([pose]), np.array([turned / bend]), np.array([bend]))
    wall, sky = frame[25:40, 125:], frame[2:12, 20:40]
    assert (wall[..., 0].astype(int) - wall[..., 2]).mean() > 15
    assert (sky[..., 2].astype(int) - sky[..., 0]).mean() > 10
