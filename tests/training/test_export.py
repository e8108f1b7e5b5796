"""What is exported is the stage that was asked for, whatever the pipeline's component has become since."""

import importlib.util
import json
import shutil
from dataclasses import replace

import pytest
import torch

from longdwm_env.errors import InvalidConfig
from longdwm_env.models.presets import debug_cogvideox
from longdwm_env.training.assembly.order import check_not_taught
from longdwm_env.training.config import Recipe
from longdwm_env.training.data.windows import Window
from longdwm_env.training.recipes import recipe
from longdwm_env.training.scaling.lora import LoraChoices
from longdwm_env.training.stage_list import STAGES
from longdwm_env.training.stages import export, run_stage
from longdwm_env.training.workspace import Workspace

MADE = recipe("cogvideox-2b-nuscenes", "debug")


def short(stage: str, steps: int = 1, **changed: object) -> Recipe:
    """The recipe with a stage of a few steps."""
    config = MADE.stage(stage)
    loop = replace(config.loop, steps=steps, batch_size=1, micro_batch_size=1, sample_every=0, tracker="none")
    few = replace(config.few_steps, steps=2, teacher_steps=4, consistency_steps=1)
    chosen = replace(config, loop=loop, few_steps=few, windows=(Window(1, 1),), **changed)
    return replace(MADE, stages={**MADE.stages, stage: chosen})


@pytest.fixture
def workspace(encoded, tmp_path):
    workspace = Workspace(shutil.copytree(encoded, tmp_path / "mine"))
    pipeline = workspace.load()
    settings = replace(pipeline.settings, guidance_scale=2.0, coarse_steps=9, fine_steps=8)
    pipeline.register_to_config(settings=settings.to_json())
    pipeline.save_pretrained(workspace.pipeline)
    return workspace


def weights(workspace: Workspace, component: str = "fine") -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in workspace.load().components[component].state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def apart(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def drawn_in(workspace: Workspace) -> tuple[int, int, float]:
    settings = workspace.load().settings
    return settings.coarse_steps, settings.fine_steps, settings.guidance_scale


def run(workspace: Workspace, stage: str, steps: int = 1, **changed: object) -> None:
    assert run_stage(short(stage, steps, **changed), stage, workspace, device="cpu").finished


def test_a_teacher_comes_back_with_its_steps_and_guidance_and_the_student_with_its_own(workspace):
    run(workspace, "warp")
    teacher = weights(workspace)
    run(workspace, "few-steps-coarse")
    run(workspace, "few-steps-fine")
    student = weights(workspace)
    assert not same(teacher, student)
    assert drawn_in(workspace) == (2, 2, 1.0)
    export("warp", workspace)
    assert same(weights(workspace), teacher)
    assert drawn_in(workspace) == (2, 8, 2.0), "a teacher in its student's steps would draw badly"
    assert workspace.made_by == {"coarse": "few-steps-coarse", "fine": "warp"}
    export("few-steps-fine", workspace)
    assert same(weights(workspace), student)
    assert drawn_in(workspace) == (2, 2, 1.0)
    # An earlier version did not note the steps: they are the preset's.
    about = workspace.stage("few-steps-fine") / "teacher" / "teacher.json"
    about.write_text(json.dumps({"guidance_scale": 3.0}))
    export("warp", workspace)
    assert drawn_in(workspace) == (2, debug_cogvideox().settings.fine_steps, 3.0)


def test_a_finished_stage_that_is_run_again_leaves_what_later_ones_made(workspace):
    run(workspace, "fine")
    run(workspace, "few-steps-fine")
    student = weights(workspace)
    run(workspace, "fine")
    assert same(weights(workspace), student)
    assert drawn_in(workspace) == (9, 2, 2.0)
    # Longer than before, it has something new to give.
    run(workspace, "fine", steps=2)
    assert not same(weights(workspace), student)
    assert drawn_in(workspace) == (9, 8, 2.0)


def test_few_steps_come_last(workspace):
    run(workspace, "fine")
    run(workspace, "few-steps-fine")
    for stage in ("warp", "distill"):
        with pytest.raises(InvalidConfig, match=r"few steps come last: longdwm train export --stage fine first"):
            run_stage(short(stage), stage, workspace, device="cpu")
    check_not_taught(workspace, STAGES["coarse"])
    check_not_taught(workspace, STAGES["ar-baseline"])
    export("fine", workspace)
    run(workspace, "warp")


@pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="peft is not installed")
def test_low_rank_changes_are_those_of_what_training_began_with(workspace, tmp_path):
    """Exported on the way and gone on with, or put back after few steps: merged once, into their own base."""
    lora, begun = LoraChoices(rank=2), weights(workspace)
    shutil.copytree(workspace.root, tmp_path / "whole")
    whole = Workspace(tmp_path / "whole")
    run(whole, "warp", steps=3, lora=lora)
    wanted = weights(whole)
    learnt = apart(begun, wanted)
    chosen = short("warp", 3, lora=lora)
    assert run_stage(chosen, "warp", workspace, device="cpu", max_seconds=0.0).step == 1
    for _ in range(2):
        export("warp", workspace)
    assert run_stage(chosen, "warp", workspace, device="cpu").finished
    own = weights(workspace)
    # Merged a second time they would be another's by as much as was learnt.
    assert apart(own, wanted) < 1e-3 * learnt
    run(workspace, "few-steps-fine")
    export("warp", workspace)
    assert same(weights(workspace), own)
    assert json.loads((workspace.pipeline / "made_by.json").read_text()) == {"fine": "warp"}
