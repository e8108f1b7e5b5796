"""The network: two small pictures and the ego's motion in, waypoints out."""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from longdwm_env.agents.policies.small_view import EGO_SCALE, VIEW_SIZE
from longdwm_env.clock import WAYPOINT_TIMES_S
from longdwm_env.errors import InvalidConfig
from longdwm_env.types import JsonObject

WAYPOINT_SCALE = ((1.0, 0.3), (2.5, 1.0), (4.0, 2.0), (6.0, 3.5))
"""Metres ahead and aside: the units of the network's numbers, which are differences from driving straight on."""


@dataclass(frozen=True)
class ClonedSettings:
    """Size of the network: pictures of ``height`` x ``width``, channels of the first layer, units of the last."""

    height: int = VIEW_SIZE[0]
    width: int = VIEW_SIZE[1]
    channels: int = 24
    hidden: int = 192

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if type(value) is not int or value < 1:
                raise InvalidConfig(f"{name} of the network must be a whole number from 1, got {value!r}")
        if min(self.height, self.width) < 16:
            raise InvalidConfig(f"pictures of {self.height} x {self.width} are too small; 16 is the least")


class ClonedNetwork(nn.Module):
    """Four strided convolutions and two linear layers; predicts how waypoints differ from driving straight on."""

    scale: Tensor
    times: Tensor

    def __init__(self, settings: ClonedSettings) -> None:
        super().__init__()
        self.settings = settings
        layers: list[nn.Module] = []
        before = 6
        for factor in (1, 2, 3, 4):
            after = settings.channels * factor
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(1, after), nn.SiLU()]
            before = after
        self.eye = nn.Sequential(*layers)
        with torch.no_grad():
            seen = self.eye(torch.zeros(1, 6, settings.height, settings.width)).numel()
        self.head = nn.Sequential(
            nn.Linear(seen + 4, settings.hidden),
            nn.SiLU(),
            nn.Linear(settings.hidden, 2 * len(WAYPOINT_TIMES_S)),
        )
        self.register_buffer("scale", torch.tensor(WAYPOINT_SCALE), persistent=False)
        self.register_buffer("times", torch.tensor(WAYPOINT_TIMES_S), persistent=False)

    def forward(self, image: Tensor, ego: Tensor) -> Tensor:
        """Waypoints (B, 4, 2) in metres from uint8 images (B, H, W, 6) and scaled ego motion (B, 4)."""
        pictures = image.permute(0, 3, 1, 2).float() / 127.5 - 1.0
        features = torch.cat([self.eye(pictures).flatten(1), ego], dim=1)
        offsets = self.head(features).view(-1, len(WAYPOINT_TIMES_S), 2) * self.scale
        straight = torch.zeros_like(offsets)
        straight[..., 0] = ego[:, :1] * float(EGO_SCALE[0]) * self.times
        return straight + offsets


def settings_from(values: JsonObject) -> ClonedSettings:
    """Settings as a saved policy holds them.

    Raises:
        InvalidConfig: a setting that does not exist or is not allowed.
    """
    try:
        return ClonedSettings(**values)
    except TypeError as error:
        raise InvalidConfig(f"the network has no such setting: {error}") from error
