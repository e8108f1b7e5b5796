"""The estimate before a run: sizes follow from the configuration, and what cannot fit is refused with advice."""

from dataclasses import replace

import pytest

from longdwm_env.errors import InvalidConfig
from longdwm_env.training import estimate as module
from longdwm_env.training.config import Recipe, StageConfig
from longdwm_env.training.estimate import DoesNotFit, advice, check_fits, estimate_stage
from longdwm_env.training.recipes import recipe
from longdwm_env.training.scaling.step_costs import step_cost


def debug_stage(stage: str, **loop: object) -> tuple[Recipe, StageConfig]:
    made = recipe("cogvideox-2b-nuscenes", "debug")
    config = made.stage(stage)
    return made, replace(config, loop=replace(config.loop, precision="bf16", **loop))


@pytest.mark.parametrize("stage", ["few-steps-fine", "decoder"])
def test_what_is_said_is_what_is_counted(stage):
    """One figure: of the command, before a stage starts, and of the tables on paper."""
    made, config = debug_stage(stage)
    said, counted = estimate_stage(made, stage, config, processes=8), step_cost(made, stage, config)
    assert said.total_bytes == pytest.approx(counted.bytes_in_all(8))
    assert said.flops_per_step == counted.cost.flops * config.loop.batch_size / config.loop.micro_batch_size
    assert "counted" in said.report()


def test_what_cannot_fit_is_refused_with_advice(monkeypatch, capsys):
    """The same on a CPU and on a GPU, by the very figure that `train estimate` prints."""
    monkeypatch.setattr(module, "matmul_flops", lambda on_gpu, precision: 1e12)
    for stage, on_gpu in (("fine", False), ("decoder", True)):
        monkeypatch.setattr(module.torch.cuda, "is_available", lambda on_gpu=on_gpu: on_gpu)
        made, config = debug_stage(stage)
        precision = module.computed_precision("bf16", "cuda" if on_gpu else "cpu")
        config = replace(config, loop=replace(config.loop, precision=precision))
        needed = estimate_stage(made, stage, config).total_bytes
        monkeypatch.setattr(module, "free_bytes", lambda on_gpu, needed=needed: 1.01 * needed)
        assert check_fits(made, stage, config) is not None
        assert f"counted {needed / 1e9:.3g} GB" in capsys.readouterr().out
        monkeypatch.setattr(module, "free_bytes", lambda on_gpu, needed=needed: 0.99 * needed)
        with pytest.raises(DoesNotFit, match="a smaller recipe"):
            check_fits(made, stage, config)
        capsys.readouterr()
    mini = recipe("mini-simulator")
    monkeypatch.setattr(module, "free_bytes", lambda on_gpu: 8e9)
    assert check_fits(mini, "coarse", mini.stage("coarse"), "cpu") is not None
    assert "about" in capsys.readouterr().out


def test_hours_are_of_all_processes(monkeypatch, capsys):
    monkeypatch.setattr(module, "matmul_flops", lambda on_gpu, precision: 1e6)
    monkeypatch.setattr(module, "free_bytes", lambda on_gpu: 1e12)
    mini, hours = recipe("mini-simulator"), []
    for processes in ("1", "4"):
        monkeypatch.setenv("WORLD_SIZE", processes)
        check_fits(mini, "coarse", mini.stage("coarse"), "cpu")
        hours.append(float(capsys.readouterr().out.split("about ")[-1].split(" h")[0].replace(",", "")))
    assert hours[0] == pytest.approx(4 * hours[1], rel=0.01)


def test_a_stage_that_cannot_be_counted_is_refused():
    mini = recipe("mini-simulator")
    with pytest.raises(InvalidConfig, match="models of CogVideoX's kind alone"):
        estimate_stage(mini, "decoder", mini.stage("codec"))
    with pytest.raises(InvalidConfig, match="learn from latents"):
        estimate_stage(mini, "codec")


def test_advice_names_the_switches_that_help():
    full = recipe("mini-simulator")
    config = full.stage("coarse")
    text = advice(estimate_stage(full, "coarse", config), config, 1e6, on_gpu=True)
    assert "loop.gradient_checkpointing=true" in text
    assert "loop.micro_batch_size=1" in text
    assert "FSDP" in text
