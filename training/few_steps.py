"""The stages that teach few steps: which model is the teacher, and what the pipeline says afterwards."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from accelerate import PartialState

from longdwm_env.io.files import atomic_write_json
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.training.checkpoint import checkpoints
from longdwm_env.training.losses.coarse_objective import CoarseObjective
from longdwm_env.training.losses.distilling.fewer_steps import FewStepBatch, FewStepChoices, FewStepObjective
from longdwm_env.training.losses.fine_objective import FineObjective
from longdwm_env.training.order import trained_with
from longdwm_env.training.workspace import Workspace

FEW_STEP_STAGES: dict[str, Literal["coarse", "fine"]] = {"few-steps-coarse": "coarse", "few-steps-fine": "fine"}
"""Which component each teaches."""

INDEX = "model_index.json"


def hold_teacher(stage: str, workspace: Workspace, pipeline: LongDWMPipeline) -> float:
    """Put the teacher in the place of the component that is taught; returns the guidance that it draws with.

    It is kept in the stage's folder from the beginning, because the pipeline's own component becomes the student: a run
    that goes on, or was exported on the way, has the teacher that it began with.
    """
    component, folder = FEW_STEP_STAGES[stage], workspace.stage(stage) / "teacher"
    about = folder / "teacher.json"
    state = PartialState()
    if checkpoints(workspace.stage(stage) / "checkpoints"):
        teacher = type(pipeline.components[component]).from_pretrained(str(folder))
        pipeline.register_modules(**{component: teacher.eval()})
    elif state.is_main_process:
        pipeline.components[component].save_pretrained(str(folder), safe_serialization=True)
        atomic_write_json(about, {"guidance_scale": pipeline.settings.guidance_scale})
    state.wait_for_everyone()
    return float(json.loads(about.read_text())["guidance_scale"])


def few_step_objective(
    inner: CoarseObjective | FineObjective,
    choices: FewStepChoices,
    pipeline: LongDWMPipeline,
    teacher_guidance: float,
    gradient_checkpointing: bool,
) -> FewStepObjective:
    """The objective of a stage; pictures of the run are then drawn in few steps too."""
    if choices.guidance_scale == 0:
        choices = replace(choices, guidance_scale=teacher_guidance)
    objective = FewStepObjective(inner, choices)
    if gradient_checkpointing:
        objective.critic.enable_gradient_checkpointing()
    settings = pipeline.settings
    pipeline.register_to_config(
        settings=replace(settings, **{f"{inner.component}_steps": choices.steps}).to_json()  # type: ignore[arg-type]
    )
    return objective


def drawing(batch: Callable[[int, Sequence[int]], Any]) -> Callable[[int, Sequence[int]], Any]:
    """Batches that know their step."""
    return lambda step, counts: FewStepBatch(tuple(counts), step, batch(step, counts))


def settings_after(workspace: Workspace, stage: str) -> None:
    """Write into the pipeline that this component is drawn in few steps; and, once both are, that nothing guides."""
    path = workspace.pipeline / INDEX
    index = json.loads(path.read_text())
    config = trained_with(workspace, stage)
    assert config is not None
    index["settings"][f"{FEW_STEP_STAGES[stage]}_steps"] = config["few_steps"]["steps"]
    if all(trained_with(workspace, each) is not None for each in FEW_STEP_STAGES):
        index["settings"]["guidance_scale"] = 1.0
    atomic_write_json(path, index)


__all__ = ["FEW_STEP_STAGES", "drawing", "few_step_objective", "hold_teacher", "settings_after"]
