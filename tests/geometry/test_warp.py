import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longdwm_env.geometry.camera import assumed_camera, forward_mounting, project_points
from longdwm_env.geometry.pose import compose
from longdwm_env.geometry.splat import splat_image
from longdwm_env.geometry.warp import WarpSettings, homographies, plane_depth_m, warp_and_mask, warp_images
from longdwm_env.types import Camera, Intrinsics

PLANE, GROUND = WarpSettings("plane", 25.0), WarpSettings("ground", 25.0)
both_variants = pytest.mark.parametrize("settings", [PLANE, GROUND], ids=["plane", "ground"])
small_poses = st.tuples(st.floats(-3, 8), st.floats(-1, 1), st.floats(-0.3, 0.3)).map(np.array)


def difference(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b.astype(float))[where].mean())


@both_variants
def test_no_motion_gives_the_image_itself(picture, camera, settings):
    warped = warp_images(picture, camera, np.zeros((3, 3)), settings)
    np.testing.assert_array_equal(warped, np.stack([picture] * 3))


@both_variants
def test_a_batch_of_poses_equals_a_loop(picture, camera, settings):
    poses = np.array([[0.0, 0, 0], [1, 0.1, 0.02], [12, 2, 0.4], [-4, 0, 0], [0, 0, 3.0], [80, 0, 0]])
    batch = warp_images(picture, camera, poses, settings)
    np.testing.assert_array_equal(batch, [warp_images(picture, camera, pose[None], settings)[0] for pose in poses])


@given(small_poses)
def test_the_homography_moves_points_of_the_plane_as_projection_does(pose):
    """Eq. 9: a point at depth d, seen before and after the motion."""
    camera = Camera(Intrinsics(130.0, 125.0, 70.0, 50.0, 144, 96), forward_mounting((1.5, 0.2, 1.4), 0.06))
    found = homographies(camera, pose[None], PLANE).plane[0]
    pixels = np.array([[10.0, 20.0, 1.0], [70, 50, 1], [130, 80, 1]])
    points_camera = pixels @ np.linalg.inv(camera.intrinsics.matrix).T * PLANE.depth_m
    ego_from_camera = camera.mounting.ego_from_camera
    points_ego = points_camera @ ego_from_camera[:3, :3].T + ego_from_camera[:3, 3]
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    moved = (points_ego - [pose[0], pose[1], 0]) @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    expected, depths = project_points(camera, moved)
    assert (depths > 0).all()
    mapped = pixels @ found.T
    np.testing.assert_allclose(mapped[:, :2] / mapped[:, 2:], expected, atol=1e-6)


@given(small_poses)
def test_the_ground_homography_moves_points_of_the_road(pose):
    camera = Camera(Intrinsics(130.0, 125.0, 70.0, 50.0, 144, 96), forward_mounting((1.5, 0.2, 1.4), 0.06))
    found = homographies(camera, pose[None], GROUND)
    points = np.array([[14.0, 2.0, 0.0], [15.0, -2.0, 0.0], [20.0, 0.5, 0.0]])
    before, _ = project_points(camera, points)
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    moved = (points - [pose[0], pose[1], 0]) @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    after, depths = project_points(camera, moved)
    assert (depths > 0).all()
    mapped = np.column_stack([before, np.ones(3)]) @ found.ground[0].T
    np.testing.assert_allclose(mapped[:, :2] / mapped[:, 2:], after, atol=1e-6)
    lines = np.column_stack([after, np.ones(3)]) @ found.on_ground[0].T
    assert (lines > 0).all()


@given(small_poses)
def test_road_and_plane_meet_without_a_seam(pose):
    """On the line between them both homographies come from the same source pixel."""
    camera = assumed_camera((96, 144), horizon=0.45)
    found = homographies(camera, pose[None], GROUND)
    a, b, c = found.on_ground[0, 1]
    columns = np.array([20.0, 72.0, 120.0])
    seam = np.stack([columns, -(a * columns + c) / b, np.ones(3)])
    for_plane, for_road = (np.linalg.inv(matrix[0]) @ seam for matrix in (found.plane, found.ground))
    np.testing.assert_allclose(for_plane[:2] / for_plane[2], for_road[:2] / for_road[2], atol=1e-6)


@given(small_poses, small_poses)
def test_a_turn_then_another_is_the_sum(a, b):
    """Turning has no depth in it, so two turns on the spot compose to one, up to interpolation."""
    camera = assumed_camera((96, 144), mounting=forward_mounting((0.0, 0.0, 1.5)))
    a, b = a * [0, 0, 1], b * [0, 0, 1]
    (first,), (second,), (whole,) = (homographies(camera, p[None], PLANE).plane for p in (a, b, compose(a, b)))
    np.testing.assert_allclose(second @ first, whole, atol=1e-9)


@pytest.mark.parametrize(("size", "tolerance"), [((96, 144), 6.0), ((240, 360), 2.5)])
@pytest.mark.parametrize(
    "pose", [(0.7, 0, 0), (4, 0.2, 0.02), (9, 0.5, 0.1), (0, 0, 0.2), (-5, 0, 0)], ids=lambda pose: str(pose)
)
def test_the_homography_is_the_literal_splat(size, tolerance, pose):
    """Where a pixel landed the two agree on average to 2.5 of 255, to 6 in a picture with detail of four pixels.

    Splatting smears more than the homography, the more so the larger the picture is enlarged. The bench measures 0.2 of
    255 at 720x480.
    """
    image = cv2.resize(fine_picture(), (size[1], size[0]), interpolation=cv2.INTER_AREA)
    camera = assumed_camera(size)
    warped, known = warp_and_mask(image, camera, np.array([pose], float), PLANE)
    splatted, landed = splat_image(image, camera, np.array(pose, float), PLANE)
    assert difference(warped[0], splatted, known[0] & landed) < tolerance
    # Both find the same holes, up to the pixels along their rim.
    rim = cv2.morphologyEx(known[0].astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 0
    assert (known[0] == landed)[~rim].all()


def fine_picture() -> np.ndarray:
    random = np.random.default_rng(1)
    coarse = random.integers(0, 255, (24, 36, 3), dtype=np.uint8)
    return cv2.resize(coarse, (720, 480), interpolation=cv2.INTER_CUBIC)


def test_the_literal_splat_to_the_nearest_pixel_agrees_too(picture, camera):
    pose = np.array([2.0, 0.1, 0.02])
    warped = warp_images(picture, camera, pose[None], PLANE)[0]
    splatted, landed = splat_image(picture, camera, pose, PLANE, "nearest")
    assert not landed.all()
    # Half a pixel of rounding: looser than the shared splat, nearer than the unmoved picture.
    assert difference(warped, splatted, landed) < 0.7 * difference(picture, splatted, landed)


def test_small_holes_are_filled_by_opencv_s_navier_stokes_inpainting(picture, camera):
    pose = np.array([[0.0, 0.0, 0.1]])
    (warped,), (known,) = warp_and_mask(picture, camera, pose, PLANE)
    expected = cv2.inpaint(warped, (~known).astype(np.uint8), PLANE.inpaint_radius_px, cv2.INPAINT_NS)
    np.testing.assert_array_equal(warp_images(picture, camera, pose, PLANE)[0], expected)


@pytest.mark.parametrize("width", [288, 1001])
@pytest.mark.parametrize("heading", [0.005, 0.95])
def test_large_images_are_filled_on_a_smaller_copy(width, heading):
    """What is known stays as it was, and the fill continues the picture's brightness."""
    height = width * 2 // 3
    image = (
        cv2.resize(fine_picture(), (width, height)) // 8 + np.linspace(20, 200, height, dtype=np.uint8)[:, None, None]
    )
    camera = assumed_camera((height, width))
    pose = np.array([[0.0, 0.0, heading]])
    (warped,), (known,) = warp_and_mask(image, camera, pose, PLANE)
    filled = warp_images(image, camera, pose, PLANE)[0]
    assert not known.all()
    np.testing.assert_array_equal(filled[known], warped[known])
    rows = image.mean(axis=(1, 2))[:, None, None]
    assert difference(filled, np.broadcast_to(rows, filled.shape), ~known) < 40


@both_variants
@pytest.mark.parametrize("heading", [1.5, np.pi, -2.5])
def test_turned_away_from_everything_the_rows_keep_their_colour(picture, camera, settings, heading):
    pose = np.array([[0.0, 0.0, heading]])
    assert not warp_and_mask(picture, camera, pose, settings)[1].any()
    warped = warp_images(picture, camera, pose, settings)[0]
    assert np.abs(warped - picture.mean(axis=1, keepdims=True)).max() <= 0.5


@both_variants
@pytest.mark.parametrize("pose", [(25, 0, 0), (26, 1, 0.1), (500, 30, 0.5), (-500, 0, 0)])
def test_motions_beyond_the_plane_stay_pictures(picture, camera, settings, pose):
    warped = warp_images(picture, camera, np.array([pose], float), settings)[0]
    assert int(picture.min()) - 1 <= warped.min()
    assert warped.max() <= int(picture.max()) + 1


def test_the_plane_recedes_smoothly():
    forward = np.linspace(-50, 200, 2501)
    remaining = plane_depth_m(forward, 25.0) - forward
    assert (remaining > 0).all()
    np.testing.assert_allclose(remaining[forward <= 12.5], 25 - forward[forward <= 12.5])
    pace = np.diff(remaining)
    assert (pace < 0).all()
    assert np.abs(np.diff(pace)).max() < 0.002


def test_any_size_can_be_warped():
    for size in [(1, 1), (7, 5), (33, 200)]:
        image = np.full((*size, 3), 9, np.uint8)
        for settings in (PLANE, GROUND):
            warped = warp_images(image, assumed_camera(size), np.array([[3.0, 0.5, 0.3]]), settings)
            assert (warped == 9).all()


@pytest.mark.parametrize(
    "change",
    [{"variant": "sphere"}, {"depth_m": 0.0}, {"depth_m": np.nan}, {"inpaint_radius_px": 0.0}, {"inpaint_width_px": 3}],
)
def test_settings_that_make_no_sense_are_refused(change):
    with pytest.raises((ValueError, TypeError)):
        WarpSettings(**change)


def test_an_image_that_is_not_the_camera_s_is_refused(picture, camera):
    with pytest.raises(ValueError, match="does not fit"):
        warp_images(picture[:50], camera, np.zeros((1, 3)), PLANE)
    with pytest.raises(ValueError, match="finite"):
        warp_images(picture, camera, np.full((1, 3), np.nan), PLANE)
