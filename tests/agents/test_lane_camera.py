import cv2
import numpy as np
import pytest

from longdwm_env.agents.policies.lane_camera import CameraLaneKeeping, find_lane
from longdwm_env.agents.policy import PolicyContext
from longdwm_env.geometry.camera import project_points
from longdwm_env.types import Camera, Intrinsics

SIZE = (96, 144)


def road_picture(camera, offset_m, slope=0.0, curvature=0.0, width_m=3.6):
    """A grey road with two white lines whose middle is at offset + slope x + curvature x^2 / 2."""
    image = np.full((*SIZE, 3), 80, np.uint8)
    image[: SIZE[0] // 2] = (150, 180, 210)
    ahead = np.linspace(3.0, 60.0, 200)
    for side in (-1, 1):
        middle = offset_m + slope * ahead + curvature * ahead**2 / 2 + side * width_m / 2
        edges = [np.stack([ahead, middle + s * 0.08, 0 * ahead], axis=1) for s in (-1, 1)]
        outline = np.concatenate(
            [project_points(camera, edge)[0][:: 1 if i == 0 else -1] for i, edge in enumerate(edges)]
        )
        cv2.fillPoly(image, [np.round(outline * 16).astype(np.int32)], (235, 235, 235), cv2.LINE_AA, shift=4)
    return image


@pytest.fixture
def camera():
    return Camera(Intrinsics.from_fov(1.2, SIZE))


@pytest.mark.parametrize(
    ("offset", "slope", "curvature"), [(0, 0, 0), (0.6, 0, 0), (-0.5, 0.05, 0), (0, 0, 0.01), (0.3, 0, -0.01)]
)
def test_the_middle_of_a_drawn_lane_is_found(camera, offset, slope, curvature):
    seen = find_lane(road_picture(camera, offset, slope, curvature), camera)
    assert seen.confidence > 0.3
    ahead = np.array([5.0, 12.0, 20.0])
    wanted = offset + slope * ahead + curvature * ahead**2 / 2
    assert np.abs(seen.lateral_m(ahead) - wanted).max() < 0.45


def test_where_there_is_no_lane_none_is_made_up(camera):
    assert find_lane(np.full((*SIZE, 3), 90, np.uint8), camera).confidence == 0


def test_it_steers_back_to_the_middle(camera, make_environment, make_scene):
    environment = make_environment(make_scene(), image_size=None)
    context = PolicyContext(environment.observation_space, environment.action_space, "trajectory", 1.0, camera)
    policy = CameraLaneKeeping(context)
    ego = np.float32([8, 0, 0, 0, 0])
    for offset in (-0.8, 0.8):
        policy.reset(None, {})
        frames = road_picture(camera, offset)[None]
        action = policy.act({"frames": frames, "ego": ego}, {})
        assert np.sign(action[-1, 1]) == np.sign(offset)
        assert (np.diff(action[:, 0]) > 0).all()
