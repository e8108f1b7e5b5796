import gc
import json
from dataclasses import replace

import pytest
import torch

from longdwm_env.cli.benchmarks.bench_full_size import bench_full_size
from longdwm_env.errors import InvalidConfig
from longdwm_env.models import presets
from longdwm_env.models.costs import Ledger, drive_from_nothing, drive_passes
from longdwm_env.models.network import module_costs
from longdwm_env.models.network.module_costs import Cost, cost_of, counter, linear_in_blocks, without_data
from longdwm_env.training.recipes import recipe
from longdwm_env.training.scaling import step_costs
from longdwm_env.training.scaling.step_costs import in_precision, made, step_cost


@pytest.fixture
def cycles_kept(monkeypatch):
    """What is held is not looked at: looking for what only cycles hold would take a third of the time."""
    monkeypatch.setattr(module_costs.gc, "collect", lambda: 0)


def test_it_runs_tiny_on_a_cpu(tmp_path, capsys):
    out = tmp_path / "bench.json"
    assert bench_full_size("debug", device="cpu", steps=(2, 1), guidance_scale=2.0, out=out) == 0
    results = json.loads(out.read_text())["results"]
    assert [result["frames"] for result in results] == [145, 13, 145, 13]
    assert all(result["seconds"]["total"] > 0 for result in results)
    assert "145 frames, 2 steps, guidance 2" in capsys.readouterr().out


@pytest.mark.usefixtures("cycles_kept")
@pytest.mark.parametrize(("seconds", "at_once"), [(2.0, None), (1.0, 1)])
def test_what_is_counted_without_data_is_what_a_drive_computes(seconds, at_once):
    config = presets.debug_cogvideox()
    ledger = Ledger(config, torch.float32)
    counted = Cost()
    for done, count in drive_passes(config, seconds, at_once):
        # Two steps with guidance: what the tables multiply by.
        counted += ledger.cost(done).times(count * (4 if done.part in ("coarse", "fine") else 1))

    pipeline = presets.build(config)
    pipeline.set_progress_bar_config(disable=True)
    drive = drive_from_nothing(pipeline, seconds, at_once, num_inference_steps=2, guidance_scale=2.0, micro_batch=1)
    with counter() as measured:
        assert sum(len(clip) for clip in drive) == 12 * seconds
    assert counted.flops == measured.get_total_flops() > 0
    assert counted.linear == linear_in_blocks(measured)


def test_a_closed_loop_encodes_each_keyframe_once_and_less_history_is_less_work():
    config = presets.debug_cogvideox()
    encoded, coarse = [], []
    for seen in (3, 1):
        passes = dict(drive_passes(replace(config, settings=replace(config.settings, history_keyframes=seen)), 1.0, 1))
        encoded.append(sum(done.batch * count for done, count in passes.items() if done.part == "encode"))
        coarse.append([done.frames for done in passes if done.part == "coarse"])
    # The newest keyframe, the warp of it to the next one, and the warps of the second between.
    assert encoded == [3, 3]
    assert coarse == [[4], [2]]


@pytest.mark.usefixtures("cycles_kept")
@pytest.mark.parametrize("stage", ["fine", "distill", "few-steps-coarse", "decoder"])
def test_what_is_counted_of_a_training_step_is_what_it_computes(stage):
    chosen = recipe("cogvideox-2b-nuscenes", "debug")
    config = chosen.stage(stage)
    config = replace(config, loop=replace(config.loop, micro_batch_size=1, batch_size=1, precision="bf16"))
    counted = step_cost(chosen, stage, config)

    objective, batch = made(chosen, stage, config)
    with counter() as measured:
        with in_precision(config, "cpu"):
            loss = objective(batch)[0]
        loss.backward()
    assert counted.cost.flops == measured.get_total_flops() > 0
    trained = [p for p in objective.parameters() if p.requires_grad]
    assert counted.trained == sum(p.numel() for p in trained)
    assert counted.gradients == sum(4 * p.numel() for p in trained if p.grad is not None)
    assert counted.moments == pytest.approx(2 * counted.gradients, rel=1e-2)  # and a step for each
    assert (counted.frozen > 0) == (stage != "fine")
    assert counted.bytes_in_all(8) < counted.bytes_in_all()


def test_what_is_held_is_what_lives_at_once():
    def chain():
        here = torch.ones(1000)
        for _ in range(5):
            here = here * 2  # two of them at once, however long the chain
        return here

    for mode in (torch.no_grad(), without_data()):
        with mode:
            cost = cost_of(chain)
        assert cost.held == 2 * 4000
        assert cost.traffic == 4000 + 5 * 2 * 4000


def test_what_a_program_set_aside_stays_aside():
    gc.freeze()
    cost_of(lambda: torch.ones(1))
    assert gc.get_freeze_count() > 0


def test_checkpointing_holds_less_and_computes_more():
    chosen = recipe("cogvideox-2b-nuscenes", "debug")
    config = chosen.stage("coarse")
    plain = replace(config, loop=replace(config.loop, gradient_checkpointing=False))
    saving, whole = step_cost(chosen, "coarse", config).cost, step_cost(chosen, "coarse", plain).cost
    assert saving.held < whole.held
    assert saving.flops > whole.flops


@pytest.mark.usefixtures("cycles_kept")
def test_the_tables_on_paper(tmp_path, capsys, monkeypatch):
    # What a step of each stage costs is counted above; here two kinds of rows do.
    monkeypatch.setattr(step_costs, "COUNTED", ("coarse", "distill"))
    out = tmp_path / "paper.json"
    assert bench_full_size("debug-cogvideox", steps=(2, 1), on_paper=True, out=out) == 0
    printed = capsys.readouterr().out
    for heading in ("GB moved", "RTX 4090", "fits 24 GB", "to train"):
        assert heading in printed
    assert "| coarse |" in printed
    assert "| distill, shared by 8 |" in printed
    assert printed.count("s with linear layers in float8, reached") == 2
    for seen in (3, 2, 1):
        assert f"small decoder, {seen} of history | " in printed
    results = json.loads(out.read_text())
    assert {drive["what"] for drive in results["drives"]} == {"145 frames", "closed-loop second"}
    by_steps = {(d["what"], d["steps"]): d["costs"] for d in results["drives"]}
    coarse = [by_steps["145 frames", steps]["coarse"]["flops"] for steps in (2, 1)]
    assert coarse[0] == 4 * coarse[1]  # two steps with guidance
    assert all(size > 0 for size in results["memory"].values())
    # The small decoder is counted too, in place of the autoencoder's own.
    assert all(drive["costs"]["small decode"]["flops"] > 0 for drive in results["drives"])
    assert "small decoder" in printed


def test_an_unknown_preset_is_refused():
    with pytest.raises(InvalidConfig, match="there are mini"):
        bench_full_size("huge")
    with pytest.raises(InvalidConfig, match="leave it out to time mini"):
        bench_full_size("mini", on_paper=True)
    with pytest.raises(InvalidConfig, match="utilisation"):
        bench_full_size("debug-cogvideox", on_paper=True, utilisation=40)
