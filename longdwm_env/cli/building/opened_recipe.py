"""The recipe that a training command was given, and its folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from longdwm_env.cli.building.train_options import TrainOptions
from longdwm_env.cli.extras import is_installed, need
from longdwm_env.errors import InvalidConfig, MissingDependency

if TYPE_CHECKING:
    from longdwm_env.training.config import Recipe, StageConfig
    from longdwm_env.training.workspace import Workspace

LEAST_FREE_MB = {"full": 1000.0, "debug": 50.0}
"""For footage, latents and checkpoints, at the least."""

TRACKERS = {"comet_ml": "comet_ml", "wandb": "wandb", "aim": "aim", "mlflow": "mlflow"}
"""Packages of those that no extra brings."""


def chosen_recipe(options: TrainOptions) -> "Recipe":
    """The recipe, with the latents that were asked for."""
    from longdwm_env.training.config import latents_overridden
    from longdwm_env.training.recipes import recipe

    return latents_overridden(recipe(options.recipe, options.size), _set_fields(options))


def need_for(stages: "Mapping[str, StageConfig]") -> None:
    """Look for what stages are trained with."""
    trackers = {config.loop.tracker for config in stages.values()}
    need("training", "train", "accelerate", *(["tensorboard"] if "tensorboard" in trackers else []))
    for name in sorted(trackers & set(TRACKERS)):
        if not is_installed(TRACKERS[name]):
            raise MissingDependency(f"loop.tracker={name} needs {TRACKERS[name]}: pip install {TRACKERS[name]}")
    if any(config.optimizer.moments == "8bit" for config in stages.values()):
        need("optimizer.moments=8bit", "large", "torchao")
    if any(config.lora.rank for config in stages.values()):
        need("lora.rank above 0", "train", "peft")


def opened(options: TrainOptions) -> "tuple[Recipe, Workspace]":
    """The recipe that was chosen, and its folder, ready to be worked in."""
    import logging

    from longdwm_env.io.files import check_output_folder
    from longdwm_env.scenes.nuscenes.schema_tables import is_nuscenes
    from longdwm_env.training.workspace import Workspace

    if options.data is not None and options.data.is_dir() and is_nuscenes(options.data):
        need("nuScenes footage", "nuscenes", "nuscenes")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    chosen = chosen_recipe(options)
    workspace = Workspace(options.out or Path("runs") / f"{options.recipe}-{options.size}")
    check_output_folder(workspace.root, LEAST_FREE_MB[options.size])
    workspace.prepare(chosen, options.initial)
    return chosen, workspace


def configured(recipe: "Recipe", stage: str, options: TrainOptions) -> "StageConfig":
    """A stage's configuration, with the fields that were set."""
    from longdwm_env.training.config import overridden

    return overridden(recipe.stage(stage), _set_fields(options))


def _set_fields(options: TrainOptions) -> dict[str, str]:
    settings = {}
    for entry in options.set:
        path, equals, value = entry.partition("=")
        if not equals:
            raise InvalidConfig(f"--set {entry!r}: expected FIELD=VALUE, such as loop.steps=200")
        settings[path] = value
    return settings
