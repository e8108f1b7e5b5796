"""A stage at debug size in several processes. A program, started by torchrun, for tests that kill it.

sharded_run.py WORKSPACE STAGE shared|copies
"""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from longdwm_env.training.config import Recipe, StageConfig
from longdwm_env.training.data.samplers import CoarseSampler, FineSampler
from longdwm_env.training.data.windows import Window
from longdwm_env.training.recipes import recipe
from longdwm_env.training.stages import run_stage
from longdwm_env.training.workspace import Workspace

STAGE = "fine"
FEW = "few-steps-coarse"
STEPS = {STAGE: 8, FEW: 6}


def debug_recipe() -> Recipe:
    return recipe("cogvideox-2b-nuscenes", "debug")


def config(name: str = STAGE, *, shard: bool) -> StageConfig:
    """Two micro-batches of each of two processes, or four of one; of few steps, both parts, three steps of each."""
    stage = debug_recipe().stage(name)
    few = replace(stage.few_steps, steps=2, teacher_steps=4, guidance_scale=2.0, consistency_steps=3, critic_updates=2)
    loop = replace(
        stage.loop,
        steps=STEPS[name],
        batch_size=4,
        micro_batch_size=1,
        precision="no",
        checkpoint_every=2,
        log_every=1,
        sample_every=STEPS[name],
        tracker="none",
        shard=shard,
    )
    # All within clips of two seconds.
    windows = (Window(1, 1), Window(2, 1))
    return replace(stage, loop=loop, few_steps=few, windows=windows)


def main(folder: Path, name: str, *, shard: bool) -> None:
    """Train, noting which samples this process reads."""
    sampler_of = FineSampler if name == STAGE else CoarseSampler
    draw, notes = sampler_of.batch, folder / f"read-by-{os.environ['RANK']}.txt"

    def noted(sampler: Any, step: int, counts: Sequence[int]) -> Any:
        with notes.open("a") as file:
            file.writelines(f"{count}\n" for count in counts)
        time.sleep(float(os.environ.get("DELAY_S", "0")))
        return draw(sampler, step, counts)

    sampler_of.batch = noted  # type: ignore[method-assign, assignment]
    run_stage(debug_recipe(), name, Workspace(folder), config(name, shard=shard), device="cpu")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], shard=sys.argv[3] == "shared")
