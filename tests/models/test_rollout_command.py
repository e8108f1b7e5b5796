import json

import av
import numpy as np
import PIL.Image
import pytest

from longdwm_env.cli.drives import rollout_run as rollouts
from longdwm_env.cli.drives.rollout import rollout
from longdwm_env.errors import InvalidConfig

pytestmark = pytest.mark.filterwarnings("ignore:the camera of scene")


def frames_of(path):
    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(stream)]
    with av.open(str(path)) as video:
        times = sorted(packet.pts for packet in video.demux(video=0) if packet.pts is not None)
        rate = float(video.streams.video[0].average_rate)
    return np.stack(frames), times, rate


@pytest.fixture
def photo(picture, tmp_path):
    path = tmp_path / "street.png"
    PIL.Image.fromarray(picture((96, 144))).save(path)
    return str(path)


def left_beside(out):
    return sorted(path.name for path in out.parent.iterdir() if path != out and path.suffix != ".png")


def test_a_long_video_from_the_warp(photo, tmp_path, capsys):
    out = tmp_path / "out" / "video.mp4"
    assert rollout(photo, "slalom", 7.0, "warp", out) == 0
    frames, times, rate = frames_of(out)
    assert len(frames) == 84
    assert rate == 12
    assert len(set(np.diff(times))) == 1
    assert left_beside(out) == []
    assert "84 frames" in capsys.readouterr().out


def test_a_drive_that_leaves_the_road_ends_there(tmp_path, capsys):
    out = tmp_path / "video.mp4"
    rollout("simulator:3", "right", 9.0, "warp", out, image_size=(48, 72))
    assert len(frames_of(out)[0]) < 108
    assert "the drive ended early: off_road" in capsys.readouterr().out
    assert left_beside(out) == []


class Unplugged(Exception):
    pass


@pytest.mark.parametrize("stop_after", [0, 1])
def test_an_interrupted_run_goes_on_and_gives_the_same_video(photo, saved, tmp_path, monkeypatch, stop_after):
    monkeypatch.setattr(rollouts, "PART_S", 1)
    whole, out = tmp_path / "whole.mp4", tmp_path / "out" / "video.mp4"
    rollout(photo, "left", 3.0, saved, whole)

    part, made = rollouts.Run._part, []

    def unplugged(self, *arguments):
        if len(made) == stop_after:
            raise Unplugged
        made.append(1)
        return part(self, *arguments)

    monkeypatch.setattr(rollouts.Run, "_part", unplugged)
    with pytest.raises(Unplugged):
        rollout(photo, "left", 3.0, saved, out)
    assert not out.exists()
    preview = out.with_name("video.preview.mp4")
    assert len(frames_of(preview)[0]) == 1 + 12 * stop_after
    monkeypatch.setattr(rollouts.Run, "_part", part)
    with pytest.raises(InvalidConfig, match="other options"):
        rollout(photo, "right", 3.0, saved, out)
    rollout(photo, "left", 3.0, saved, out)
    # The encoder's rate control depends on how fast frames come, so equal frames differ a little in the file.
    first, second = (frames_of(path)[0].astype(int) for path in (out, whole))
    assert first.shape == second.shape
    assert np.abs(first - second).mean() < 2
    assert left_beside(out) == []


@pytest.mark.parametrize("damage", ["{", '{"request": 1}'])
def test_a_damaged_record_is_named_and_may_be_discarded(photo, tmp_path, damage):
    out = tmp_path / "video.mp4"
    folder = tmp_path / "video.mp4.parts"
    folder.mkdir()
    (folder / "run.json").write_text(damage)
    with pytest.raises(InvalidConfig, match=r"run.json is damaged"):
        rollout(photo, "left", 1.0, "warp", out)
    rollout(photo, "left", 1.0, "warp", out, restart=True)
    assert len(frames_of(out)[0]) == 12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seconds": 1.5}, "whole number"),
        ({"seconds": 0.0}, "at least 1"),
        ({"world": "simulator"}, "built-in scenes alone"),
        ({"trajectory": "sideways"}, "sideways"),
        ({"image": "simulator:x"}, "names no built-in scene"),
    ],
)
def test_what_cannot_be_meant_is_refused(photo, tmp_path, changes, message):
    with pytest.raises(InvalidConfig, match=message):
        rollout(**{"image": photo, "seconds": 1.0, "out": tmp_path / "v.mp4", **changes})


@pytest.fixture
def unfinished(photo, tmp_path, monkeypatch):
    """A run of three seconds along a pose file that stopped after one; the file, and the video's name."""
    monkeypatch.setattr(rollouts, "PART_S", 1)
    poses = tmp_path / "way.json"
    poses.write_text(json.dumps({"poses": [[0.5 * step, 0, 0] for step in range(100)]}))
    whole, made = rollouts.Run._part, []

    def unplugged(self, *arguments):
        if made:
            raise Unplugged
        made.append(1)
        return whole(self, *arguments)

    monkeypatch.setattr(rollouts.Run, "_part", unplugged)
    out = tmp_path / "out" / "video.mp4"
    with pytest.raises(Unplugged):
        rollout(photo, str(poses), 3.0, "warp", out)
    monkeypatch.setattr(rollouts.Run, "_part", whole)
    return poses, out


def test_another_picture_or_way_under_the_same_name_is_not_gone_on_with(photo, unfinished):
    poses, out = unfinished
    kept, way = PIL.Image.open(photo).copy(), poses.read_text()
    PIL.Image.fromarray(255 - np.asarray(kept)).save(photo)
    with pytest.raises(InvalidConfig, match="from before image and scene changed; give --restart"):
        rollout(photo, str(poses), 3.0, "warp", out)
    kept.save(photo)
    poses.write_text(way.replace("0.5", "0.4"))
    with pytest.raises(InvalidConfig, match="from before trajectory changed"):
        rollout(photo, str(poses), 3.0, "warp", out)
    rollout(photo, str(poses), 3.0, "warp", out, restart=True)
    assert len(frames_of(out)[0]) == 36
