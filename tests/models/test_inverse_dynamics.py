"""Inverse dynamics: exact on a road whose motion is known, alike in any company, right on the simulator's footage."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from longdwm_env.clock import FRAME_S
from longdwm_env.errors import MissingWeights
from longdwm_env.geometry.camera import assumed_camera, forward_mounting, project_points
from longdwm_env.geometry.kinematics import arc_step
from longdwm_env.geometry.pose import transform_points
from longdwm_env.models.readers import inverse_dynamics
from longdwm_env.models.readers.inverse_dynamics import (
    InverseDynamics,
    bundled_inverse_dynamics,
    has_bundled_inverse_dynamics,
    load_inverse_dynamics,
)
from longdwm_env.models.readers.motion_volume import SPEEDS_MPS, YAW_RATES_RADPS, evidence, unpacked
from longdwm_env.models.readers.reader_files import CONFIGURATION, WEIGHTS
from longdwm_env.models.readers.scorer import windows_of
from longdwm_env.training.data.simulator_footage import SimulatorClips
from longdwm_env.types import Camera, Images

CAMERA = assumed_camera((96, 144))
CELL_M = 0.1


def drive(speed_mps: float, yaw_rate_radps: float, camera: Camera = CAMERA, seed: int = 0) -> Images:
    """A second over a plane of random patches, (12, H, W, 3), drawn by the camera's own geometry."""
    rng = np.random.default_rng(seed)
    patches = cv2.GaussianBlur(rng.normal(size=(1024, 1024)), (0, 0), 3)
    patches = 128 + 40 * patches / patches.std()
    height, width = camera.intrinsics.image_size
    corners_m = np.array([[8.0, -3.0], [8.0, 3.0], [40.0, 3.0], [40.0, -3.0]])
    frames = np.full((12, height, width, 3), 200, np.uint8)
    pose = np.zeros(3)
    curvature = yaw_rate_radps / speed_mps if speed_mps else 0.0
    for frame in frames:
        seen, _ = project_points(camera, np.column_stack([corners_m, np.zeros(4)]))
        on_plane = transform_points(pose, corners_m) / CELL_M + [100, 512]
        homography = cv2.getPerspectiveTransform(seen.astype(np.float32), on_plane.astype(np.float32))
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        road = cv2.warpPerspective(patches, homography, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
        below = math.ceil(camera.intrinsics.cy_px) + 2
        frame[below:] = road[below:, :, None].clip(0, 255).round()
        pose = arc_step(pose, np.float64(speed_mps * FRAME_S), np.float64(curvature))
    return frames


def best(window: Images, camera: Camera = CAMERA) -> tuple[float, float]:
    """The motion that the road's evidence agrees with most, without any weights."""
    road, _ = unpacked(torch.from_numpy(evidence(window, camera))[None])
    speed, yaw_rate = divmod(int(road[0].sum(0).argmax()), len(YAW_RATES_RADPS))
    return float(SPEEDS_MPS[speed]), float(YAW_RATES_RADPS[yaw_rate])


@pytest.fixture(scope="module")
def reader():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return InverseDynamics(channels=4, coarse_channels=4).eval()


@pytest.fixture
def folder(reader, tmp_path):
    reader.save_pretrained(str(tmp_path / "reader"), safe_serialization=True)
    return tmp_path / "reader"


@pytest.mark.parametrize(("speed_mps", "yaw_rate_radps"), [(0.6, 0.0), (7.0, 0.5), (22.0, -0.15)])
def test_the_best_match_is_the_motion(speed_mps, yaw_rate_radps):
    said = best(drive(speed_mps, yaw_rate_radps))
    steps = np.interp(speed_mps, SPEEDS_MPS, np.gradient(SPEEDS_MPS))
    assert said[0] == pytest.approx(speed_mps, abs=steps)
    assert said[1] == pytest.approx(yaw_rate_radps, abs=0.051)


def test_the_camera_is_taken_into_account():
    high = replace(assumed_camera((120, 160), 1.0), mounting=forward_mounting((1.4, 0.2, 1.9), 0.05))
    said = best(drive(9.0, 0.2, high), high)
    assert said == pytest.approx((9.0, 0.2), abs=0.5)
    assert said[1] == pytest.approx(0.2, abs=0.051)


def test_far_scenery_tells_how_the_car_turns():
    rng = np.random.default_rng(1)
    scenery = cv2.GaussianBlur(rng.normal(size=(96, 800)), (0, 0), 3)
    scenery = 128 + 40 * scenery / scenery.std()
    focal, columns = CAMERA.intrinsics.fx_px, np.arange(144) - CAMERA.intrinsics.cx_px
    for yaw_rate in (-0.4, 0.1):
        window = np.empty((12, 96, 144, 3), np.uint8)
        for number, frame in enumerate(window):
            azimuth = np.arctan(columns / focal) - yaw_rate * number * FRAME_S
            places = np.tile((400 + focal * azimuth).astype(np.float32), (96, 1))
            lines = np.tile(np.arange(96, dtype=np.float32)[:, None], (1, 144))
            frame[:] = cv2.remap(scenery, places, lines, cv2.INTER_LINEAR)[..., None].clip(0, 255)
        _, far = unpacked(torch.from_numpy(evidence(window, CAMERA))[None])
        assert YAW_RATES_RADPS[int(far[0].sum(0).argmax())] == pytest.approx(yaw_rate, abs=0.026)


def test_a_window_is_read_as_it_would_be_alone(reader):
    windows = np.stack([drive(4.0, 0.1), drive(20.0, 0.0), drive(9.0, -0.4)])
    together = reader.read(windows, CAMERA)
    for index in range(len(windows)):
        alone = reader.read(windows[index : index + 1], CAMERA)
        assert np.array_equal(alone.speed_mps, together.speed_mps[index : index + 1])
        assert np.array_equal(alone.yaw_rate_radps, together.yaw_rate_radps[index : index + 1])


@pytest.mark.parametrize("shape", [(11, 96, 144, 3), (12, 96, 140, 3), (12, 96, 144)])
def test_a_window_of_another_shape_is_refused(reader, shape):
    with pytest.raises(ValueError, match="a window is uint8"):
        reader.read(np.zeros((1, *shape), np.uint8), CAMERA)


@pytest.mark.parametrize("name", [CONFIGURATION, WEIGHTS])
def test_missing_and_damaged_files_are_named(folder, name):
    (folder / name).write_bytes((folder / name).read_bytes()[:20])
    with pytest.raises(MissingWeights, match=r"inverse-dynamics in .* is damaged"):
        load_inverse_dynamics(folder)
    (folder / name).unlink()
    with pytest.raises(MissingWeights, match=rf"{name} is missing.*longdwm train inverse-dynamics"):
        load_inverse_dynamics(folder)


def test_without_bundled_weights_the_message_says_how_to_make_them(tmp_path, monkeypatch):
    monkeypatch.setattr(inverse_dynamics, "BUNDLED", tmp_path / "nothing")
    bundled_inverse_dynamics.cache_clear()
    assert not has_bundled_inverse_dynamics()
    with pytest.raises(MissingWeights, match="longdwm train inverse-dynamics"):
        bundled_inverse_dynamics()


def test_the_bundled_reader_reads_footage_of_test_seeds():
    bundled_inverse_dynamics.cache_clear()
    clip = SimulatorClips(1, (96, 144), 37, first_seed=1_000_000, allow_test_seeds=True).clip(0)
    read = bundled_inverse_dynamics().read(windows_of(clip.images, 12), clip.camera)
    true = clip.labels["speed_mps"][:36].reshape(3, 12).mean(axis=1)
    assert np.abs(read.speed_mps - true).mean() < 0.06 * true.mean()
    turned = np.array([clip.labels["yaw_rate_radps"][first + 1 : first + 12].mean() for first in (0, 12, 24)])
    assert np.abs(read.yaw_rate_radps - turned).max() < 0.04
