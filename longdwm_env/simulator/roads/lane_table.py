"""HighwayEnv's lanes as arrays: every vehicle against every lane in a few numpy calls.

HighwayEnv asks each lane about each vehicle in Python, which takes most of its time. The formulas here are those of
``highway_env.road.lane`` (StraightLane, SineLane, CircularLane) in the episode's world frame: HighwayEnv's y axis
points down, ours is z up, so y, headings and lateral offsets change sign. Lateral offsets are positive
to the left.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longdwm_env.simulator.counted_random import hashed
from longdwm_env.types import FloatArray, wrap_angle

IntArray = NDArray[np.int64]

STRAIGHT, SINE, ARC = 0, 1, 2
NO_LINE, STRIPED, CONTINUOUS = 0, 1, 2
NO_LANE = -1


@dataclass(frozen=True)
class LaneTable:
    """The lanes of a road network; every attribute has one entry per lane (L).

    Attributes:
        kinds: STRAIGHT, SINE or ARC.
        starts_m: (L, 2) where straight and sine lanes start.
        headings_rad: heading of straight and sine lanes.
        waves: (L, 3) amplitude m, pulsation rad/m and phase of sine lanes; zero elsewhere.
        centres_m, radii_m, start_phases_rad: of arcs.
        turns: +1 for arcs that turn left, -1 right, 0 otherwise.
        lengths_m, widths_m, speed_limits_mps, priorities: as in HighwayEnv.
        lines: (L, 2) line type at the left and right edge.
        roads: lanes side by side in one direction share a road.
        lefts, rights: the lane beside in the same road, or NO_LANE.
        successors: (L, S) lanes that follow, padded with NO_LANE; successor_counts how many.
        junctions: the lane crosses other lanes.
        closing: the lane ends and its traffic must change lanes before.
    """

    kinds: IntArray
    starts_m: FloatArray
    headings_rad: FloatArray
    waves: FloatArray
    centres_m: FloatArray
    radii_m: FloatArray
    start_phases_rad: FloatArray
    turns: FloatArray
    lengths_m: FloatArray
    widths_m: FloatArray
    speed_limits_mps: FloatArray
    priorities: IntArray
    lines: IntArray
    roads: IntArray
    lefts: IntArray
    rights: IntArray
    successors: IntArray
    successor_counts: IntArray
    junctions: NDArray[np.bool_]
    closing: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.kinds)

    @cached_property
    def directions(self) -> FloatArray:
        """(L, 2) unit vectors of straight and sine lanes."""
        return np.stack([np.cos(self.headings_rad), np.sin(self.headings_rad)], -1)

    @cached_property
    def _arcs(self) -> IntArray:
        return np.flatnonzero(self.kinds == ARC)

    @cached_property
    def _lines(self) -> IntArray:
        return np.flatnonzero(self.kinds != ARC)

    @cached_property
    def _sines(self) -> IntArray:
        return np.flatnonzero(self.kinds == SINE)

    def local(self, points_m: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Longitudinal and lateral coordinates of (N, 2) points in every lane: two (L, N) arrays."""
        along = np.empty((len(self), len(points_m)))
        lateral = np.empty_like(along)
        lines, arcs, sines = self._lines, self._arcs, self._sines
        if len(lines):
            direction = self.directions[lines]
            delta_x = points_m[None, :, 0] - self.starts_m[lines, 0, None]
            delta_y = points_m[None, :, 1] - self.starts_m[lines, 1, None]
            along[lines] = delta_x * direction[:, 0, None] + delta_y * direction[:, 1, None]
            lateral[lines] = delta_y * direction[:, 0, None] - delta_x * direction[:, 1, None]
        if len(sines):
            amplitude, pulsation, phase = self.waves[sines].T[:, :, None]
            lateral[sines] -= amplitude * np.sin(pulsation * along[sines] + phase)
        if len(arcs):
            delta_x = points_m[None, :, 0] - self.centres_m[arcs, 0, None]
            delta_y = points_m[None, :, 1] - self.centres_m[arcs, 1, None]
            turn, radius = self.turns[arcs, None], self.radii_m[arcs, None]
            swept = wrap_angle(np.arctan2(delta_y, delta_x) - self.start_phases_rad[arcs, None])
            along[arcs] = turn * swept * radius
            lateral[arcs] = turn * (radius - np.sqrt(delta_x * delta_x + delta_y * delta_y))
        return along, lateral

    def heading_at(self, lanes: IntArray, along_m: FloatArray) -> FloatArray:
        """Heading of the centre lines; lanes and distances broadcast."""
        turns = self.turns[lanes]
        amplitude, pulsation, phase = np.moveaxis(self.waves[lanes], -1, 0)
        straight = self.headings_rad[lanes] + np.arctan(amplitude * pulsation * np.cos(pulsation * along_m + phase))
        swept = self.start_phases_rad[lanes] + turns * (along_m / self.radii_m[lanes] + np.pi / 2)
        return np.where(turns != 0, swept, straight)

    def position(self, lanes: IntArray, along_m: FloatArray, lateral_m: FloatArray | float = 0.0) -> FloatArray:
        """World points (..., 2) from lane coordinates; the arguments broadcast."""
        turns = self.turns[lanes]
        amplitude, pulsation, phase = np.moveaxis(self.waves[lanes], -1, 0)
        sideways = lateral_m + amplitude * np.sin(pulsation * along_m + phase)
        direction = self.directions[lanes]
        start = self.starts_m[lanes]
        angle = self.start_phases_rad[lanes] + turns * along_m / self.radii_m[lanes]
        reach = self.radii_m[lanes] - lateral_m * turns
        centre = self.centres_m[lanes]
        x = np.where(
            turns != 0,
            centre[..., 0] + reach * np.cos(angle),
            start[..., 0] + along_m * direction[..., 0] - sideways * direction[..., 1],
        )
        y = np.where(
            turns != 0,
            centre[..., 1] + reach * np.sin(angle),
            start[..., 1] + along_m * direction[..., 1] + sideways * direction[..., 0],
        )
        return np.stack([x, y], -1)

    def mismatch(
        self, along_m: FloatArray, lateral_m: FloatArray, headings_rad: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """How badly (N,) headings at (L, N) lane coordinates fit each lane, and the angle between, both (L, N).

        The measure is HighwayEnv's ``distance_with_heading``: metres beside and beyond the lane plus radians.
        """
        lanes = np.arange(len(self))[:, None]
        angle = wrap_angle(headings_rad[None] - self.heading_at(lanes, along_m))
        beyond = np.maximum(along_m - self.lengths_m[:, None], 0) + np.maximum(-along_m, 0)
        return np.abs(lateral_m) + beyond + np.abs(angle), angle

    def following(self, lanes: IntArray, routes: IntArray) -> IntArray:
        """The lane after each lane on a vehicle's route, or NO_LANE; a route is a number that decides every turn."""
        counts = self.successor_counts[lanes]
        choice = (hashed(routes, lanes) % np.maximum(counts, 1).astype(np.uint64)).astype(np.int64)
        return np.where((counts > 0) & (lanes >= 0), self.successors[lanes, choice], NO_LANE)

    def sample(self, spacing_m: float) -> tuple[IntArray, FloatArray]:
        """Lane indices and distances of points every ``spacing_m`` along all centre lines."""
        counts = np.maximum(np.ceil(self.lengths_m / spacing_m).astype(int), 1)
        lanes = np.repeat(np.arange(len(self)), counts)
        steps = np.concatenate([np.arange(n) + 0.5 for n in counts])
        return lanes, steps * (self.lengths_m / counts)[lanes]


def table_from_network(
    network: Any,
    closing: frozenset[tuple[str, str, int]] = frozenset(),
    junction_roads: frozenset[tuple[str, str]] = frozenset(),
) -> LaneTable:
    """Compile a ``highway_env.road.road.RoadNetwork``.

    Args:
        network: its lanes are StraightLane, SineLane and CircularLane.
        closing: indices of lanes that end without a successor although another road starts at their last node.
        junction_roads: the roads, as pairs of nodes, that cross or join others.

    Raises:
        ValueError: a lane of another class.
    """
    from highway_env.road.lane import CircularLane, SineLane, StraightLane

    indices = list(network.lanes_dict())
    number = {index: i for i, index in enumerate(indices)}
    roads = {road: i for i, road in enumerate(dict.fromkeys(index[:2] for index in indices))}
    rows: list[dict[str, Any]] = []
    for index in indices:
        lane = network.get_lane(index)
        row: dict[str, Any] = {
            "kinds": STRAIGHT, "starts_m": (0.0, 0.0), "headings_rad": 0.0, "waves": (0.0, 0.0, 0.0),
            "centres_m": (0.0, 0.0), "radii_m": 1.0, "start_phases_rad": 0.0, "turns": 0.0,
        }  # fmt: skip
        if isinstance(lane, CircularLane):
            row |= {
                "kinds": ARC, "centres_m": (lane.center[0], -lane.center[1]), "radii_m": lane.radius,
                "start_phases_rad": -lane.start_phase, "turns": -float(lane.direction),
            }  # fmt: skip
        elif isinstance(lane, StraightLane):
            row |= {"starts_m": (lane.start[0], -lane.start[1]), "headings_rad": -lane.heading}
            if isinstance(lane, SineLane):
                row |= {"kinds": SINE, "waves": (-lane.amplitude, lane.pulsation, lane.phase)}
        else:
            raise ValueError(f"lane {index} is a {type(lane).__name__}; straight, sine and circular lanes are known")
        end = lane.position(lane.length, 0)
        siblings = len(network.graph[index[0]][index[1]])
        row |= {
            "lengths_m": lane.length, "widths_m": lane.width_at(0), "speed_limits_mps": lane.speed_limit,
            "priorities": lane.priority, "lines": [min(int(line), CONTINUOUS) for line in lane.line_types],
            "roads": roads[index[:2]],
            "lefts": number[(*index[:2], index[2] - 1)] if index[2] > 0 else NO_LANE,
            "rights": number[(*index[:2], index[2] + 1)] if index[2] + 1 < siblings else NO_LANE,
            "closing": index in closing,
            "successors": [] if index in closing else [
                number[(index[1], to, network.next_lane_given_next_road(*index, to, None, end)[0])]
                for to in network.graph.get(index[1], {})
            ],
        }  # fmt: skip
        rows.append(row)
    widest = max(1, *(len(row["successors"]) for row in rows))
    counts = np.array([len(row["successors"]) for row in rows])
    for row in rows:
        row["successors"] = row["successors"] + [NO_LANE] * (widest - len(row["successors"]))
    integers = {"kinds", "priorities", "lines", "roads", "lefts", "rights", "successors"}
    columns = {
        name: np.array([row[name] for row in rows], dtype=np.int64 if name in integers else None) for name in rows[0]
    }
    junctions = np.array([index[:2] in junction_roads for index in indices])
    return LaneTable(successor_counts=counts, junctions=junctions, **columns)
