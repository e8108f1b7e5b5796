"""Options that all training commands have."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class TrainOptions:
    """The options of every training command.

    Attributes:
        recipe: mini-simulator, mini-nuscenes or cogvideox-2b-nuscenes.
        size: "debug" shows that everything works together: smallest models, few steps, minutes in place of hours.
        out: folder of the model in the making; everything is resumed from there. Default: runs/RECIPE-SIZE.
        data: dataroot of nuScenes, or a folder of videos in place of the recipe's own footage.
        clips: clips of footage; more than before adds to what is there.
        initial: a saved pipeline to start from.
        set: fields of the stage's configuration, such as ``loop.steps=200 optimizer.learning_rate=1e-4``, or of the
            latents, such as ``latents.tiling=true``, which then all commands on them are given.
        device: "cpu" keeps off an accelerator that is there.
        threads: CPU threads of the model's computations; default: PyTorch's.
        workers: processes that make footage, and latents, of these four at most; default: as many as there are cores.
        minutes: stop with a checkpoint after about this long; run again to go on.
        force: start even if the estimate says that it does not fit.
    """

    recipe: Literal["mini-simulator", "mini-nuscenes", "cogvideox-2b-nuscenes"] = "mini-simulator"
    size: Literal["full", "debug"] = "full"
    out: Path | None = None
    data: Path | None = None
    clips: int | None = None
    initial: Path | None = None
    set: tuple[str, ...] = ()
    device: Literal["cpu", "cuda"] | None = None
    threads: int | None = None
    workers: int | None = None
    minutes: float | None = None
    force: bool = False


Options = Annotated[TrainOptions, tyro.conf.arg(name="")]
DEFAULTS = TrainOptions()
