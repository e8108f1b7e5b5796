"""The list of stages: each entry is whole, and an entry is all that a new stage needs beside its function."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from longdwm_env.cli.commands import COMMANDS
from longdwm_env.cli.train import PARTS
from longdwm_env.errors import InvalidConfig
from longdwm_env.models.folder import COMPONENTS
from longdwm_env.training import rebuild
from longdwm_env.training.checkpoint import checkpoints, exported_weights, read_checkpoint
from longdwm_env.training.data.encoded.latents import LatentChoices
from longdwm_env.training.data.footage import record_footage
from longdwm_env.training.estimate import estimate_stage
from longdwm_env.training.recipes import RECIPES, recipe
from longdwm_env.training.stage_list import STAGES, stage_named
from longdwm_env.training.stages import prepare_latents, run_stage
from longdwm_env.training.workspace import Workspace, trained_with_warp

from .scenery import PaintedRoad

ROOT = Path(__file__).parents[2]


def named(text: str) -> object:
    module, _, name = text.partition(":")
    return getattr(import_module(module), name)


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_an_entry_names_what_there_is(stage):
    assert STAGES[stage.name] is stage
    if stage.assembled_by is not None:
        assert callable(named(f"longdwm_env.training.assembly.{stage.assembled_by}"))
    if stage.network is None:
        assert stage.component in COMPONENTS
    else:
        assert callable(named(stage.network))
        assert stage.result == "own"
    # Commands and the guide are about every stage; the two of few steps share a command.
    command = "few-steps" if stage.few_steps else stage.name
    assert command in COMMANDS["train"]
    assert command in PARTS
    assert f"longdwm train {command}" in (ROOT / "docs" / "training.md").read_text()


def test_recipes_are_made_of_stages_and_leave_none_out():
    used = {name for made in RECIPES.values() for name in made("full").stages}
    assert used == {name for name, stage in STAGES.items() if stage.assembled_by is not None}


def test_the_rebuild_goes_through_them_in_their_order():
    made = recipe("mini-simulator")
    assert rebuild._plan(made, on_gpu=False) == [
        ("footage",), ("codec",), ("latents",), ("coarse", "fine"), ("distill",), ("sharpen",), ("warp",), ("compose",),
        ("scorer",), ("inverse-dynamics",), ("evaluation",),
    ]  # fmt: skip
    assert rebuild._plan(made, on_gpu=True)[3:5] == [("coarse",), ("fine",)]


def test_a_new_entry_is_estimated_trained_and_exported(tmp_path, monkeypatch):
    monkeypatch.setitem(STAGES, "fine-again", replace(STAGES["fine"], name="fine-again", rebuilt=None))
    made = recipe("mini-simulator", "debug")
    config = made.stage("fine")
    loop = replace(config.loop, steps=1, batch_size=1, micro_batch_size=1, sample_every=0, tracker="none")
    made = replace(
        made,
        stages={"fine-again": replace(config, loop=loop)},
        data=replace(made.data, latents=LatentChoices(keyframe_phases=1, segment_phases=1)),
    )
    assert estimate_stage(made, "fine-again").parameters == estimate_stage(made, "fine", config).parameters
    workspace = Workspace(tmp_path)
    workspace.prepare(made)
    prepare_latents(made, workspace, record_footage(PaintedRoad(clips=1, frames=13), workspace.footage))
    assert run_stage(made, "fine-again", workspace, device="cpu").finished
    assert workspace.done("fine-again")
    (checkpoint,) = checkpoints(workspace.stage("fine-again") / "checkpoints")
    trained = exported_weights(read_checkpoint(checkpoint))
    name, wanted = next(iter(trained.items()))
    assert workspace.load().fine.state_dict()[name.removeprefix("transformer.")].equal(wanted)
    assert trained_with_warp(workspace.pipeline) == {"fine": True}


def test_an_unknown_stage_is_named_and_so_are_those_that_exist():
    with pytest.raises(InvalidConfig, match=r"no stage 'polish'; there are codec, coarse, .*ar-baseline"):
        stage_named("polish")
