"""Models and baselines are run as they were trained: with guidance, and with warps where they had any."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.paper.continuations import samples_from
from longdwm_env.evaluation.paper.opening import opened_pipeline
from longdwm_env.evaluation.paper.systems import PeerRolledOut, same_size_baseline
from longdwm_env.models.network.denoiser import Denoiser
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.presets import build, debug
from longdwm_env.training.stage_list import STAGES
from longdwm_env.training.workspace import TRAINED_WITH, Workspace, trained_with_warp

from ..training.scenery import PaintedRoad


@pytest.fixture(scope="module")
def sample():
    (one,) = samples_from(PaintedRoad(clips=1, frames=25), 1, 12)
    return one


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    config = debug()
    made = build(replace(config, settings=replace(config.settings, guidance_scale=3.0, fine_steps=1)))
    folder = tmp_path_factory.mktemp("trained") / "pipeline"
    made.save_pretrained(str(folder))
    return folder


class Asked:
    """What the Fine model is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.warps: list[float] = []
        self.guidance: list[float] = []
        told = self

        def sample(model, conditioning, noise, num_steps, guidance_scale=1.0, unconditional_text=None, *rest, **more):
            told.warps.append(0.0 if conditioning.warp_mask is None else float(conditioning.warp_mask.sum()))
            told.guidance.append(guidance_scale)
            assert (guidance_scale == 1) == (unconditional_text is None)
            return torch.zeros_like(noise)

        monkeypatch.setattr(Denoiser, "sample", sample)


@pytest.mark.parametrize("use_warp", [True, False])
def test_the_baseline_is_told_what_it_was_trained_with(
    folder: Path, sample, tmp_path: Path, monkeypatch, use_warp
) -> None:
    pipeline = LongDWMPipeline.from_pretrained(str(folder))
    workspace = Workspace(tmp_path)
    pipeline.fine.save_pretrained(str(workspace.baseline))
    workspace.note_training(STAGES["ar-baseline"], use_warp)
    (system,) = same_size_baseline(pipeline, workspace.baseline)
    asked = Asked(monkeypatch)
    assert system.continued(sample, 12).shape == sample.truth.shape
    assert asked.guidance == [3.0]
    assert (asked.warps[0] > 0) == use_warp


def test_a_pipeline_is_told_what_each_model_was_trained_with(folder: Path) -> None:
    assert type(opened_pipeline(folder)) is LongDWMPipeline, "nothing was noted"
    noted = folder / TRAINED_WITH
    for coarse, fine in ((True, False), (False, True), (True, True)):
        noted.write_text(json.dumps({"coarse": coarse, "fine": fine}))
        made = opened_pipeline(folder)
        assert ("Unguided" in type(made.coarse_model).__name__) == (not coarse)
        assert ("Unguided" in type(made.fine_model).__name__) == (not fine)
    noted.write_text("[")
    with pytest.raises(InvalidConfig, match="is damaged"):
        trained_with_warp(folder)
    noted.unlink()


def test_a_peer_is_rolled_out_at_its_own_size_and_without_a_trajectory(sample) -> None:
    class Peer:
        name, image_size, frames_per_rollout, conditioning_frames = "still", (16, 16), 5, 1
        asked: list[tuple[tuple[int, ...], str, int]] = []  # noqa: RUF012 - of this test alone

        def rollout(self, frames, prompt, seed):
            self.asked.append((frames.shape, prompt, seed))
            return np.repeat(frames[-1:], 5, axis=0)

    peer = Peer()
    made = PeerRolledOut("still", peer).continued(sample, 12)
    assert made.shape == sample.truth.shape
    assert peer.asked == [((1, 16, 16, 3), sample.prompt, sample.seed + n) for n in range(3)]
