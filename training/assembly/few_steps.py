"""The stages that teach few steps: which model is the teacher, and what the pipeline says afterwards."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from accelerate import PartialState

from longdwm_env.io.files import atomic_write_json
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.presets import PRESETS
from longdwm_env.models.settings import LongDWMSettings
from longdwm_env.training.assembly.assembled import Assembled, Draw, Ingredients
from longdwm_env.training.assembly.held import has_begun, held, hold
from longdwm_env.training.assembly.latent_stages import coarse, fine
from longdwm_env.training.assembly.order import trained_with
from longdwm_env.training.data.batches import CoarseBatch, FineBatch
from longdwm_env.training.losses.coarse_objective import CoarseObjective
from longdwm_env.training.losses.distilling.fewer_steps import FewStepBatch, FewStepObjective
from longdwm_env.training.losses.fine_objective import FineObjective
from longdwm_env.training.stage_list import STAGES, Stage
from longdwm_env.training.workspace import Workspace

INDEX, ABOUT = "model_index.json", "teacher.json"


def few_steps(given: Ingredients) -> Assembled:
    """A model as its own teacher, student and critic; pictures of the run are then drawn in few steps too."""
    pipeline, component, choices = given.pipeline, given.stage.component, given.config.few_steps
    teacher_guidance = _hold_teacher(given.stage, given.workspace, pipeline)
    inner = {"coarse": coarse, "fine": fine}[component](given)
    if choices.guidance_scale == 0:
        choices = replace(choices, guidance_scale=teacher_guidance)
    objective = FewStepObjective(cast(CoarseObjective | FineObjective, inner.objective), choices)
    if given.config.loop.gradient_checkpointing:
        objective.critic.enable_gradient_checkpointing()
    drawn_in = replace(
        pipeline.settings,
        coarse_steps=choices.steps if component == "coarse" else pipeline.settings.coarse_steps,
        fine_steps=choices.steps if component == "fine" else pipeline.settings.fine_steps,
    )
    pipeline.register_to_config(settings=drawn_in.to_json())
    return Assembled(objective, _knowing_steps(inner.draw), _knowing_steps(inner.validation), inner.made_from)


def _hold_teacher(stage: Stage, workspace: Workspace, pipeline: LongDWMPipeline) -> float:
    """Put the teacher in the place of the component that is taught; returns the guidance that it draws with."""
    about = held(workspace, stage) / ABOUT
    begun, state = has_begun(workspace, stage), PartialState()
    hold(workspace, stage, pipeline)
    if not begun and state.is_main_process:
        settings = pipeline.settings
        steps = {"coarse": settings.coarse_steps, "fine": settings.fine_steps}[stage.component]
        atomic_write_json(about, {"guidance_scale": settings.guidance_scale, "steps": steps})
    state.wait_for_everyone()
    return float(json.loads(about.read_text())["guidance_scale"])


def _knowing_steps(draw: Draw) -> Draw:
    """Batches that know their step."""

    def batch(step: int, counts: Sequence[int]) -> FewStepBatch:
        return FewStepBatch(tuple(counts), step, cast(CoarseBatch | FineBatch, draw(step, counts)))

    return batch


def settings_after(workspace: Workspace, stage: Stage, before: Mapping[str, str]) -> None:
    """Write into the pipeline in how many steps its component is drawn, now that it is what a stage trained.

    Few, after a stage that teaches that; and once both models have been taught, nothing guides. What is put back in the
    place of a student is drawn as its teacher was.

    Args:
        workspace: whose pipeline has the component.
        stage: of a Coarse or Fine model.
        before: ``Workspace.made_by`` until now.
    """
    path, component = workspace.pipeline / INDEX, stage.component
    teaching = {each.component: each for each in STAGES.values() if each.few_steps}
    index = json.loads(path.read_text())
    if stage.few_steps:
        config = trained_with(workspace, stage.name)
        assert config is not None
        index["settings"][f"{component}_steps"] = config["few_steps"]["steps"]
        if all(workspace.made_by.get(name) == each.name for name, each in teaching.items()):
            index["settings"]["guidance_scale"] = 1.0
    elif before.get(component) == teaching[component].name:
        teacher = json.loads((held(workspace, teaching[component]) / ABOUT).read_text())
        # Earlier versions did not note a teacher's steps.
        steps = teacher.get("steps") or _own_settings(workspace).to_json()[f"{component}_steps"]
        index["settings"] |= {f"{component}_steps": steps, "guidance_scale": teacher["guidance_scale"]}
    else:
        return
    atomic_write_json(path, index)


def _own_settings(workspace: Workspace) -> LongDWMSettings:
    """Of the preset that a workspace was begun with."""
    about = json.loads((workspace.root / "workspace.json").read_text())
    return PRESETS[about["preset"]]().settings
