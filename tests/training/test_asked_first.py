"""What a training command needs is asked before it makes anything: packages, clips that are long enough, a place."""

import sys
from importlib.machinery import ModuleSpec

import numpy as np
import pytest

from longdwm_env.cli import extras, main, train
from longdwm_env.cli.train import TrainOptions
from longdwm_env.errors import InvalidConfig, MissingDependency
from longdwm_env.io import files
from longdwm_env.io.files import content_hash
from longdwm_env.io.video import write_video
from longdwm_env.models.presets import build, debug
from longdwm_env.training.data.footage import record_footage
from longdwm_env.training.data.nuscenes import NuScenesClips
from longdwm_env.training.data.videos import VideoClips
from longdwm_env.training.recipes import recipe
from longdwm_env.training.workspace import Workspace

# Packages


class Hidden:
    """As if packages were not installed."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return None


def hide(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(sys, "meta_path", [Hidden(*names), *sys.meta_path])
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which a command ends."""
    capsys.readouterr()
    assert main(words) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1, told
    return told


@pytest.mark.parametrize(
    "part", ["mini", "codec", "coarse", "latents", "scorer", "estimate", "export --stage codec", "study --from RUN"]
)
def test_a_missing_package_is_said_before_anything_is_made(part, tmp_path, monkeypatch, capsys):
    hide(monkeypatch, "accelerate")
    size = [] if part.startswith("study") else ["--size", "debug"]
    told = refused(["train", *part.split(), *size, "--out", str(tmp_path / "run")], capsys)
    assert "needs accelerate: pip install 'longdwm[train]'" in told
    assert not (tmp_path / "run").exists()


def test_a_tracker_that_is_not_installed_is_named(tmp_path, monkeypatch, capsys):
    hide(monkeypatch, "tensorboard", "wandb")
    words = ["train", "codec", "--size", "debug", "--out", str(tmp_path / "run")]
    assert "needs tensorboard: pip install 'longdwm[train]'" in refused(words, capsys)
    told = refused([*words, "--set", "loop.tracker=wandb"], capsys)
    assert "loop.tracker=wandb needs wandb: pip install wandb" in told
    assert not (tmp_path / "run").exists()


# Lengths


@pytest.mark.parametrize(
    ("field", "package", "extra"), [("optimizer.moments=8bit", "torchao", "large"), ("lora.rank=4", "peft", "train")]
)
def test_what_a_switch_needs_is_said_before_anything_is_made(monkeypatch, tmp_path, field, package, extra):
    monkeypatch.setattr(extras, "is_installed", lambda name: name != package)
    options = TrainOptions(size="debug", out=tmp_path / "run", set=(field,))
    with pytest.raises(MissingDependency, match=rf"needs {package}: pip install 'longdwm\[{extra}\]'"):
        train.fine(options)
    assert not (tmp_path / "run").exists()


@pytest.fixture
def short_videos(tmp_path):
    """Two videos of four and two seconds."""
    for name, frames in (("one", 49), ("two", 25)):
        write_video(tmp_path / "videos" / f"{name}.mp4", [np.full((frames, 32, 48, 3), 90, np.uint8)])
    return tmp_path / "videos"


def test_clips_that_are_too_short_are_refused_before_they_are_recorded(tmp_path, short_videos):
    options = TrainOptions(size="debug", out=tmp_path / "run", data=short_videos)
    with pytest.raises(
        InvalidConfig, match=r"has 5 keyframes \(4.1 s\): coarse needs 13 keyframes in one clip, 12.1 s"
    ):
        train.coarse(options)
    with pytest.raises(InvalidConfig, match=r"coarse needs .*distill needs .*scorer needs ground truth"):
        train.mini(options)
    assert not (tmp_path / "run" / "footage").exists()


def test_recording_says_what_clips_do_not_suffice_for(tmp_path, short_videos, capsys):
    assert train.footage(TrainOptions(size="debug", out=tmp_path / "run", data=short_videos, workers=1)) == 0
    told = capsys.readouterr().err
    assert "do not suffice for all stages: coarse needs 13 keyframes" in told
    assert "codec" not in told


def test_a_number_of_clips_is_the_simulators(tmp_path, short_videos):
    with pytest.raises(InvalidConfig, match="counts the simulator's"):
        train.footage(TrainOptions(size="debug", out=tmp_path / "run", data=short_videos, clips=3))


# Inputs


def test_another_video_or_way_under_the_same_name_is_another_source(tmp_path):
    video, poses = tmp_path / "videos" / "drive.mp4", tmp_path / "videos" / "drive.json"
    write_video(video, [np.full((25, 32, 48, 3), 90, np.uint8)])
    poses.write_text('{"poses": ' + str([[0.5 * frame, 0, 0] for frame in range(25)]) + "}")
    source = VideoClips(video.parent, (32, 48))
    record_footage(source, tmp_path / "footage")
    assert VideoClips(video.parent, (32, 48)).description() == source.description()
    assert VideoClips(video, (32, 48)).description() == source.description()
    for path in (poses, video):
        kept = path.read_bytes()
        path.write_bytes(kept.replace(b"0.5", b"0.6") if path == poses else kept[:-1] + bytes([kept[-1] ^ 1]))
        with pytest.raises(InvalidConfig, match=r"made from something else: made_from.videos.drive.mp4 was"):
            record_footage(VideoClips(video.parent, (32, 48)), tmp_path / "footage")
        path.write_bytes(kept)
    (video.parent / "camera.json").write_text("{}")
    with pytest.raises(InvalidConfig, match=r"drive.mp4 was"):
        record_footage(VideoClips(video.parent, (32, 48)), tmp_path / "footage")


def test_other_tables_or_pictures_under_the_same_name_are_another_dataset(tmp_path):
    tables, pictures = tmp_path / "v1.0-own", tmp_path / "samples" / "CAM_FRONT"
    for folder in (tables, pictures):
        folder.mkdir(parents=True)
    (tables / "scene.json").write_text('[{"name": "scene-1"}]')
    for table in ("ego_pose", "sample", "sample_data", "calibrated_sensor", "sensor", "log"):
        (tables / f"{table}.json").write_text("[1]")
    (pictures / "1.jpg").write_bytes(b"1234")

    def contents() -> object:
        return NuScenesClips(tmp_path, (32, 48), split="all").description()["contents"]

    before = contents()
    assert contents() == before
    (tables / "ego_pose.json").write_text("[2]")
    assert contents() != before
    (tables / "ego_pose.json").write_text("[1]")
    assert contents() == before
    (pictures / "1.jpg").write_bytes(b"12345")
    assert contents() != before


def test_another_pipeline_to_start_from_is_refused(tmp_path):
    build(debug()).save_pretrained(str(tmp_path / "initial"))
    made, workspace = recipe("mini-simulator", "debug"), Workspace(tmp_path / "run")
    workspace.prepare(made, tmp_path / "initial")
    workspace.prepare(made, tmp_path / "initial")
    workspace.prepare(made)
    (tmp_path / "initial" / "model_index.json").write_text("{}")
    with pytest.raises(InvalidConfig, match="begun with another pipeline"):
        workspace.prepare(made, tmp_path / "initial")


def test_a_large_file_is_told_from_another_by_pieces_all_over_it(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "WHOLE_BYTES", 64)
    monkeypatch.setattr(files, "PIECES", 4)
    path, data = tmp_path / "drive.mp4", bytes(range(256))
    hashes = []
    for changed in (None, 0, 85, 170, 255):
        path.write_bytes(data if changed is None else data[:changed] + b"x" + data[changed + 1 :])
        hashes.append(content_hash(path))
    path.write_bytes(data + b"x")
    assert len({*hashes, content_hash(path)}) == 6
    path.write_bytes(data)
    assert content_hash(path) == hashes[0]
    with pytest.raises(FileNotFoundError):
        content_hash(tmp_path / "nothing")


def test_a_folder_where_a_policy_should_be_is_said_first(tmp_path, capsys):
    assert "is a folder" in refused(["train", "policy", "--out", str(tmp_path)], capsys)
