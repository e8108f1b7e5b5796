"""What a street that is carried on lacks most, learned from one road: where it is light and dark, and of what colour.

``StreetView`` shows what its first picture showed, in that picture's light and at that picture's places. A small
network that has seen the road (``longdwm train mine``) knows how such pictures change along it: sky opens between
trees, shade falls on the asphalt, a wall ends. It sees and changes a coarse grid alone, so edges and texture stay those
of the street. Deviation: the paper carries no street on.
"""

import cv2
import numpy as np
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from longdwm_env.types import FloatArray, Images

GRID = (24, 36)
"""Rows and columns of what the network sees and changes."""

FARTHEST_M = 40.0
"""Driven since the first picture: beyond it, all is as far."""

HELD_M = (15.0, 40.0)
"""Driven until the tones begin to give way to the street's own, and until they are gone: far on, all that is known of a
place is the road's mean, and a mean has no contrast."""

_SOFT_PX = 2.5
"""Of a picture 96 pixels high: what is coarser is what the network changes."""


def coarse(pictures: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n 3 24 36"]:
    """Pictures on the grid, from 0 to 1."""
    small = [cv2.resize(picture, GRID[::-1], interpolation=cv2.INTER_AREA) for picture in pictures]
    return np.moveaxis(np.stack(small).astype(np.float32) / 255, -1, 1)


def far(driven_m: FloatArray) -> Float[np.ndarray, "n"]:
    """How far that is, from 0 to 1."""
    return np.clip(np.asarray(driven_m) / FARTHEST_M, 0, 1).astype(np.float32)


class StreetTones(ModelMixin, ConfigMixin):
    """What to add to the coarse grid of a street's picture.

    Args:
        channels: of its widest grid; twice and three times as many on those of a half and a quarter.
        fine: what is left of edges and texture. What stands elsewhere than it was shown errs less if it is fainter.
    """

    @register_to_config
    def __init__(self, channels: int = 16, fine: float = 0.8) -> None:
        super().__init__()
        # The two pictures, the road's mean, a place's row and column, and how far the car has driven.
        self.register_buffer("road", torch.full((3, *GRID), 0.5))
        self.first = _block(12, channels)
        self.down_half = _block(channels, 2 * channels)
        self.down_quarter = _block(2 * channels, 3 * channels)
        self.up_half = _block(5 * channels, 2 * channels)
        self.up_whole = _block(3 * channels, channels)
        self.change = nn.Conv2d(channels, 3, 1)
        for parameter in self.change.parameters():
            nn.init.zeros_(parameter)

    def forward(self, street: Tensor, picture: Tensor, driven: Tensor) -> Tensor:
        """(B, 3, 24, 36) to add.

        Args:
            street: (B, 3, 24, 36) as it is carried on.
            picture: (B, 3, 24, 36) that it was carried on from.
            driven: (B,) how ``far`` since.
        """
        count, (height, width) = len(street), GRID
        rows = torch.linspace(-1, 1, height).view(1, 1, -1, 1).expand(count, 1, height, width)
        columns = torch.linspace(-1, 1, width).view(1, 1, 1, -1).expand(count, 1, height, width)
        said = driven.view(-1, 1, 1, 1).expand(count, 1, height, width)
        road = self.road.expand(count, -1, -1, -1)
        places = torch.cat([rows, columns], dim=1).to(street)
        whole = self.first(torch.cat([street, picture, road, places, said], dim=1))
        half = self.down_half(functional.avg_pool2d(whole, 2))
        quarter = functional.interpolate(self.down_quarter(functional.avg_pool2d(half, 2)), scale_factor=2)
        half = functional.interpolate(self.up_half(torch.cat([quarter, half], dim=1)), scale_factor=2)
        change: Tensor = self.change(self.up_whole(torch.cat([half, whole], dim=1)))
        return change


def _block(channels: int, out: int) -> nn.Sequential:
    first, second = nn.Conv2d(channels, out, 3, padding=1), nn.Conv2d(out, out, 3, padding=1)
    return nn.Sequential(first, nn.GroupNorm(4, out), nn.SiLU(), second, nn.SiLU())


@torch.no_grad()
def toned(network: StreetTones, street: Images, picture: Images, driven_m: FloatArray) -> Images:
    """Frames (N, H, W, 3) of a street in the tones of its road, each as it would be alone.

    Args:
        network: of the road.
        street: (N, H, W, 3) frames as they are carried on.
        picture: (H, W, 3) that they are carried on from.
        driven_m: (N,) since then.
    """
    height, width = picture.shape[:2]
    grids, said = torch.from_numpy(coarse(street)), torch.from_numpy(far(driven_m))
    first = torch.from_numpy(coarse(picture[None]))
    made = np.empty_like(street)
    for number, frame in enumerate(street):
        here = slice(number, number + 1)
        device = network.road.device
        change = network(grids[here].to(device), first.to(device), said[here].to(device))
        grid = np.moveaxis(change[0].float().cpu().numpy(), 0, -1) * 255
        held = float(np.clip((HELD_M[1] - driven_m[number]) / (HELD_M[1] - HELD_M[0]), 0, 1))
        wide = held * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        sharp = frame.astype(np.float32)
        soft = cv2.GaussianBlur(sharp, (0, 0), _SOFT_PX * height / 96)
        made[number] = np.clip(np.rint(soft + (1 - held * (1 - network.config.fine)) * (sharp - soft) + wide), 0, 255)
    return made
