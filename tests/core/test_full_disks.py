"""A disk that fills up in the middle of long work: one clear line, and what was done before is kept.

Files above a limit stand for it (RLIMIT_FSIZE): the system refuses them to every library alike, with "File too large".
"""

import errno
import os
import resource
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress

import av
import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from longdwm_env.agents.driving.recording.video_recorder import Recorder, unused_stem
from longdwm_env.cli import main
from longdwm_env.cli.drives import rollout as rollouts
from longdwm_env.io.figures import save_picture
from longdwm_env.io.refusals import refusal
from longdwm_env.io.video import VideoWriter, growing_video
from longdwm_env.scenes.media.video_frames import frames_at, video_facts
from longdwm_env.training.composition.store import MomentRing

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits of files are those of POSIX")


@contextmanager
def files_up_to(size):
    """No file may grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def noise(count, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (count, 96, 144, 3), np.uint8)


def frames_of(path):
    facts = video_facts(path)
    times = np.arange(round(facts.last_s * 12) + 1) / 12
    assert len(times) == 72
    return [image for _, image in frames_at(path, facts, times)]


class TestWhatIsSaid:
    def test_of_a_system_s_error_and_whatever_came_of_it(self):
        full = OSError(errno.ENOSPC, "No space left on device", "/runs/a")
        assert refusal(full) == "No space left on device: /runs/a; what was written before is kept"
        after = KeyError("while cleaning up")
        after.__context__ = full
        assert "No space left" in refusal(after)
        assert refusal(OSError(errno.EROFS, "Read-only file system", "/a")) == "Read-only file system: /a"

    def test_of_safetensors(self, tmp_path):
        with files_up_to(1000), pytest.raises(SafetensorError) as caught:
            save_file({"a": torch.zeros(1000)}, tmp_path / "a.safetensors")
        assert refusal(caught.value) == "File too large; what was written before is kept"

    def test_of_libav(self, tmp_path):
        with (
            files_up_to(10_000),
            pytest.raises(av.FFmpegError) as caught,
            VideoWriter(tmp_path / "a.mp4", (96, 144)) as v,
        ):
            v.write(noise(60))
        assert refusal(caught.value).startswith("File too large")
        assert list(tmp_path.iterdir()) == []

    def test_of_memory_and_of_workers_that_were_killed(self):
        assert refusal(MemoryError()) == "there is not enough memory"
        assert "was killed" in refusal(BrokenProcessPool())

    @pytest.mark.parametrize("error", [KeyError("x"), OSError("x"), FileNotFoundError(errno.ENOENT, "x"), ValueError()])
    def test_faults_of_ours_stay_what_they_are(self, error):
        assert refusal(error) is None

    def test_a_context_that_goes_round_ends(self):
        first, second = ValueError(), ValueError()
        first.__context__, second.__context__ = second, first
        assert refusal(first) is None


def test_a_command_says_it_in_one_line_and_ends_with_1(monkeypatch, tmp_path, capsys):
    def full(*_, **__):
        with files_up_to(1000):
            save_file({"a": torch.zeros(1000)}, tmp_path / "a.safetensors")

    monkeypatch.setattr("longdwm_env.cli.train.opened", full)
    monkeypatch.setattr("longdwm_env.cli.train.need", lambda *_: None)
    assert main(["train", "footage", "--size", "debug", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "longdwm train footage: error: File too large; what was written before is kept\n"


def test_a_rollout_keeps_its_parts_and_goes_on(monkeypatch, tmp_path, capsys):
    save_picture(tmp_path / "a.png", noise(1)[0])
    words = ["rollout", "--image", str(tmp_path / "a.png"), "--seconds", "6", "--world", "warp"]
    assert main([*words, "--out", str(tmp_path / "whole.mp4")]) == 0
    part = rollouts.Run._part
    with monkeypatch.context() as patched:

        def filling(run, *given):
            with files_up_to(5000 if run.parts else resource.RLIM_INFINITY):
                return part(run, *given)

        patched.setattr(rollouts.Run, "_part", filling)
        assert main([*words, "--out", str(tmp_path / "b.mp4")]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("longdwm rollout: error: File too large")
    assert [path.name for path in sorted((tmp_path / "b.mp4.parts").glob("*.mp4"))] == ["part-00000.mp4"]
    assert main([*words, "--out", str(tmp_path / "b.mp4")]) == 0
    assert "going on after 60 frames" in capsys.readouterr().err
    # The encoder's rate control depends on how fast frames come, so equal frames differ a little in the file.
    whole, resumed = (np.array(frames_of(tmp_path / name), int) for name in ("whole.mp4", "b.mp4"))
    assert np.abs(whole - resumed).mean() < 2


class TestRecordings:
    def test_what_was_recorded_stays_and_plays(self, tmp_path):
        recorder = Recorder(tmp_path, (96, 144))
        with files_up_to(2_500_000):
            for seed in range(40):
                recorder.write(noise(12, seed))
            for _ in range(600):
                if recorder.broken:
                    break
                time.sleep(0.1)
            waiting = recorder._clips.qsize()
            recorder.write(noise(12))
            assert recorder._clips.qsize() == waiting, "what is not written any more is not kept in memory"
            with pytest.raises(OSError, match=r"File too large.*recorded before is in .*\.part\.mp4"):
                recorder.close()
        assert not recorder.video_path.exists()
        (part,) = recorder.files
        facts = video_facts(part)
        assert facts.last_s >= 1
        assert next(frames_at(part, facts, [facts.last_s]))[1].any()

    def test_one_that_ends_well_has_its_own_name(self, tmp_path):
        recorder = Recorder(tmp_path, (96, 144))
        recorder.write(noise(30))
        assert recorder.close() == recorder.video_path
        assert [path.name for path in tmp_path.iterdir()] == [recorder.video_path.name]
        assert video_facts(recorder.video_path).last_s == pytest.approx(29 / 12, abs=0.01)

    def test_one_that_is_killed_leaves_what_it_had(self, tmp_path):
        with suppress(KeyboardInterrupt), growing_video(tmp_path / "a.mp4", (96, 144)) as video:
            video.write(noise(30))
            raise KeyboardInterrupt
        assert [path.name for path in tmp_path.iterdir()] == ["a.part.mp4"]

    def test_no_two_have_one_name(self, tmp_path):
        names = [unused_stem(tmp_path, "drive") for _ in range(3)]
        assert names == ["drive", "drive-2", "drive-3"]
        (tmp_path / "other.json").touch()
        assert unused_stem(tmp_path, "other") == "other-2"


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="room cannot be asked for here")
def test_a_ring_of_moments_asks_for_its_room_first(tmp_path):
    """Written to through a map of memory, a full disk would kill the process."""
    with files_up_to(100_000), pytest.raises(OSError, match="large") as caught:
        MomentRing.open(tmp_path / "none", 64, (24, 36))
    assert refusal(caught.value)
    ring = MomentRing.open(tmp_path / "ring", 64, (24, 36))
    assert ring.size == 64
    for path in (tmp_path / "ring").glob("*.npy"):
        assert path.stat().st_blocks * 512 >= path.stat().st_size
