"""Distillation gives its teacher what it was trained with, and can compare like with like."""

import json

import pytest
import torch

from longdwm_env.errors import InvalidConfig
from longdwm_env.models.conditioning.text import PromptTokenizer
from longdwm_env.models.presets import build, debug_cogvideox
from longdwm_env.training.assembly.order import check_teacher
from longdwm_env.training.config import as_json
from longdwm_env.training.data.encoded.encoding import encode_latents
from longdwm_env.training.data.encoded.latents import SEGMENT_FRAMES
from longdwm_env.training.data.samplers import DistillSampler
from longdwm_env.training.losses.distilling.distill import DistillChoices, DistillObjective, gather_ends
from longdwm_env.training.losses.objective import NoiseChoices
from longdwm_env.training.recipes import recipe
from longdwm_env.training.workspace import Workspace

from .scenery import PaintedRoad


def has_run(workspace: Workspace, stage: str, config) -> None:
    folder = workspace.stage(stage) / "checkpoints" / "step-00000001"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(json.dumps({"facts": {"run": {"config": as_json(config)}}}))


@pytest.fixture
def fine():
    return build(debug_cogvideox(), text_encoder=False).fine


def test_a_teacher_that_never_saw_a_warp_is_not_given_any(tmp_path, fine):
    made, workspace = recipe("cogvideox-2b-nuscenes", "debug"), Workspace(tmp_path)
    has_run(workspace, "fine", made.stage("fine"))
    with pytest.raises(InvalidConfig, match="run `longdwm train warp` before `longdwm train distill`, or withhold"):
        check_teacher(workspace, fine, use_warp=True)
    check_teacher(workspace, fine, use_warp=False)
    has_run(workspace, "warp", made.stage("warp"))
    check_teacher(workspace, fine, use_warp=True)


def test_a_teacher_that_nobody_trained_is_looked_at(tmp_path, fine):
    workspace = Workspace(tmp_path)
    (tmp_path / "workspace.json").write_text("{}")
    with pytest.raises(InvalidConfig, match="has never been trained with any"):
        check_teacher(workspace, fine, use_warp=True)
    check_teacher(workspace, fine, use_warp=False)
    torch.nn.init.ones_(fine.warp_projections[0].weight)
    check_teacher(workspace, fine, use_warp=True)


def test_a_reencoded_target_is_the_last_frame_encoded_alone(tmp_path):
    pipeline = build(debug_cogvideox())
    pipeline.register_modules(tokenizer=PromptTokenizer(384 - PromptTokenizer.num_special_words))
    generator = torch.Generator().manual_seed(0)
    for parameter in (*pipeline.coarse.parameters(), *pipeline.fine.parameters()):
        parameter.data += 0.02 * torch.randn(parameter.shape, generator=generator)
    source = PaintedRoad(clips=1, frames=37, image_size=pipeline.settings.image_size)
    store = encode_latents(source, tmp_path / "latents", pipeline)
    last_frames = pipeline.codec.last_frames(SEGMENT_FRAMES)
    batch = DistillSampler(store, last_frames, 0, keyframes=4).batch(0, (0,))

    def objective(target, codec=pipeline.codec):
        choices = DistillChoices(target=target)
        return DistillObjective(
            pipeline.coarse, pipeline.fine, pipeline.scheduler, NoiseChoices(), choices, 0, False, codec
        )

    losses = {target: objective(target)(batch)[0].item() for target in ("latent", "reencoded")}
    assert losses["latent"] != losses["reencoded"]
    # What the paper compares: a latent of four frames with a latent of one. Recorded segments show the difference.
    segments = batch.fine.clean.unflatten(0, (1, 3))
    alone = objective("reencoded")._reencoded(segments)
    frame = pipeline.codec.decode_clip(segments[0, 1][None], 13)[:, 12:]
    assert torch.allclose(alone[0, 1], pipeline.codec.encode_keyframes(frame)[0, 0], atol=1e-5)
    assert not torch.allclose(alone, gather_ends(segments)[:, 1:], atol=1e-2)
    with pytest.raises(InvalidConfig, match="needs the codec"):
        objective("reencoded", codec=None)
    with pytest.raises(InvalidConfig, match="distill_target is one of"):
        DistillChoices(target="nearest")
