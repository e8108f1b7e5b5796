"""Solid things beside the road as polygons in the world: buildings, houses, guard rails."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from longdwm_env.geometry.map_view.facades import PANE_RGB, VARIANTS, building_panes, house_panes, upright
from longdwm_env.simulator.roads.road_kinds import RoadKind
from longdwm_env.simulator.roads.roadside import BUILDING, HOUSE, RAIL, Scenery, scenery_of
from longdwm_env.types import FloatArray

WALLS: FloatArray = np.array(
    [[178, 160, 138], [160, 150, 144], [186, 178, 166], [150, 118, 100], [132, 136, 142], [196, 186, 160]], float
)
ROOFS: FloatArray = np.array([[146, 74, 56], [112, 66, 54], [92, 92, 98], [126, 88, 64]], float)
PANE: FloatArray = np.array(PANE_RGB, float)
POST_RGB: FloatArray = np.array([92.0, 94, 96])
RAIL_RGB: FloatArray = np.array([176.0, 180, 184])
GROOVE_RGB: FloatArray = np.array([128.0, 132, 136])
EAVES, RIDGE = 0.56, 1.05
"""Heights of a house's walls and of its roof, in heights of the house."""
RAIL_HEIGHTS_M = 0.44, 0.76
RAIL_WIDTH_M = 0.14
RAIL_PARTS_M: tuple[FloatArray, FloatArray] = (
    np.array([0.0, RAIL_HEIGHTS_M[0], 0.55]),
    np.array([0.6, RAIL_HEIGHTS_M[1], 0.65]),
)
"""Lower and upper edges of posts, rail and groove."""


@dataclass(frozen=True)
class Solids:
    """The solid props of a scene as convex polygons, those of one prop behind each other in painting order.

    Attributes:
        props: (S,) indices into the scenery.
        first, end: (S,) polygons of each prop.
        points_m: (K, 3) of all polygons.
        starts: (F + 1,) first point of each polygon, and the end.
        normals: (F, 2) outward; zero for what is seen from both sides.
        colours: (F, 3) in even light.
        behind: (F, 3) colour of the wall behind a window, its own colour elsewhere: from afar windows fade into walls.
        glowing: (F,) windows that are lit at dusk and at night.
        fine: (F,) left out from afar.
        blocking: (S,) hides what is behind it.
    """

    props: np.ndarray
    first: np.ndarray
    end: np.ndarray
    points_m: FloatArray
    starts: np.ndarray
    normals: FloatArray
    colours: FloatArray
    behind: FloatArray
    glowing: np.ndarray
    fine: np.ndarray
    blocking: np.ndarray


class _Builder:
    """Collects convex polygons of three to five corners in blocks of one size each."""

    def __init__(self) -> None:
        self.blocks: list[FloatArray] = []
        self.normals: list[FloatArray] = []
        self.colours: list[FloatArray] = []
        self.behind: list[FloatArray] = []
        self.glowing: list[np.ndarray] = []
        self.fine: list[bool] = []
        self.count = 0

    def add(
        self,
        polygons: FloatArray,
        normal: FloatArray,
        colour: FloatArray,
        glowing: np.ndarray | None = None,
        wall: FloatArray | None = None,
    ) -> None:
        """Add polygons (n, corners, 3) of one outward normal (2,) and colour (3,); windows in front of a ``wall``."""
        count = len(polygons)
        self.blocks.append(polygons)
        self.normals.append(normal)
        self.colours.append(colour)
        self.behind.append(colour if wall is None else wall)
        self.glowing.append(np.zeros(count, bool) if glowing is None else glowing)
        self.fine.append(wall is not None)
        self.count += count


def wall_rgb(variants: FloatArray, house: bool) -> FloatArray:
    """(P, 3) colours of the walls of houses or of buildings, from their variants (P,)."""
    variants = np.asarray(variants, dtype=np.float64)
    walls = WALLS[(variants * 53).astype(int) % len(WALLS)]
    if house:
        return np.minimum(walls * 1.12, 235)
    return walls * (0.8 + 0.3 * (variants * 17 % 1))[..., None]


def roof_rgb(variants: FloatArray) -> FloatArray:
    """(P, 3) colours of the roofs of houses."""
    return ROOFS[(np.asarray(variants) * 29).astype(int) % len(ROOFS)]


def _foot(scenery: Scenery, index: int) -> tuple[FloatArray, FloatArray]:
    """Corners (4, 2) of a foot and the outward normals (4, 2) of its walls."""
    heading = scenery.headings_rad[index]
    forward = np.array([np.cos(heading), np.sin(heading)])
    left = np.array([-forward[1], forward[0]])
    a, b = forward * scenery.sizes_m[index, 0] / 2, left * scenery.sizes_m[index, 1] / 2
    corners = scenery.positions_m[index] + np.stack([a + b, a - b, -a - b, -a + b])
    return corners, np.stack([forward, -left, -forward, left])


def _building(build: _Builder, scenery: Scenery, index: int) -> None:
    corners, normals = _foot(scenery, index)
    height, variant = float(scenery.sizes_m[index, 2]), float(scenery.variants[index])
    wall = wall_rgb(scenery.variants[index : index + 1], house=False)[0]
    number = int(variant * VARIANTS)
    for side in range(4):
        first, last = corners[side], corners[(side + 1) % 4]
        build.add(upright(first[None], last[None], 0.0, height), normals[side], wall)
        panes, lit = building_panes(first, last, height, number, side)
        build.add(panes, normals[side], PANE, lit, wall)


def _house(build: _Builder, scenery: Scenery, index: int) -> None:
    corners, normals = _foot(scenery, index)
    eaves, ridge = EAVES * float(scenery.sizes_m[index, 2]), RIDGE * float(scenery.sizes_m[index, 2])
    variant = float(scenery.variants[index])
    wall = wall_rgb(scenery.variants[index : index + 1], house=True)[0]
    roof = roof_rgb(scenery.variants[index : index + 1])[0]
    ends = [(corners[0] + corners[1]) / 2, (corners[2] + corners[3]) / 2]
    for side in range(4):
        first, last = corners[side], corners[(side + 1) % 4]
        outline = [[*first, 0.0], [*last, 0.0], [*last, eaves]]
        outline += [[*ends[side // 2], ridge]] if side % 2 == 0 else []
        build.add(np.array([[*outline, [*first, eaves]]]), normals[side], wall)
        panes, lit = house_panes(first, last, eaves, int(variant * VARIANTS))
        build.add(panes, normals[side], PANE, lit, wall)
    for side in (1, 3):
        first, last = corners[side] + 0.5 * normals[side], corners[(side + 1) % 4] + 0.5 * normals[side]
        near, far = (ends[0], ends[1]) if side == 1 else (ends[1], ends[0])
        slope = [[*first, eaves - 0.3], [*last, eaves - 0.3], [*far, ridge], [*near, ridge]]
        build.add(np.array([slope]), normals[side], roof)


def _rail(build: _Builder, scenery: Scenery, index: int) -> None:
    heading = scenery.headings_rad[index]
    forward = np.array([np.cos(heading), np.sin(heading)])
    along = forward * scenery.sizes_m[index, 0] / 2 * 1.01
    first, last = scenery.positions_m[index] - along, scenery.positions_m[index] + along
    across = np.array([-forward[1], forward[0]]) * RAIL_WIDTH_M / 2
    starts, ends = np.stack([first - across, first, first]), np.stack([first + across, last, last])
    for block, colour in zip(upright(starts, ends, *RAIL_PARTS_M), (POST_RGB, RAIL_RGB, GROOVE_RGB), strict=True):
        build.add(block[None], np.zeros(2), colour)


@lru_cache(maxsize=24)
def solids_of(seed: int, kind: RoadKind) -> Solids:
    """The solid props of a scene."""
    scenery = scenery_of(seed, kind)
    props = np.flatnonzero(np.isin(scenery.kinds, (BUILDING, HOUSE, RAIL)))
    build = _Builder()
    ends = []
    for prop in props:
        {BUILDING: _building, HOUSE: _house, RAIL: _rail}[int(scenery.kinds[prop])](build, scenery, int(prop))
        ends.append(build.count)
    end = np.array(ends, dtype=int)
    sizes = np.array([block.shape[:2] for block in build.blocks], dtype=int).reshape(-1, 2)
    counts = sizes[:, 0]

    def of_each(rows: list[FloatArray], width: int) -> FloatArray:
        return np.repeat(np.array(rows, dtype=float).reshape(-1, width), counts, axis=0)

    return Solids(
        props,
        np.concatenate([[0], end[:-1]]).astype(int),
        end,
        np.concatenate([np.zeros((0, 3)), *(block.reshape(-1, 3) for block in build.blocks)]),
        np.concatenate([[0], np.cumsum(np.repeat(sizes[:, 1], counts))]).astype(int),
        of_each(build.normals, 2),
        of_each(build.colours, 3),
        of_each(build.behind, 3),
        np.concatenate([np.zeros(0, bool), *build.glowing]),
        np.repeat(np.array(build.fine, dtype=bool), counts),
        scenery.kinds[props] == BUILDING,
    )


def sunlit(solids: Solids, sun_rad: float, sun: float) -> tuple[FloatArray, FloatArray]:
    """Colours (F, 3) of the polygons, and of what is behind them, under a sun; windows themselves do not care."""
    facing = solids.normals @ np.array([np.cos(sun_rad), np.sin(sun_rad)])
    shade = np.clip(0.8 + 0.55 * sun * facing, 0.4, 1.2)[:, None]
    own = np.where(solids.fine[:, None], 1.0, shade)
    return np.minimum(solids.colours * own, 250), np.minimum(solids.behind * shade, 250)
