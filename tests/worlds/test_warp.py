import dataclasses
import json

import numpy as np
import pytest

from longdwm_env.geometry.camera import assumed_camera, fit_images
from longdwm_env.geometry.spline import plan_trajectory
from longdwm_env.geometry.warp import WarpSettings, warp_images
from longdwm_env.timing import stopwatch
from longdwm_env.types import Camera, EgoState, Images, Scene
from longdwm_env.worlds.warp_world import WarpWorld

SIZE = (48, 72)


class Photograph:
    """A scene's log with one image."""

    num_past = 0
    num_future = 0
    ego_poses = None

    def __init__(self, seed: int) -> None:
        coarse = np.random.default_rng(seed).integers(0, 255, (12, 18, 3), dtype=np.uint8)
        self.image = coarse.repeat(8, axis=0).repeat(8, axis=1)

    def images(self, first: int, count: int, camera: Camera) -> Images:
        assert first + count <= 1
        return np.stack([fit_images(self.image, camera.intrinsics.image_size)] * count)


def scene(seed: int = 0, size: tuple[int, int] = SIZE) -> Scene:
    return Scene(f"photograph:{seed}", Photograph(seed), assumed_camera(size))


def drive(speed: float, sideways: float = 0.0):
    distances = speed * np.array([0.5, 1.0, 1.5, 2.0])
    waypoints = np.stack([distances, sideways * (distances / 20) ** 2], axis=1)
    return plan_trajectory(waypoints, EgoState(speed_mps=speed))


def test_it_begins_with_the_scene_s_last_image():
    state = WarpWorld(SIZE).begin(scene(), seed=0)
    np.testing.assert_array_equal(state.arrays["frame"], scene().log.images(0, 1, assumed_camera(SIZE))[0])
    assert state.actors is None
    assert state.values["frames_driven"] == 0
    assert json.loads(json.dumps(dict(state.values))) == dict(state.values)


@pytest.mark.parametrize("variant", ["plane", "ground"])
def test_the_video_is_the_warp_of_the_last_frame(variant):
    settings = WarpSettings(variant)
    world = WarpWorld(SIZE, settings)
    first, second = drive(8.0), drive(8.0, 1.5)
    state = world.begin(scene(), seed=0)
    (state,), (clip,) = world.advance([state], [first], 12)
    start = scene().log.images(0, 1, assumed_camera(SIZE))[0]
    np.testing.assert_array_equal(clip, warp_images(start, assumed_camera(SIZE), first.poses[:12], settings))
    (state,), (following,) = world.advance([state], [second], 3)
    np.testing.assert_array_equal(following, warp_images(clip[-1], assumed_camera(SIZE), second.poses[:3], settings))
    np.testing.assert_array_equal(state.arrays["frame"], following[-1])
    assert state.values["frames_driven"] == 15


def test_a_standing_car_sees_a_still_picture_for_ever():
    world = WarpWorld(SIZE)
    state = world.begin(scene(), seed=0)
    first = state.arrays["frame"]
    for _ in range(5):
        (state,), (clip,) = world.advance([state], [drive(0.0)], 12)
        assert (clip == first).all()


def test_its_time_is_counted_as_geometry():
    world = WarpWorld(SIZE)
    state = world.begin(scene(), 0)
    with stopwatch() as seconds:
        world.advance([state], [drive(6.0)], 12)
    assert 0 < seconds["geometry"] <= seconds["total"]
    assert seconds["coarse"] == seconds["fine"] == seconds["decode"] == 0


def test_what_does_not_fit_is_refused():
    world = WarpWorld(SIZE)
    with pytest.raises(ValueError, match="camera"):
        world.begin(scene(size=(96, 144)), 0)
    with pytest.raises(ValueError, match="camera"):
        world.begin(dataclasses.replace(scene(), camera=None), 0)
    state = world.begin(scene(), 0)
    for frames in (0, 25):
        with pytest.raises(ValueError, match="cannot be driven"):
            world.advance([state], [drive(6.0)], frames)
