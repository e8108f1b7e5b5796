"""Fit the network to demonstrations."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import smooth_l1_loss

from longdwm_env.agents.cloning.demonstrations import Demonstrations
from longdwm_env.agents.cloning.network import ClonedNetwork, ClonedSettings
from longdwm_env.errors import InvalidConfig


@dataclass(frozen=True)
class CloningSettings:
    """Passes over the data, samples per step, peak learning rate, and the seed of everything random."""

    epochs: int = 30
    batch: int = 64
    learning_rate: float = 2e-3
    held_out: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch) < 1 or self.learning_rate <= 0 or not 0 < self.held_out < 1:
            raise InvalidConfig(f"epochs and batch start at 1, the rate above 0, held_out is between 0 and 1: {self}")


@dataclass(frozen=True)
class CloningResult:
    """The network, and per epoch the mean distance between its waypoints and the expert's on held-out data."""

    network: ClonedNetwork
    held_out_m: tuple[float, ...]


def clone(
    data: Demonstrations,
    network: ClonedSettings,
    settings: CloningSettings,
    report: Callable[[int, float], None] | None = None,
) -> CloningResult:
    """Train a network on demonstrations, on the CPU; half of the samples are mirrored, as roads are.

    Args:
        data: at least 8 moments.
        network: its size; the pictures' must be that of the data.
        settings: of the training.
        report: called with epoch and held-out distance.

    Raises:
        InvalidConfig: too little data, or pictures of another size.
    """
    if len(data) < 8 or data.images.shape[1:3] != (network.height, network.width):
        raise InvalidConfig(f"{len(data)} views of {data.images.shape[1:3]} do not train a network for {network}")
    torch.manual_seed(settings.seed)
    random = np.random.default_rng(settings.seed)
    order = random.permutation(len(data))
    kept = max(1, round(settings.held_out * len(data)))
    held, used = order[:kept], order[kept:]
    with torch.device("cpu"):
        model = ClonedNetwork(network)
    steps = settings.epochs * -(-len(used) // settings.batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=max(steps, 2))
    distances = []
    for epoch in range(settings.epochs):
        model.train()
        random.shuffle(used)
        for start in range(0, len(used), settings.batch):
            images, ego, waypoints = _mirrored(data, used[start : start + settings.batch], random)
            wanted = model(images, ego)
            scale = model.get_buffer("scale")
            loss = smooth_l1_loss(wanted / scale, waypoints / scale, beta=0.3)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        distances.append(_distance(model, data, held))
        if report is not None:
            report(epoch, distances[-1])
    return CloningResult(model.eval(), tuple(distances))


def _mirrored(
    data: Demonstrations, rows: np.ndarray, random: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    images, ego, waypoints = data.images[rows].copy(), data.ego[rows].copy(), data.waypoints_m[rows].copy()
    flip = random.random(len(rows)) < 0.5
    images[flip] = images[flip][:, :, ::-1]
    ego[flip, 2:4] *= -1
    waypoints[flip, :, 1] *= -1
    return torch.from_numpy(images), torch.from_numpy(ego), torch.from_numpy(waypoints)


def _distance(model: ClonedNetwork, data: Demonstrations, rows: np.ndarray) -> float:
    model.eval()
    with torch.no_grad():
        wanted = model(torch.from_numpy(data.images[rows]), torch.from_numpy(data.ego[rows]))
    return float(torch.linalg.vector_norm(wanted - torch.from_numpy(data.waypoints_m[rows]), dim=-1).mean())
