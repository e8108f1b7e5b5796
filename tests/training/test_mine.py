"""A world of one's own road: what is asked first, how time is counted, what training does not see."""

import json
import time

import av
import numpy as np
import pytest

from longdwm_env.errors import InvalidConfig
from longdwm_env.models import presets
from longdwm_env.scenes import open_scenes
from longdwm_env.scenes.ego_motion import Options
from longdwm_env.scenes.ego_motion.poses_file import write_poses
from longdwm_env.training.composition.recorded import FootageStreets
from longdwm_env.training.composition.streets import HISTORY, STEP
from longdwm_env.training.data.footage import record_footage
from longdwm_env.training.data.videos import VideoClips
from longdwm_env.training.mine import mine_steps as steps
from longdwm_env.training.mine.hour import Hour
from longdwm_env.training.mine.own_videos import estimate_poses, linked_videos, what_suffices
from longdwm_env.training.mine.recipe import STREET_FRAMES, Suffices, mine_recipe
from longdwm_env.training.workspace import Workspace

SIZE = (32, 48)
SPEED = 6.0


def a_video(path, seconds, fps=12, cuts=(), posed=True):
    """A video whose frames grow brighter by one a frame, of a car that drives straight on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = round(seconds * fps)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        stream.options = {"crf": "6", "g": "12"}
        for frame in range(count):
            image = np.full((64, 96, 3), 20 + frame % 220, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    if posed:
        times = np.arange(count) / fps
        known = np.ones(count)
        write_poses(path.with_suffix(".poses.json"), times, SPEED * known, 0 * known, known, cuts, times[-1], {})
    return path


def test_lengths_are_said_before_anything_is_made(tmp_path):
    said = []
    with pytest.raises(InvalidConfig, match="none of the videos"):
        linked_videos([a_video(tmp_path / "short.mp4", 0.8)], tmp_path / "run", None, said.append)
    assert "1.1 s is the least" in said[0]
    with pytest.raises(InvalidConfig, match="6 s are held out"):
        linked_videos([a_video(tmp_path / "five.mp4", 5)], tmp_path / "run", None, said.append)
    assert not (tmp_path / "run").exists()
    lines = Suffices.of(STREET_FRAMES - 1).lines()
    assert any("compositor" in line and "4.1 s" in line and "not there" in line for line in lines)


def test_short_stretches_teach_what_they_can():
    assert {window.history for window in mine_recipe(Suffices.of(STREET_FRAMES - 1)).stage("coarse").windows} == {1}
    assert {window.history for window in mine_recipe(Suffices.of(STREET_FRAMES)).stage("coarse").windows} == {1, 2, 4}


def test_what_is_no_video_is_named_and_left_out(tmp_path):
    good, bad = a_video(tmp_path / "good.mp4", 12), tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    said = []
    videos = linked_videos([bad, good], tmp_path / "run", None, said.append)
    assert [file.name for file in videos.files] == ["good.mp4"]
    assert len(said) == 1
    assert "bad.mp4" in said[0]
    twice = a_video(tmp_path / "other/good.mp4", 12)
    with pytest.raises(InvalidConfig, match="same name"):
        linked_videos([good, twice], tmp_path / "again", None, said.append)


def test_a_cut_divides_what_is_long_enough(tmp_path):
    video = a_video(tmp_path / "drive.mp4", 14, cuts=(4.0,))
    videos = linked_videos([video], tmp_path / "run", 7.0)
    assert not what_suffices(videos).streets, "4 and 3 s in one piece"
    assert what_suffices(linked_videos([video], tmp_path / "more", 6.0)).coarse


def test_a_video_whose_motion_cannot_be_told_is_left_out(tmp_path):
    grey, good = a_video(tmp_path / "grey.mp4", 8, posed=False), a_video(tmp_path / "good.mp4", 12)
    said = []
    videos = estimate_poses(linked_videos([grey, good], tmp_path / "run", None), Options(plot=False), said.append)
    assert [file.name for file in videos.files] == ["good.mp4"]
    assert "grey.mp4" in said[0]
    with pytest.raises(InvalidConfig, match="measured with"):
        estimate_poses(linked_videos([good, grey], tmp_path / "other", None), Options(plot=False), said.append)


def test_training_never_sees_the_held_out_part(tmp_path):
    videos = linked_videos([a_video(tmp_path / "drive.mp4", 20)], tmp_path / "run", 8.0)
    clips = VideoClips(videos.folder, SIZE, 61, videos.until_s)
    last = max(int(clip.key.rpartition("@")[2]) + len(clip.images) for clip in map(clips.clip, range(len(clips))))
    assert 0 < last <= 12 * 12
    brightest = max(int(clip.images.mean(axis=(1, 2, 3)).max()) for clip in map(clips.clip, range(len(clips))))
    assert brightest < 20 + 12 * 12 + 2
    assert clips.description()["until_s"] == videos.until_s
    assert "until_s" not in VideoClips(videos.folder, SIZE, 61).description(), "older footage keeps its name"


def test_streets_of_footage(tmp_path):
    videos = linked_videos([a_video(tmp_path / "drive.mp4", 20)], tmp_path / "run", 8.0)
    footage = record_footage(VideoClips(videos.folder, SIZE, 61, videos.until_s), tmp_path / "footage")
    street = FootageStreets(footage)(np.random.default_rng(0), SIZE)
    assert len(street.history) == HISTORY
    stretch = street.drive_on()
    ahead = stretch.surroundings.poses
    assert len(ahead) == STEP + 1
    np.testing.assert_allclose(ahead[-1, 0] - ahead[0, 0], SPEED, atol=0.01)
    assert stretch.surroundings.layout is None
    with pytest.raises(InvalidConfig, match="pictures of"):
        FootageStreets(footage)(np.random.default_rng(0), (64, 96))
    short = record_footage(VideoClips(videos.folder, SIZE, 37, videos.until_s), tmp_path / "short")
    with pytest.raises(InvalidConfig, match="49 frames"):
        FootageStreets(short)


def test_time_counts_over_calls_and_is_shared(tmp_path):
    hour = Hour(tmp_path, 60)
    hour.spent_s |= {"poses": 600.0, "footage": 300.0}
    whole = hour.left_s("coarse")
    assert whole == 3600 - 900 - 240
    with hour.spending("coarse"):
        time.sleep(0.05)
    again = Hour(tmp_path, 60)
    assert again.spent_s["coarse"] > 0
    assert again.left_s("coarse", 0.5) == pytest.approx(whole / 2, abs=1)
    again.spent_s["coarse"] = 2000.0
    assert again.left_s("coarse", 0.5) == 0
    with pytest.raises(InvalidConfig, match="a week"):
        Hour(tmp_path, 0)


def test_time_is_noted_while_it_passes(tmp_path, monkeypatch):
    monkeypatch.setattr("longdwm_env.training.mine.hour.NOTED_EVERY_S", 0.02)
    monkeypatch.setattr("longdwm_env.training.mine.hour.SAID_EVERY_S", 0.05)
    said = []
    hour = Hour(tmp_path, 10, said.append)
    with hour.spending("compose"):
        deadline = time.monotonic() + 30
        while not said and time.monotonic() < deadline:
            time.sleep(0.02)
        noted = json.loads((tmp_path / "hour.json").read_text())["spent_s"]
    assert noted["compose"] >= 0, "what a killed call has spent is known"
    assert "min spent" in said[0]


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    initial = tmp_path / "initial"
    presets.build(presets.PRESETS["debug"]()).save_pretrained(str(initial), safe_serialization=True)
    monkeypatch.setattr(steps, "bundled_pipeline_folder", lambda: initial)
    return Workspace(tmp_path / "run")


def test_another_video_is_another_run(tmp_path, workspace):
    first = linked_videos([a_video(tmp_path / "a/drive.mp4", 12)], tmp_path / "run/videos", None)
    recipe = mine_recipe(what_suffices(first))
    steps.begun(workspace, recipe, first)
    steps.begun(workspace, recipe, first)
    other = linked_videos([a_video(tmp_path / "b/drive.mp4", 13)], tmp_path / "else/videos", None)
    with pytest.raises(InvalidConfig, match="name another folder"):
        steps.begun(workspace, recipe, other)


def test_the_world_starts_where_training_did_not_see(tmp_path, workspace):
    from longdwm_env.agents.driving.engine.start import own_start

    videos = linked_videos([a_video(tmp_path / "drive.mp4", 20)], tmp_path / "run/videos", 8.0)
    steps.begun(workspace, mine_recipe(what_suffices(videos)), videos)
    assert own_start(str(workspace.pipeline)) is None
    target = steps.put_start(workspace, videos)
    scenes = open_scenes(own_start(str(workspace.pipeline)))
    scene = scenes.scene(0)
    assert scene.key == target.name
    assert scene.start.speed_mps == pytest.approx(SPEED, abs=0.05)
    camera = presets.PRESETS["debug"]().settings.image_size
    from longdwm_env.geometry.camera import assumed_camera

    shown = scene.log.images(0, 1, assumed_camera(camera)).mean()
    assert shown >= 20 + 12 * 12, "brighter than all that training saw"
    assert workspace.load().settings.image_size == camera, "the pipeline loads with the scenes beside its parts"
    written = target.stat().st_mtime_ns
    assert steps.put_start(workspace, videos).stat().st_mtime_ns == written
