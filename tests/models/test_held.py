"""While the ego stands, only what others move through is generated."""

import numpy as np
import pytest

from longdwm_env.geometry.boxes import image_boxes
from longdwm_env.models.world import DiffusionWorld

SIZE = (32, 48)


@pytest.fixture(scope="module")
def world(pipeline):
    return DiffusionWorld(pipeline, "tiny")


@pytest.fixture
def standing(drive_at):
    return drive_at(0.0)


@pytest.fixture
def begun(world, scene_with, marked):
    """A function (*poses, speed_mps) -> the state at the start of a scene with others there."""
    return lambda *poses, speed_mps=0.0: world.begin(marked(scene_with(SIZE), *poses, speed_mps=speed_mps), 0)


def driven(world, state, trajectory, frames=12):
    (following,), clips = world.advance([state], [trajectory], frames)
    return following, clips[0]


@pytest.mark.parametrize("frames", [1, 6, 12])
def test_the_picture_stays_where_nobody_moves(world, begun, standing, frames):
    for others in ((), ([12.0, 0, 0],)):
        state = begun(*others)
        present = state.arrays["frames"][-1]
        for _ in range(3):
            state, clip = driven(world, state, standing, frames)
            assert (clip == present).all()


def test_whom_somebody_drives_through_is_generated(world, begun, scene_with, standing):
    state = begun([14.0, 0, 0], speed_mps=4.0)
    present = state.arrays["frames"][-1].astype(int)
    following, clip = driven(world, state, standing)
    changed = np.abs(clip.astype(int) - present).max(axis=(0, 3)) > 0
    camera = scene_with(SIZE).camera
    for box in (
        image_boxes(following.actors.poses[at], following.actors.sizes_m, np.zeros(3), camera)[0] for at in (0, -1)
    ):
        left, top, right, bottom = box[:4].round().astype(int)
        assert changed[max(top, 0) : bottom, max(left, 0) : right].mean() > 0.5
    assert not changed[:, : SIZE[1] // 4].any()
    assert not changed[:, -SIZE[1] // 4 :].any()


def test_everything_is_generated_where_nobody_knows_of_others_or_the_car_moves(
    world, begun, scene_with, standing, drive_at
):
    unknown = world.begin(scene_with(SIZE), 0)
    assert unknown.actors is None
    _, clip = driven(world, unknown, standing)
    assert not (clip == unknown.arrays["frames"][-1]).all()
    alone = begun()
    _, clip = driven(world, alone, drive_at(1.0))
    assert not (clip == alone.arrays["frames"][-1]).all()
