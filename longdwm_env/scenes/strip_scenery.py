"""What stands beside a road that was made for a picture: trees, houses or buildings, at places that are counted."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

import numpy as np

from longdwm_env.geometry.map_view.scenery import SceneryLayer
from longdwm_env.io.hashing import fractions
from longdwm_env.simulator.drawing.ground import VERGES
from longdwm_env.simulator.roads.roadside import BROADLEAF, BUILDING, BUSH, HOUSE, LAMP, Scenery
from longdwm_env.simulator.roads.roadside_blocks import blocks_beside
from longdwm_env.types import FloatArray

Beside = Literal["trees", "houses", "buildings", "nothing"]

LANDSCAPE = "meadow"


class Strip(Protocol):
    """A road as far as this is concerned; see ``strip_road.StripRoad``."""

    @property
    def curvature_per_m(self) -> float:
        """To the left above 0."""
        ...

    @property
    def edges_m(self) -> tuple[float, float]:
        """The right and the left end of the lanes."""
        ...

    def places(self, along_m: FloatArray, left_m: FloatArray) -> FloatArray:
        """(N, 2) points that are so far along and so far left."""
        ...


@dataclass(frozen=True)
class _Row:
    """Props of one kind along both edges of the road.

    Attributes:
        kind: of ``roadside.PROP_KINDS``.
        spacing_m: from one place to the next.
        aside_m: least and most distance of the middle beyond the road's edge.
        low_m, high_m: least and greatest length, width and height.
        share: of places that are used.
    """

    kind: int
    spacing_m: float
    aside_m: tuple[float, float]
    low_m: tuple[float, float, float]
    high_m: tuple[float, float, float]
    share: float


_ROWS: dict[Beside, tuple[_Row, ...]] = {
    "trees": (
        _Row(BROADLEAF, 9.0, (5.5, 16.0), (1.0, 1.0, 4.5), (1.0, 1.0, 9.0), 0.5),
        _Row(BROADLEAF, 8.0, (16.0, 50.0), (1.0, 1.0, 6.0), (1.0, 1.0, 12.0), 0.7),
        _Row(BUSH, 7.0, (3.0, 12.0), (1.0, 1.0, 0.7), (1.0, 1.0, 1.7), 0.5),
    ),
    "houses": (
        _Row(HOUSE, 21.0, (11.0, 17.0), (9.0, 8.0, 4.6), (14.0, 10.0, 6.8), 0.8),
        _Row(BROADLEAF, 13.0, (3.5, 6.0), (1.0, 1.0, 4.0), (1.0, 1.0, 7.5), 0.4),
        _Row(BUSH, 6.0, (2.6, 5.0), (1.0, 1.0, 0.7), (1.0, 1.0, 1.5), 0.4),
        _Row(LAMP, 36.0, (1.3, 1.3), (1.0, 1.0, 7.0), (1.0, 1.0, 7.0), 1.0),
    ),
    "buildings": (
        _Row(BUILDING, 19.0, (12.5, 14.0), (14.0, 13.0, 8.0), (18.5, 17.0, 24.0), 0.9),
        _Row(BROADLEAF, 15.0, (2.2, 2.8), (1.0, 1.0, 3.8), (1.0, 1.0, 6.0), 0.5),
        _Row(LAMP, 28.0, (0.9, 0.9), (1.0, 1.0, 6.5), (1.0, 1.0, 6.5), 1.0),
    ),
    "nothing": (),
}

_BEFORE = 2**20
"""Places are counted from so far behind a road's beginning."""


@lru_cache(maxsize=8)
def scenery_beside(road: Strip, beside: Beside, around_m: float, reach_m: float) -> SceneryLayer | None:
    """What stands beside a road within a distance of a place along it; None for nothing."""
    first, last = around_m - reach_m, around_m + reach_m
    if road.curvature_per_m:
        half = math.pi / abs(road.curvature_per_m)
        first, last = max(first, -half), min(last, half)
    parts = [
        _along(road, row, number, sign, first, last) for number, row in enumerate(_ROWS[beside]) for sign in (-1, 1)
    ]
    if not parts:
        return None
    whole = Scenery(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    verge = np.mean(VERGES[LANDSCAPE], axis=0).astype(np.uint8)
    return blocks_beside(whole, LANDSCAPE, np.zeros((0, 4, 2)), np.zeros((0, 3), np.uint8), verge)


def _along(
    road: Strip, row: _Row, number: int, sign: int, first: float, last: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Kinds, positions, headings, sizes and variants of the props of one row on one side, as ``Scenery`` has them."""
    places = np.arange(math.ceil(first / row.spacing_m), math.floor(last / row.spacing_m) + 1)
    chance = [fractions(places + _BEFORE, number, sign + 1, draw) for draw in range(7)]
    used = chance[0] < row.share
    where = (places + 0.3 * (chance[1] - 0.5)) * row.spacing_m
    aside = row.aside_m[0] + chance[2] * (row.aside_m[1] - row.aside_m[0])
    low, high = np.array(row.low_m), np.array(row.high_m)
    sizes = low + np.stack(chance[3:6], axis=1) * (high - low)
    right, left = road.edges_m
    lateral = right - aside if sign < 0 else left + aside
    if road.curvature_per_m:  # nothing stands where a circle's middle is
        used &= 1 - lateral * road.curvature_per_m > 0.3
    positions = road.places(where, lateral)
    # As the simulator has it: props on the left stand the other way round.
    headings = where * road.curvature_per_m + (0.0 if sign < 0 else np.pi)
    kinds = np.full(len(places), row.kind)
    return kinds[used], positions[used], headings[used], sizes[used], chance[6][used]
