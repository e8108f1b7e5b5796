"""File names as other systems write them: bytes that are not UTF-8, line ends, commands to terminals, and devices."""

import json
import os
import socket
import warnings
from pathlib import Path

import gymnasium as gym
import pytest

from longdwm_env.cli.data.data_sets import check
from longdwm_env.errors import InvalidScene
from longdwm_env.scenes import open_scenes
from longdwm_env.scenes.nuscenes.check import check_data
from longdwm_env.training.data.videos import VideoClips
from longdwm_env.types import Camera, Intrinsics

from .conftest import write_video
from .test_picture_kinds import four

NAMES = (b"caf\xe9", b"\xff\xfe", b"two\nlines", b"\x1b[2Jgone", b"tab\there", "日本".encode())


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_opened_named_and_kept(tmp_path, name, capsys):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    folder.mkdir()
    four().save(Path(os.fsdecode(os.fsencode(folder) + b"/" + name + b".png")))
    write_video(folder / "a.mp4", size=(48, 72)).rename(Path(os.fsdecode(os.fsencode(folder) + b"/" + name + b".mp4")))
    environment = gym.make("LongDWM-v0", world="warp", scenes=str(folder), image_size=(24, 36))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for index in range(2):
            info = environment.reset(seed=0, options={"scene": index})[1]
            json.dumps(info["scene"]).encode("utf-8")
            assert info["scene"].isprintable()
            assert environment.reset(seed=0, options={"scene": info["scene"]})[1]["scene"] == info["scene"]
    environment.close()
    clips = VideoClips(folder, (24, 36), frames=13)
    json.dumps(clips.description(), ensure_ascii=False).encode("utf-8")
    assert clips.clip(0).images.any()
    assert check(folder) == 0
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "\x1b" not in said


class TestWhatIsNoFile:
    """Never waited for, never read: a pipe, a socket, a device, a link that leads in a circle."""

    def make(self, kind: str, path: Path) -> None:
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            os.chdir(path.parent)
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(path.name)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        else:
            path.symlink_to(path)

    @pytest.mark.parametrize("kind", ["pipe", "socket", "device", "circle"])
    @pytest.mark.parametrize("name", ["a.mp4", "a.jpg", "a"])
    def test_it_is_refused(self, tmp_path, kind, name, monkeypatch):
        monkeypatch.chdir(tmp_path)
        self.make(kind, tmp_path / name)
        with pytest.raises(InvalidScene, match=r"neither a file nor a folder|no such file"):
            open_scenes(tmp_path / name)
        with pytest.raises(InvalidScene, match=r"neither a file nor a folder|does not exist"):
            check_data(tmp_path / name)

    @pytest.mark.parametrize("kind", ["pipe", "socket", "device", "circle"])
    def test_it_is_passed_over_in_a_folder(self, tmp_path, kind, monkeypatch):
        monkeypatch.chdir(tmp_path)
        four().save(tmp_path / "c.png")
        for name in ("a.mp4", "b.jpg", "camera.json"):
            self.make(kind, tmp_path / name)
        assert open_scenes(tmp_path).scene(0).key == "c.png"
        assert check_data(tmp_path).problems == ()


@pytest.mark.parametrize("beside", ["c.camera.json", "camera.json", "c.poses.json"])
def test_files_beside_of_an_absurd_size_are_not_read(tmp_path, beside):
    write_video(tmp_path / "c.mp4", size=(48, 72))
    with (tmp_path / beside).open("wb") as file:
        file.truncate(1 << 36)
    with pytest.raises(InvalidScene, match=rf"{beside}.*larger than"):
        open_scenes(tmp_path / "c.mp4")
    (problem,) = check_data(tmp_path).problems
    assert "larger than" in problem


def test_a_name_longer_than_any_file_s_is_said_so(tmp_path):
    path = tmp_path / ("a" * 5000)
    with pytest.raises(InvalidScene, match="cannot be a path: File name too long") as caught:
        open_scenes(path)
    assert len(str(caught.value)) < 400
    with pytest.raises(InvalidScene, match="does not exist"):
        check_data(path)


def test_folders_that_hold_themselves_end(tmp_path):
    (tmp_path / "again").symlink_to(tmp_path)
    write_video(tmp_path / "a.mp4", size=(48, 72))
    assert len(open_scenes(tmp_path)) == 1
    assert len(VideoClips(tmp_path, (24, 36), frames=13).description()["videos"]) == 1


def test_paths_hold_when_the_folder_they_are_relative_to_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    four().save(tmp_path / "a.png")
    write_video(tmp_path / "b.mp4", size=(48, 72))
    source = open_scenes(".")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for index in range(2):
        assert source.scene(index).log.images(0, 1, Camera(Intrinsics.from_fov(1.0, (24, 36)))).any()
