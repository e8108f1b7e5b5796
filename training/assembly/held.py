"""What a component was when a stage began, kept in the stage's folder.

The pipeline's own component becomes what the stage trains. A run that goes on, or was exported on the way, still has
its teacher, or the weights that its low-rank changes are changes of.
"""

from pathlib import Path

from accelerate import PartialState

from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.training.checkpoint import checkpoints
from longdwm_env.training.stage_list import Stage
from longdwm_env.training.workspace import Workspace


def held(workspace: Workspace, stage: Stage) -> Path:
    """Where that is kept: the teacher of few steps, or what a stage began with."""
    return workspace.stage(stage.name) / ("teacher" if stage.few_steps else "base")


def has_begun(workspace: Workspace, stage: Stage) -> bool:
    """Whether a stage has a checkpoint."""
    return bool(checkpoints(workspace.stage(stage.name) / "checkpoints"))


def hold(workspace: Workspace, stage: Stage, pipeline: LongDWMPipeline) -> None:
    """Keep the component that a stage begins with; of one that goes on, put it back into the pipeline in memory."""
    folder, state = held(workspace, stage), PartialState()
    if has_begun(workspace, stage):
        put_back(workspace, stage, pipeline)
    elif state.is_main_process:
        pipeline.components[stage.component].save_pretrained(str(folder), safe_serialization=True)
    state.wait_for_everyone()


def put_back(workspace: Workspace, stage: Stage, pipeline: LongDWMPipeline) -> None:
    """Put the component that a stage began with into a pipeline in memory, where it was kept."""
    folder = held(workspace, stage)
    if folder.is_dir():
        component = type(pipeline.components[stage.component]).from_pretrained(str(folder))
        pipeline.register_modules(**{stage.component: component.eval()})
