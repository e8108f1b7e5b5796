import csv
import json

import av
import cv2
import numpy as np
import pytest

from longdwm_env.cli import main
from longdwm_env.errors import InvalidConfig, InvalidScene
from longdwm_env.scenes.datasets import import_drives
from longdwm_env.training.data.videos import VideoClips

FPS, COUNT, SPEED, RATE = 10, 31, 8.0, 0.1


def times():
    return np.arange(COUNT) / FPS


def arc():
    """Poses of a rear axle at 8 m/s that turns left by 0.1 rad/s."""
    heading = RATE * times()
    return np.stack([SPEED / RATE * np.sin(heading), SPEED / RATE * (1 - np.cos(heading)), heading], axis=1)


def picture(index):
    return np.full((48, 64, 3), 20 + 6 * index, np.uint8)


def write_pictures(folder):
    folder.mkdir(parents=True)
    for index in range(COUNT):
        cv2.imwrite(str(folder / f"{index:010d}.png"), picture(index))


def write_hevc(path):
    with av.open(str(path), "w", format="hevc") as container:
        stream = container.add_stream("libx265", rate=FPS, options={"x265-params": "log-level=none"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for index in range(COUNT):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index), format="rgb24")))
        container.mux(stream.encode())


def pictures(root):
    write_pictures(root / "frames")
    with (root / "drive.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "time_s", "speed_mps", "yaw_rate_radps"])
        rows.writerows([f"frames/{i:010d}.png", 100 + time, SPEED, RATE] for i, time in enumerate(times()))


def kitti_raw(root):
    drive = root / "2011_09_26" / "2011_09_26_drive_0001_sync"
    write_pictures(drive / "image_02" / "data")
    stamps = "".join(f"2011-09-26 13:02:{20 + t:012.9f}\n" for t in times())
    (drive / "image_02" / "timestamps.txt").write_text(stamps)
    (drive / "oxts" / "data").mkdir(parents=True)
    (drive / "oxts" / "timestamps.txt").write_text(stamps)
    earth, latitude = 6_378_137.0, 49.0
    scale = np.cos(np.radians(latitude)) * earth
    start = np.log(np.tan(np.radians(90 + latitude) / 2))
    for index, (x, y, heading) in enumerate(arc()):
        north = np.degrees(2 * np.arctan(np.exp(start + y / scale))) - 90
        row = [north, 8 + np.degrees(x / scale), 115, 0, 0, heading, *[0] * 24]
        (drive / "oxts" / "data" / f"{index:010d}.txt").write_text(" ".join(f"{value:.12f}" for value in row))
    (root / "2011_09_26" / "calib_cam_to_cam.txt").write_text("P_rect_02: 60 0 31 0 0 60 24 0 0 0 1 0\n")


def kitti_odometry(root):
    write_pictures(root / "sequences" / "03" / "image_2")
    (root / "sequences" / "03" / "times.txt").write_text("\n".join(f"{time:e}" for time in times()))
    (root / "sequences" / "03" / "calib.txt").write_text("P2: 60 0 31 0 0 60 24 0 0 0 1 0\n")
    rows = []
    for x, y, heading in arc():
        cos, sin = np.cos(heading), np.sin(heading)
        ahead, left = x + 1.13 * cos, y + 1.13 * sin
        matrix = [[cos, 0, -sin, -left], [0, 1, 0, 0], [sin, 0, cos, ahead]]
        rows.append(" ".join(f"{value:.9f}" for value in np.ravel(matrix)))
    (root / "poses").mkdir()
    (root / "poses" / "03.txt").write_text("\n".join(rows))


def comma2k19(root):
    segment = root / "Chunk_1" / "b0c9d2329ad1606b|2018-07-27--06-03-57" / "3"
    (segment / "global_pose").mkdir(parents=True)
    write_hevc(segment / "video.hevc")
    # Any turn of the earth: the drive's plane is that of the first frame.
    turned, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    turned *= np.linalg.det(turned)
    from scipy.spatial.transform import Rotation

    axle = arc()
    seat = axle[:, :2] + 1.7 * np.stack([np.cos(axle[:, 2]), np.sin(axle[:, 2])], axis=1)
    places = np.column_stack([seat[:, 0], -seat[:, 1], np.zeros(COUNT)]) @ turned.T + [-2.7e6, -4.2e6, 3.8e6]
    quaternions = (Rotation.from_matrix(turned) * Rotation.from_euler("z", -axle[:, 2:])).as_quat()[:, [3, 0, 1, 2]]
    for name, values in (
        ("frame_times", 1e5 + times()),
        ("frame_positions", places),
        ("frame_orientations", quaternions),
    ):
        with (segment / "global_pose" / name).open("wb") as file:
            np.save(file, values)


def lerobot(root):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    key = "observation.images.front"
    names = ["speed_kmh", "yaw_rate_radps"]
    for folder in ("meta/episodes/chunk-000", "data/chunk-000", f"videos/{key}/chunk-000"):
        (root / folder).mkdir(parents=True)
    features = {
        key: {"dtype": "video", "shape": [48, 64, 3]},
        "observation.state": {"dtype": "float32", "shape": [2], "names": names},
    }
    (root / "meta" / "info.json").write_text(
        json.dumps(
            {
                "codebase_version": "v3.0",
                "fps": FPS,
                "features": features,
                "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
                "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
            }
        )
    )
    rows = [(e, t) for e in range(2) for t in times()]
    parquet.write_table(
        pa.table(
            {
                "episode_index": [e for e, _ in rows],
                "timestamp": [t for _, t in rows],
                "observation.state": [[SPEED * 3.6, RATE]] * len(rows),
            }
        ),
        root / "data" / "chunk-000" / "file-000.parquet",
    )
    parquet.write_table(
        pa.table(
            {
                "episode_index": [0, 1],
                "length": [COUNT, COUNT],
                "data/chunk_index": [0, 0],
                "data/file_index": [0, 0],
                f"videos/{key}/chunk_index": [0, 0],
                f"videos/{key}/file_index": [0, 0],
                f"videos/{key}/from_timestamp": [0.0, COUNT / FPS],
            }
        ),
        root / "meta" / "episodes" / "chunk-000" / "file-000.parquet",
    )
    with av.open(str(root / f"videos/{key}/chunk-000/file-000.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "4"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for index in range(2 * COUNT):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index % COUNT), format="rgb24")))
        container.mux(stream.encode())


WRITERS = {
    "pictures": pictures,
    "kitti-raw": kitti_raw,
    "kitti-odometry": kitti_odometry,
    "comma2k19": comma2k19,
    "lerobot": lerobot,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_data_set_becomes_clips_with_its_frames_and_motion(kind, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    WRITERS[kind](source)
    report = import_drives(kind, source, tmp_path / "out", None, None)
    assert report.drives == report.posed == (2 if kind == "lerobot" else 1)
    clips = VideoClips(tmp_path / "out", (48, 64))
    assert clips.has_poses
    for number in range(len(clips)):
        clip = clips.clip(number)
        at = np.arange(len(clip.images)) / 12
        # The nearest picture is at most half a picture away, and the codec changes greys by two.
        assert np.abs(clip.images.mean(axis=(1, 2, 3)) - (20 + 6 * at * FPS)).max() < 3 + 2.5
        expected = np.stack(
            [SPEED / RATE * np.sin(RATE * at), SPEED / RATE * (1 - np.cos(RATE * at)), RATE * at], axis=1
        )
        assert np.abs(clip.poses - expected).max() < 0.03
    assert json.loads((tmp_path / "out" / "SOURCE.json").read_text())["licence"] == report.licence


def test_nuscenes_needs_no_import_and_an_empty_folder_leaves_nothing(tmp_path):
    with pytest.raises(InvalidConfig, match="read as it is"):
        import_drives("nuscenes", tmp_path, tmp_path / "out", None, None)
    (tmp_path / "empty").mkdir()
    for kind in WRITERS:
        if kind == "lerobot":
            pytest.importorskip("pyarrow")
        with pytest.raises(InvalidScene):
            import_drives(kind, tmp_path / "empty", tmp_path / "out", None, None)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_damaged_drive_is_named_and_the_others_are_written(tmp_path, capsys):
    source = tmp_path / "source"
    source.mkdir()
    pictures(source)
    (source / "broken.csv").write_text("file,time_s\nnothing.png,0\nnothing.png,1\n")
    assert main(["data", "import", "pictures", str(source), "--out", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert "broken.csv" in captured.err
    assert "licence" in captured.out
    assert not list((tmp_path / "out").glob("broken*"))
