"""The way of the command line: real simulator footage out, through nuscenes-devkit, and back in as scenes."""

import json

import numpy as np
import pytest

from longdwm_env.cli.data.data_sets import export_simulator
from longdwm_env.errors import InvalidConfig, InvalidScene
from longdwm_env.scenes import open_scenes
from longdwm_env.scenes.nuscenes.clip_writer import MAX_ANNOTATED_M
from longdwm_env.scenes.simulator_clips import simulator_clip

SEEDS, SECONDS, SIZE = (3, 4), 2.5, (48, 72)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    out = tmp_path_factory.mktemp("simulator") / "dataset"
    assert export_simulator(out, scenes=2, seconds=SECONDS, seed=SEEDS[0], image_size=SIZE) == 0
    return out


@pytest.fixture(scope="module")
def devkit(exported):
    nuscenes = pytest.importorskip("nuscenes", reason="nuscenes-devkit is not installed")
    return nuscenes.NuScenes(version="v1.0-simulator", dataroot=str(exported), verbose=False)


def chunks_with_frames(clip):
    frame = 0
    for chunk in clip.chunks:
        for index in range(len(chunk.ego_poses)):
            yield frame, chunk.ego_poses[index], chunk.actors.poses[index], chunk.actors.sizes_m
            frame += 1


def test_poses_and_boxes_come_back_within_a_millimetre(devkit):
    worst_pose = worst_box = 0.0
    boxes_seen = 0
    for record, seed in zip(devkit.scene, SEEDS, strict=True):
        offset = np.array(devkit.get("log", record["log_token"])["world_offset_m"])
        token = devkit.get("sample", record["first_sample_token"])["data"]["CAM_FRONT"]
        for _, ego, actors, sizes in chunks_with_frames(simulator_clip(seed, SECONDS, SIZE)):
            data = devkit.get("sample_data", token)
            pose = devkit.get("ego_pose", data["ego_pose_token"])
            worst_pose = max(worst_pose, np.linalg.norm(pose["translation"][:2] - offset - ego[:2]))
            if data["is_key_frame"]:
                boxes = devkit.get_boxes(token)
                near = np.flatnonzero(np.linalg.norm(actors[:, :2] - ego[:2], axis=1) <= MAX_ANNOTATED_M)
                assert len(boxes) == len(near)
                for index in near:
                    expected = np.array([*(actors[index, :2] + offset), sizes[index, 2] / 2])
                    worst_box = max(worst_box, min(np.linalg.norm(box.center - expected) for box in boxes))
                boxes_seen += len(near)
            token = data["next"]
        assert token == ""
    assert boxes_seen > 10
    assert worst_pose < 1e-3
    assert worst_box < 1e-3


def test_it_opens_as_scenes(exported):
    pytest.importorskip("nuscenes", reason="nuscenes-devkit is an extra")
    scene = open_scenes(exported).scene(0)
    drawn = np.concatenate([chunk.images for chunk in simulator_clip(SEEDS[0], SECONDS, SIZE).chunks])
    shown = scene.log.images(-scene.log.num_past, len(drawn), scene.camera)
    # JPEG at a quality of 95.
    assert np.abs(shown.astype(int) - drawn).mean() < 4
    # Pixels of 0.1 m, against the lanes themselves. This scene's driver wanders off the road.
    devkit_from_clip = (
        scene.log.ego_poses[0, :2] - next(chunks_with_frames(simulator_clip(SEEDS[0], SECONDS, SIZE)))[1][:2]
    )
    points = scene.log.ego_poses[:, :2].repeat(50, axis=0) + np.random.default_rng(0).uniform(-20, 20, (1550, 2))
    exact = simulator_clip(SEEDS[0], SECONDS, SIZE).road_map.drivable(points - devkit_from_clip)
    assert (scene.road_map.drivable(points) == exact).mean() > 0.99
    assert 0.1 < exact.mean() < 0.9
    assert scene.prompt.startswith("Weather: ")
    assert scene.actors is not None


def test_another_camera(tmp_path):
    pytest.importorskip("nuscenes", reason="nuscenes-devkit is an extra")
    path = tmp_path / "camera.json"
    path.write_text(json.dumps({"horizontal_fov_rad": 1.4, "mounting": {"translation_m": [1.0, 0, 2.0]}}))
    export_simulator(tmp_path / "out", scenes=1, seconds=0.5, image_size=(32, 64), camera=path)
    camera = open_scenes(tmp_path / "out").scene(0).camera
    assert camera.intrinsics.horizontal_fov_rad == pytest.approx(1.4)
    assert camera.mounting.translation_m == (1.0, 0.0, 2.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"scenes": 0},
        {"seed": -1},
        {"seconds": 0.0},
        {"seconds": float("nan")},
        {"seconds": 1e9},
        {"seconds": 0.123},
        {"image_size": (4, 4)},
        {"image_size": (96, 100_000)},
        {"seed": 10_000_000},
        {"style": "asleep"},
    ],
)
def test_mistakes_leave_nothing(tmp_path, wrong):
    with pytest.raises(InvalidConfig):
        export_simulator(tmp_path / "out", **{"scenes": 1, "seconds": 0.5, **wrong})
    assert not list(tmp_path.iterdir())


def test_a_missing_camera_file(tmp_path):
    with pytest.raises(InvalidScene, match=r"absent\.json"):
        export_simulator(tmp_path / "out", scenes=1, camera=tmp_path / "absent.json")
    assert not list(tmp_path.iterdir())
