import cv2
import numpy as np
import pytest

from longdwm_env.cli.data.data_sets import check
from longdwm_env.scenes.nuscenes.check import check_data

from .tables import VERSION, edit


def problems(dataset) -> str:
    report = check_data(dataset)
    assert report.problems
    return "\n".join(report.problems)


def test_an_export_is_in_order(dataset, capsys):
    assert check(dataset) == 0
    assert (
        "OK (nuScenes schema, version v1.0-simulator: 16 sample, 102 sample_data, 2 scene)" in capsys.readouterr().out
    )


def test_damaged_media_are_named(photo, make_video, capsys):
    path = make_video("cut.mkv", num_frames=100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    make_video("whole.mp4")
    (photo.parent / "empty.jpg").write_bytes(b"")
    (photo.parent / "photo.camera.json").write_text("[]")
    assert check(photo.parent) == 1
    out = capsys.readouterr().out
    assert all(name in out for name in ("cut.mkv", "empty.jpg", "photo.camera.json", "3 problems"))
    assert "whole.mp4" not in out


def test_nothing_to_check(tmp_path, capsys):
    assert check(tmp_path / "absent") == 2
    assert check(tmp_path) == 2
    assert "error" in capsys.readouterr().err


@pytest.mark.parametrize("table", ["ego_pose", "map"])
def test_a_missing_table(dataset, table):
    (dataset / VERSION / f"{table}.json").unlink()
    assert f"{table}.json: the table is missing" in problems(dataset)
    assert check(dataset) == 1


def test_images(dataset):
    first, second, third, fourth = sorted((dataset / "sweeps" / "CAM_FRONT").iterdir())[:4]
    first.unlink()
    second.write_bytes(second.read_bytes()[:-300])
    third.write_bytes(b"GIF89a")
    cv2.imwrite(str(fourth), np.zeros((10, 10, 3), np.uint8))
    lidar = sorted((dataset / "samples" / "LIDAR_TOP").iterdir())[0]
    lidar.write_bytes(b"")
    found = problems(dataset)
    assert all(path.name in found for path in (first, second, third, fourth, lidar))
    assert len(found.splitlines()) == 5


@pytest.mark.parametrize(
    ("table", "index", "change", "said"),
    [
        ("sample_data", 20, {"timestamp": 5}, "times must increase"),
        ("sample_data", 20, {"timestamp": None}, "timestamp = None"),
        ("sample_data", 20, {"prev": ""}, "prev is not this one"),
        ("sample_data", 20, {"calibrated_sensor_token": "gone"}, "not in calibrated_sensor.json"),
        ("sample_data", 20, {"ego_pose_token": "gone"}, "not in ego_pose.json"),
        ("sample_data", 18, {"is_key_frame": False}, "no CAM_FRONT keyframe"),
        ("calibrated_sensor", 0, {"camera_intrinsic": []}, "without camera_intrinsic"),
        ("calibrated_sensor", 0, {"camera_intrinsic": [[0, 0, 0]] * 3}, "focal lengths"),
        ("calibrated_sensor", 0, {"rotation": [1, 1, 1, 1]}, "unit quaternion"),
        ("calibrated_sensor", 0, {"translation": [0, 0, -1]}, "above the ground"),
        ("ego_pose", 5, {"translation": [1e300, 0, 0]}, "finite translation"),
        ("sample_annotation", 5, {"size": [1, 1, 0]}, "no box"),
        ("map", 0, {"filename": "maps/gone.png"}, "gone.png: the map mask is missing"),
        ("map", 0, {"log_tokens": []}, "no map for the log"),
    ],
)
def test_broken_records_are_named(dataset, table, index, change, said):
    edit(dataset, table, lambda records: records[index].update(change))
    assert said in problems(dataset)


def test_a_missing_field_and_a_repeated_token(dataset):
    edit(dataset, "sample_data", lambda records: records[3].pop("width"))
    edit(dataset, "sample", lambda records: records.append(records[0]))
    found = problems(dataset)
    assert "lacks 'width'" in found
    assert "was used before" in found
