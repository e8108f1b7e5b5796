"""A stage at debug size in several processes, which tests kill."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from longdwm_env.training.config import Recipe, StageConfig
from longdwm_env.training.data.samplers import CoarseSampler, FineSampler
from longdwm_env.training.data.windows import Window
from longdwm_env.training.recipes import recipe
from longdwm_env.training.stages import run_stage
from longdwm_env.training.workspace import Workspace

from .toy_run import take_place

STAGE = "fine"
FEW = "few-steps-coarse"
STEPS = {STAGE: 8, FEW: 6}
BATCH = 4


def debug_recipe() -> Recipe:
    return recipe("cogvideox-2b-nuscenes", "debug")


def config(name: str = STAGE, *, shard: bool) -> StageConfig:
    """Two micro-batches of each of two processes, or four of one; of few steps, both parts, three steps of each."""
    stage = debug_recipe().stage(name)
    few = replace(stage.few_steps, steps=2, teacher_steps=4, guidance_scale=2.0, consistency_steps=3, critic_updates=2)
    loop = replace(
        stage.loop,
        steps=STEPS[name],
        batch_size=BATCH,
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


def main(folder: Path, stop_at: int | None, gate: Any, *, name: str, shard: bool, place: tuple[int, int, int]) -> None:
    """Train, noting which samples this process reads; before step ``stop_at`` wait until the gate is open."""
    take_place(*place)
    torch.set_num_threads(1)
    sampler_of = FineSampler if name == STAGE else CoarseSampler
    draw, notes = sampler_of.batch, folder / f"read-by-{place[0]}.txt"

    def noted(sampler: Any, step: int, counts: Sequence[int]) -> Any:
        if stop_at is not None and stop_at <= step and max(counts) < BATCH * STEPS[name]:
            gate.wait()
        with notes.open("a") as file:
            file.writelines(f"{count}\n" for count in counts)
        return draw(sampler, step, counts)

    sampler_of.batch = noted  # type: ignore[method-assign, assignment]
    run_stage(debug_recipe(), name, Workspace(folder), config(name, shard=shard), device="cpu")
