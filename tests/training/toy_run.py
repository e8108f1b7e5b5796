"""A run of the loop in seconds: a small network learns a fixed function. Also a program, for tests that kill it."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch import Tensor, nn

from longdwm_env.models.settings import OpenChoices
from longdwm_env.training.config import LoopConfig, OptimizerConfig
from longdwm_env.training.data.batches import Batch
from longdwm_env.training.draws import normal
from longdwm_env.training.loop import Progress, train
from longdwm_env.training.losses.fine_objective import FineObjective
from longdwm_env.training.losses.objective import NoiseChoices, Objective
from longdwm_env.training.run import SAMPLES

LOOP = LoopConfig(
    steps=30, batch_size=8, micro_batch_size=8, checkpoint_every=4, log_every=1, sample_every=0, tracker="none"
)
OPTIMIZER = OptimizerConfig(learning_rate=0.02, warmup_steps=3, ema_decay=0.9)


@dataclass(frozen=True)
class ToyBatch(Batch):
    inputs: Tensor


class ToyObjective(Objective):
    component = "toy"

    def __init__(self, scale: float = 1.0, dropout: float = 0.05) -> None:
        super().__init__(0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.network = nn.Sequential(nn.Linear(4, 16), nn.SiLU(), nn.Dropout(dropout), nn.Linear(16, 1))
        self.scale = scale

    @property
    def trained(self) -> nn.Module:
        return self.network

    def forward(self, batch: ToyBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        # Dropout draws from PyTorch's global generator, so a resume must bring that back too.
        wanted = batch.inputs.sum(dim=1, keepdim=True)
        loss = ((self.network(batch.inputs) - wanted) ** 2).mean() * self.scale
        return loss, {"same": loss.detach()}


def toy_draw(step: int, counts: Sequence[int]) -> ToyBatch:
    del step
    time.sleep(float(os.environ.get("TOY_DELAY_S", "0")))
    return ToyBatch(tuple(counts), normal(0, counts, "toy", (4,)))


def fine_objective(pipeline: Any) -> FineObjective:
    return FineObjective(
        pipeline.fine, pipeline.scheduler, torch.zeros(5, 16), OpenChoices(), NoiseChoices(), 0, last_is_exact=True
    )


def toy_train(folder: Path, loop: LoopConfig = LOOP, objective: ToyObjective | None = None) -> Progress:
    """A run that writes every kind of file that a stage writes."""

    def picture(step: int) -> None:
        (folder / SAMPLES).mkdir(exist_ok=True)
        (folder / SAMPLES / f"step-{step:08d}.png").write_text(f"picture {step}")

    return train(
        objective or ToyObjective(), toy_draw, loop, OPTIMIZER, folder, on_sample=picture, validation=toy_draw, cpu=True
    )


if __name__ == "__main__":
    micro = int(os.environ.get("TOY_MICRO", LOOP.micro_batch_size))
    dropout = float(os.environ.get("TOY_DROPOUT", "0.05"))
    train(
        ToyObjective(dropout=dropout),
        toy_draw,
        replace(LOOP, micro_batch_size=micro),
        OPTIMIZER,
        Path(sys.argv[1]),
        {"processes": PartialState(cpu=True).num_processes},
        cpu=True,
    )
