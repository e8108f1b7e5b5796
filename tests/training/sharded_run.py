"""A stage at debug size whose weights several processes share. A program, started by torchrun, for tests that kill it.

sharded_run.py WORKSPACE
"""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from longdwm_env.training.config import Recipe, StageConfig
from longdwm_env.training.data.samplers import FineSampler
from longdwm_env.training.recipes import recipe
from longdwm_env.training.stages import run_stage
from longdwm_env.training.workspace import Workspace

STAGE = "fine"


def debug_recipe() -> Recipe:
    return recipe("cogvideox-2b-nuscenes", "debug")


def config(*, shard: bool) -> StageConfig:
    """Two micro-batches of each of two processes, or four of one."""
    stage = debug_recipe().stage(STAGE)
    loop = replace(
        stage.loop,
        steps=8,
        batch_size=4,
        micro_batch_size=1,
        precision="no",
        checkpoint_every=2,
        log_every=1,
        sample_every=8,
        tracker="none",
        shard=shard,
    )
    return replace(stage, loop=loop)


def main(folder: Path) -> None:
    """Train, noting which samples this process reads."""
    draw, notes = FineSampler.batch, folder / f"read-by-{os.environ['RANK']}.txt"

    def noted(sampler: FineSampler, step: int, counts: Sequence[int]) -> Any:
        with notes.open("a") as file:
            file.writelines(f"{count}\n" for count in counts)
        time.sleep(float(os.environ.get("DELAY_S", "0")))
        return draw(sampler, step, counts)

    FineSampler.batch = noted  # type: ignore[method-assign, assignment]
    run_stage(debug_recipe(), STAGE, Workspace(folder), config(shard=True), device="cpu")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
