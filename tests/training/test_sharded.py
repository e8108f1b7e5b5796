"""FSDP2: two processes that share the weights train like one, survive being killed, and leave a plain pipeline."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from longdwm_env.errors import InvalidConfig
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.training.checkpoint import checkpoints
from longdwm_env.training.stages import export, run_stage
from longdwm_env.training.workspace import Workspace

from . import sharded_run
from .processes import StartedRun
from .sharded_run import BATCH, FEW, STAGE, STEPS, config, debug_recipe


def logged(workspace: Workspace, stage: str = STAGE) -> list[dict[str, float]]:
    log = workspace.stage(stage) / "losses.jsonl"
    lines = log.read_text().splitlines() if log.is_file() else []
    return [json.loads(line) for line in lines]


def curve(workspace: Workspace) -> dict[int, float]:
    return {entry["step"]: entry["loss"] for entry in logged(workspace)}


def shared_run(workspace: Workspace, stage: str, *, shard: bool, stop_at: int | None = None) -> StartedRun:
    """Two processes that train a stage."""
    log = workspace.stage(stage) / "losses.jsonl"
    return StartedRun(workspace.root, stop_at, 2, sharded_run.main, log, name=stage, shard=shard)


def test_two_processes_that_share_the_weights_train_like_one_also_after_a_kill(encoded, tmp_path):
    one, two = Workspace(tmp_path / "one"), Workspace(tmp_path / "two")
    for workspace in (one, two):
        shutil.copytree(encoded, workspace.root)
    run_stage(debug_recipe(), STAGE, one, config(shard=False), device="cpu")

    killed = shared_run(two, STAGE, shard=True, stop_at=3)
    killed.kill()
    assert len(curve(two)) == 3
    assert checkpoints(two.stage(STAGE) / "checkpoints")
    assert not two.done(STAGE)

    assert shared_run(two, STAGE, shard=True).ended() == {0}
    wanted, found = curve(one), curve(two)
    assert found.keys() == wanted.keys()
    # The same samples, weights and moments; only sums over samples are taken in another order. Float32 rounds each to
    # 6e-8 of itself, and eight steps of Adam, which divides by small moments, may make a thousand times that of it.
    assert list(found.values()) == pytest.approx(list(wanted.values()), rel=1e-4)

    read = [{int(line) for line in (two.root / f"read-by-{rank}.txt").read_text().split()} for rank in (0, 1)]
    trained = [{count for count in counts if count < BATCH * STEPS[STAGE]} for counts in read]
    assert not trained[0] & trained[1], "each process reads its own part"
    assert trained[0] | trained[1] == set(range(BATCH * STEPS[STAGE]))

    assert two.done(STAGE)
    ends = [LongDWMPipeline.from_pretrained(str(workspace.pipeline)).fine.state_dict() for workspace in (one, two)]
    begun = LongDWMPipeline.from_pretrained(str(encoded / "pipeline")).fine.state_dict()
    assert ends[0].keys() == ends[1].keys() == begun.keys()
    assert any(not torch.equal(ends[1][name], begun[name]) for name in begun)
    # Adam moves a weight by the learning rate, 2e-3, whatever little its gradient is, so tiny ones may differ more.
    differences = torch.cat([(ends[0][name] - ends[1][name]).abs().flatten() for name in begun])
    assert differences.quantile(0.999) < 1e-5

    # A checkpoint of a sharded run is one of any run: it can be put into a pipeline by one process, and gone on with.
    shutil.rmtree(two.pipeline / "fine")
    shutil.copytree(encoded / "pipeline" / "fine", two.pipeline / "fine")
    export(STAGE, two)
    exported = LongDWMPipeline.from_pretrained(str(two.pipeline)).fine.state_dict()
    assert all(torch.equal(exported[name], ends[1][name]) for name in begun)
    alone = config(shard=False)
    longer = replace(alone, loop=replace(alone.loop, steps=9))
    assert run_stage(debug_recipe(), STAGE, two, longer, device="cpu").step == 9


def test_one_process_has_nobody_to_share_with(encoded, tmp_path):
    alone = Workspace(tmp_path / "alone")
    shutil.copytree(encoded, alone.root)
    with pytest.raises(InvalidConfig, match="torchrun"):
        run_stage(debug_recipe(), STAGE, alone, config(shard=True), device="cpu")


def test_few_steps_are_taught_by_two_processes_as_by_one(encoded, tmp_path):
    """Consistency, then matching: steps in which the student has no gradient, or the critic none, among them."""
    one, two = Workspace(tmp_path / "one"), Workspace(tmp_path / "two")
    for workspace in (one, two):
        shutil.copytree(encoded, workspace.root)
    run_stage(debug_recipe(), FEW, one, config(FEW, shard=False), device="cpu")
    assert shared_run(two, FEW, shard=True).ended() == {0}

    wanted, found = logged(one, FEW), logged(two, FEW)
    assert len(found) == STEPS[FEW]
    assert {"consistency", "critic", "matching"} <= {name for entry in found for name in entry}
    for each in ("loss", "consistency", "critic", "matching"):
        values = [[entry[each] for entry in entries if each in entry] for entries in (wanted, found)]
        # The same samples, noise and exits; sums over samples are taken in another order.
        assert values[1] == pytest.approx(values[0], rel=1e-4)
    read = [{int(line) for line in (two.root / f"read-by-{rank}.txt").read_text().split()} for rank in (0, 1)]
    trained = [{count for count in counts if count < BATCH * STEPS[FEW]} for counts in read]
    assert not trained[0] & trained[1]
    assert trained[0] | trained[1] == set(range(BATCH * STEPS[FEW]))

    settings, students = [], []
    for workspace in (one, two):
        pipeline = LongDWMPipeline.from_pretrained(str(workspace.pipeline))
        settings.append(pipeline.settings)
        students.append(pipeline.coarse.state_dict())
    assert settings[0] == settings[1]
    assert settings[1].coarse_steps == 2
    differences = torch.cat([(students[0][name] - students[1][name]).abs().flatten() for name in students[0]])
    assert differences.quantile(0.999) < 1e-5
