"""Debug sizes of the recipes, from footage to a pipeline that drives: every stage learns."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.paper.continuations import samples_from
from longdwm_env.evaluation.paper.systems import LongDWM
from longdwm_env.models.presets import build, debug
from longdwm_env.models.readers.inverse_dynamics import load_inverse_dynamics
from longdwm_env.training.config import Recipe
from longdwm_env.training.data.encoded.encoding import encode_latents
from longdwm_env.training.data.footage import record_footage
from longdwm_env.training.data.samplers import CoarseSampler
from longdwm_env.training.data.windows import Window
from longdwm_env.training.losses.self_rollout import Rollout, roll_history
from longdwm_env.training.recipes import recipe
from longdwm_env.training.stages import export, prepare_latents, run_stage
from longdwm_env.training.workspace import Workspace

from .scenery import PaintedRoad


def validation(workspace: Workspace, stage: str) -> list[float]:
    lines = (workspace.stage(stage) / "validation.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def quicker(made: Recipe, stage: str, steps: int) -> Recipe:
    """Fewer steps, and no more checkpoints than needed."""
    config = made.stage(stage)
    loop = replace(config.loop, steps=steps, sample_every=steps, checkpoint_every=steps, tracker="none")
    return replace(made, stages={**made.stages, stage: replace(config, loop=loop)})


def test_the_mini_recipe_learns_at_every_stage_and_drives(tmp_path):
    made, workspace = recipe("mini-simulator", "debug"), Workspace(tmp_path / "mini")
    workspace.prepare(made)
    footage = record_footage(PaintedRoad(clips=2), workspace.footage)
    for stage, steps in (("codec", 20), ("coarse", 20), ("fine", 20), ("warp", 4), ("distill", 2)):
        if stage == "coarse":
            prepare_latents(made, workspace, footage)
        progress = run_stage(quicker(made, stage, steps), stage, workspace, device="cpu")
        assert progress.finished
        assert workspace.done(stage)
        before, after = validation(workspace, stage)
        # The last two stages are short and start from what has been learnt; they must not undo it.
        assert after < before * (1.0 if steps == 20 else 1.1), stage
        assert (workspace.stage(stage) / "samples" / f"step-{steps:08d}.png").is_file()
    pipeline = workspace.load()
    pipeline.set_progress_bar_config(disable=True)
    (sample,) = samples_from(PaintedRoad(clips=1, frames=25), 1, 24)
    video = LongDWM("mini", pipeline, at_once=1).continued(sample, 24)
    assert np.abs(video.astype(int) - sample.truth).mean() < 40


def test_the_inverse_dynamics_model_learns_from_evidence_that_is_computed_once(tmp_path):
    made, workspace = recipe("mini-simulator", "debug"), Workspace(tmp_path / "mini")
    workspace.prepare(made)
    record_footage(PaintedRoad(clips=2, frames=25), workspace.footage)
    assert run_stage(quicker(made, "inverse-dynamics", 10), "inverse-dynamics", workspace, device="cpu").finished
    before, after = validation(workspace, "inverse-dynamics")
    assert after < before
    load_inverse_dynamics(workspace.inverse_dynamics)
    files = sorted((workspace.stage("inverse-dynamics") / "evidence").rglob("*.safetensors"))
    assert [file.name for file in files] == ["000000-16.safetensors", "000000-1.safetensors"]
    made_at = [file.stat().st_mtime_ns for file in files]
    assert run_stage(quicker(made, "inverse-dynamics", 12), "inverse-dynamics", workspace, device="cpu").step == 12
    assert [file.stat().st_mtime_ns for file in files] == made_at


def test_a_stage_that_was_stopped_before_its_mark_of_being_done_is_finished_by_the_next_run(tmp_path):
    made, workspace = recipe("mini-simulator", "debug"), Workspace(tmp_path / "mini")
    workspace.prepare(made)
    record_footage(PaintedRoad(clips=1, frames=13), workspace.footage)
    few = quicker(made, "codec", 4)
    run_stage(few, "codec", workspace, device="cpu")
    mark = workspace.stage("codec") / "done.json"
    told = mark.read_text()
    mark.unlink()
    assert run_stage(few, "codec", workspace, device="cpu").finished
    assert mark.read_text() == told
    # Nothing is known of the loss any more, and still it can be finished.
    mark.unlink()
    (workspace.stage("codec") / "losses.jsonl").unlink()
    state = next((workspace.stage("codec") / "checkpoints").glob("*/state.json"))
    facts = json.loads(state.read_text())
    facts["facts"]["loss"] = None
    state.write_text(json.dumps(facts))
    assert run_stage(few, "codec", workspace, device="cpu").finished
    assert workspace.done("codec")


def test_a_codec_that_is_exported_on_the_way_is_trained_as_if_it_had_not_been(tmp_path):
    losses = []
    for interrupted in (False, True):
        made, workspace = recipe("mini-simulator", "debug"), Workspace(tmp_path / str(interrupted))
        workspace.prepare(made)
        record_footage(PaintedRoad(clips=1, frames=13), workspace.footage)
        few = quicker(made, "codec", 6)
        if interrupted:
            assert run_stage(few, "codec", workspace, device="cpu", max_seconds=0.0).step == 1
            export("codec", workspace)
        assert run_stage(few, "codec", workspace, device="cpu").finished
        lines = (workspace.stage("codec") / "losses.jsonl").read_text().splitlines()
        losses.append([json.loads(line)["loss"] for line in lines])
    assert losses[0] == losses[1]


def test_a_workspace_belongs_to_one_recipe(tmp_path):
    workspace = Workspace(tmp_path / "mini")
    workspace.prepare(recipe("mini-simulator", "debug"))
    with pytest.raises(InvalidConfig, match="belongs to"):
        workspace.prepare(recipe("mini-nuscenes", "debug"))
    with pytest.raises(InvalidConfig, match="longdwm train init"):
        Workspace(tmp_path / "full").prepare(recipe("cogvideox-2b-nuscenes"))


def test_rolled_histories_end_in_the_models_own_keyframes(tmp_path):
    pipeline = build(debug())
    store = encode_latents(PaintedRoad(clips=1, frames=61), tmp_path / "latents", pipeline)
    window = Window(2, 3, self_rollout=True)
    batch = CoarseSampler(store, [window], seed=0).at([(0, 0, 0)], window, [5])
    rolled = roll_history(pipeline.coarse_model, batch, Rollout(pipeline.codec, pipeline.settings), seed=0)
    # Three are remembered: one recorded and two made. The target is the recorded last keyframe.
    assert rolled.history == 3
    assert torch.equal(rolled.clean[:, 0], batch.clean[:, 1])
    assert torch.equal(rolled.clean[:, -1], batch.clean[:, -1])
    # An untrained model makes the warp of the last keyframe, here through the codec once more.
    error = (rolled.clean[:, 1] - batch.warp[:, 0]).abs().mean()
    assert error < 0.5 * (batch.clean[:, 1] - batch.warp[:, 0]).abs().mean()
    assert not rolled.self_rollout
    again = roll_history(pipeline.coarse_model, batch, Rollout(pipeline.codec, pipeline.settings), seed=0)
    assert torch.equal(rolled.clean, again.clean)


def test_a_long_roll_is_learned_from_at_more_than_its_end(tmp_path, monkeypatch):
    pipeline = build(debug())
    store = encode_latents(PaintedRoad(clips=2, frames=109), tmp_path / "latents", pipeline)
    batch = CoarseSampler(store, [Window(2, 7)], seed=0).at(
        [(0, 0, 0), (1, 0, 0)], Window(2, 7, self_rollout=True), [5, 6]
    )
    rollout = Rollout(pipeline.codec, pipeline.settings)
    monkeypatch.setattr("longdwm_env.training.losses.self_rollout.LEARN_EVERY", 2)
    rolled = roll_history(pipeline.coarse_model, batch, rollout, seed=0)
    # Keyframes 4, 6 and 8 of each of two clips, each after three that were not recorded.
    assert torch.equal(rolled.clean[:, 3], batch.clean[:, [4, 6, 8]].transpose(0, 1).flatten(0, 1))
    assert rolled.motion.shape[0] == len(rolled.cameras) == len(set(rolled.counts)) == 6
    monkeypatch.setattr("longdwm_env.training.losses.self_rollout.LEARN_EVERY", 100)
    alone = roll_history(pipeline.coarse_model, batch, rollout, seed=0)
    assert alone.counts == (5, 6) == rolled.counts[-2:]
    for name in ("clean", "warp", "motion", "warp_mask", "text"):
        assert torch.equal(getattr(alone, name), getattr(rolled, name)[-2:])
    # The roll itself goes on from the earlier moments' pictures.
    assert torch.equal(rolled.clean[2:4, 2], alone.clean[:, 0])
