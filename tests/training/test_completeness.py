"""What was asked for is what there is: nothing that was interrupted is taken for complete, nor mixed up."""

from dataclasses import replace
from pathlib import Path

import pytest

from longdwm_env.cli import train
from longdwm_env.cli.train import TrainOptions
from longdwm_env.errors import InvalidConfig
from longdwm_env.training.data.encoded.encoding import encode_latents
from longdwm_env.training.data.encoded.latents import LatentStore
from longdwm_env.training.data.footage import TWIN_SHARDS, record_footage
from longdwm_env.training.losses.evidence import gathered

from .scenery import PaintedRoad


def shard(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:05d}.safetensors"


def test_latents_that_were_interrupted_are_refused_and_gone_on_with(tmp_path, pipeline):
    source = PaintedRoad(clips=10, frames=13)
    encode_latents(source, tmp_path, pipeline)
    shard(tmp_path, 1).unlink()
    with pytest.raises(InvalidConfig, match="holds 8 of the 10 clips"):
        LatentStore(tmp_path)
    assert len(encode_latents(source, tmp_path, pipeline)) == 10


def test_a_shard_of_fewer_clips_grows_with_its_source(tmp_path, pipeline):
    for clips in (2, 6):
        footage = record_footage(PaintedRoad(clips=clips, frames=13, bad=(1,)), tmp_path / "footage")
        assert len(footage) == clips - 1
        assert len(encode_latents(footage, tmp_path / "latents", pipeline)) == clips - 1
    made = [shard(tmp_path / kind, 0).stat().st_mtime_ns for kind in ("footage", "latents")]
    encode_latents(
        record_footage(PaintedRoad(clips=4, frames=13, bad=(1,)), tmp_path / "footage"), tmp_path / "latents", pipeline
    )
    assert [shard(tmp_path / kind, 0).stat().st_mtime_ns for kind in ("footage", "latents")] == made


@pytest.fixture
def footage_options(tmp_path, monkeypatch):
    """Of a workspace with 10 clips and their twins."""
    monkeypatch.setattr("longdwm_env.training.data.simulator_footage.SimulatorClips.clip", _quick)
    options = TrainOptions(size="debug", out=tmp_path / "mini", workers=1)
    assert train.footage(replace(options, clips=10)) == 0
    return options


def _quick(self, index):
    clip = PaintedRoad(frames=13, image_size=self.image_size).clip(index)
    return replace(clip, key=f"{clip.key}@twin") if self.twins else clip


@pytest.mark.parametrize("lost", [0, 1, TWIN_SHARDS])
def test_a_command_goes_on_with_the_clips_that_were_asked_for(footage_options, lost, capsys):
    folder = footage_options.out / "footage"
    shard(folder, lost).unlink()
    assert train.footage(footage_options) == 0
    assert "18 clips in" in capsys.readouterr().out
    assert shard(folder, lost).is_file()
    assert not shard(folder, 2).exists()


def test_footage_of_files_is_gone_on_with_when_it_is_said_where_they_are(tmp_path):
    options = TrainOptions(size="debug", out=tmp_path / "mini")
    record_footage(PaintedRoad(clips=10, frames=13), tmp_path / "mini" / "footage")
    assert train.footage(options) == 0
    shard(tmp_path / "mini" / "footage", 1).unlink()
    with pytest.raises(InvalidConfig, match=r"not complete.*--data"):
        train.footage(options)


def test_evidence_of_another_codec_or_other_footage_is_not_mixed_in(tmp_path, pipeline):
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
