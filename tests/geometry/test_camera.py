import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longdwm_env.geometry.camera import assumed_camera, fit_images, forward_mounting, project_points
from longdwm_env.types import FORWARD_WXYZ, Camera, Intrinsics, Mounting


def blob(height: int, width: int, column: float, row: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    bright = np.exp(-((columns - column) ** 2 + (rows - row) ** 2) / (2 * radius**2))
    return np.repeat((255 * bright).astype(np.uint8)[..., None], 3, axis=2)


def centre_of(image: np.ndarray) -> np.ndarray:
    weight = image[..., 0].astype(float)
    rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]]
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


@given(
    st.sampled_from([(375, 1242), (900, 1600), (360, 480), (97, 131), (48, 72)]),
    st.sampled_from([(96, 144), (480, 720), (100, 100), (61, 200)]),
    st.floats(-0.25, 0.25),
    st.floats(-0.25, 0.25),
)
def test_a_fitted_image_shows_a_point_where_the_fitted_camera_sees_it(source, target, right, down):
    """The law between ``fit_images`` and ``Intrinsics.fitted``, to a tenth of a pixel."""
    height, width = source
    scale = max(target[0] / height, target[1] / width)
    seen = (target[1] / scale, target[0] / scale)
    column, row = (width - 1) / 2 + right * seen[0], (height - 1) / 2 + down * seen[1]
    camera = Camera(Intrinsics(500.0, 480.0, width / 2 - 3, height / 2 + 2, width, height))
    ray = np.linalg.inv(camera.intrinsics.matrix) @ [column, row, 1]
    point_ego = (camera.mounting.ego_from_camera @ [*(ray * 20), 1])[:3]
    expected = project_points(camera.fitted(target), point_ego[None])[0][0]

    radius = max(2.0, min(seen) / 40, 1.5 / scale)
    fitted = fit_images(blob(height, width, column, row, radius), target)
    assert fitted.shape == (*target, 3)
    found = centre_of(fitted)
    np.testing.assert_allclose(found, expected, atol=0.1)


def test_fitting_by_a_whole_factor_averages_blocks(picture):
    blocks = picture.reshape(48, 2, 72, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(fit_images(picture, (48, 72)), blocks, atol=0.51)


def test_a_clip_is_fitted_like_its_frames(picture):
    np.testing.assert_array_equal(fit_images(picture, (96, 144)), picture)
    clip = np.stack([picture, picture[::-1]])
    for size in [(48, 72), (50, 61), (150, 200)]:
        np.testing.assert_array_equal(fit_images(clip, size), np.stack([fit_images(frame, size) for frame in clip]))


def test_points_project_as_opencv_projects_them():
    camera = Camera(Intrinsics(300.0, 310.0, 70.0, 50.0, 144, 96), forward_mounting((1.5, 0.2, 1.4), 0.05))
    points = np.random.default_rng(0).uniform([5, -5, -1], [40, 5, 3], (20, 3))
    ego_from_camera = camera.mounting.ego_from_camera
    rotation = ego_from_camera[:3, :3].T
    expected, _ = cv2.projectPoints(
        points, cv2.Rodrigues(rotation)[0], -rotation @ ego_from_camera[:3, 3], camera.intrinsics.matrix, None
    )
    pixels, depths = project_points(camera, points)
    np.testing.assert_allclose(pixels, expected[:, 0], atol=1e-6)
    assert (depths > 0).all()


def test_a_point_behind_the_camera_has_no_pixel():
    pixels, depths = project_points(assumed_camera((96, 144)), np.array([[-5.0, 0.0, 0.0], [20.0, 0.0, 1.5]]))
    assert np.isnan(pixels[0]).all()
    assert depths[0] < 0 < depths[1]
    np.testing.assert_allclose(pixels[1], [71.5, 47.5], atol=1e-9)


def test_a_level_mounting_is_the_default_one():
    assert forward_mounting() == Mounting()
    np.testing.assert_allclose(assumed_camera((480, 720)).mounting.rotation_wxyz, FORWARD_WXYZ)


@given(st.floats(0.2, 0.8), st.sampled_from([(96, 144), (480, 720)]))
def test_the_horizon_is_seen_where_it_was_said_to_be(horizon, size):
    far_away = np.array([[1e9, 0.0, 0.0]])
    pixels, _ = project_points(assumed_camera(size, horizon=horizon), far_away)
    assert pixels[0, 1] == pytest.approx(horizon * size[0] - 0.5, abs=1e-3)


@pytest.mark.parametrize("options", [{"horizon": math.nan}, {"horizon": 5.0}, {"horizontal_fov_rad": 4.0}])
def test_a_camera_that_cannot_be_is_refused(options):
    with pytest.raises(ValueError, match=r"horizon|sees"):
        assumed_camera((96, 144), **options)
