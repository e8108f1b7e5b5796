"""The matched sweep: what moved as a plane moves goes on as that plane does."""

import cv2
import numpy as np
import pytest

from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.geometry.sweep import SweepSettings, images_between, predicted_images
from longdwm_env.geometry.warp import WarpSettings, warp_and_mask

SIZE = (96, 144)
CAMERA = assumed_camera(SIZE)
SETTINGS = SweepSettings()


def texture(seed, size=SIZE):
    noise = np.random.default_rng(seed).integers(0, 255, (*size, 3)).astype(np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.5), None, 0, 255, cv2.NORM_MINMAX)


def ahead(*metres):
    return np.array([[x, 0.0, 0.0] for x in metres])


def on_plane(picture, depth_m, metres):
    """A picture painted on a plane before the camera, as seen after driving straight on."""
    settings = WarpSettings(variant="plane", depth_m=depth_m, max_zoom=100.0)
    return warp_and_mask(picture, CAMERA, ahead(metres), settings)[0][0]


def error(made, truth):
    inside = (slice(16, -16), slice(24, -24))
    return np.abs(made[inside].astype(int) - truth[inside]).mean()


@pytest.mark.parametrize("depth_m", [14.0, 30.0, 200.0])
def test_a_wall_grows_as_it_grew_before(depth_m):
    wall = texture(1)
    before, now, truth = (on_plane(wall, depth_m, metres) for metres in (0.0, 2.0, 5.0))
    fallback = np.zeros((1, *SIZE, 3), np.uint8)
    made = predicted_images(now, CAMERA, ahead(3.0), before, np.array([-2.0, 0.0, 0.0]), fallback, SETTINGS)[0]
    assert error(made, truth) < 0.6 * error(now, truth) or error(made, truth) < 3
    assert error(made, truth) < 14


def test_what_drives_at_our_own_speed_keeps_its_size():
    picture = texture(2)
    fallback = np.zeros((1, *SIZE, 3), np.uint8)
    made = predicted_images(picture, CAMERA, ahead(10.0), picture, np.array([-10.0, 0.0, 0.0]), fallback, SETTINGS)[0]
    above_road = (slice(16, 44), slice(24, -24))
    assert np.abs(made[above_road].astype(int) - picture[above_road]).mean() < 4


def test_two_walls_each_move_by_their_own_plane():
    near, far = texture(3), texture(4)
    left = np.zeros(SIZE, bool)
    left[:, :72] = True

    def seen(metres):
        return np.where(left[..., None], on_plane(near, 16.0, metres), on_plane(far, 300.0, metres))

    before, now, truth = seen(0.0), seen(1.0), seen(3.0)
    fallback = np.zeros((1, *SIZE, 3), np.uint8)
    made = predicted_images(now, CAMERA, ahead(2.0), before, np.array([-1.0, 0.0, 0.0]), fallback, SETTINGS)[0]
    for columns in (slice(8, 56), slice(88, 136)):
        part = (slice(16, -16), columns)
        wrong = np.abs(now[part].astype(int) - truth[part]).mean()
        assert np.abs(made[part].astype(int) - truth[part]).mean() < max(4.0, 0.7 * wrong)


def test_standing_still_keeps_the_picture():
    picture = texture(5)
    fallback = np.zeros((2, *SIZE, 3), np.uint8)
    made = predicted_images(picture, CAMERA, ahead(0.0, 0.0), picture, np.zeros(3), fallback, SETTINGS)
    assert (made == picture).all()


def test_between_two_frames_both_say_what_is_there():
    wall = texture(6)
    frames = [on_plane(wall, 25.0, metres) for metres in np.linspace(0, 6, 13)]
    poses = ahead(*np.linspace(0.5, 6, 12))
    fallback = np.zeros((11, *SIZE, 3), np.uint8)
    made = images_between(frames[0], frames[-1], CAMERA, poses, fallback, SETTINGS)
    assert made.shape == (11, *SIZE, 3)
    blend = (frames[0].astype(int) + frames[-1]) // 2
    assert error(made[5], frames[6]) < 0.5 * error(blend, frames[6])


def test_what_no_plane_shows_comes_from_the_fallback():
    """Turned by a right angle nothing of the picture is left."""
    picture, fallback = texture(7), texture(8)[None]
    turned = np.array([[0.0, 0.0, np.pi / 2]])
    made = predicted_images(picture, CAMERA, turned, picture, np.array([-1.0, 0.0, 0.0]), fallback, SETTINGS)
    assert (made == fallback).mean() > 0.95


def test_settings_that_make_no_sense_are_refused():
    odd = ({"planes": ()}, {"planes": ((5.0, 1.0),)}, {"blur_px": 0.0}, {"baseline_frames": 0}, {"relative": 1.5})
    for bad in odd:
        with pytest.raises(ValueError, match=r"planes|blur_px|share from 0 to 1"):
            SweepSettings(**bad)


def test_what_has_detail_wins_over_what_is_flat():
    """A textured board that keeps its size before a flat wall that does not: the flat wall agrees with every plane."""
    board = texture(5)[:40, :24]

    def seen(shift):
        picture = np.full((*SIZE, 3), 128, np.uint8)
        picture += (np.random.default_rng(shift).normal(0, 3, picture.shape)).astype(np.int8).view(np.uint8)
        picture[20:60, 60:84] = board
        return picture

    before, now, truth = seen(0), seen(1), seen(2)
    fallback = np.zeros((1, *SIZE, 3), np.uint8)
    wrong = {}
    for relative in (0.0, 0.6):
        settings = SweepSettings(relative=relative, road_bonus=4.0)
        made = predicted_images(now, CAMERA, ahead(6.0), before, np.array([-3.0, 0.0, 0.0]), fallback, settings)[0]
        part = (slice(20, 60), slice(60, 84))
        wrong[relative] = np.abs(made[part].astype(int) - truth[part]).mean()
    assert wrong[0.6] < wrong[0.0]
