"""From a recipe to a trained component: what runs each stage of ``stage_list``."""

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import cast

import torch
from accelerate import PartialState

from longdwm_env.errors import InvalidConfig
from longdwm_env.io.files import one_writer
from longdwm_env.models.network.dit import LongDWMTransformer3DModel
from longdwm_env.models.speed import speed_up
from longdwm_env.training.assembly.assembled import Assembled, Ingredients
from longdwm_env.training.assembly.held import hold
from longdwm_env.training.assembly.order import check_not_taught
from longdwm_env.training.config import Recipe, StageConfig, as_json
from longdwm_env.training.data.clip import ClipSource
from longdwm_env.training.data.encoded.encoding import encode_latents
from longdwm_env.training.data.encoded.encoding_memory import check_encoding_fits
from longdwm_env.training.data.encoded.latents import LatentStore
from longdwm_env.training.data.shards import BadLimit
from longdwm_env.training.loop import Progress, train
from longdwm_env.training.losses.objective import Objective
from longdwm_env.training.run import SAMPLES
from longdwm_env.training.sample_pictures import PictureWriter
from longdwm_env.training.scaling.lora import add_lora
from longdwm_env.training.shipping.stage_export import export
from longdwm_env.training.stage_list import Stage, stage_named
from longdwm_env.training.workspace import Workspace


def prepare_latents(
    recipe: Recipe,
    workspace: Workspace,
    source: ClipSource,
    device: torch.device | str = "cpu",
    workers: int = 1,
    check: bool = False,
) -> LatentStore:
    """Encode the source with the workspace's codec, as far as that has not been done; see ``encode_latents``.

    Args:
        recipe: what is encoded of each clip.
        workspace: whose codec encodes.
        source: of the clips.
        device: where the codec runs.
        workers: processes that encode at the same time.
        check: say what it needs before anything is encoded, and refuse what cannot fit.

    Raises:
        DoesNotFit: with advice.
    """
    pipeline = workspace.load()
    limit, choices = BadLimit(recipe.data.bad_share), recipe.data.latents
    if check and not workspace.latents.is_dir():
        check_encoding_fits(pipeline, choices, source, workspace.latents, device)
    return encode_latents(source, workspace.latents, pipeline, choices, device, limit, workers)


def run_stage(
    recipe: Recipe,
    stage: str,
    workspace: Workspace,
    config: StageConfig | None = None,
    device: torch.device | str | None = None,
    max_seconds: float | None = None,
) -> Progress:
    """Train one stage to its end, or until the time is up; continues where an earlier call stopped.

    Args:
        recipe: what to train.
        stage: one of ``stage_list.STAGES``.
        workspace: prepared, with footage (codec) or latents (the others).
        config: the stage's configuration; None for the recipe's own.
        device: "cpu" keeps off an accelerator that is there.
        max_seconds: stop with a checkpoint after about this long.

    Raises:
        InvalidConfig: what the stage needs is missing.
    """
    config = config or recipe.stage(stage)
    with stage_writer(workspace, stage):
        return _run_stage(recipe, stage, workspace, config, device, max_seconds)


def stage_writer(workspace: Workspace, stage: str) -> AbstractContextManager[None]:
    """A stage's folder has one writer; of several processes that train together the first holds it for all."""
    if os.environ.get("RANK", "0") != "0":
        return nullcontext()
    return one_writer(workspace.stage(stage), wait=True)


def _run_stage(
    recipe: Recipe,
    stage: str,
    workspace: Workspace,
    config: StageConfig,
    device: torch.device | str | None,
    max_seconds: float | None,
) -> Progress:
    known = stage_named(stage)
    pipeline = workspace.load()
    folder = workspace.stage(stage)
    here = PartialState(cpu=str(device) == "cpu").device
    pipeline.vae.to(here)
    check_not_taught(workspace, known)
    if config.lora.rank and not known.few_steps:
        hold(workspace, known, pipeline)
    objective, draw, validation, made_from = assembled(Ingredients(known, config, recipe, workspace, pipeline))
    if known.is_transformer:
        if config.loop.gradient_checkpointing:
            objective.trained.enable_gradient_checkpointing()  # type: ignore[operator]
        set_switches(objective, config, here)
    # Sharded parameters lie in memory in their own order.
    if not config.loop.shard and (str(device) == "cpu" or not torch.cuda.is_available()):
        _lay_out_for_cpu(objective)
    facts = {
        "recipe": recipe.name,
        "size": recipe.size,
        "stage": stage,
        "config": as_json(config),
        "data": {"made_from": made_from},
    }
    pictures = PictureWriter(stage, objective, validation, pipeline, folder / SAMPLES)
    progress = train(
        objective,
        draw,
        config.loop,
        config.optimizer,
        folder,
        facts,
        on_sample=pictures,
        validation=validation,
        max_seconds=max_seconds,
        cpu=str(device) == "cpu",
    )
    if progress.finished and PartialState().is_main_process and not _is_exported(workspace, known, progress.step):
        # What is sharded or has changes beside it is no plain transformer any more.
        is_plain = not (config.loop.shard or config.lora.rank)
        export(stage, workspace, pipeline if is_plain else None)
        workspace.mark_done(stage, {"steps": progress.step, "loss": progress.loss})
    return progress


def _is_exported(workspace: Workspace, stage: Stage, step: int) -> bool:
    """Whether an earlier call put this result where it belongs; what later stages made of it then stays."""
    mark = workspace.stage(stage.name) / "done.json"
    if not mark.is_file() or json.loads(mark.read_text())["steps"] != step:
        return False
    return stage.result == "own" or stage.component in workspace.made_by


def _lay_out_for_cpu(objective: Objective) -> None:
    """Convolution weights with channels last: a tenth faster on AVX512 processors, and the same numbers."""
    for module in objective.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def set_switches(objective: Objective, config: StageConfig, device: torch.device) -> None:
    """What a configuration asks for beside the paper: low-rank changes, compiled blocks, a kernel of attention."""
    transformer = cast(LongDWMTransformer3DModel, objective.trained.to(device))
    if config.lora.rank:
        add_lora(transformer, config.lora, config.loop.seed)
    attention = None if config.loop.attention == "any" else config.loop.attention
    speed_up(transformer, compile_blocks=config.loop.compile, attention=attention)


def assembled(given: Ingredients) -> Assembled:
    """A stage's objective and samples, as its entry in ``stage_list`` says.

    Raises:
        InvalidConfig: the stage has a loop of its own.
    """
    if given.stage.assembled_by is None:
        raise InvalidConfig(f"stage {given.stage.name!r} has a loop of its own: longdwm train {given.stage.name}")
    module, _, function = given.stage.assembled_by.partition(":")
    assemble: Callable[[Ingredients], Assembled] = vars(import_module(f"longdwm_env.training.assembly.{module}"))[
        function
    ]
    return assemble(given)


__all__ = ["assembled", "export", "prepare_latents", "run_stage"]
