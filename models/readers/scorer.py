"""The scorer: a video encoder trained on simulator footage, what it reads from a second of video, and its features.

It has three uses. Its features give **FDS**, the Frechet distance of simulator-trained features. That is not FVD: no
number of it may stand beside a published FVD. Its motion head makes the features tell motions apart; how fast a
car went, ``inverse_dynamics`` says far better. Its condition heads recognise weather and time of day. Its danger heads
say whether the car has left the road or is about to hit a road user, which makes it the judge where no map is known.
Besides, it learns to tell intact pictures from blurred, blocky, noisy and ghosted ones; without that, features learnt
from motion alone would hardly notice what a world model does wrong.

Trained weights come with the package; ``bundled_scorer`` loads them, ``load_scorer`` any others.
"""

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from longdwm_env import clock
from longdwm_env.errors import NotFinite
from longdwm_env.models import bundled, limits
from longdwm_env.models.closed_loop.sample_threads import SampleThreads
from longdwm_env.models.readers.reader_files import has_weights, load_bundled, load_network
from longdwm_env.types import FloatArray, Images

WINDOW_FRAMES = clock.FRAMES_PER_INTERVAL
"""Frames that the encoder looks at: a second."""
WINDOW_SIZE = (96, 144)
"""(height, width) that clips are brought to."""
MOTION_SCALES = (10.0, 0.2)
"""Speed in m/s and yaw rate in rad/s are learnt in these units."""
LANE_SCALES = (2.0, 0.2)
"""Lateral offset in m and heading error in rad, likewise."""
CORRUPTIONS = ("none", "blur", "blocks", "noise", "ghosts")

BUNDLED = bundled.WEIGHTS / "scorer"
"""Where the package's own weights lie."""

GPU_BATCH = 8
"""Windows in each pass on an accelerator, filled up where there are fewer, so that a window's result does not depend on
how many come with it. On a CPU only a pass of one, by one thread, is exact; see ``generation``."""


@dataclass(frozen=True)
class Readings:
    """What the encoder says of B windows.

    Attributes:
        features: (B, D).
        speed_mps, yaw_rate_radps, lateral_m, heading_error_rad: (B,), means over the window.
        weather, time_of_day: (B, 3) logits.
        corruption: (B, 5) logits of ``CORRUPTIONS``.
        severity: (B,) how corrupted, 0 to 1.
        off_road, danger: (B,) logits of the window's last frame: the rear axle is off the road; another is touched, or
            would be within two seconds.
    """

    features: Tensor
    speed_mps: Tensor
    yaw_rate_radps: Tensor
    lateral_m: Tensor
    heading_error_rad: Tensor
    weather: Tensor
    time_of_day: Tensor
    corruption: Tensor
    severity: Tensor
    off_road: Tensor
    danger: Tensor


class DrivingEncoder(ModelMixin, ConfigMixin):
    """Convolutions in space and time over a second of video.

    Args:
        channels: width of the four levels.
        feature_dim: D.
    """

    @register_to_config
    def __init__(self, channels: tuple[int, ...] = (32, 48, 96, 160), feature_dim: int = 192) -> None:
        for index, width in enumerate(channels):
            limits.whole(f"channels[{index}]", width, 8, 4096)
        limits.whole("feature_dim", feature_dim, 1, 65536)
        super().__init__()
        first, second, third, fourth = channels
        self.levels = nn.Sequential(
            nn.Conv3d(3, first, (3, 6, 6), stride=(1, 4, 4), padding=(1, 1, 1)),
            nn.GroupNorm(8, first),
            nn.SiLU(),
            nn.Conv3d(first, second, 3, stride=2, padding=1),
            nn.GroupNorm(8, second),
            nn.SiLU(),
            nn.Conv3d(second, third, 3, stride=(1, 1, 1), padding=1),
            nn.GroupNorm(8, third),
            nn.SiLU(),
            nn.Conv3d(third, fourth, 3, stride=2, padding=1),
            nn.GroupNorm(8, fourth),
            nn.SiLU(),
        )
        # Where something is seen matters for motion and lanes, so position is kept down to a few cells.
        self.pool = nn.AdaptiveAvgPool3d((1, 3, 4))
        self.feature = nn.Sequential(
            nn.Linear(fourth * 12, feature_dim), nn.SiLU(), nn.Linear(feature_dim, feature_dim)
        )
        self.heads = nn.Linear(feature_dim, 4 + 3 + 3 + len(CORRUPTIONS) + 1 + 2)

    def forward(self, clips: Tensor) -> Readings:
        """Read B windows, (B, 12, 3, 96, 144) in [-1, 1]."""
        pooled = self.pool(self.levels(clips.movedim(1, 2))).flatten(1)
        features = self.feature(pooled)
        said = self.heads(torch.nn.functional.silu(features))
        motion, weather, time_of_day, corruption, severity, judged = said.split(
            [4, 3, 3, len(CORRUPTIONS), 1, 2], dim=1
        )
        return Readings(
            features,
            motion[:, 0] * MOTION_SCALES[0],
            motion[:, 1] * MOTION_SCALES[1],
            motion[:, 2] * LANE_SCALES[0],
            motion[:, 3] * LANE_SCALES[1],
            weather,
            time_of_day,
            corruption,
            severity[:, 0],
            judged[:, 0],
            judged[:, 1],
        )

    @torch.no_grad()
    def read(self, windows: Images, batch: int = 32) -> Readings:
        """Read many windows.

        Args:
            windows: uint8 (N, 12, H, W, 3), any size.
            batch: windows at once.

        Returns:
            Readings on the CPU.

        Raises:
            NotFinite: its numbers overflow.
        """
        parts = [self(clips_from_uint8(windows[i : i + batch]).to(self.device)) for i in range(0, len(windows), batch)]
        names = Readings.__dataclass_fields__
        said = {name: torch.cat([vars(part)[name].float().cpu() for part in parts]) for name in names}
        if not all(tensor.isfinite().all() for tensor in said.values()):
            raise NotFinite("the scorer read numbers that are not finite: its weights have diverged")
        return Readings(**said)

    def judge(self, windows: Images) -> FloatArray:
        """How likely each window ends in danger, and off the road; a window gets what it would get alone, bit for bit.

        Args:
            windows: uint8 (N, 12, H, W, 3), any size.

        Returns:
            (N, 2) probabilities of ``danger`` and ``off_road`` as ``Readings`` defines them.
        """
        count = len(windows)
        if self.device.type == "cpu":
            alone = [partial(self.read, windows[index : index + 1]) for index in range(count)]
            parts = SampleThreads(torch.get_num_threads()).run(alone)
        else:
            parts = [
                self.read(np.concatenate([windows, np.repeat(windows[-1:], -count % GPU_BATCH, axis=0)]), GPU_BATCH)
            ]
        said = [torch.stack([part.danger, part.off_road], dim=1).double().sigmoid() for part in parts]
        return torch.cat(said)[:count].numpy()


def clips_from_uint8(windows: Images) -> Tensor:
    """uint8 (B, T, H, W, 3) -> float (B, T, 3, 96, 144) in [-1, 1]."""
    clips = torch.from_numpy(windows).movedim(-1, -3).float() / 127.5 - 1
    if clips.shape[-2:] == WINDOW_SIZE:
        return clips
    flat = torch.nn.functional.interpolate(
        clips.flatten(0, 1), size=WINDOW_SIZE, mode="bilinear", align_corners=False, antialias=True
    )
    return flat.unflatten(0, clips.shape[:2])


def windows_of(video: Images, stride: int = WINDOW_FRAMES // 2) -> Images:
    """Windows of a video (T, H, W, 3), (N, 12, H, W, 3), each ``stride`` frames after the one before.

    Raises:
        ValueError: the video is shorter than a window.
    """
    if len(video) < WINDOW_FRAMES:
        raise ValueError(f"a video of {len(video)} frames is shorter than the encoder's window of {WINDOW_FRAMES}")
    starts = range(0, len(video) - WINDOW_FRAMES + 1, stride)
    return np.stack([video[start : start + WINDOW_FRAMES] for start in starts])


def load_scorer(folder: str | Path, device: str | torch.device = "cpu") -> DrivingEncoder:
    """A trained encoder from a folder, as float32; arguments and errors are those of ``load_network``."""
    return load_network(DrivingEncoder, Path(folder), "scorer", device)


def has_bundled_scorer() -> bool:
    """Whether trained weights came with this package."""
    return has_weights(BUNDLED)


@lru_cache(maxsize=4)
def bundled_scorer(device: str = "cpu") -> DrivingEncoder:
    """The scorer that comes with the package, loaded once per process and device; see ``load_bundled``."""
    return load_bundled(DrivingEncoder, BUNDLED, "scorer", device)
