"""What the simulator draws beside its roads, as ``geometry.scenery`` wants it."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from longdwm_env.geometry.map_view.facades import BLIND, VARIANTS
from longdwm_env.geometry.map_view.scenery import SCENERY_KINDS, SceneryLayer
from longdwm_env.simulator.drawing.flats import flats_of, shapes
from longdwm_env.simulator.drawing.ground import VERGES, landscape_of, surface_of
from longdwm_env.simulator.drawing.road_paint import road_paint
from longdwm_env.simulator.drawing.solids import (
    EAVES,
    RAIL_HEIGHTS_M,
    RAIL_RGB,
    RAIL_WIDTH_M,
    RIDGE,
    roof_rgb,
    wall_rgb,
)
from longdwm_env.simulator.roads.lane_table import IntArray
from longdwm_env.simulator.roads.road_kinds import RoadKind, road_plan
from longdwm_env.simulator.roads.roadside import (
    BROADLEAF,
    BUILDING,
    BUSH,
    CONIFER,
    HOUSE,
    POPLAR,
    PROP_KINDS,
    RAIL,
    Scenery,
    scenery_of,
)
from longdwm_env.types import FloatArray

THICKNESS_M = 0.12
"""Of signs, posts and the like, which are drawn flat."""

_PLANTS = (BROADLEAF, CONIFER, POPLAR, BUSH)
_KINDS = np.array([SCENERY_KINDS.index(name) for name in PROP_KINDS], np.uint8)
_TOLD = {"shoulder": 1, "kerb": 2}

_Blocks = tuple[IntArray, FloatArray, FloatArray, FloatArray, FloatArray]
"""Props (P,), offsets to the right of their feet in metres (P,), sizes (P, 3), bases (P,), colours (P, 3)."""


@lru_cache(maxsize=24)
def scenery_layer(seed: int, kind: RoadKind) -> SceneryLayer:
    """Everything beside the road of a scene, in the scene's world frame."""
    landscape = landscape_of(seed)
    corners, ground = _ground(seed, kind)
    verge = np.mean(VERGES[landscape], axis=0).astype(np.uint8)
    return blocks_beside(scenery_of(seed, kind), landscape, corners, ground.astype(np.uint8), verge)


def blocks_beside(
    scenery: Scenery,
    landscape: str,
    ground_corners_m: FloatArray,
    ground_colours: NDArray[np.uint8],
    verge_colour: NDArray[np.uint8],
) -> SceneryLayer:
    """Props as blocks, with the ground's colours; see ``SceneryLayer``. The landscape is one of ``VERGES``."""
    parts = [_solid_blocks(scenery), _flat_blocks(scenery, landscape)]
    props, asides, sizes, bases, colours = (np.concatenate(column) for column in zip(*parts, strict=True))
    headings = scenery.headings_rad[props]
    right = np.stack([np.sin(headings), -np.cos(headings)], -1)
    return SceneryLayer(
        kinds=_KINDS[scenery.kinds[props]],
        things=props.astype(np.int32),
        positions_m=scenery.positions_m[props] + asides[:, None] * right,
        headings_rad=headings,
        sizes_m=sizes,
        bases_m=bases,
        colours=np.round(colours).astype(np.uint8),
        ground_corners_m=ground_corners_m,
        ground_colours=ground_colours,
        verge_colour=verge_colour,
        facades=np.where(
            np.isin(scenery.kinds[props], (BUILDING, HOUSE)) & (bases == 0),
            (scenery.variants[props] * VARIANTS).astype(np.int64),
            BLIND,
        ),
    )


def _solid_blocks(scenery: Scenery) -> _Blocks:
    """Walls and roofs of houses, buildings, guard rails."""
    parts: list[_Blocks] = []
    for kind in (BUILDING, HOUSE, RAIL):
        props = np.flatnonzero(scenery.kinds == kind)
        sizes, variants = scenery.sizes_m[props].copy(), scenery.variants[props]
        height: FloatArray = sizes[:, 2].copy()
        middle = np.zeros(len(props))
        if kind == RAIL:
            low, high = RAIL_HEIGHTS_M
            sizes[:, 1], sizes[:, 2] = RAIL_WIDTH_M, high - low
            parts.append((props, middle, sizes, middle + low, np.tile(RAIL_RGB, (len(props), 1))))
            continue
        if kind == HOUSE:
            roof = sizes.copy()
            roof[:, 1], roof[:, 2] = roof[:, 1] + 1.0, (RIDGE - EAVES) * height
            parts.append((props, middle, roof, EAVES * height, roof_rgb(variants)))
            sizes[:, 2] = EAVES * height
        parts.append((props, middle, sizes, middle, wall_rgb(variants, kind == HOUSE)))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return columns[0], columns[1], columns[2], columns[3], columns[4]


def _flat_blocks(scenery: Scenery, landscape: str) -> _Blocks:
    """Plants, posts, lamps, signs and gantries, piece by piece; the shades of leaves are left out."""
    flats = flats_of(scenery, landscape, sun=0.0)
    rows: list[tuple[int, int, float, float, float, float, int]] = []
    all_shapes, _ = shapes()
    plants = set(np.flatnonzero(np.isin(scenery.kinds, _PLANTS)).tolist())
    for row, which in enumerate(flats.fronts.tolist()):
        for first, end, slot, fine in all_shapes[which].pieces:
            if not (fine and flats.props[row] in plants):
                left, low = all_shapes[which].points[first:end].min(axis=0)
                right, high = all_shapes[which].points[first:end].max(axis=0)
                rows.append((row, int(flats.props[row]), left, right, max(low, 0.0), high, slot))
    if not rows:
        return np.zeros(0, int), np.zeros(0), np.zeros((0, 3)), np.zeros(0), np.zeros((0, 3))
    table = np.array(rows)
    flat, props, slots = table[:, 0].astype(int), table[:, 1].astype(int), table[:, 6].astype(int)
    height = scenery.sizes_m[props, 2]
    left, right, low, high = (table[:, 2:6] * height[:, None]).T
    width = right - left
    length = np.where(np.isin(scenery.kinds[props], _PLANTS), width, THICKNESS_M)
    sizes = np.stack([length, width, high - low], -1)
    return props, (left + right) / 2, sizes, low, flats.colours[flat, slots].clip(0, 255)


def _ground(seed: int, kind: RoadKind) -> tuple[FloatArray, FloatArray]:
    """Shoulders and kerbs as they are painted: corners (Q, 4, 2), colours (Q, 3)."""
    names = ("shoulder", "asphalt", "track", "patch", "tar", "white", "yellow", "kerb")
    # The same paint, once with the name in the place of the colour.
    named = road_paint(road_plan(seed, kind), seed, {name: (_TOLD.get(name, 0),) * 3 for name in names})
    told = named.colours[:, 0] > 0
    paint = surface_of(seed, kind).paint
    return paint.corners_m[told], paint.colours[told]
