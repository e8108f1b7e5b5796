"""What was asked for is what there is: nothing that was interrupted is taken for complete, nor mixed up."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from longdwm_env import files
from longdwm_env.cli import train
from longdwm_env.cli.train import TrainOptions
from longdwm_env.errors import InvalidConfig
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.training.data.clip import Clip
from longdwm_env.training.data.encoded.encoding import encode_latents
from longdwm_env.training.data.encoded.latents import LatentStore
from longdwm_env.training.data.footage import TWIN_SHARDS, Footage, record_footage
from longdwm_env.training.losses.evidence import gathered

from .processes import PROCESSES
from .scenery import PaintedRoad


def shard(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:05d}.safetensors"


def test_footage_that_was_interrupted_is_refused_and_gone_on_with(tmp_path: Path) -> None:
    source = PaintedRoad(clips=10, frames=13)
    record_footage(source, tmp_path)
    shard(tmp_path, 1).unlink()
    with pytest.raises(InvalidConfig, match="holds 8 of the 10 clips"):
        Footage(tmp_path)
    assert len(record_footage(source, tmp_path)) == 10


def test_latents_that_were_interrupted_are_refused_and_gone_on_with(tmp_path: Path, pipeline: LongDWMPipeline) -> None:
    source = PaintedRoad(clips=10, frames=13)
    encode_latents(source, tmp_path, pipeline)
    shard(tmp_path, 1).unlink()
    with pytest.raises(InvalidConfig, match="holds 8 of the 10 clips"):
        LatentStore(tmp_path)
    assert len(encode_latents(source, tmp_path, pipeline)) == 10


def test_a_shard_of_fewer_clips_grows_with_its_source(tmp_path: Path, pipeline: LongDWMPipeline) -> None:
    for clips in (2, 6):
        footage = record_footage(PaintedRoad(clips=clips, frames=13, bad=(1,)), tmp_path / "footage")
        assert len(footage) == clips - 1
        assert len(encode_latents(footage, tmp_path / "latents", pipeline)) == clips - 1
    made = [shard(tmp_path / kind, 0).stat().st_mtime_ns for kind in ("footage", "latents")]
    encode_latents(
        record_footage(PaintedRoad(clips=4, frames=13, bad=(1,)), tmp_path / "footage"), tmp_path / "latents", pipeline
    )
    assert [shard(tmp_path / kind, 0).stat().st_mtime_ns for kind in ("footage", "latents")] == made


def test_a_damaged_shard_is_made_again(tmp_path: Path, pipeline: LongDWMPipeline) -> None:
    source = PaintedRoad(clips=2, frames=13)
    record_footage(source, tmp_path / "footage")
    encode_latents(source, tmp_path / "latents", pipeline)
    for kind in ("footage", "latents"):
        shard(tmp_path / kind, 0).write_bytes(b"torn")
    assert len(record_footage(source, tmp_path / "footage")) == 2
    assert len(encode_latents(source, tmp_path / "latents", pipeline)) == 2


def test_footage_of_earlier_versions_that_never_said_what_was_asked_for_is_read(tmp_path: Path) -> None:
    record_footage(PaintedRoad(clips=2, frames=13), tmp_path)
    (tmp_path / "asked.json").unlink()
    assert len(Footage(tmp_path)) == 2


@pytest.fixture
def footage_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainOptions:
    """Of a workspace with 10 clips and their twins."""
    monkeypatch.setattr("longdwm_env.training.data.simulator_footage.SimulatorClips.clip", _quick)
    options = TrainOptions(size="debug", out=tmp_path / "mini", workers=1)
    assert train.footage(replace(options, clips=10)) == 0
    return options


def _quick(self, index):
    clip = PaintedRoad(frames=13, image_size=self.image_size).clip(index)
    return replace(clip, key=f"{clip.key}@twin") if self.twins else clip


@pytest.mark.parametrize("lost", [0, 1, TWIN_SHARDS])
def test_a_command_goes_on_with_the_clips_that_were_asked_for(
    footage_options: TrainOptions, lost: int, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = footage_options.out / "footage"
    shard(folder, lost).unlink()
    assert train.footage(footage_options) == 0
    assert "18 clips in" in capsys.readouterr().out
    assert shard(folder, lost).is_file()
    assert not shard(folder, 2).exists()


def test_fewer_clips_may_be_asked_for_in_place_of_those_that_are_missing(footage_options: TrainOptions) -> None:
    folder = footage_options.out / "footage"
    shard(folder, 1).unlink()
    assert train.footage(replace(footage_options, clips=8)) == 0
    assert train.footage(footage_options) == 0
    assert not shard(folder, 1).exists()


def test_footage_of_files_is_gone_on_with_when_it_is_said_where_they_are(tmp_path: Path) -> None:
    options = TrainOptions(size="debug", out=tmp_path / "mini")
    record_footage(PaintedRoad(clips=10, frames=13), tmp_path / "mini" / "footage")
    assert train.footage(options) == 0
    shard(tmp_path / "mini" / "footage", 1).unlink()
    with pytest.raises(InvalidConfig, match=r"not complete.*--data"):
        train.footage(options)


def test_evidence_of_another_codec_or_other_footage_is_not_mixed_in(tmp_path: Path, pipeline: LongDWMPipeline) -> None:
    footage = record_footage(PaintedRoad(clips=2, frames=25), tmp_path / "footage")

    def evidence(clips: list[int], codec_hash: str) -> int:
        gathered(footage, pipeline.codec, clips, tmp_path / "evidence", 2, 0, codec_hash=codec_hash)
        return (tmp_path / "evidence" / "000000-2.safetensors").stat().st_mtime_ns

    made = evidence([0, 1], "a")
    assert evidence([0, 1], "a") == made
    for changed in (([0, 1], "b"), ([1], "b")):
        again = evidence(*changed)
        assert again != made
        made = again
    (tmp_path / "evidence" / "000000-2.safetensors").write_bytes(b"torn")
    assert evidence([1], "b") != made


def record_slowly(folder: Path, begun: Any, gate: Any) -> None:
    """Record, and wait at the gate before each clip."""

    class Slow(PaintedRoad):
        def clip(self, index: int) -> Clip:
            begun.set()
            gate.wait()
            return super().clip(index)

    record_footage(Slow(clips=2, frames=13), folder)


def test_the_second_recorder_of_a_folder_waits_and_makes_nothing_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, gate = PROCESSES.Event(), PROCESSES.Event()
    first = PROCESSES.Process(target=record_slowly, args=(tmp_path / "footage", begun, gate))
    first.start()
    assert begun.wait(300)
    warning = files.log.warning
    monkeypatch.setattr(files.log, "warning", lambda *told: (warning(*told), gate.set()))
    source = PaintedRoad(clips=2, frames=13, bad=(0, 1))
    assert len(record_footage(source, tmp_path / "footage")) == 2
    assert f"waiting for process {first.pid}" in caplog.text
    first.join(300)
    assert first.exitcode == 0


def test_what_was_asked_for_stands_beside_the_shards(tmp_path: Path) -> None:
    record_footage(PaintedRoad(clips=10, frames=13), tmp_path)
    assert json.loads((tmp_path / "asked.json").read_text()) == {"0": 8, "1": 2}
