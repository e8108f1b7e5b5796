"""Inverse dynamics: how fast a car drives and turns, read from a second of its pictures and its camera.

``motion_volume`` says how well every speed and yaw rate explains the window. What is learnt is only how to weigh that
evidence: which baselines and parts of the road to trust, that a lane's dashes look alike every few metres, that cars
ahead and the beam of our own headlights go along with us. The result is the mean of a distribution over the motions
that were tried.

Trained weights come with the package; ``bundled_inverse_dynamics`` loads them, ``load_inverse_dynamics`` any others.
"""

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, silu

from longdwm_env.errors import NotFinite
from longdwm_env.models import bundled, limits
from longdwm_env.models.closed_loop.sample_threads import SampleThreads
from longdwm_env.models.readers.motion_volume import (
    FAR_CHANNELS,
    ROAD_CHANNELS,
    SPEEDS_MPS,
    YAW_RATES_RADPS,
    evidence,
    unpacked,
)
from longdwm_env.models.readers.reader_files import has_weights, load_bundled, load_network
from longdwm_env.types import Camera, FloatArray, Images

BUNDLED = bundled.WEIGHTS / "inverse-dynamics"
"""Where the package's own weights lie."""

_SPEEDS, _YAW_RATES = np.meshgrid(SPEEDS_MPS, YAW_RATES_RADPS, indexing="ij")
_PLACES = np.stack([_SPEEDS / 40, np.tanh(_SPEEDS / 10), _YAW_RATES]).astype(np.float32)
"""Which motion it is that the evidence is about, (3, speeds, yaw rates)."""


@dataclass(frozen=True)
class Motion:
    """What was read of N windows: means over each, (N,)."""

    speed_mps: FloatArray
    yaw_rate_radps: FloatArray


class InverseDynamics(ModelMixin, ConfigMixin):
    """Convolutions over the plane of speeds and yaw rates, fine and coarse, and a glance at all of it.

    Args:
        channels: at full resolution.
        coarse_channels: at half of it.
    """

    @register_to_config
    def __init__(self, channels: int = 16, coarse_channels: int = 32) -> None:
        limits.whole("channels", channels, 1, 1024)
        limits.whole("coarse_channels", coarse_channels, 1, 1024)
        super().__init__()
        given = sum(ROAD_CHANNELS) + FAR_CHANNELS + len(_PLACES)
        self.mix = nn.Conv2d(given, 2 * channels, 1)
        self.fine = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.glance = nn.Linear(2 * channels, coarse_channels)
        self.descend = nn.Conv2d(channels, coarse_channels, 3, padding=1)
        self.coarse = nn.ModuleList(
            nn.Conv2d(coarse_channels, coarse_channels, 3, padding=dilation, dilation=dilation)
            for dilation in (1, 2, 4)
        )
        self.ascend = nn.Conv2d(coarse_channels, channels, 1)
        self.last = nn.Conv2d(channels, channels, 3, padding=1)
        self.likely = nn.Conv2d(channels, 1, 1)

    def forward(self, road: Tensor, far: Tensor) -> Tensor:
        """Logits (B, speeds, yaw rates) from evidence (B, C, speeds, yaw rates) and (B, C', yaw rates)."""
        size = road.shape[-2:]
        wide = far[:, :, None].expand(-1, -1, size[0], -1)
        places = torch.from_numpy(_PLACES).to(road).expand(len(road), -1, -1, -1)
        given = torch.cat([4 * road, 4 * wide, places], dim=1)
        mixed = silu(self.mix(given))
        fine = silu(self.fine(mixed))
        small = silu(self.descend(avg_pool2d(fine, 2, ceil_mode=True)))
        small = small + self.glance(mixed.amax(dim=(2, 3)))[:, :, None, None]
        for layer in self.coarse:
            small = small + silu(layer(small))
        both = fine + interpolate(self.ascend(small), scale_factor=2, mode="bilinear")[..., : size[0], : size[1]]
        return self.likely(silu(self.last(silu(both))))[:, 0]

    def means(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Speeds in m/s and yaw rates in rad/s, (B,) each, from logits (B, speeds, yaw rates)."""
        likely = logits.flatten(1).softmax(dim=1).view_as(logits)
        speeds, yaw_rates = (torch.from_numpy(tried).to(likely) for tried in (SPEEDS_MPS, YAW_RATES_RADPS))
        return likely.sum(2) @ speeds, likely.sum(1) @ yaw_rates

    def read(self, windows: Images, camera: Camera) -> Motion:
        """Read many windows of one camera; a window gets what it would get alone, bit for bit.

        Args:
            windows: uint8 (N, 12, H, W, 3).
            camera: that took them, for images of (H, W).

        Raises:
            ValueError: windows and camera differ in size, or a window is not 12 frames long.
            NotFinite: its numbers overflow.
        """
        read = SampleThreads(torch.get_num_threads()).run([partial(self._read, window, camera) for window in windows])
        speeds, yaw_rates = (np.array(values, dtype=np.float64) for values in zip(*read, strict=True))
        if not np.isfinite([speeds, yaw_rates]).all():
            raise NotFinite("the inverse-dynamics model read a motion that is not finite: its weights have diverged")
        return Motion(speeds, yaw_rates)

    @torch.no_grad()
    def _read(self, window: Images, camera: Camera) -> tuple[float, float]:
        seen = torch.from_numpy(evidence(window, camera))[None].to(self.device)
        speed, yaw_rate = self.means(self(*unpacked(seen)).float())
        return float(speed), float(yaw_rate)


def load_inverse_dynamics(folder: str | Path, device: str | torch.device = "cpu") -> InverseDynamics:
    """A trained reader from a folder, as float32; arguments and errors are those of ``load_network``."""
    return load_network(InverseDynamics, Path(folder), "inverse-dynamics", device)


def has_bundled_inverse_dynamics() -> bool:
    """Whether trained weights came with this package."""
    return has_weights(BUNDLED)


@lru_cache(maxsize=4)
def bundled_inverse_dynamics(device: str = "cpu") -> InverseDynamics:
    """The reader that comes with the package, loaded once per process and device; see ``load_bundled``."""
    return load_bundled(InverseDynamics, BUNDLED, "inverse-dynamics", device)
