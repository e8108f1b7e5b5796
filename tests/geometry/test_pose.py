import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from longdwm_env.geometry.camera import assumed_camera, forward_mounting
from longdwm_env.geometry.pose import as_matrix, camera_from_camera, compose, inverse, relative_to, transform_points
from longdwm_env.types import wrap_angle

poses = st.tuples(st.floats(-50, 50), st.floats(-50, 50), st.floats(-3.1, 3.1)).map(np.array)


def assert_same_pose(a: np.ndarray, b: np.ndarray) -> None:
    np.testing.assert_allclose(a[..., :2], b[..., :2], atol=1e-9)
    np.testing.assert_allclose(wrap_angle(a[..., 2] - b[..., 2]), 0, atol=1e-9)


@given(poses)
def test_a_pose_and_its_inverse_compose_to_nothing(pose):
    assert_same_pose(compose(pose, inverse(pose)), np.zeros(3))
    assert_same_pose(compose(inverse(pose), pose), np.zeros(3))


@given(poses, poses)
def test_relative_to_undoes_compose(origin, pose):
    assert_same_pose(relative_to(compose(origin, pose), origin), pose)
    assert_same_pose(compose(origin, relative_to(pose, origin)), pose)


@given(poses, poses)
def test_matrices_compose_like_poses(a, b):
    np.testing.assert_allclose(as_matrix(a) @ as_matrix(b), as_matrix(compose(a, b)), atol=1e-9)


@given(poses, st.lists(poses, min_size=1, max_size=4))
def test_a_batch_of_poses_equals_a_loop(origin, members):
    batch = compose(origin, np.array(members))
    np.testing.assert_array_equal(batch, np.array([compose(origin, member) for member in members]))


def test_points_move_with_their_frame():
    points = transform_points(np.array([1.0, 2.0, np.pi / 2]), np.array([[1.0, 0.0], [0.0, 1.0]]))
    np.testing.assert_allclose(points, [[1, 3], [0, 2]], atol=1e-12)


@given(poses, poses)
def test_camera_motions_chain(a, b):
    """The names cancel: c_from_b @ b_from_a == c_from_a."""
    camera = assumed_camera((96, 144), mounting=forward_mounting((1.2, 0.3, 1.6), 0.1))
    chained = camera_from_camera(camera, b) @ camera_from_camera(camera, a)
    np.testing.assert_allclose(chained, camera_from_camera(camera, compose(a, b)), atol=1e-8)
