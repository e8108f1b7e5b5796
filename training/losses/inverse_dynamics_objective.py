"""Training the inverse-dynamics model: to weigh evidence of motion that was computed beforehand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from longdwm_env.models.readers.inverse_dynamics import InverseDynamics
from longdwm_env.models.readers.motion_volume import SPEEDS_MPS, YAW_RATES_RADPS, mirrored, unpacked
from longdwm_env.training.data.batches import Batch
from longdwm_env.training.draws import numbers
from longdwm_env.training.losses.evidence import Evidence
from longdwm_env.training.losses.objective import Objective

TARGET_WIDTH = 0.7
"""Standard deviation of the target on the plane of motions, in steps of what is tried."""
SPEED_UNIT_MPS, SPEED_UNIT_SHARE, YAW_RATE_UNIT_RADPS = 0.3, 0.05, 0.03
"""Errors that weigh alike: of speed, a fixed part and a share of the speed; of yaw rate."""
MEAN_WEIGHT = 0.5
"""How much errors of the means count beside the distribution's cross-entropy."""


@dataclass(frozen=True)
class MotionBatch(Batch):
    """Windows' evidence and motion.

    Attributes:
        values: int8 (B, VALUES).
        motion: (B, 2) speed in m/s and yaw rate in rad/s.
        mirror: (B,) which windows are mirrored.
    """

    values: Tensor
    motion: Tensor
    mirror: Tensor


class MotionSampler:
    """Draws windows whose evidence is known."""

    def __init__(self, known: Evidence, seed: int) -> None:
        self.known, self.seed = known, seed

    def batch(self, step: int, counts: Sequence[int]) -> MotionBatch:
        """The samples with these running numbers, each with its mirror image in place of it every other time."""
        del step
        rngs = [numbers(self.seed, count, "evidence") for count in counts]
        rows = [int(rng.integers(len(self.known.motion))) for rng in rngs]
        return MotionBatch(
            tuple(counts),
            torch.from_numpy(self.known.values[rows]),
            torch.from_numpy(self.known.motion[rows]),
            torch.tensor([bool(rng.random() < 0.5) for rng in rngs]),
        )


class InverseDynamicsObjective(Objective):
    """Supervised reading of evidence."""

    component = network = "reader"

    def __init__(self, reader: InverseDynamics, seed: int) -> None:
        super().__init__(seed)
        self.reader = reader

    def forward(self, batch: MotionBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of one batch."""
        road, far = unpacked(batch.values)
        flip = batch.mirror[:, None, None]
        other_road, other_far = mirrored(road, far)
        road, far = torch.where(flip[..., None], other_road, road), torch.where(flip, other_far, far)
        speed = batch.motion[:, 0]
        yaw_rate = torch.where(batch.mirror, -batch.motion[:, 1], batch.motion[:, 1])
        logits = self.reader(road, far).float()
        wanted = _peaks(speed, SPEEDS_MPS)[:, :, None] * _peaks(yaw_rate, YAW_RATES_RADPS)[:, None]
        cross = -(wanted.flatten(1) * logits.flatten(1).log_softmax(dim=1)).sum(dim=1).mean()
        said_speed, said_yaw_rate = self.reader.means(logits)
        speed_error, yaw_rate_error = said_speed - speed, said_yaw_rate - yaw_rate
        errors = torch.cat(
            [speed_error / (SPEED_UNIT_MPS + SPEED_UNIT_SHARE * speed), yaw_rate_error / YAW_RATE_UNIT_RADPS]
        )
        means = nn.functional.huber_loss(errors, torch.zeros_like(errors))
        parts = {
            "cross_entropy": cross,
            "means": means,
            "speed_error_mps": speed_error.abs().mean(),
            "yaw_rate_error_radps": yaw_rate_error.abs().mean(),
        }
        return cross + MEAN_WEIGHT * means, {name: value.detach() for name, value in parts.items()}


def _peaks(values: Tensor, places: np.ndarray) -> Tensor:
    """(B, P) weights about each value's place between increasing ones, of sum 1."""
    known = torch.from_numpy(np.asarray(places, np.float32)).to(values)
    above = torch.searchsorted(known, values.contiguous()).clamp(1, len(known) - 1)
    low, high = known[above - 1], known[above]
    place = above - 1 + (values - low) / (high - low)
    steps = torch.arange(len(known), device=values.device) - place[:, None]
    return (-0.5 * (steps / TARGET_WIDTH) ** 2).softmax(dim=1)
