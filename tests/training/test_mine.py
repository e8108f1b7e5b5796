"""A world of one's own road: what is asked first, how time is counted, what training does not see."""

import time

import av
import cv2
import numpy as np
import pytest
import torch

from longdwm_env.errors import InvalidConfig, MissingWeights
from longdwm_env.io.video import write_video
from longdwm_env.models import presets
from longdwm_env.models.closed_loop.street_tones import StreetTones
from longdwm_env.models.folder import check_pipeline_folder
from longdwm_env.scenes import open_scenes
from longdwm_env.scenes.ego_motion import Options
from longdwm_env.scenes.ego_motion.poses_file import write_poses
from longdwm_env.training.data.footage import record_footage
from longdwm_env.training.data.videos import VideoClips
from longdwm_env.training.mine import mine_steps as steps
from longdwm_env.training.mine.hour import Hour
from longdwm_env.training.mine.own_videos import estimate_poses, linked_videos
from longdwm_env.training.mine.recipe import mine_recipe, suffices
from longdwm_env.training.mine.road_tones import AHEAD, Pairs, gain_db, make_pairs, teach
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
    assert "not there: 4 s ahead" in suffices(AHEAD[-1])
    assert "not there" not in suffices(AHEAD[-1] + 1)


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


def test_poses_go_on_where_they_were_stopped(tmp_path, monkeypatch):
    """Pieces that were kept are not found again, and what comes of them is the same to the bit."""
    from longdwm_env.scenes.ego_motion import motion_estimate, write_video_poses
    from longdwm_env.scenes.ego_motion.pose_footage import VideoFootage

    monkeypatch.setattr(motion_estimate, "_CHUNK", 15)
    video = tmp_path / "drive.mp4"
    noise = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (90, 900, 3), np.uint8), (0, 0), 1.5)
    write_video(video, (noise[None, :, 3 * frame : 3 * frame + 160] for frame in range(64)), fps=20)
    # Nothing here is a road, so that nothing is trusted; what was found is looked at all the same.
    monkeypatch.setattr("longdwm_env.scenes.ego_motion.FEWEST_TRUSTED", 0.0)
    options, keep = Options(height_m=1.4, horizon=0.4, plot=False), tmp_path / "drive.poses.parts"
    write_video_poses(video, options)
    whole = (tmp_path / "drive.poses.json").read_bytes()
    for stop_at in (20, 60):
        read = []

        def stop(time_s, read=read, stop_at=stop_at):
            read.append(time_s)
            if len(read) == stop_at:
                raise KeyboardInterrupt

        for written in ("drive.poses.json", "drive.camera.json"):
            (tmp_path / written).unlink()
        with pytest.raises(KeyboardInterrupt):
            write_video_poses(video, options, stop, keep)
        assert list(keep.glob("tracks-*"))
        again = []
        write_video_poses(video, options, again.append, keep)
        assert len(again) < len(list(VideoFootage(video).frames())) * 2 - stop_at + 3 * 15, "kept pieces are not read"
        assert (tmp_path / "drive.poses.json").read_bytes() == whole
        assert not keep.exists(), "nothing is left when all is done"


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    initial = tmp_path / "initial"
    presets.build(presets.PRESETS["debug"]()).save_pretrained(str(initial), safe_serialization=True)
    monkeypatch.setattr(steps, "bundled_pipeline_folder", lambda: initial)
    return Workspace(tmp_path / "run")


def test_another_video_is_another_run(tmp_path, workspace):
    first = linked_videos([a_video(tmp_path / "a/drive.mp4", 12)], tmp_path / "run/videos", None)
    recipe = mine_recipe()
    steps.begun(workspace, recipe, first)
    steps.begun(workspace, recipe, first)
    other = linked_videos([a_video(tmp_path / "b/drive.mp4", 13)], tmp_path / "else/videos", None)
    with pytest.raises(InvalidConfig, match="name another folder"):
        steps.begun(workspace, recipe, other)


def test_the_world_starts_where_training_did_not_see(tmp_path, workspace):
    from longdwm_env.agents.driving.engine.start import own_start

    videos = linked_videos([a_video(tmp_path / "drive.mp4", 20)], tmp_path / "run/videos", 8.0)
    steps.begun(workspace, mine_recipe(), videos)
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


def some_pairs(count, seed=0):
    """Streets that are right but for the light of their upper half, which grows with the way."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(60, 140, (count, 3, 24, 36)).astype(np.uint8)
    driven = rng.random(count).astype(np.float32)
    truths = pictures.astype(float)
    truths[:, :, :12] += 60 * driven[:, None, None, None]
    return Pairs(pictures, pictures, truths.astype(np.uint8), driven)


def test_tones_that_a_road_has_are_learned_and_training_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("longdwm_env.training.mine.road_tones.LOOKED_AT", 5)
    monkeypatch.setattr("longdwm_env.training.mine.road_tones.MOST_STEPS", 15)
    pairs = some_pairs(24)
    short = teach(pairs, tmp_path, seconds=1000)
    assert (short.step, short.gain_db > 0) == (15, True)
    monkeypatch.setattr("longdwm_env.training.mine.road_tones.MOST_STEPS", 30)
    longer = teach(pairs, tmp_path, seconds=1000)
    assert longer.step == 30
    assert longer.gain_db >= short.gain_db
    assert gain_db(longer.network, some_pairs(24, 1)) > 0
    over = teach(pairs, tmp_path, seconds=0)
    assert (over.step, over.gain_db) == (30, longer.gain_db)
    for name, value in longer.network.state_dict().items():
        assert (over.network.state_dict()[name] == value).all()
    whole = teach(pairs, tmp_path / "whole", seconds=1000)
    assert whole.gain_db == pytest.approx(longer.gain_db, abs=1e-3), "stopped and gone on, or in one go"
    assert teach(some_pairs(24, 2), tmp_path / "patient", seconds=1000, patience=5).step <= 30


def test_pairs_hold_the_street_against_what_was_there(tmp_path):
    videos = linked_videos([a_video(tmp_path / "drive.mp4", 20)], tmp_path / "run", 8.0)
    footage = record_footage(VideoClips(videos.folder, SIZE, 61, videos.until_s), tmp_path / "footage")
    done = []
    pairs = make_pairs(footage, tmp_path / "pairs", done.append)
    assert done[-1] == 1.0
    assert pairs.streets.shape == pairs.truths.shape == (len(pairs), 3, 24, 36)
    assert pairs.driven[0] == pytest.approx(SPEED * AHEAD[0] / 12 / 40, rel=0.02)
    assert np.median(pairs.truths.mean((1, 2, 3)) - pairs.pictures.mean((1, 2, 3))) > AHEAD[0] - 2, "it grows brighter"
    before = (tmp_path / "pairs/clip-0.safetensors").stat().st_mtime_ns
    make_pairs(footage, tmp_path / "pairs")
    assert (tmp_path / "pairs/clip-0.safetensors").stat().st_mtime_ns == before, "what is kept is not made again"


def test_the_tones_go_into_the_pipeline(tmp_path, workspace):
    videos = linked_videos([a_video(tmp_path / "drive.mp4", 12)], tmp_path / "run/videos", None)
    steps.begun(workspace, mine_recipe(), videos)
    assert workspace.load().street_tones is None
    network = StreetTones()
    with torch.no_grad():
        network.road.fill_(0.25)
    workspace.save_component("street_tones", network)
    assert (workspace.load().street_tones.road == 0.25).all()
    assert workspace.load(street_tones=None).street_tones is None
    (workspace.pipeline / "street_tones/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(MissingWeights, match="street_tones"):
        check_pipeline_folder(workspace.pipeline)
