"""The paper's protocols on a few drives and tiny models: every row and column of every table."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from longdwm_env.cli.measuring.paper_metrics import NetworkOptions, ProtocolOptions, _prepared, interpolation
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.networks import Networks
from longdwm_env.evaluation.paper import protocols as run
from longdwm_env.evaluation.paper.continuations import samples_from
from longdwm_env.evaluation.paper.interpolators import Blend, FineBetween, WarpBetween
from longdwm_env.evaluation.paper.protocols import Protocol
from longdwm_env.evaluation.paper.systems import Autoregressive, Copy, LongDWM, Reconstruction, Warp
from longdwm_env.models.bundled import MINI
from longdwm_env.models.network.dit import LongDWMTransformer3DModel
from longdwm_env.models.presets import build, debug
from longdwm_env.models.readers.inverse_dynamics import InverseDynamics
from longdwm_env.models.readers.scorer import DrivingEncoder
from longdwm_env.training.data.clip import Clip
from longdwm_env.training.data.encoded.latents import EMPTY_TEXT_FILE
from longdwm_env.training.data.footage import is_footage, record_enough

from ..training.scenery import PaintedRoad


@pytest.fixture(scope="module")
def pipeline():
    made = build(debug())
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    torch.manual_seed(0)
    encoder = DrivingEncoder(channels=(8, 8, 16, 16), feature_dim=16).eval()
    networks = Networks(encoder, reader=InverseDynamics(channels=4, coarse_channels=4).eval())
    return Protocol(PaintedRoad(clips=2, frames=121), 2, networks, {"model hash": "0123"})


def test_samples_hold_the_frames_and_poses_that_follow() -> None:
    clip = PaintedRoad(clips=1, frames=61).clip(0)
    (sample,) = samples_from(PaintedRoad(clips=1, frames=61), 1, 24, first=12)
    assert np.array_equal(sample.image, clip.images[12])
    assert np.array_equal(sample.truth, clip.images[13:37])
    assert sample.poses.shape == (24, 3)
    assert sample.speeds_mps == pytest.approx(clip.labels["speed_mps"][0], rel=1e-3)
    assert sample.yaw_rates_radps == pytest.approx(clip.labels["yaw_rate_radps"][0], abs=1e-6)
    assert np.array_equal(sample.real[0], sample.image)
    with pytest.raises(InvalidConfig, match="no clip with poses"):
        list(samples_from(PaintedRoad(clips=1, frames=13), 1, 24))


def test_every_system_makes_as_many_frames_as_asked(pipeline) -> None:
    (sample,) = samples_from(PaintedRoad(clips=1, frames=61), 1, 30)
    transformer = LongDWMTransformer3DModel(**debug().fine.to_kwargs())
    systems = [
        LongDWM("paper", pipeline),
        LongDWM("closed loop", pipeline, at_once=1),
        Autoregressive("ar", pipeline, transformer),
        Autoregressive("ar without warp", pipeline, transformer, use_warp=False),
        Warp(pipeline.settings),
        Copy(),
        Reconstruction(pipeline),
    ]
    for system in systems:
        made = system.continued(sample, 30)
        assert made.shape == sample.truth.shape, system.name
        assert made.dtype == np.uint8


def test_interpolators_meet_both_ends(pipeline) -> None:
    (sample,) = samples_from(PaintedRoad(clips=1, frames=61), 1, 12)
    for interpolator in (FineBetween(pipeline), Blend(), WarpBetween(pipeline.settings)):
        made = interpolator.between(sample, sample.image, sample.truth[-1])
        assert made.shape == (11, 32, 48, 3)
    still = Blend().between(sample, sample.image, sample.image)
    assert np.array_equal(still, np.repeat(sample.image[None], 11, axis=0))


def test_short_long_and_controllable_tables(pipeline, protocol: Protocol, tmp_path: Path) -> None:
    systems = [LongDWM("ours", pipeline), Warp(pipeline.settings)]
    short = run.short(protocol, systems)
    assert [name for name, _ in short.rows] == ["ours", "warp"]
    assert dict(short.paper)["LongDWM"][:2] == (12.3, 102.9)
    long = run.long(protocol, systems, lengths=(25, 37))
    assert long.columns[1:4] == ("FVD 25", "FDS 25", "PSNR of the last second, 25 (dB)")
    controllable = run.controllable(protocol, systems)
    assert [name for name, _ in controllable.rows] == ["ours", "warp", "the truth itself"]
    for table in (short, long, controllable):
        table.write(tmp_path)
        value = json.loads((tmp_path / f"{table.name}.json").read_text())
        assert "SMALLER THAN THE PAPER'S" in value["title"]
        assert value["samples"] == 2
        assert value["facts"]["model hash"] == "0123"
        assert any("FVD is left out" in note for note in value["notes"])


def test_the_long_table_at_the_papers_lengths_has_the_papers_rows(protocol: Protocol) -> None:
    table = run.long(protocol, [Copy()])
    ours = dict(table.paper)["LongDWM"]
    assert [ours[i] for i in (0, 3, 6)] == [188.5, 242.2, 289.5]
    assert ours[-3:] == (35, 70, 70)


def test_interpolation_ablation_and_distillation_tables(pipeline, protocol: Protocol) -> None:
    interpolation = run.interpolation(protocol, [FineBetween(pipeline), Blend()])
    assert [name for name, _ in interpolation.rows] == ["Fine DiT", "linear blending"]
    ablation = run.ablation(protocol, [Copy(), LongDWM("complete", pipeline)], num_frames=25)
    assert dict(ablation.paper)["+ distillation"][0] == 290.6
    scores = {"motion_smoothness": 0.9, "imaging_quality": 0.5, "aesthetic_quality": 0.4, "dynamic_degree": 1.0}
    steps = run.distillation_steps(protocol, {100: Copy(), 0: Copy()}, lambda videos: scores, num_frames=25)
    assert [name for name, _ in steps.rows] == ["0", "100"]
    assert steps.rows[0][1][:3] == pytest.approx((90, 50, 40))
    with pytest.raises(InvalidConfig, match="at least one model"):
        run.ablation(protocol, [])


def test_drives_are_recorded_once_and_give_the_same_samples(tmp_path: Path) -> None:
    class Crashing(PaintedRoad):
        """The first clip is short, the third cannot be had."""

        def clip(self, index: int) -> Clip:
            clip = super().clip(index)
            if index or clip.poses is None:
                return clip
            return replace(clip, images=clip.images[:13], poses=clip.poses[:13], labels={})

    asked: list[int] = []

    def source(clips: int) -> Crashing:
        asked.append(clips)
        return Crashing(clips=clips, frames=25, bad=(2,))

    folder = tmp_path / "drives"
    footage = record_enough(source, folder, 7, 25)
    assert asked == [8, 16]
    assert is_footage(folder)
    assert not is_footage(tmp_path)
    assert footage.image_size == (32, 48)
    made_at = [path.stat().st_mtime_ns for path in sorted(folder.glob("*.safetensors"))]
    live, kept = (list(samples_from(each, 7, 24)) for each in (source(16), footage))
    assert [sample.key for sample in kept] == [sample.key for sample in live]
    for one, other in zip(kept, live, strict=True):
        np.testing.assert_array_equal(one.real, other.real)
        np.testing.assert_array_equal(one.poses, other.poses)
        assert (one.camera, one.prompt, one.seed) == (other.camera, other.prompt, other.seed)
    record_enough(source, folder, 7, 25)
    (tmp_path / "latents").mkdir()
    for name in ("shard-000000.safetensors", EMPTY_TEXT_FILE):
        (tmp_path / "latents" / name).touch()
    assert not is_footage(tmp_path / "latents")
    with pytest.raises(InvalidConfig, match=r"is \(32, 48\).*wants \(96, 144\)"):
        _prepared(ProtocolOptions(MINI, scenes=folder), NetworkOptions(), "every keyframe", 25)
    assert [path.stat().st_mtime_ns for path in sorted(folder.glob("*.safetensors"))] == made_at


def test_what_a_table_will_lack_is_said_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InvalidConfig, match="does not exist"):
        _prepared(ProtocolOptions(MINI, scenes=tmp_path / "none"), NetworkOptions(), "every keyframe", 25)
    said = capsys.readouterr().out
    assert "FID is left out: no weights were given (--inception)" in said
    assert "FVD is left out: no weights were given (--i3d)" in said
    assert "FDS" not in said, "its network comes with the package"


def test_a_single_gap_is_refused_before_it_is_filled(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="--samples 2 or more"):
        interpolation(ProtocolOptions(MINI, samples=1, out=tmp_path))
