"""What the training commands do about footage: what was asked for, whether it suffices, and making what is missing."""

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from longdwm_env.cli.building.train_options import TrainOptions
from longdwm_env.errors import InvalidConfig

if TYPE_CHECKING:
    from longdwm_env.training.config import Recipe, StageConfig
    from longdwm_env.training.data.clip import ClipSource
    from longdwm_env.training.workspace import Workspace

MOST_ENCODERS = 4
"""Processes that encode latents: each needs about 1 GB."""

Asked = tuple["ClipSource", "ClipSource | None"]
"""Clips and their twins."""


def asked_footage(recipe: "Recipe", workspace: "Workspace", options: TrainOptions) -> Asked:
    """The footage that was asked for, now or in an earlier call; recorded footage where that is complete.

    Raises:
        InvalidConfig: files are needed and not named, or hold nothing usable.
    """
    from longdwm_env.training.data.footage import TWIN_SHARDS, Footage, recorded, shards_of
    from longdwm_env.training.data.shards import BadLimit
    from longdwm_env.training.data.sources import open_source, twins_of

    if options.data is not None and options.clips is not None:
        raise InvalidConfig(f"clips={options.clips} counts the simulator's clips; of {options.data} all are used")
    limit, folder = BadLimit(recipe.data.bad_share), workspace.footage
    there, is_named = recorded(folder), options.data is not None or options.clips is not None
    if there is not None and options.data is None and there.made_from.get("source") != "simulator":
        if options.clips is not None or there.missing(there.asked()):
            raise InvalidConfig(f"{folder} was made from files and is not complete; say where they are: --data FOLDER")
        return Footage(folder, limit), None
    # More footage than the recipe asks for may have been made; less was asked for on purpose.
    before = 0 if there is None else sum(count for shard, count in there.asked().items() if shard < TWIN_SHARDS)
    size = workspace.settings.image_size
    source = open_source(recipe, size, options.data, options.clips or before or None)
    twins = twins_of(source, recipe.data.twin_ratio)
    if there is not None and not is_named and not there.missing(shards_of(source, twins)):
        # Whichever version of the simulator drew it.
        return Footage(folder, limit), None
    return source, twins


def record_asked(
    recipe: "Recipe", workspace: "Workspace", options: TrainOptions, asked: Asked, cluster: str | None = None
) -> "ClipSource":
    """What was asked for, recorded as far as that has not been done."""
    from longdwm_env.training.data.footage import Footage, record_footage
    from longdwm_env.training.data.shards import BadLimit

    source, twins = asked
    if isinstance(source, Footage) or not recipe.data.record:
        return source
    limit, workers = BadLimit(recipe.data.bad_share), options.workers or os.cpu_count() or 1
    return record_footage(source, workspace.footage, workers, limit, twins, cluster)


def encode_asked(recipe: "Recipe", workspace: "Workspace", options: TrainOptions, asked: Asked) -> int:
    """Record and encode what was asked for, as far as that has not been done; how many clips there are."""
    import torch

    from longdwm_env.training.stages import prepare_latents
    from longdwm_env.training.workspace import device_of

    source = record_asked(recipe, workspace, options, asked)
    device = device_of(options.device)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    # Of small codecs a GPU bears as many as draw views for them, which takes longer; a large one is enough by itself.
    most = 1 if recipe.preset == "cogvideox-2b" else MOST_ENCODERS
    workers = min(options.workers or torch.get_num_threads(), most)
    return len(prepare_latents(recipe, workspace, source, device, workers, check=not options.force))


def check_suffices(workspace: "Workspace", asked: Asked, stages: "Mapping[str, StageConfig]") -> None:
    """Reject clips that a stage cannot be trained on, before any are made.

    Raises:
        InvalidConfig: with what each stage needs.
    """
    from longdwm_env.training.lengths import check_lengths

    check_lengths(stages, workspace.settings, *_with_twins(asked))


def say_what_does_not_suffice(recipe: "Recipe", workspace: "Workspace", asked: Asked) -> None:
    """Where clips are made for whichever stage: a line for each that they do not suffice for."""
    from longdwm_env.training.lengths import complaints

    for line in complaints(recipe.stages, workspace.settings, *_with_twins(asked)):
        print(f"these clips do not suffice for all stages: {line}", file=sys.stderr)


def _with_twins(asked: Asked) -> "tuple[ClipSource, bool]":
    """What is recorded, and whether with twins."""
    from longdwm_env.training.data.footage import Footage

    source, twins = asked
    return source, source.has_twins if isinstance(source, Footage) else twins is not None
