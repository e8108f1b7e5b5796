"""The pictures that guide the models: what a frame looks like from elsewhere, and what the map shows there."""

from dataclasses import replace

import numpy as np

from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.geometry.sweep import SweepSettings
from longdwm_env.geometry.warp import warp_images
from longdwm_env.models.conditioning.warped_pictures import (
    backward_clip_warps,
    clip_between,
    clip_views,
    clip_warps,
    keyframe_views,
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
