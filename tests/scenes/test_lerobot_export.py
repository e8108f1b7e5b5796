"""Drives as a LeRobot v3 data set, read back by our importer and held against its documented layout."""

import json

import numpy as np
import pytest

from longdwm_env.cli.data.data_export import export_lerobot as command
from longdwm_env.clock import FPS
from longdwm_env.errors import InvalidConfig
from longdwm_env.io.routes import read_poses
from longdwm_env.scenes.datasets import import_drives
from longdwm_env.scenes.datasets.lerobot_export import CAMERA, STATE, DrivenEpisode, export_lerobot
from longdwm_env.scenes.media.video_frames import numbered_frames

parquet = pytest.importorskip("pyarrow.parquet")


def episode(seconds=2, size=(32, 48), success=True, task="drive on", speed=6.0):
    count = seconds * FPS
    times = np.arange(count) / FPS
    states = np.zeros((count, len(STATE)))
    states[:, 0], states[:, 3] = speed * times, speed
    shade = np.linspace(40, 200, count).astype(np.uint8)
    frames = np.broadcast_to(shade[:, None, None, None], (count, *size, 3)).copy()
    done = np.zeros(count, bool)
    done[-1] = True
    return DrivenEpisode(
        [frames[:7], frames[7:]], states, np.full((count, 2), speed), np.full(count, 0.5), done, success, task
    )


@pytest.fixture
def exported(tmp_path):
    out = tmp_path / "set"
    frames = export_lerobot(
        [episode(), episode(3, success=False, task="turn", speed=9.0)], out, ("throttle", "wheel"), {"world": "made"}
    )
    assert frames == 5 * FPS
    return out


def test_the_tables_are_laid_out_as_documented(exported):
    info = json.loads((exported / "meta/info.json").read_text())
    assert (info["codebase_version"], info["total_episodes"], info["total_frames"]) == ("v3.0", 2, 5 * FPS)
    rows = parquet.read_table(exported / info["data_path"].format(chunk_index=0, file_index=0))
    stored = {name for name, feature in info["features"].items() if feature["dtype"] != "video"}
    assert set(rows.column_names) == stored
    kinds = {"float32": "float", "int64": "int64", "bool": "bool"}
    for name in stored:
        feature, kind = info["features"][name], rows.schema.field(name).type
        width = getattr(kind, "list_size", 1)
        assert [width] == feature["shape"]
        assert str(getattr(kind, "value_type", kind)) == kinds[feature["dtype"]]
    assert rows["index"].to_pylist() == list(range(5 * FPS))
    assert rows["episode_index"].to_pylist() == [0] * 2 * FPS + [1] * 3 * FPS
    np.testing.assert_allclose(rows["timestamp"].to_pylist()[2 * FPS :], np.arange(3 * FPS) / FPS, atol=1e-6)
    assert np.flatnonzero(rows["next.done"].to_pylist()).tolist() == [2 * FPS - 1, 5 * FPS - 1]
    assert np.flatnonzero(rows["next.success"].to_pylist()).tolist() == [2 * FPS - 1]
    tasks = parquet.read_table(exported / "meta/tasks.parquet").to_pandas()
    assert tasks.loc["turn", "task_index"] == 1, "tasks are the index of the table, as lerobot asks for them"


def test_episodes_say_where_they_lie(exported):
    records = parquet.read_table(exported / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [(r["dataset_from_index"], r["dataset_to_index"]) for r in records] == [(0, 24), (24, 60)]
    key = f"videos/{CAMERA}"
    assert [(r[f"{key}/from_timestamp"], r[f"{key}/to_timestamp"]) for r in records] == [(0, 2), (2, 5)]
    second = records[1]
    video = exported / f"videos/{CAMERA}/chunk-000/file-000.mp4"
    (first,) = numbered_frames(video, [0], second[f"{key}/from_timestamp"])
    assert abs(int(first.mean()) - 40) < 8, "the second episode begins dark, as it was made"
    assert second["stats/observation.state/max"][3] == 9


def test_statistics_are_those_of_all_frames(exported):
    found = json.loads((exported / "meta/stats.json").read_text())
    speeds = np.repeat([6.0, 9.0], [2 * FPS, 3 * FPS])
    state = found["observation.state"]
    assert (state["min"][3], state["max"][3], state["count"]) == (6, 9, [5 * FPS])
    assert state["mean"][3] == pytest.approx(speeds.mean())
    assert state["std"][3] == pytest.approx(speeds.std())
    assert np.shape(found[CAMERA]["mean"]) == (3, 1, 1)
    assert 0 < found[CAMERA]["mean"][0][0][0] < 1


def test_our_importer_reads_it_back(exported, tmp_path):
    report = import_drives("lerobot", exported, tmp_path / "back", None, None)
    assert (report.drives, report.posed) == (2, 2)
    poses = np.array(read_poses(tmp_path / "back/episode-000001.poses.json"))
    np.testing.assert_allclose(poses[:, 0], 9.0 * np.arange(len(poses)) / FPS, atol=1e-3)


def test_what_fails_leaves_nothing(tmp_path):
    def drives():
        yield episode(1)
        raise InvalidConfig("the world went away")

    with pytest.raises(InvalidConfig, match="went away"):
        export_lerobot(drives(), tmp_path / "set", ("a", "b"))
    with pytest.raises(InvalidConfig, match="no drive"):
        export_lerobot([], tmp_path / "set", ("a", "b"))
    assert not list(tmp_path.iterdir())


def test_the_command_drives_a_world(tmp_path, capsys):
    out = tmp_path / "set"
    assert command(out, world="simulator", episodes=2, seconds=2, seed=1_000_000, image_size=(32, 48)) == 0
    rows = parquet.read_table(out / "data/chunk-000/file-000.parquet").to_pydict()
    states, actions = np.array(rows["observation.state"]), np.array(rows["action"])
    assert actions.shape[1] == 8
    here = np.array(rows["episode_index"]) == 0
    moved = np.hypot(*np.diff(states[here][:, :2], axis=0).T) * FPS
    np.testing.assert_allclose(moved, states[here][1:, 3], atol=0.6)
    assert np.count_nonzero(rows["next.reward"]) > 0
    assert sum(rows["next.done"]) == 2
    assert import_drives("lerobot", out, tmp_path / "back", None, None).posed == 2
    with pytest.raises(InvalidConfig):
        command(out, episodes=1)
