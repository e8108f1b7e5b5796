"""Which stage has to come before which: asked before the later one starts, since nothing later would show it."""

import json

from torch import nn

from longdwm_env.errors import InvalidConfig
from longdwm_env.training.checkpoint import checkpoints
from longdwm_env.training.losses.warp_loss import GUIDANCE_MODULES
from longdwm_env.training.stage_list import STAGES, Stage
from longdwm_env.training.workspace import Workspace
from longdwm_env.types import JsonObject

TEACHING = ("fine", "warp")
"""Stages whose result is the teacher of ``distill``."""


def trained_with(workspace: Workspace, stage: str) -> JsonObject | None:
    """The configuration, as JSON values, that a stage's newest checkpoint was trained with; None without any."""
    found = checkpoints(workspace.stage(stage) / "checkpoints")
    if not found:
        return None
    config: JsonObject = json.loads((found[-1] / "state.json").read_text())["facts"]["run"]["config"]
    return config


def check_not_taught(workspace: Workspace, stage: Stage) -> None:
    """Reject to begin a stage on a model that already draws in few steps: it is no teacher, and would forget how.

    Raises:
        InvalidConfig: with the stage whose result has to be put back first.
    """
    if stage.few_steps or stage.result == "own" or checkpoints(workspace.stage(stage.name) / "checkpoints"):
        return
    components = ("coarse", "fine") if stage.sample == "whole" else (stage.component,)
    for component in components:
        maker = workspace.made_by.get(component) or ""
        if maker in STAGES and STAGES[maker].few_steps:
            others = [name for name, each in STAGES.items() if each.component == component and not each.few_steps]
            earlier = [name for name in others if trained_with(workspace, name) is not None]
            put_back = f"longdwm train export --stage {earlier[-1]}" if earlier else "begin anew in another folder"
            raise InvalidConfig(
                f"{stage.name} would go on from a {component.title()} model that draws in few steps ({maker}), and few "
                f"steps come last: {put_back} first, then few-steps again in another folder"
            )


def check_teacher(workspace: Workspace, teacher: nn.Module, use_warp: bool) -> None:
    """Reject to distil from a Fine model that has never learnt from what it would be given.

    Args:
        workspace: whose stages say how the Fine model was trained; one that came with the pipeline is looked at.
        teacher: the Fine transformer.
        use_warp: whether teacher and student are given warps.

    Raises:
        InvalidConfig: it was trained only without warps and would be given them, or the other way round; the message
            says which stage comes first.
    """
    runs = {stage: config for stage in TEACHING if (config := trained_with(workspace, stage)) is not None}
    if not runs:
        # A study times a step of models as they come; what `longdwm train` prepares is meant to be trained.
        if use_warp and (workspace.root / "workspace.json").is_file() and _untouched(teacher):
            raise InvalidConfig(
                f"distill gives the teacher warps, but the Fine model in {workspace.pipeline} has never been trained "
                "with any: run `longdwm train fine` and `longdwm train warp` first, or withhold warps from teacher and "
                "student with --set use_warp=false"
            )
        return
    how = ", ".join(f"{stage} with use_warp={config['use_warp']}" for stage, config in runs.items())
    if use_warp and not any(config["use_warp"] for config in runs.values()):
        raise InvalidConfig(
            f"distill gives the teacher warps, but the Fine model in {workspace.root} was trained without ({how}): run "
            "`longdwm train warp` before `longdwm train distill`, or withhold warps from teacher and student with "
            "--set use_warp=false"
        )
    if not use_warp and all(c["use_warp"] and c["choices"]["warp_drop_ratio"] == 0 for c in runs.values()):
        raise InvalidConfig(
            f"distill with use_warp=false withholds warps from a teacher that has always had them ({how}, "
            "choices.warp_drop_ratio=0): leave use_warp=true, or train the Fine model with some warps dropped"
        )


def _untouched(transformer: nn.Module) -> bool:
    """Whether what section 3.4 adds is as it was built: its ways into the blocks begin at zero."""
    guidance = [
        parameter
        for name, parameter in transformer.named_parameters()
        if name.split(".")[0] in GUIDANCE_MODULES and "projections" in name
    ]
    return bool(guidance) and not any(parameter.detach().any() for parameter in guidance)
