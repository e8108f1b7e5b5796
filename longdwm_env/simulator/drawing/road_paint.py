"""Everything painted on the ground, as quadrilaterals in the world: asphalt, shoulders, lines, patches."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longdwm_env.simulator.counted_random import generator
from longdwm_env.simulator.roads.lane_table import CONTINUOUS, NO_LANE, STRAIGHT, STRIPED, IntArray, LaneTable
from longdwm_env.simulator.roads.road_kinds import RoadPlan
from longdwm_env.simulator.roads.road_map import PAVED_MARGIN_M
from longdwm_env.types import FloatArray

BoolArray = NDArray[np.bool_]

LINE_M = 0.16
OVERLAP_M = 0.4
"""Neighbouring pieces overlap so that their smoothed edges leave no seam."""


@dataclass(frozen=True)
class Paint:
    """Quadrilaterals to be painted one after the other.

    Attributes:
        corners_m: (Q, 4, 2) in the world.
        colours: (Q, 3) RGB.
        thin: (Q,) lines, which from afar would cover less than a pixel.
    """

    corners_m: FloatArray
    colours: FloatArray
    thin: FloatArray


def _strip(
    table: LaneTable,
    lanes: IntArray,
    first_m: FloatArray,
    last_m: FloatArray,
    left_m: FloatArray | float,
    right_m: FloatArray | float,
) -> FloatArray:
    """(Q, 4, 2) pieces of lanes between two distances and two lateral offsets."""
    return np.stack(
        [
            table.position(lanes, first_m, left_m),
            table.position(lanes, last_m, left_m),
            table.position(lanes, last_m, right_m),
            table.position(lanes, first_m, right_m),
        ],
        1,
    )


def _pieces(table: LaneTable, straight_m: float = 12.0, bend_m: float = 2.5) -> tuple[IntArray, FloatArray, FloatArray]:
    """Lanes cut into short pieces: lane, first and last distance of each."""
    spacing = np.where(table.kinds == STRAIGHT, straight_m, np.minimum(bend_m, 0.04 * table.radii_m.clip(25)))
    spacing = np.where(table.kinds == 1, bend_m, spacing)
    counts = np.maximum(np.ceil(table.lengths_m / spacing).astype(int), 1)
    lanes = np.repeat(np.arange(len(table)), counts)
    index = np.concatenate([np.arange(n) for n in counts])
    length = (table.lengths_m / counts)[lanes]
    return lanes, index * length, (index + 1) * length


def road_paint(road: RoadPlan, seed: int, colours: dict[str, tuple[int, int, int]]) -> Paint:
    """What is painted for a road, in order.

    Args:
        road: the road.
        seed: of the scene; it decides where the asphalt has been mended.
        colours: of "shoulder", "asphalt", "track", "patch", "tar", "white", "yellow", "kerb".
    """
    table = road.table
    lanes, first, last = _pieces(table)
    half = table.widths_m[lanes] / 2
    layers: list[tuple[FloatArray, FloatArray, bool]] = []

    def add(corners: FloatArray, colour: str | FloatArray, thin: bool = False) -> None:
        if len(corners):
            rgb = np.array(colours[colour], float) if isinstance(colour, str) else colour
            layers.append((corners, np.broadcast_to(rgb, (len(corners), 3)), thin))

    begin, end = first - OVERLAP_M, last + OVERLAP_M
    edge = half + PAVED_MARGIN_M
    add(_strip(table, lanes, begin, end, edge + road.shoulder_m, -edge - road.shoulder_m), "shoulder")
    if road.surroundings == "city" or road.kind == "intersection":
        add(_strip(table, lanes, begin, end, edge + 0.18, -edge - 0.18), "kerb")
    add(_strip(table, lanes, begin, end, edge, -edge), "asphalt")
    plain = ~table.junctions[lanes]
    for side in (-0.85, 0.85):
        tracks = _strip(table, lanes[plain], begin[plain], end[plain], side + 0.27, side - 0.27)
        add(tracks, "track")
    for corners, name in _mended(table, seed):
        add(corners, name)
    if road.kind == "racetrack":
        _add_kerbs(table, add)
    colour = np.array([colours["white"], colours["yellow"]], float)
    facing = opposed(table)
    for side in (0, 1):
        sign = 1.0 if side == 0 else -1.0
        kinds = table.lines[:, side]
        yellow = facing if side == 0 else np.zeros(len(table), bool)
        inset = np.where(yellow | (kinds == STRIPED), 0.0, 0.18)
        solid = (kinds[lanes] == CONTINUOUS) & ~_leads_nowhere(table, side)[lanes]
        middle = sign * (half - inset[lanes])
        chosen = colour[yellow[lanes].astype(int)]
        corners = _strip(table, lanes, first - 0.05, last + 0.05, middle + LINE_M / 2, middle - LINE_M / 2)
        add(corners[solid], chosen[solid], True)
        dash_lanes, dash_first, dash_last = _dashes(table, kinds == STRIPED, road)
        middle = sign * (table.widths_m[dash_lanes] / 2)
        corners = _strip(table, dash_lanes, dash_first, dash_last, middle + LINE_M / 2, middle - LINE_M / 2)
        add(corners, colour[yellow[dash_lanes].astype(int)], True)
    if road.kind == "intersection":
        _add_crossings(table, add)
    return Paint(
        np.concatenate([corners for corners, _, _ in layers]),
        np.concatenate([rgb for _, rgb, _ in layers]),
        np.concatenate([np.full(len(corners), float(thin)) for corners, _, thin in layers]),
    )


def opposed(table: LaneTable) -> BoolArray:
    """(L,) whether a lane of the other direction lies left of each lane's middle: that line is yellow."""
    lanes = np.arange(len(table))
    middle = table.lengths_m / 2
    beside = table.position(lanes, middle, table.widths_m / 2 + 0.8)
    along, lateral = table.local(beside)
    _, angle = table.mismatch(along, lateral, table.heading_at(lanes, middle))
    inside = (np.abs(lateral) < table.widths_m[:, None] / 2) & (along > 0) & (along < table.lengths_m[:, None])
    return (inside & (np.abs(angle) > 2.6)).any(0)


def _leads_nowhere(table: LaneTable, side: int) -> BoolArray:
    """(L,) solid lines that HighwayEnv draws across another lane: their edge's middle is deep inside some lane."""
    lanes = np.arange(len(table))
    sign = 1.0 if side == 0 else -1.0
    buried = np.zeros(len(table), bool)
    for share in (0.3, 0.7):
        place = table.lengths_m * share
        along, lateral = table.local(table.position(lanes, place, sign * table.widths_m / 2))
        deep = (
            (np.abs(lateral) < table.widths_m[:, None] / 2 - 0.7) & (along > 1) & (along < table.lengths_m[:, None] - 1)
        )
        deep[lanes, lanes] = False
        buried |= deep.any(0)
    return buried


def _dashes(table: LaneTable, striped: BoolArray, road: RoadPlan) -> tuple[IntArray, FloatArray, FloatArray]:
    length, period = (3.0, 9.0) if road.kind in ("highway", "merge", "racetrack") else (2.0, 6.0)
    chosen = np.flatnonzero(striped & ~(table.junctions & (road.kind == "intersection")))
    counts = np.maximum((table.lengths_m[chosen] / period).round().astype(int), 1)
    lanes = np.repeat(chosen, counts)
    index = np.concatenate([np.arange(n) for n in counts]) if len(counts) else np.zeros(0, int)
    stretched = (table.lengths_m[chosen] / counts).repeat(counts)
    first = (index + 0.3) * stretched
    last = np.minimum(first + length, table.lengths_m[lanes])
    if road.kind == "intersection":
        # Nothing is drawn where the crossings are.
        free = (first > 5.5) & (last < table.lengths_m[lanes] - 5.5)
        lanes, first, last = lanes[free], first[free], last[free]
    return lanes, first, last


def _mended(table: LaneTable, seed: int) -> list[tuple[FloatArray, str]]:
    """Patches and tarred seams, which let the eye measure speed."""
    rng = generator(seed, "mended")
    count = int(table.lengths_m.sum() / 16)
    lengths = np.where(table.junctions, 0.0, table.lengths_m)
    share = lengths / lengths.sum()
    lanes = rng.choice(len(table), count, p=share)
    first = rng.uniform(0, 1, count) * table.lengths_m[lanes]
    wide = rng.random(count) < 0.5
    length = np.where(wide, rng.uniform(1.5, 7, count), rng.uniform(0.1, 0.25, count))
    left = np.where(wide, rng.uniform(-0.2, 1.6, count), table.widths_m[lanes] / 2)
    right = np.where(wide, left - rng.uniform(0.8, 1.8, count), -table.widths_m[lanes] / 2)
    last = np.minimum(first + length, table.lengths_m[lanes])
    corners = _strip(table, lanes, first, last, left, right)
    return [(corners[wide], "patch"), (corners[~wide], "tar")]


def _add_kerbs(table: LaneTable, add: object) -> None:
    """Red and white kerbs along both edges of a racetrack's bends."""
    assert callable(add)
    for side, beside in ((1.0, table.lefts), (-1.0, table.rights)):
        edge = np.flatnonzero((beside == NO_LANE) & (table.turns != 0))
        counts = np.maximum((table.lengths_m[edge] / 1.5).astype(int), 1)
        lanes = np.repeat(edge, counts)
        index = np.concatenate([np.arange(n) for n in counts])
        length = (table.lengths_m[edge] / counts).repeat(counts)
        outside = side * (table.widths_m[lanes] / 2 + PAVED_MARGIN_M)
        corners = _strip(table, lanes, index * length, (index + 1) * length, outside + 0.45, outside - 0.45)
        add(corners, np.where((index % 2 == 0)[:, None], (196.0, 44.0, 40.0), (226.0, 226.0, 222.0)))


def _add_crossings(table: LaneTable, add: object) -> None:
    """Zebra stripes and a stop line where a street meets a junction with more than one way on."""
    assert callable(add)
    streets = np.flatnonzero(~table.junctions & (table.successor_counts > 1))
    half = table.widths_m[streets] / 2
    ends = table.lengths_m[streets]
    add(_strip(table, streets, ends - 5.3, ends - 4.85, half - 0.2, -half), "white", True)
    begins = np.flatnonzero(~table.junctions)
    # The other half of each crossing lies on the lane that comes out of the same arm.
    for lanes, first, last in (
        (streets, ends - 4.0, ends - 1.2),
        (begins, np.full(len(begins), 1.2), np.full(len(begins), 4.0)),
    ):
        if lanes is begins:
            out = table.position(begins, np.zeros(len(begins)), table.widths_m[begins])
            twin = table.position(streets, ends)
            near = np.linalg.norm(out[:, None] - twin[None], axis=-1).min(1) < 0.5
            lanes, first, last = lanes[near], first[near], last[near]
        for stripe in range(4):
            left = table.widths_m[lanes] / 2 - 0.25 - stripe
            add(_strip(table, lanes, first, last, left, left - 0.5), "white", False)
