"""A run of the loop in seconds: a small network learns a fixed function. ``main`` is for processes that are ended."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch import Tensor, nn

from longdwm_env.training.config import LoopConfig, OptimizerConfig
from longdwm_env.training.data.batches import Batch
from longdwm_env.training.draws import normal
from longdwm_env.training.loop import Progress, train
from longdwm_env.training.losses.objective import Objective
from longdwm_env.training.run import SAMPLES

LOOP = LoopConfig(
    steps=30, batch_size=8, micro_batch_size=8, checkpoint_every=4, log_every=1, sample_every=0, tracker="none"
)
OPTIMIZER = OptimizerConfig(learning_rate=0.02, warmup_steps=3, ema_decay=0.9)


@dataclass(frozen=True)
class ToyBatch(Batch):
    inputs: Tensor


class ToyObjective(Objective):
    component, network = "toy", "layers"

    def __init__(self, scale: float = 1.0, dropout: float = 0.05) -> None:
        super().__init__(0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layers = nn.Sequential(nn.Linear(4, 16), nn.SiLU(), nn.Dropout(dropout), nn.Linear(16, 1))
        self.scale = scale

    def forward(self, batch: ToyBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        # Dropout draws from PyTorch's global generator, so a resume must bring that back too.
        wanted = batch.inputs.sum(dim=1, keepdim=True)
        loss = ((self.layers(batch.inputs) - wanted) ** 2).mean() * self.scale
        return loss, {"same": loss.detach()}


def toy_draw(step: int, counts: Sequence[int]) -> ToyBatch:
    del step
    return ToyBatch(tuple(counts), normal(0, counts, "toy", (4,)))


def toy_train(folder: Path, loop: LoopConfig = LOOP, objective: ToyObjective | None = None) -> Progress:
    """A run that writes every kind of file that a stage writes."""

    def picture(step: int) -> None:
        (folder / SAMPLES).mkdir(exist_ok=True)
        (folder / SAMPLES / f"step-{step:08d}.png").write_text(f"picture {step}")

    return train(
        objective or ToyObjective(), toy_draw, loop, OPTIMIZER, folder, on_sample=picture, validation=toy_draw, cpu=True
    )


def take_place(rank: int, count: int, port: int) -> None:
    """Be one of ``count`` processes, as torchrun says it."""
    if count > 1:
        told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in told.items()}, MASTER_ADDR="127.0.0.1")


def main(
    folder: Path,
    stop_at: int | None,
    gate: Any,
    micro: int = 8,
    dropout: float = 0.05,
    place: tuple[int, int, int] = (0, 1, 0),
) -> None:
    """A run in a process of its own, ``place`` (rank, of how many, port). At a step it waits until the gate is open."""
    take_place(*place)

    def draw(step: int, counts: Sequence[int]) -> ToyBatch:
        if stop_at is not None and step >= stop_at:
            gate.wait()
        return toy_draw(step, counts)

    processes = {"processes": PartialState(cpu=True).num_processes}
    loop = replace(LOOP, micro_batch_size=micro)
    train(ToyObjective(dropout=dropout), draw, loop, OPTIMIZER, folder, processes, cpu=True)
