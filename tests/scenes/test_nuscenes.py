import json
import pickle
import shutil
import unittest

import cv2
import numpy as np
import pytest

from longdwm_env.errors import InvalidConfig, InvalidScene, UnknownScene
from longdwm_env.scenes import open_scenes
from longdwm_env.scenes.nuscenes.dataroot import prompt_from_description
from longdwm_env.scenes.nuscenes.export import export_nuscenes
from longdwm_env.types import ROAD_USER_CLASSES, Camera

from .tables import VERSION, edit

pytest.importorskip("nuscenes", reason="nuscenes-devkit is not installed")


@pytest.fixture(scope="module")
def devkit(shared_dataset):
    import matplotlib as mpl

    mpl.use("Agg")
    from nuscenes import NuScenes

    return NuScenes(version=VERSION, dataroot=str(shared_dataset), verbose=False)


@pytest.fixture(scope="module")
def source(shared_dataset):
    return open_scenes(shared_dataset)


def offset_of(devkit, scene: int) -> np.ndarray:
    return np.array(devkit.get("log", devkit.scene[scene]["log_token"])["world_offset_m"])


def grey(images) -> np.ndarray:
    """Which frame each picture shows, from its middle."""
    middle = images[:, images.shape[1] // 2, images.shape[2] // 2].mean(axis=-1)
    return np.round((middle - 20) / 2).astype(int)


class TestDevkitOpensTheExport:
    def test_its_own_tests_pass(self, devkit, dataset, monkeypatch):
        own = pytest.importorskip("nuscenes.tests.test_nuscenes", reason="this devkit comes without its tests")
        from nuscenes.tests.assert_download import verify_setup

        (dataset / VERSION).rename(dataset / "v1.0-mini")
        monkeypatch.setenv("NUSCENES", str(dataset))
        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromModule(own).run(result)
        assert (result.testsRun, result.errors, result.failures) == (1, [], [])
        verify_setup(devkit)

    def test_the_same_footage_gives_the_same_files(self, shared_dataset, make_clip, tmp_path):
        export_nuscenes([make_clip(7), make_clip(8, num_frames=37)], tmp_path / "again")
        ours = sorted(p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file())
        assert ours == sorted(p.relative_to(shared_dataset) for p in shared_dataset.rglob("*") if p.is_file())
        assert all((tmp_path / "again" / p).read_bytes() == (shared_dataset / p).read_bytes() for p in ours)


class TestExportIsWholeOrNotAtAll:
    def test_an_occupied_folder_is_left_alone(self, tmp_path, make_clip):
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(InvalidConfig, match="not an empty folder"):
            export_nuscenes([make_clip()], tmp_path)
        assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]

    def test_a_failure_leaves_nothing(self, tmp_path, make_clip):
        def clips():
            yield make_clip(1)
            raise RuntimeError("the simulator fell over")

        with pytest.raises(RuntimeError):
            export_nuscenes(clips(), tmp_path / "out")
        assert not list(tmp_path.iterdir())

    def test_numbers_must_differ(self, tmp_path, make_clip):
        with pytest.raises(InvalidConfig, match="differ"):
            export_nuscenes([make_clip(1), make_clip(1)], tmp_path / "out")


class TestScenes:
    def test_starts(self, source):
        # 49 frames: keyframes at 0, 6 .. 48; an interval on either side leaves 12 .. 36. 37 frames: 12 .. 24.
        assert len(source) == 5 + 3
        first, second = source.scene(0), source.scene(1)
        assert (first.key, second.key) == ("scene-0000007", "scene-0000008")
        assert (first.log.num_past, first.log.num_future) == (12, 36)
        assert source.scene(2).key == "scene-0000007@1.500"
        assert [source.index_of_key(source.scene(i).key) for i in range(len(source))] == list(range(len(source)))
        assert source.index_of_key("scene-0000007@1.000") == 0
        assert [source.index_of_seed(seed) for seed in (0, 1, 8)] == [0, 1, 0]

    def test_a_sample_token_is_a_key(self, source, devkit):
        sample = devkit.get("sample", devkit.scene[0]["first_sample_token"])
        for _ in range(3):
            sample = devkit.get("sample", sample["next"])
        assert source.scene(source.index_of_key(sample["token"])).key == "scene-0000007@1.500"

    @pytest.mark.parametrize("key", ["scene-0061", "scene-0000007@99.000", ""])
    def test_unknown_keys_list_what_exists(self, source, key):
        with pytest.raises(UnknownScene, match="scene-0000007"):
            source.index_of_key(key)

    def test_the_start_moves_as_the_ego_did(self, source, devkit, scene_truth):
        start = source.scene(0).start
        ego, _ = scene_truth(49)
        assert np.allclose(start.pose, [*(ego[12, :2] + offset_of(devkit, 0)), ego[12, 2]], atol=1e-6)
        assert start.speed_mps == pytest.approx(10.0, abs=0.02)
        assert start.acceleration_mps2 == pytest.approx(0.0, abs=0.05)
        assert start.yaw_rate_radps == pytest.approx(0.1, abs=1e-3)

    def test_the_log_shows_the_right_moments(self, source):
        scene = source.scene(0)
        camera = scene.camera.fitted((32, 48))
        assert grey(scene.log.images(-12, 49, camera)).tolist() == list(range(49))
        assert grey(scene.log.images(-15, 5, camera)).tolist() == [0, 0, 0, 0, 1]
        assert np.allclose(np.diff(scene.log.ego_poses[:, 2]), 0.1 / 12, atol=1e-6)
        assert scene.log.images(0, 1, camera)[0, 0, 0, 0] > 200  # the red corner is at the upper left
        with pytest.raises(ValueError, match="-12 to 36"):
            scene.log.images(30, 8, camera)

    def test_camera_and_prompt(self, source, make_clip):
        scene, clip = source.scene(0), make_clip()
        assert np.allclose(scene.camera.intrinsics.matrix, clip.camera.intrinsics.matrix)
        assert scene.camera.mounting == clip.camera.mounting
        assert scene.prompt == clip.prompt

    def test_actors(self, source, devkit, scene_truth):
        scene = source.scene(0)
        _, actors = scene_truth(49)
        tracks = scene.actors
        assert sorted(ROAD_USER_CLASSES[index] for index in tracks.classes) == ["car", "car", "truck"]
        assert tracks.looks.keys() == {"classes"}
        assert tracks.poses.shape == (37, 3, 3)
        order = [int(np.argmin(abs(tracks.sizes_m[:, 0] - length))) for length in actors.sizes_m[:, 0]]
        expected = actors.poses[12:] + np.array([*offset_of(devkit, 0), 0])
        # Between keyframes half a second apart, a chord of this bend is 5 cm off at most.
        assert np.nanmax(abs(tracks.poses[:, order[:2]] - expected[:, :2])) < 0.06
        assert np.nanmax(abs(tracks.poses[::6, order] - expected[::6])) < 1e-3
        brief = np.isfinite(tracks.poses[:, order[2], 0])
        assert brief[:13].all()
        assert not brief[13:].any()
        assert np.allclose(tracks.speeds_mps[:, order[0]], 12.0, atol=0.05)

    def test_the_mask_agrees_with_the_devkit(self, source, devkit):
        record = devkit.get("map", devkit.get("log", devkit.scene[0]["log_token"])["map_token"])
        points = np.random.default_rng(0).uniform(-20, 250, (20_000, 2))
        theirs = record["mask"].is_on_mask(points[:, 0], points[:, 1])
        assert (source.scene(0).road_map.drivable(points) == theirs).all()

    def test_a_scene_survives_pickling(self, source):
        again = pickle.loads(pickle.dumps(source.scene(0)))
        camera = Camera(source.scene(0).camera.intrinsics.fitted((24, 36)))
        assert (again.log.images(0, 3, camera) == source.scene(0).log.images(0, 3, camera)).all()
        assert len(pickle.loads(pickle.dumps(source))) == len(source)

    def test_a_version_folder_may_be_named(self, dataset):
        (dataset / VERSION).rename(dataset / "annotation")
        assert len(open_scenes(dataset)) == len(open_scenes(dataset / "annotation")) == 8
        shutil.copytree(dataset / "annotation", dataset / "second")
        with pytest.raises(InvalidScene, match="several versions"):
            open_scenes(dataset)


class TestOtherClocks:
    def test_ten_hertz_is_resampled_by_the_nearest_image(self, dataset):
        def slow(records):
            for record in records:
                if "CAM_FRONT" in record["filename"]:
                    record["timestamp"] = 1_000_000 + 100_000 * int(frame_of[record["token"]])

        path = dataset / VERSION / "sample_data.json"
        records = json.loads(path.read_text())
        cameras = [r for r in records if "CAM_FRONT" in r["filename"] and "0000007" in r["filename"]]
        frame_of = {r["token"]: i for i, r in enumerate(sorted(cameras, key=lambda r: r["timestamp"]))}
        others = [r for r in records if "0000008" in r["filename"]]
        frame_of |= {r["token"]: i for i, r in enumerate(others)}
        slow(records)
        path.write_text(json.dumps(records))
        scene = open_scenes(dataset).scene(0)
        images = scene.log.images(0, 25, scene.camera)
        start = frame_of_start = grey(scene.log.images(0, 1, scene.camera))[0]
        shown = grey(images) - frame_of_start
        assert start == 12
        assert np.abs(shown - np.arange(25) * 10 / 12).max() <= 0.5 + 1e-9
        # The poses stay smooth where images repeat.
        steps = np.linalg.norm(np.diff(scene.log.ego_poses[:, :2], axis=0), axis=1)[2:-2]
        assert np.ptp(steps) < 1e-3

    def test_a_hole_ends_the_record(self, dataset):
        def open_hole(records):
            for record in records:
                if "CAM_FRONT" in record["filename"] and "0000007" in record["filename"]:
                    frame = round((record["timestamp"] - first) * 12e-6)
                    record["timestamp"] += 1_000_000 * (frame >= 30)

        records = json.loads((dataset / VERSION / "sample_data.json").read_text())
        first = min(r["timestamp"] for r in records if "0000007" in r["filename"])
        edit(dataset, "sample_data", open_hole)
        scene = open_scenes(dataset).scene(0)
        assert (scene.log.num_past, scene.log.num_future) == (12, 17)


class TestOptionalParts:
    def test_description_stands_in_for_captions(self, dataset):
        (dataset / VERSION / "captions.json").unlink()
        assert open_scenes(dataset).scene(0).prompt == "Road environment: Weather: sunny. Time: daytime."
        text = prompt_from_description("Night, rain, parked cars")
        assert text == "Weather: rainy.\nTime: nighttime.\nRoad environment: Night, rain, parked cars."

    def test_a_map_of_another_place_is_no_map(self, dataset):
        for mask in (dataset / "maps").iterdir():
            cv2.imwrite(str(mask), np.zeros((100, 100), np.uint8))
        assert open_scenes(dataset).scene(0).road_map is None

    def test_no_annotations_means_actors_are_not_known(self, dataset):
        edit(dataset, "sample_annotation", list.clear)
        edit(dataset, "instance", list.clear)
        assert open_scenes(dataset).scene(0).actors is None

    def test_can_bus_speed_is_preferred(self, dataset):
        edit(dataset, "scene", lambda records: records[0].update(name="scene-0007"))
        data = json.loads((dataset / VERSION / "sample_data.json").read_text())
        first = min(r["timestamp"] for r in data if "0000007" in r["filename"])
        messages = [
            {"utime": first + 20_000 * i, "vel": [9.0, 0, 0], "accel": [0.5, 0, 9.8], "rotation_rate": [0, 0, 0.2]}
            for i in range(100)
        ]
        (dataset / "can_bus").mkdir()
        (dataset / "can_bus" / "scene-0007_pose.json").write_text(json.dumps(messages))
        start = open_scenes(dataset).scene(0).start
        assert (start.speed_mps, start.acceleration_mps2, start.yaw_rate_radps) == pytest.approx((9.0, 0.5, 0.2))
        (dataset / "can_bus" / "scene-0007_pose.json").write_text("[{")
        with pytest.raises(InvalidScene, match="scene-0007_pose"):
            open_scenes(dataset).scene(0)


class TestBrokenDatasets:
    def test_a_missing_image_is_named_before_anything_starts(self, dataset):
        image = sorted((dataset / "sweeps" / "CAM_FRONT").iterdir())[5]
        image.unlink()
        with pytest.raises(InvalidScene, match=image.name):
            open_scenes(dataset).scene(0)
        assert open_scenes(dataset).scene(1).key == "scene-0000008"
