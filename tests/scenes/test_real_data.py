"""Real photographs, videos and datasets, where the folder that LONGDWM_REAL_DATA names has them."""

import os
from pathlib import Path

import numpy as np
import pytest

from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.scenes import open_scenes
from longdwm_env.scenes.nuscenes.check import check_data


@pytest.fixture
def real_data(request):
    root = os.environ.get("LONGDWM_REAL_DATA")
    if not root:
        pytest.skip("LONGDWM_REAL_DATA does not name a folder with real driving data")
    path = Path(root) / request.param
    if not path.exists():
        pytest.skip(f"{path} does not exist")
    return path


def describes(name):
    return pytest.mark.parametrize("real_data", [name], indirect=True)


@describes("photos")
def test_photographs(real_data):
    source = open_scenes(real_data)
    for index in range(len(source)):
        images = source.scene(index).log.images(-11, 12, assumed_camera((900, 1600)).fitted((96, 144)))
        assert images.std() > 20


@describes("videos")
def test_videos(real_data):
    source = open_scenes(real_data)
    for index in range(len(source)):
        log = source.scene(index).log
        images = log.images(-log.num_past, log.num_past + 1 + log.num_future, assumed_camera((96, 144)))
        moving = np.abs(np.diff(images.astype(int), axis=0)).mean(axis=(1, 2, 3))
        assert (moving > 0.2).all()


@describes("kitti-nuscenes")
def test_kitti_clips_at_ten_hertz(real_data):
    pytest.importorskip("nuscenes", reason="nuscenes-devkit is not installed")
    assert not check_data(real_data).problems
    scene = open_scenes(real_data).scene(0)
    assert 5 < scene.start.speed_mps < 10
    assert (scene.road_map, scene.actors) == (None, None)
    poses = scene.log.ego_poses
    assert len(poses) == scene.log.num_past + 1 + scene.log.num_future
    steps = np.linalg.norm(np.diff(poses[:, :2], axis=0), axis=1) * 12
    assert np.abs(np.diff(steps)).max() < 1.0
    images = scene.log.images(0, 13, scene.camera.fitted((96, 144)))
    repeats = (images[1:] == images[:-1]).all(axis=(1, 2, 3)).sum()
    assert repeats == 2  # ten images in a second of twelve


@describes("nuscenes-sample")
def test_one_real_nuscenes_keyframe(real_data):
    pytest.importorskip("nuscenes", reason="nuscenes-devkit is not installed")
    scene = open_scenes(real_data).scene(0)
    assert scene.camera.intrinsics.image_size == (900, 1600)
    assert scene.camera.mounting.translation_m[2] == pytest.approx(1.51, abs=0.05)
    assert scene.road_map.drivable(scene.start.pose[None, :2]).all()
    assert scene.actors.poses.shape == (1, 1, 3)
    # The dataset has one of its scene's keyframes only; the checker says so.
    assert any("last_sample_token" in problem for problem in check_data(real_data).problems)
