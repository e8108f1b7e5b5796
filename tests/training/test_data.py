"""Footage and latents: from a source to a training batch, with nothing lost or moved on the way."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.pose import relative_to
from longdwm_env.io.video import write_video
from longdwm_env.models.codec.video_codec import images_from_uint8
from longdwm_env.models.conditioning.warped_pictures import clip_views, keyframe_views
from longdwm_env.models.presets import build, debug
from longdwm_env.training.data.clip import BadClip, Clip, TooManyBadClips, twin_key
from longdwm_env.training.data.encoded.encoding import encode_latents
from longdwm_env.training.data.encoded.latents import LatentChoices
from longdwm_env.training.data.footage import TWIN_SHARDS, Footage, blocks_of, record_footage
from longdwm_env.training.data.nuscenes import split_scenes
from longdwm_env.training.data.samplers import CoarseSampler, FineSampler
from longdwm_env.training.data.shards import BadLimit
from longdwm_env.training.data.shares import Share, batches_ahead
from longdwm_env.training.data.simulator_footage import SimulatorClips
from longdwm_env.training.data.sources import twins_of
from longdwm_env.training.data.videos import VideoClips
from longdwm_env.training.data.windows import Window

from .scenery import PaintedRoad


@pytest.fixture(scope="module")
def store(pipeline, tmp_path_factory):
    folder = tmp_path_factory.mktemp("latents")
    return encode_latents(PaintedRoad(clips=3, frames=61), folder, pipeline, LatentChoices(keyframe_phases=3))


# Footage


def test_damaged_clips_are_skipped_up_to_the_limit(tmp_path, caplog):
    footage = record_footage(PaintedRoad(clips=8, frames=13, bad=(2,)), tmp_path / "one")
    assert len(footage) == 7
    assert "damaged on purpose" in caplog.text
    with pytest.raises(TooManyBadClips):
        record_footage(PaintedRoad(clips=8, frames=13, bad=(2, 5, 6)), tmp_path / "three", limit=BadLimit(0.2))


# Sources


def test_a_twin_is_the_same_drive_under_other_conditions(tmp_path):
    source = SimulatorClips(8, (32, 48), frames=25)
    twins = twins_of(source, 0.25)
    assert isinstance(twins, SimulatorClips)
    assert len(twins) == 8  # whole shards
    assert twins.description() == source.description()
    for index in (2,):
        clip, twin = source.clip(index), twins.clip(index)
        assert twin.key == twin_key(clip.key)
        assert np.array_equal(clip.poses, twin.poses)
        assert (clip.labels["weather"][0], clip.labels["time_of_day"][0]) != (
            twin.labels["weather"][0],
            twin.labels["time_of_day"][0],
        )
        assert clip.prompt.splitlines()[:2] != twin.prompt.splitlines()[:2]
        assert clip.prompt.splitlines()[2:] == twin.prompt.splitlines()[2:]
    assert twins_of(source, 0.0) is None
    assert twins_of(PaintedRoad(), 0.25) is None


def test_twins_stand_behind_all_clips_in_the_same_folder(tmp_path):
    clips, folder = PaintedRoad(clips=8, frames=13), tmp_path / "footage"
    record_footage(clips, folder, twins=clips)
    footage = record_footage(PaintedRoad(clips=16, frames=13), folder)
    assert [block for block, _ in blocks_of(footage)] == [0, 1, TWIN_SHARDS]
    assert np.array_equal(footage.clip(16).images, clips.clip(0).images)


def test_seeds_kept_for_testing_are_never_trained_on():
    SimulatorClips(10, (32, 48), first_seed=999_990)
    with pytest.raises(InvalidConfig, match="kept for testing"):
        SimulatorClips(11, (32, 48), first_seed=999_990)


def test_videos_are_cut_into_clips_with_their_poses(tmp_path):
    clip = PaintedRoad(clips=1, frames=49).clip(0)
    write_video(tmp_path / "drive.mp4", [np.repeat(np.repeat(clip.images, 2, 1), 2, 2)])
    (tmp_path / "drive.json").write_text(json.dumps({"poses": clip.poses.tolist()}))
    source = VideoClips(tmp_path, (32, 48), frames=25)
    assert len(source) == 2
    second = source.clip(1)
    assert second.images.shape == (13, 32, 48, 3) or second.images.shape == (25, 32, 48, 3)
    assert second.poses is not None
    # Poses of a file start at its first frame; the second clip's are further on.
    assert np.allclose(second.poses, relative_to(clip.poses, clip.poses[0])[25 : 25 + len(second.images)], atol=1e-6)


def test_a_broken_video_is_a_bad_clip(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(BadClip):
        VideoClips(tmp_path, (32, 48), frames=25).clip(0)


def test_splits_never_share_scenes():
    pytest.importorskip("nuscenes", reason="the official splits come with nuscenes-devkit")
    names = [f"scene-{n:04d}" for n in range(1, 1111)]
    train, val = split_scenes("train", names), split_scenes("val", names)
    assert len(train) == 700
    assert len(val) == 150
    assert not set(train) & set(val)
    with pytest.raises(InvalidConfig, match="no scene of the split"):
        split_scenes("train", val)
    with pytest.raises(InvalidConfig, match="no split"):
        split_scenes("everything", names)


# Latents


def test_stored_latents_are_what_the_codec_says(pipeline, store):
    clip = PaintedRoad(clips=3, frames=61).clip(1)
    images = images_from_uint8(clip.images)
    with torch.no_grad():
        segment = pipeline.codec.encode_clip(images[None, 12:25])[0]
        keyframes = pipeline.codec.encode_keyframes(images[None, 4::12])[0]
    torch.testing.assert_close(store.rows(1, "segments", 1), segment, atol=0.02, rtol=2e-3)
    torch.testing.assert_close(store.tensor(1, "keyframes.1"), keyframes, atol=0.02, rtol=2e-3)


def test_stored_warps_are_those_of_driving(pipeline, store):
    clip, settings = PaintedRoad(clips=3, frames=61).clip(0), pipeline.settings
    ahead = relative_to(clip.poses[13:25], clip.poses[12])
    videos = clip_views(clip.images[12], clip.images[24], clip.camera, ahead, settings)
    before = (clip.images[18], relative_to(clip.poses[18:19], clip.poses[24])[0])
    next_poses = relative_to(clip.poses[[36, 48]], clip.poses[24])
    shown, _ = keyframe_views(clip.images[24], clip.camera, next_poses, before, settings)
    with torch.no_grad():
        segment = pipeline.codec.encode_clip(images_from_uint8(np.stack(videos)))
        keyframe = pipeline.codec.encode_keyframes(images_from_uint8(shown))
    torch.testing.assert_close(store.rows(0, "segment_warps", 1), segment, atol=0.02, rtol=2e-3)
    torch.testing.assert_close(store.rows(0, "keyframe_views.0", 2), keyframe, atol=0.02, rtol=2e-3)
    assert store.rows(0, "keyframe_views.0", 2).shape[:2] == (2, settings.warp_views[0] - settings.road_layout)


def test_batches_name_the_stored_views(pipeline, store):
    coarse = CoarseSampler(store, [Window(2, 1)], seed=0).at([(0, 0, 1)], Window(2, 1), [0])
    views = store.rows(0, "keyframe_views.0", 2)[:1]
    assert torch.equal(coarse.warp[0], views[:, 0])
    assert torch.equal(coarse.further[0], views[:, 1:])
    fine = FineSampler(store, pipeline.codec.last_frames(13), seed=0).at([(0, 1)], [0])
    forward, backward, between = store.rows(0, "segment_warps", 1)[:, None]
    for with_last, wanted in ((True, (forward, backward, between)), (False, (forward, None, forward))):
        told = fine.views(with_last=with_last, with_layout=False)
        assert list(told) == ["warp_first", "warp_last", "between"]
        for found, view in zip(told.values(), wanted, strict=True):
            assert (found is None and view is None) or torch.equal(found, view)


def test_latents_of_another_codec_are_noticed(pipeline, store):
    store.check_codec(pipeline)
    other = build(debug(), seed=1)
    moved = build(debug())
    moved.vae.fit_statistics(PaintedRoad(clips=1, frames=13).clip(0).images)
    for each in (other, moved):
        with pytest.raises(InvalidConfig, match="another codec"):
            store.check_codec(each)
    with pytest.raises(InvalidConfig, match="codec was"):
        encode_latents(PaintedRoad(clips=3, frames=61), store.folder, other, LatentChoices(keyframe_phases=3))


class Watched(PaintedRoad):
    """Notes which processes ask for its clips."""

    def __init__(self, log: Path, **settings: Any) -> None:
        super().__init__(**settings)
        self.log = log

    def clip(self, index: int) -> Clip:
        with self.log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        return super().clip(index)


@pytest.mark.usefixtures("forked_workers")
def test_several_processes_encode_what_one_does(pipeline, tmp_path):
    source = Watched(clips=10, frames=25, bad=(9,), log=tmp_path / "processes")
    assert len(blocks_of(source)) == 2
    alone = encode_latents(source, tmp_path / "alone", pipeline)
    shared = encode_latents(source, tmp_path / "shared", pipeline, workers=2)
    assert [entry.facts for entry in shared.entries] == [entry.facts for entry in alone.entries]
    assert len(shared) == 9
    readers = (tmp_path / "processes").read_text().split()
    assert readers[:10] == 10 * [str(os.getpid())]
    assert len(readers) == 20
    assert str(os.getpid()) not in readers[10:]
    for clip in (0, 8):
        for name in ("segments", "segment_warps", "keyframe_views.0"):
            torch.testing.assert_close(shared.tensor(clip, name), alone.tensor(clip, name), rtol=1e-2, atol=1e-3)


def test_a_split_does_not_change_when_the_store_grows(pipeline, tmp_path):
    folder = tmp_path / "latents"
    few = encode_latents(PaintedRoad(clips=24, frames=13), folder, pipeline).split(0.2)
    many = encode_latents(PaintedRoad(clips=32, frames=13), folder, pipeline).split(0.2)
    names = [[{e.facts["key"] for e in part.entries} for part in parts] for parts in (few, many)]
    assert not names[1][0] & names[1][1]
    assert names[0][0] <= names[1][0]
    assert names[0][1] <= names[1][1]


# Batches


def test_processes_share_the_samples_of_one():
    one = Share(total=8, micro=8)
    two = [Share(total=8, micro=2, rank=rank, processes=2) for rank in range(2)]
    dealt = [count for share in two for part in range(share.accumulation) for count in share.counts(3, part)]
    assert sorted(dealt) == one.counts(3, 0)
    with pytest.raises(InvalidConfig, match="does not divide"):
        Share(total=8, micro=3)


def test_batches_come_in_order_from_any_step(pipeline, store):
    sampler = FineSampler(store, pipeline.codec.last_frames(13), seed=0)
    share = Share(total=4, micro=2)
    from_start = batches_ahead(sampler.batch, share, 0)
    counts = [next(from_start).counts for _ in range(6)]
    assert counts == [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11)]
    assert next(batches_ahead(sampler.batch, share, 2)).counts == (8, 9)


def test_unreadable_pictures_are_reported(tmp_path):
    footage = record_footage(PaintedRoad(clips=1, frames=13), tmp_path / "footage")
    path = tmp_path / "footage" / "shard-00000.safetensors"
    data = bytearray(path.read_bytes())
    at = data.index(b"IHDR")
    data[at : at + 4] = b"XXXX"
    path.write_bytes(bytes(data))
    with pytest.raises(BadClip, match="frame 0"):
        Footage(tmp_path / "footage").images(0, [0])
    assert len(footage) == 1
