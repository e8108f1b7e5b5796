"""Protocols hold one video at a time, keep what was read of it, and go on where they were stopped."""

import json
import weakref
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from longdwm_env.cli.measuring.paper_metrics import NetworkOptions, ProtocolOptions, _prepared, short
from longdwm_env.errors import InvalidConfig, MissingWeights, UnknownWorld
from longdwm_env.evaluation.networks import Networks
from longdwm_env.evaluation.paper import protocols as run
from longdwm_env.evaluation.paper.opening import check_model_fits, opened_pipeline
from longdwm_env.evaluation.paper.protocols import Protocol
from longdwm_env.models.presets import build, debug
from longdwm_env.models.readers.scorer import DrivingEncoder
from longdwm_env.training.data.clip import Clip
from longdwm_env.training.data.footage import record_footage
from longdwm_env.training.estimate import DoesNotFit

from ..training.scenery import PaintedRoad


class Watched(PaintedRoad):
    """Counts how often each clip is read, and how many clips' pictures are held at once."""

    def __init__(self, **given) -> None:
        super().__init__(**given)
        self.read, self.alive, self.most = Counter(), 0, 0

    def clip(self, index: int) -> Clip:
        clip = super().clip(index)
        self.read[index] += 1
        self.alive += 1
        self.most = max(self.most, self.alive)
        weakref.finalize(clip.images, self.let_go)
        return clip

    def let_go(self) -> None:
        self.alive -= 1


@dataclass(frozen=True)
class Darker:
    """Holds the given frame, darker by the sample's number; breaks off after so many."""

    name: str = "darker"
    left: ClassVar[list[int]] = [1000]

    def continued(self, sample, num_frames):
        self.left[0] -= 1
        if self.left[0] < 0:
            raise KeyboardInterrupt
        dark = (sample.image * (1 - 0.1 * sample.seed)).astype(np.uint8)
        return np.repeat(dark[None], num_frames, axis=0)


@pytest.fixture(scope="module")
def networks() -> Networks:
    torch.manual_seed(0)
    return Networks(DrivingEncoder(channels=(8, 8, 8, 8), feature_dim=4).eval())


def road(clips: int) -> Watched:
    return Watched(clips=clips, frames=25, image_size=(24, 36), bad=(1,))


def test_a_stopped_protocol_goes_on_and_finds_the_same(networks, tmp_path: Path, monkeypatch) -> None:
    whole = run.short(Protocol(road(5), 4, networks, folder=tmp_path / "whole"), [Darker()])
    parts = Protocol(road(5), 4, networks, folder=tmp_path / "parts")
    monkeypatch.setattr(Darker, "left", [2])
    with pytest.raises(KeyboardInterrupt):
        run.short(parts, [Darker()])
    # Two of the system, three of the truth, and that the damaged clip gives none.
    assert len(list((tmp_path / "parts").rglob("*.safetensors"))) == 6
    monkeypatch.setattr(Darker, "left", [1000])
    found = run.short(replace(parts, source=road(5)), [Darker()])
    assert Darker.left == [998], "the two that were missing"
    assert found.rows == whole.rows
    assert found.samples == 4
    assert found.facts["samples from"] == whole.facts["samples from"] == "painted:0 to painted:4"


def test_what_is_kept_is_neither_read_nor_made_again(networks, tmp_path: Path) -> None:
    protocol = Protocol(road(4), 3, networks, folder=tmp_path)
    first = run.short(protocol, [Darker()])
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    source = road(4)
    again = run.short(replace(protocol, source=source), [Darker()])
    assert again.rows == first.rows
    assert not source.read
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")} == written
    # A damaged file is made again; another system and other networks have a place of their own.
    next(path for path in written if "darker" in path.parent.name).write_bytes(b"half a fi")
    assert run.short(replace(protocol, source=source), [Darker()]).rows == first.rows
    assert sum(source.read.values()) == 1
    run.short(replace(protocol, networks=Networks()), [Darker()])
    assert len(list(tmp_path.glob("darker-*"))) == 2


def test_memory_does_not_grow_with_the_number_of_samples(networks, tmp_path: Path) -> None:
    few, many = road(3), road(9)
    for source, count in ((few, 2), (many, 8)):
        table = run.short(Protocol(source, count, networks, folder=tmp_path / str(count)), [Darker(), Darker("other")])
        assert table.samples == count
        assert source.alive == 0
    assert few.most == many.most == 1
    # Both systems saw a clip that was read once.
    assert set(many.read.values()) == {1}


def test_long_videos_are_timed_once_and_cut_to_each_length(networks, tmp_path: Path) -> None:
    source = Watched(clips=2, frames=49, image_size=(24, 36))
    protocol = Protocol(source, 2, networks, folder=tmp_path)
    table = run.long(protocol, [Darker()], lengths=(25, 37))
    again = run.long(protocol, [Darker()], lengths=(25, 37))
    assert again.rows == table.rows, "seconds are kept as well"
    cells = dict(zip(table.columns[1:], table.rows[0][1], strict=True))
    short = run.short(Protocol(PaintedRoad(clips=2, frames=49, image_size=(24, 36)), 2, networks), [Darker()])
    alone = dict(zip(short.columns[1:], short.rows[0][1], strict=True))["FDS"]
    # Windows are read in other company, which moves their features by a rounding.
    figures = [[each.value, each.low, each.high] for each in (cells["FDS 25"], alone)]
    assert figures[0] == pytest.approx(figures[1], rel=1e-3, abs=1e-9)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "pipeline"
    build(debug()).save_pretrained(str(folder))
    return folder


def test_a_protocol_runs_in_another_type_by_the_command(saved: Path, tmp_path: Path) -> None:
    record_footage(PaintedRoad(clips=2, frames=121), tmp_path / "drives")
    options = ProtocolOptions(saved, scenes=tmp_path / "drives", samples=1, out=tmp_path / "out", dtype="bfloat16")
    pipeline, protocol = _prepared(options, NetworkOptions(), "every keyframe", 25)
    assert {p.dtype for p in (*pipeline.coarse.parameters(), *pipeline.vae.parameters())} == {torch.bfloat16}
    assert protocol.networks.encoder.dtype == torch.float32
    assert short(options) == 0
    table = json.loads((tmp_path / "out" / "short.json").read_text())
    assert table["facts"]["dtype"] == "bfloat16"
    assert table["samples"] == 1


def test_what_is_missing_is_said_before_long_work(saved: Path, tmp_path: Path) -> None:
    options = ProtocolOptions(saved, samples=1, out=tmp_path / "out")
    with pytest.raises(MissingWeights, match=r"Inception network: .*nowhere"):
        _prepared(options, NetworkOptions(inception=tmp_path / "nowhere.pt"), "every keyframe", 25)
    with pytest.raises(UnknownWorld, match=r"no model_index"):
        _prepared(replace(options, model=tmp_path), NetworkOptions(), "every keyframe", 25)
    (tmp_path / "model_index.json").write_text('{"_class_name": "CogVideoXPipeline"}')
    with pytest.raises(UnknownWorld, match=r"train init --from-cogvideox"):
        _prepared(replace(options, model=tmp_path), NetworkOptions(), "every keyframe", 25)
    with pytest.raises(InvalidConfig, match=r"does not exist"):
        _prepared(replace(options, scenes=tmp_path / "nuscenes"), NetworkOptions(), "every keyframe", 25)
    with pytest.raises(InvalidConfig, match=r"give its dataroot as --scenes"):
        _prepared(replace(options, vista=tmp_path / "nuScenes_val.json"), NetworkOptions(), "every keyframe", 25)
    assert not (tmp_path / "out" / "drives").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_said(saved: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"PyTorch sees no GPU here"):
        opened_pipeline(saved, "cuda")
    with pytest.raises(InvalidConfig, match=r"PyTorch sees no GPU here"):
        _prepared(ProtocolOptions(saved, device="cuda"), NetworkOptions(), "every keyframe", 25)


def test_a_gpu_too_small_is_said_with_what_helps(saved: Path) -> None:
    check_model_fits(saved, "float32", 1e9, "cuda")
    with pytest.raises(DoesNotFit, match=r"coarse .* M.*free on cuda.*--dtype bfloat16"):
        check_model_fits(saved, "float32", 1e5, "cuda")
    with pytest.raises(DoesNotFit, match=r"a larger GPU"):
        check_model_fits(saved, "bfloat16", 1e5, "cuda")
