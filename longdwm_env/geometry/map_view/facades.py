"""Windows of houses and buildings: where they are in a wall, and which of them are lit after dark.

A wall's windows follow from its size and from one number of its building, so that a map keeps the number alone.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float

from longdwm_env.io.hashing import fractions
from longdwm_env.types import FloatArray

STOREY_M, BAY_M = 3.3, 3.6
"""A building has a row of windows a storey, and a column a bay."""

PANE_RGB, LIT_RGB = (62, 72, 84), (150, 128, 84)
"""Windows in a map's picture; the light itself depends on the time of day, which a map does not know."""

VARIANTS = 2**40
"""Numbers of facades are below."""

BLIND = -1
"""The number of a block without windows."""


def upright(first: FloatArray, last: FloatArray, low: FloatArray | float, high: FloatArray | float) -> FloatArray:
    """(n, 4, 3) upright rectangles from ground points (n, 2) to (n, 2) between heights."""
    heights = np.broadcast_to(np.stack(np.broadcast_arrays(low, low, high, high), -1), (len(first), 4))
    return np.concatenate([np.stack([first, last, last, first], 1), heights[..., None]], -1)


def building_panes(
    first: FloatArray, last: FloatArray, height_m: float, number: int, side: int
) -> tuple[Float[np.ndarray, "n 4 3"], Bool[np.ndarray, "n"]]:
    """Windows of a building's wall from a ground point (2,) to another, and whether each is lit after dark.

    Args:
        first: the wall's end on the ground.
        last: its other end.
        height_m: of the building.
        number: of its facade, from 0 to ``VARIANTS``.
        side: 0 to 3, which wall it is.
    """
    floors = max(int(height_m / STOREY_M), 1)
    columns = max(int(np.linalg.norm(last - first) / BAY_M), 1)
    floor, column = (grid.ravel() for grid in np.mgrid[:floors, :columns])
    begin = first + ((column + 0.22) / columns)[:, None] * (last - first)
    end = first + ((column + 0.78) / columns)[:, None] * (last - first)
    panes = upright(begin, end, (floor + 0.3) * height_m / floors, (floor + 0.82) * height_m / floors)
    return panes, fractions(np.arange(len(panes)), number, side) < 0.38


def house_panes(
    first: FloatArray, last: FloatArray, eaves_m: float, number: int
) -> tuple[Float[np.ndarray, "2 4 3"], Bool[np.ndarray, "2"]]:
    """As ``building_panes``, of a house whose walls are ``eaves_m`` high."""
    shares = np.array([0.25, 0.7])[:, None]
    begin, end = first + (shares - 0.09) * (last - first), first + (shares + 0.09) * (last - first)
    lit = number / VARIANTS * 7 % 1 < 0.75
    return upright(begin, end, 0.32 * eaves_m, 0.75 * eaves_m), np.full(2, lit)


@lru_cache(maxsize=4096)
def panes(
    house: bool, ends_m: tuple[float, float, float, float], height_m: float, number: int, side: int
) -> tuple[Float[np.ndarray, "n 4 3"], Bool[np.ndarray, "n"]]:
    """Windows of a wall of either kind; ``ends_m`` are x and y of its first and of its last point on the ground."""
    first, last = np.array(ends_m[:2]), np.array(ends_m[2:])
    return house_panes(first, last, height_m, number) if house else building_panes(first, last, height_m, number, side)
