"""What stands beside the road, and where: trees, posts, signs, lamps, rails, houses. Placed once per scene."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from longdwm_env.simulator.counted_random import generator
from longdwm_env.simulator.drawing.road_paint import opposed
from longdwm_env.simulator.roads.lane_table import NO_LANE, IntArray
from longdwm_env.simulator.roads.road_kinds import RoadKind, RoadPlan, road_plan
from longdwm_env.simulator.roads.road_map import PAVED_MARGIN_M
from longdwm_env.types import FloatArray

PROP_KINDS: tuple[str, ...] = (
    "broadleaf", "conifer", "poplar", "bush", "post", "lamp", "sign", "rail", "building", "house", "gantry",
)  # fmt: skip
BROADLEAF, CONIFER, POPLAR, BUSH, POST, LAMP, SIGN, RAIL, BUILDING, HOUSE, GANTRY = range(len(PROP_KINDS))

RANGES_M: FloatArray = np.array([270, 270, 270, 120, 95, 170, 130, 130, 290, 250, 230], dtype=np.float64)
"""How far each kind is seen."""

RAIL_M = 6.0


@dataclass(frozen=True)
class Scenery:
    """Everything beside the road of one scene; (P,) each.

    Attributes:
        kinds: indices into PROP_KINDS.
        positions_m: (P, 2) of the foot's middle.
        headings_rad: of the road beside.
        sizes_m: (P, 3) along the road, across, and height.
        variants: random numbers in [0, 1).
    """

    kinds: IntArray
    positions_m: FloatArray
    headings_rad: FloatArray
    sizes_m: FloatArray
    variants: FloatArray


class _Planter:
    """Collects props along the outer edges of a road."""

    def __init__(self, road: RoadPlan, rng: np.random.Generator) -> None:
        self.road, self.rng, self.table = road, rng, road.table
        self.parts: list[tuple[IntArray, FloatArray, FloatArray, FloatArray, FloatArray]] = []
        table = road.table
        median = (table.lefts == NO_LANE) & ~opposed(table)
        self.edges = [(np.flatnonzero(table.rights == NO_LANE), -1.0), (np.flatnonzero(median), 1.0)]

    def along(
        self,
        kind: int | list[int],
        spacing_m: float,
        aside_m: tuple[float, float],
        size_m: tuple[tuple[float, float], tuple[float, float], tuple[float, float]],
        *,
        clear_m: float = 1.0,
        share: float = 1.0,
        block_m: float = 0.0,
        jitter: float = 0.5,
        sides: tuple[int, ...] = (0, 1),
    ) -> None:
        """Place props every ``spacing_m``, between two distances from the asphalt's edge.

        Args:
            kind: of the props, one of several at random.
            spacing_m: along the road.
            aside_m: nearest and furthest distance of the foot's middle beyond the edge of the asphalt.
            size_m: ranges of length, width and height.
            clear_m: how far any lane must be from the foot's outline.
            share: how many of the places are used.
            block_m: if given, places are used or not in blocks of this length rather than one by one.
            jitter: how irregular the spacing is.
            sides: 0 right of the road, 1 left of one-way roads.
        """
        rng, table = self.rng, self.table
        for side in sides:
            lanes, sign = self.edges[side]
            lanes = lanes[~table.junctions[lanes]] if self.road.kind == "intersection" else lanes
            counts = (table.lengths_m[lanes] / spacing_m + 0.5).astype(int)
            repeated = np.repeat(lanes, counts)
            if not len(repeated):
                continue
            index = np.concatenate([np.arange(n) for n in counts])
            place = (index + 0.5 + jitter * rng.uniform(-0.5, 0.5, len(index))) * spacing_m
            aside = rng.uniform(*aside_m, len(index)) if aside_m[1] > aside_m[0] else np.full(len(index), aside_m[0])
            sizes = np.stack([rng.uniform(*bounds, len(index)) for bounds in size_m], -1)
            used = rng.random(len(index)) < share
            if block_m:
                blocks = (place // block_m + 37 * repeated).astype(int)
                used = rng.random(blocks.max() + 1)[blocks] < share
            lateral = sign * (table.widths_m[repeated] / 2 + PAVED_MARGIN_M + aside)
            positions = table.position(repeated, place, lateral)
            headings = table.heading_at(repeated, place) + (0.0 if sign < 0 else np.pi)
            used[used] = self._clear(positions[used], clear_m + (sizes[used, 1] / 2 if clear_m > 0 else 0.0))
            kinds = rng.choice(kind if isinstance(kind, list) else [kind], len(index))
            variants = rng.random(len(index))
            self.parts.append((kinds[used], positions[used], headings[used], sizes[used], variants[used]))

    def _clear(self, positions: FloatArray, clear_m: FloatArray | float) -> np.ndarray:
        along, lateral = self.table.local(positions)
        half = self.table.widths_m[:, None] / 2 + PAVED_MARGIN_M - 0.2
        beside = np.abs(lateral) < half + clear_m
        within = (along > -clear_m) & (along < self.table.lengths_m[:, None] + clear_m)
        return ~(beside & within).any(0)

    def finished(self) -> Scenery:
        columns = [np.concatenate(column) for column in zip(*self.parts, strict=True)]
        return Scenery(*columns)


@lru_cache(maxsize=24)
def scenery_of(seed: int, kind: RoadKind) -> Scenery:
    """The scenery of a scene."""
    road = road_plan(seed, kind)
    rng = generator(seed, "scenery")
    planter = _Planter(road, rng)
    {"country": _country, "suburb": _suburb, "city": _city}[road.surroundings](planter, road, rng)
    return planter.finished()


def _trees(rng: np.random.Generator) -> list[int]:
    return [[BROADLEAF], [BROADLEAF, POPLAR], [CONIFER], [BROADLEAF, CONIFER], [BROADLEAF, BROADLEAF, POPLAR, CONIFER]][
        int(rng.integers(5))
    ]


def _country(planter: _Planter, road: RoadPlan, rng: np.random.Generator) -> None:
    trees, density = _trees(rng), float(rng.uniform(0.35, 1.0))
    one, beside = (1.0, 1.0), 1.2 if road.kind != "two-way" else 0.5
    planter.along(trees, 9.0, (7.0, 22.0), (one, one, (4.5, 10.0)), share=0.62 * density, block_m=45.0)
    planter.along(trees, 8.0, (22.0, 60.0), (one, one, (6.0, 13.0)), share=0.75 * density, sides=(0,))
    planter.along(BUSH, 7.0, (3.2, 16.0), (one, one, (0.7, 1.9)), share=0.55)
    planter.along(POST, 25.0, (beside, beside), (one, one, (1.0, 1.0)), clear_m=0.2, jitter=0.0)
    planter.along(SIGN, 140.0, (2.2, 2.8), (one, one, (2.3, 2.9)), clear_m=0.3, share=0.7, sides=(0,))
    planter.along(HOUSE, 150.0, (20.0, 60.0), ((9, 15), (8, 11), (4.5, 6.5)), clear_m=5.0, share=0.6, sides=(0,))
    if road.kind in ("highway", "merge", "two-way"):
        rails = ((RAIL_M, RAIL_M), (0.1, 0.1), (0.75, 0.75))
        share = 0.45 if road.kind != "two-way" else 0.25
        planter.along(RAIL, RAIL_M, (1.7, 1.7), rails, clear_m=0.3, share=share, block_m=180.0, jitter=0.0)
    if road.kind in ("highway", "merge"):
        planter.along(GANTRY, 640.0, (1.9, 1.9), (one, (4.0, 4.0), (7.0, 7.0)), clear_m=0.0, share=0.8, sides=(0,))
        planter.along(BUILDING, 260.0, (45.0, 90.0), ((24, 50), (18, 30), (7, 14)), clear_m=9.0, share=0.5, sides=(0,))


def _suburb(planter: _Planter, road: RoadPlan, rng: np.random.Generator) -> None:
    trees = _trees(rng)
    one, fast = (1.0, 1.0), road.kind in ("highway", "merge")
    near = 13.0 if fast else 8.5
    planter.along(
        HOUSE, 21.0, (near, near + 7), ((9, 14), (8, 10), (4.6, 6.8)), clear_m=3.0, share=0.8, sides=(0,), jitter=0.25
    )
    planter.along(trees, 13.0, (4.0, 9.0), (one, one, (4.0, 8.0)), share=0.55)
    planter.along(trees, 10.0, (24.0, 50.0), (one, one, (6.0, 12.0)), share=0.6, sides=(0,))
    planter.along(BUSH, 6.0, (3.0, 8.0), (one, one, (0.7, 1.5)), share=0.5)
    planter.along(LAMP, 36.0, (1.3, 1.3), (one, one, (7.0, 7.0)), clear_m=0.2, jitter=0.0, sides=(0,))
    planter.along(SIGN, 90.0, (2.0, 2.4), (one, one, (2.3, 2.9)), clear_m=0.3, share=0.7, sides=(0,))
    if fast:
        rails = ((RAIL_M, RAIL_M), (0.1, 0.1), (0.75, 0.75))
        planter.along(RAIL, RAIL_M, (1.7, 1.7), rails, clear_m=0.3, share=0.7, block_m=180.0, jitter=0.0)
        planter.along(GANTRY, 520.0, (1.9, 1.9), (one, (4.0, 4.0), (7.0, 7.0)), clear_m=0.0, share=0.8, sides=(0,))


def _city(planter: _Planter, road: RoadPlan, rng: np.random.Generator) -> None:
    one = (1.0, 1.0)
    planter.along(
        BUILDING, 19.0, (12.5, 14.0), ((14, 18.5), (13, 17), (8, 26)), clear_m=4.0, share=0.9, sides=(0,), jitter=0.1
    )
    planter.along(
        BUILDING, 30.0, (36.0, 50.0), ((16, 28), (14, 22), (16, 40)), clear_m=6.0, share=0.6, sides=(0,), jitter=0.4
    )
    planter.along([BROADLEAF], 15.0, (2.0, 2.4), (one, one, (3.8, 6.0)), clear_m=0.3, share=0.6, sides=(0,))
    planter.along(LAMP, 28.0, (0.9, 0.9), (one, one, (6.5, 6.5)), clear_m=0.2, jitter=0.0, sides=(0,))
    planter.along(SIGN, 55.0, (1.0, 1.4), (one, one, (2.3, 2.8)), clear_m=0.3, share=0.7, sides=(0,))
