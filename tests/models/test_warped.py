"""The pictures that guide the models: what a frame looks like from elsewhere, and what the map shows there."""

from dataclasses import replace

import numpy as np
import pytest

from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.geometry.layout import LINE, ROAD, RoadLayout, draw_layout
from longdwm_env.geometry.sweep import SweepSettings
from longdwm_env.geometry.warp import warp_images, zoomed_depth_m
from longdwm_env.models.conditioning.warped_pictures import (
    backward_clip_warps,
    clip_between,
    clip_views,
    clip_warps,
    keyframe_reach,
    keyframe_views,
    layout_pictures,
)
from longdwm_env.models.settings import LongDWMSettings

SIZE = (32, 48)
SETTINGS = LongDWMSettings(image_size=SIZE)
MATCHED = replace(SETTINGS, backward_warp=True, matched_sweep=SweepSettings())


def straight(count, step_m):
    return np.stack([np.arange(1, count + 1) * step_m, np.zeros(count), np.zeros(count)], axis=1)


def test_standing_still_warps_to_the_picture_itself(picture):
    image, camera = picture(SIZE), assumed_camera(SIZE)
    still = np.zeros((12, 3))
    forward = clip_warps(image, camera, still, SETTINGS)
    assert (forward == image).all()
    assert (backward_clip_warps(image, camera, still, SETTINGS, forward) == image).all()
    swept = replace(SETTINGS, coarse_sweep=((10, 3), (1000, 1.02)))
    shown, mask = keyframe_views(image, camera, still[:3], None, swept)
    assert shown.shape == (3, 3, *SIZE, 3)
    assert (shown == image).all()
    assert mask.tolist() == [1, 1, 0]


def test_beyond_the_horizon_the_last_views_are_repeated_and_masked(picture):
    image, camera = picture(SIZE), assumed_camera(SIZE)
    settings = replace(SETTINGS, coarse_sweep=((10, 3.0),))
    shown, mask = keyframe_views(image, camera, straight(4, 3.0), None, settings)
    assert mask.dtype == np.float32
    assert mask.tolist() == [1, 1, 0, 0]
    assert (shown[2:] == shown[1]).all()
    assert (shown[0] != shown[1]).any()
    assert (shown[:2, 0] == warp_images(image, camera, straight(2, 3.0), settings.warp)).all()


def test_a_horizon_of_nothing_shows_one_keyframe_and_means_none(picture):
    assert [keyframe_reach(horizon) for horizon in (0.0, 0.9, 1.0, 1.99, 2.0)] == [1, 1, 1, 1, 2]
    settings = replace(SETTINGS, coarse_warp_horizon_s=0.5)
    shown, mask = keyframe_views(picture(SIZE), assumed_camera(SIZE), straight(3, 3.0), None, settings)
    assert mask.tolist() == [0, 0, 0]
    assert (shown == shown[0]).all()


def test_what_is_matched_needs_an_earlier_frame(picture):
    """It comes first, before the warp, which takes its place where nothing was seen before."""
    image, camera, poses = picture(SIZE), assumed_camera(SIZE), straight(2, 6.0)
    plain, _ = keyframe_views(image, camera, poses, None, SETTINGS)
    first, _ = keyframe_views(image, camera, poses, None, MATCHED)
    assert first.shape == (2, 2, *SIZE, 3)
    assert (first == plain).all()
    # The earlier frame is what is ahead now: nothing on the road, all of it far away.
    earlier = (image, np.array([-4.0, 0.0, 0.0]))
    later, _ = keyframe_views(image, camera, poses, earlier, MATCHED)
    assert (later[:, 1] == plain[:, 0]).all()
    assert (later[:, 0] != plain[:, 0]).any()


def test_the_backward_warp_undoes_the_forward_one(picture):
    image, camera = picture(SIZE), assumed_camera(SIZE)
    poses = straight(12, 0.1)
    there = clip_warps(image, camera, poses, SETTINGS)
    back = backward_clip_warps(there[-1], camera, poses, SETTINGS, there)
    assert (back[-1] == there[-1]).all()
    inside = (slice(6, -6), slice(8, -8))
    assert np.abs(back[0][inside].astype(int) - image[inside]).mean() < 4


def test_what_the_last_frame_does_not_reach_comes_from_the_first(picture):
    image, camera = picture(SIZE), assumed_camera(SIZE)
    poses = straight(12, 1.5)
    forward = clip_warps(image, camera, poses, SETTINGS)
    back = backward_clip_warps(image, camera, poses, SETTINGS, forward)
    assert (back[0, 0] == forward[0, 0]).all()
    assert (back[6, -1, 0] == forward[6, -1, 0]).all()


def test_the_fine_model_is_shown_as_many_videos_as_its_settings_say(picture):
    first, last, camera, poses = picture(SIZE), picture(SIZE, 1), assumed_camera(SIZE), straight(12, 0.5)
    forward = clip_warps(first, camera, poses, SETTINGS)
    backward = backward_clip_warps(last, camera, poses, SETTINGS, forward)
    between = clip_between(first, last, camera, poses, SweepSettings(), forward)
    for settings, wanted in (
        (SETTINGS, [forward]),
        (replace(SETTINGS, backward_warp=True), [forward, backward]),
        (MATCHED, [forward, backward, between]),
    ):
        shown = clip_views(first, last, camera, poses, settings)
        assert len(shown) == settings.warp_views[1] == len(wanted)
        assert all(np.array_equal(*pair) for pair in zip(shown, wanted, strict=True))
    assert (between[0] == first).all()
    assert (between[-1] == last).all()


def test_a_sweep_shows_each_plane_at_its_own_size(picture):
    """What lies far ahead keeps its size; a near plane grows, though never beyond its limit."""
    image, camera = picture(SIZE), assumed_camera(SIZE)
    settings = replace(SETTINGS, coarse_sweep=((10, 3.0), (40, 1.35), (1e5, 1.0001)))
    shown, _ = keyframe_views(image, camera, straight(1, 8.0), None, settings)
    _, near, middle, far = shown[0].astype(int)
    assert np.abs(far - image).mean() < 1
    assert np.abs(near - image).mean() > np.abs(middle - image).mean() > np.abs(far - image).mean()
    assert np.allclose(zoomed_depth_m(np.array([0.0, 5.0, 20.0, -20.0]), 10.0, 3.0), [10, 10, 30, 10])
    assert np.allclose(zoomed_depth_m(np.array([-40.0]), 10.0, 3.0), [20])


@pytest.fixture
def road():
    """A straight street of 60 m with a line along its middle."""
    asphalt = [[[x, 4], [x + 12, 4], [x + 12, -4], [x, -4]] for x in range(-10, 50, 12)]
    line = [[-10, 0.3], [50, 0.3], [50, -0.3], [-10, -0.3]]
    return RoadLayout(np.array([*asphalt, line], float), np.array([*[ROAD] * len(asphalt), LINE], np.uint8))


def test_layouts_are_drawn_at_each_keyframe_s_pose(road):
    camera, poses = assumed_camera(SIZE), np.array([[5.0, 1.0, 0.1], [20.0, -1.0, -0.3]])
    pictures, mask = layout_pictures(road, camera, poses)
    assert mask.dtype == np.float32
    assert mask.tolist() == [1, 1]
    for picture, pose in zip(pictures, poses, strict=True):
        assert np.array_equal(picture, draw_layout(road, camera, pose))
    assert (pictures[0] != pictures[1]).any()


def test_where_there_is_no_map_a_layout_means_nothing(road):
    camera, poses = assumed_camera(SIZE), np.array([[5.0, 0.0, 0.0], [900.0, 0.0, 0.0]])
    pictures, mask = layout_pictures(None, camera, poses)
    assert mask.tolist() == [0, 0]
    assert pictures.shape == (2, *SIZE, 3)
    # Beyond the map's end there is none either.
    beyond, mask = layout_pictures(road, camera, poses)
    assert mask.tolist() == [1, 0]
    assert np.array_equal(beyond[1], pictures[1])
