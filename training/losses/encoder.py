"""Training the scorer on recorded footage with labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from longdwm_env.errors import InvalidConfig
from longdwm_env.models.readers.scorer import (
    CORRUPTIONS,
    LANE_SCALES,
    MOTION_SCALES,
    WINDOW_FRAMES,
    DrivingEncoder,
    Readings,
    clips_from_uint8,
)
from longdwm_env.training.data.batches import Batch
from longdwm_env.training.data.footage import Footage
from longdwm_env.training.draws import numbers
from longdwm_env.training.losses.objective import Objective
from longdwm_env.types import FloatArray, Images

LABELS = ("speed_mps", "yaw_rate_radps", "lateral_m", "heading_error_rad", "weather", "time_of_day")
JUDGED = ("drivable", "collided", "time_to_collision_s")
DANGER_S = 2.0
"""A road user would be touched within this time if all went on as they do."""


@dataclass(frozen=True)
class WindowTruth:
    """What is true of one window.

    Attributes:
        motion: (4,) means of speed, yaw rate, lateral offset, heading error; NaN where not defined.
        conditions: (2,) weather and time of day, as class numbers.
        judged: (2,) 1 where the rear axle is off the road at the last frame, and where there is danger.
    """

    motion: FloatArray
    conditions: np.ndarray
    judged: np.ndarray


def window_truth(label: Callable[[str], np.ndarray], first: int) -> WindowTruth:
    """The truth of the window that starts at frame ``first``; ``label`` gives a clip's labels by name, each (T,)."""
    last = first + WINDOW_FRAMES - 1
    means = [float(np.mean(label(name)[first : last + 1])) for name in LABELS]
    drivable, collided, time_s = (label(name)[last] for name in JUDGED)
    judged = np.array([drivable < 0.5, collided > 0 or time_s < DANGER_S], dtype=np.float32)
    return WindowTruth(np.array(means[:4]), np.array([round(means[4]), round(means[5])]), judged)


@dataclass(frozen=True)
class EncoderBatch(Batch):
    """Windows with what is true of them.

    Attributes:
        clips: (B, 12, 3, H, W) in [-1, 1].
        targets: (B, 4) speed, yaw rate, lateral offset, heading error; NaN where not defined.
        classes: (B, 3) weather, time of day, corruption.
        severity: (B,).
        judged: (B, 2) 1 where the rear axle is off the road at the last frame, and where there is danger.
    """

    clips: Tensor
    targets: Tensor
    classes: Tensor
    severity: Tensor
    judged: Tensor


def encoder_loss(readings: Readings, batch: EncoderBatch) -> tuple[Tensor, dict[str, Tensor]]:
    """Huber distances of motion and lane position in their units, cross-entropies of the classes, severity squared."""
    said = torch.stack(
        [readings.speed_mps, readings.yaw_rate_radps, readings.lateral_m, readings.heading_error_rad], dim=1
    )
    scales = said.new_tensor(MOTION_SCALES + LANE_SCALES)
    known = batch.targets.isfinite()
    error = (said - batch.targets.nan_to_num()) / scales
    huber = nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=0.5)
    motion = (huber * known).sum() / known.sum().clamp(min=1)
    cross = nn.functional.cross_entropy
    weather = cross(readings.weather, batch.classes[:, 0])
    time_of_day = cross(readings.time_of_day, batch.classes[:, 1])
    corruption = cross(readings.corruption, batch.classes[:, 2]) + ((readings.severity - batch.severity) ** 2).mean()
    judged = nn.functional.binary_cross_entropy_with_logits(
        torch.stack([readings.off_road, readings.danger], dim=1), batch.judged
    )
    total = 4 * motion + judged + 0.5 * (weather + time_of_day) + 0.25 * corruption
    speed_error = (error[:, 0].abs() * scales[0]).mean()
    parts = {"motion": motion, "weather": weather, "time": time_of_day, "corruption": corruption, "judged": judged}
    return total, {name: value.detach() for name, value in {**parts, "speed_error_mps": speed_error}.items()}


class EncoderObjective(Objective):
    """Supervised reading of windows."""

    component = network = "encoder"

    def __init__(self, encoder: DrivingEncoder, seed: int) -> None:
        super().__init__(seed)
        self.encoder = encoder

    def forward(self, batch: EncoderBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of one batch."""
        return encoder_loss(self.encoder(batch.clips), batch)


CORRUPTED_RATIO = 0.4
"""Share of windows that are corrupted."""


class WindowSampler:
    """Draws windows of recorded footage.

    Args:
        footage: with the simulator's labels.
        seed: of the run.
        clips: which clips to draw from.

    Raises:
        InvalidConfig: the footage has no labels.
    """

    def __init__(self, footage: Footage, seed: int, clips: Sequence[int]) -> None:
        missing = sorted({*LABELS, *JUDGED} - set(footage.entries[0].facts["labels"]))
        if missing:
            raise InvalidConfig(f"footage in {footage.name} lacks the labels {missing}; only the simulator's has them")
        self.footage, self.seed, self.clips = footage, seed, list(clips)

    def batch(self, step: int, counts: Sequence[int]) -> EncoderBatch:
        """The samples with these running numbers."""
        del step
        drawn = [self._window(count) for count in counts]
        return EncoderBatch(
            tuple(counts),
            clips_from_uint8(np.stack([window for window, *_ in drawn])),
            torch.tensor(np.stack([truth.motion for _, truth, *_ in drawn]), dtype=torch.float32),
            torch.tensor(np.stack([[*truth.conditions, kind] for _, truth, kind, _ in drawn])),
            torch.tensor([severity for *_, severity in drawn], dtype=torch.float32),
            torch.tensor(np.stack([truth.judged for _, truth, *_ in drawn]), dtype=torch.float32),
        )

    def _window(self, count: int) -> tuple[Images, WindowTruth, int, float]:
        """A window, what is true of it, how it was corrupted, and how much."""
        rng = numbers(self.seed, count, "window")
        clip = self.clips[rng.integers(len(self.clips))]
        first = int(rng.integers(self.footage.entries[clip].facts["frames"] - WINDOW_FRAMES + 1))
        window = self.footage.images(clip, range(first, first + WINDOW_FRAMES))
        kind, severity = 0, 0.0
        if rng.random() < CORRUPTED_RATIO:
            kind, severity = int(rng.integers(1, len(CORRUPTIONS))), float(rng.uniform(0.05, 1))
            window = corrupted(window, CORRUPTIONS[kind], severity, rng)
        return window, window_truth(lambda name: self.footage.label(clip, name), first), kind, severity


def corrupted(window: Images, kind: str, severity: float, rng: np.random.Generator) -> Images:
    """A window (T, H, W, 3) made worse, as a world model's failures are; 0 changes nothing.

    Raises:
        InvalidConfig: there is no such kind.
    """
    if kind == "none" or severity == 0:
        return window
    height, width = window.shape[1:3]
    if kind == "blur":
        return np.stack([cv2.GaussianBlur(frame, (0, 0), 0.3 + 2.7 * severity) for frame in window])
    if kind == "blocks":
        size = (round(width / (1 + 5 * severity)), round(height / (1 + 5 * severity)))
        small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in window]
        return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_NEAREST) for frame in small])
    if kind == "noise":
        noisy = window + rng.normal(0, 25 * severity, window.shape)
        return np.clip(noisy, 0, 255).astype(np.uint8)
    if kind == "ghosts":
        late = np.concatenate([window[:1].repeat(3, axis=0), window[:-3]])
        share = 0.5 * severity
        return np.clip((1 - share) * window + share * late, 0, 255).astype(np.uint8)
    raise InvalidConfig(f"there is no corruption {kind!r}; there are {', '.join(CORRUPTIONS)}")
