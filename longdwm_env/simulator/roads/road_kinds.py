"""The six kinds of road, as HighwayEnv road networks drawn from a seed.

Everything here is in HighwayEnv's frame (y down, lateral offsets positive to the right); ``lanes.table_from_network``
turns it over. Straights and arcs are strung together as HighwayEnv's racetrack does, so that roads bend and last.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal, get_args

import numpy as np

from longdwm_env.simulator.counted_random import generator
from longdwm_env.simulator.roads import junctions
from longdwm_env.simulator.roads.chains import closed_circuit, lay_chain, winding_pieces
from longdwm_env.simulator.roads.lane_table import IntArray, LaneTable, table_from_network
from longdwm_env.types import FloatArray

RoadKind = Literal["highway", "merge", "roundabout", "intersection", "two-way", "racetrack"]
ROAD_KINDS: tuple[RoadKind, ...] = get_args(RoadKind)

LENGTH_M = 4600.0
"""Length of open roads: 94 s at 35 m/s, and as much again as can be seen beyond."""

UNIT_OF_MERGES_M = 575.0


@dataclass(frozen=True)
class RoadPlan:
    """A road network and what the traffic and the scenery around it are like.

    Attributes:
        kind: one of ROAD_KINDS.
        table: the lanes.
        start_lanes: lanes that the ego may start in, and the distances (first, last) along them.
        surroundings: what stands beside the road.
        description: for the caption's road environment.
        traffic: vehicles around the ego.
        view_m: distance at which vehicles have faded out of sight.
        shoulder_m: width of the strip between asphalt and verge.
        closed: the network has no ends, so that traffic may be anywhere in it.
    """

    kind: RoadKind
    table: LaneTable
    start_lanes: tuple[int, ...]
    start_range_m: tuple[float, float]
    surroundings: Literal["country", "suburb", "city"]
    description: str
    traffic: int
    view_m: float
    shoulder_m: float
    closed: bool

    @cached_property
    def places(self) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
        """Where a vehicle may be put: lanes (P,), distances (P,), positions (P, 2) and headings (P,), every 6 m."""
        lanes, along = self.table.sample(6.0)
        good = ~self.table.junctions[lanes] & ~self.table.closing[lanes]
        lanes, along = lanes[good], along[good]
        return lanes, along, self.table.position(lanes, along), self.table.heading_at(lanes, along)


def _network() -> Any:
    from highway_env.road.road import RoadNetwork

    return RoadNetwork()


def _lanes_named(network: Any, wanted: Callable[[tuple[str, str, int]], bool]) -> tuple[int, ...]:
    return tuple(i for i, index in enumerate(network.lanes_dict()) if wanted(index))


def _highway(rng: np.random.Generator) -> RoadPlan:
    lanes = int(rng.integers(2, 5))
    network = _network()
    pieces = winding_pieces(rng, LENGTH_M, radii_m=(450, 1500), straights_m=(120, 500), most_heading_rad=0.5)
    offsets = [4.0 * i for i in range(lanes)]
    lay_chain(network, pieces, offsets, "h", speed_limit_mps=float(rng.choice([25, 30, 33])))
    divided = rng.random() < 0.6
    if divided:
        lay_chain(network, pieces, [-10.0 - 4.0 * i for i in range(2)], "o", speed_limit_mps=30.0, reverse=True)
    return RoadPlan(
        "highway",
        table_from_network(network),
        _lanes_named(network, lambda index: index[:2] == ("h0", "h1")),
        (150.0, 150.0),
        "country" if rng.random() < 0.7 else "suburb",
        f"A {_NUMBERS[lanes]}-lane highway{', divided from oncoming traffic by a median' if divided else ''}",
        26 if divided else 20,
        260.0,
        2.2,
        False,
    )


_NUMBERS = {2: "two", 3: "three", 4: "four"}


def _merge(rng: np.random.Generator) -> RoadPlan:
    from highway_env.road.lane import LineType, SineLane, StraightLane

    lanes = int(rng.integers(2, 4))
    network = _network()
    continuous, striped, none = LineType.CONTINUOUS_LINE, LineType.STRIPED, LineType.NONE
    amplitude = 3.25
    beside = 4.0 * lanes
    closing = set()
    for unit in range(int(LENGTH_M // UNIT_OF_MERGES_M)):
        x0 = unit * UNIT_OF_MERGES_M
        # The main road before, beside and after the acceleration lane, as in HighwayEnv's MergeEnv.
        joins = (x0, x0 + 230.0, x0 + 350.0, x0 + UNIT_OF_MERGES_M)
        nodes = (f"a{unit}", f"b{unit}", f"c{unit}", f"a{unit + 1}")
        for part in range(3):
            for lane in range(lanes):
                last_line = striped if part == 1 else continuous
                types = [continuous if lane == 0 else striped, last_line if lane == lanes - 1 else none]
                ends = [joins[part], 4.0 * lane], [joins[part + 1], 4.0 * lane]
                network.add_lane(nodes[part], nodes[part + 1], StraightLane(*ends, line_types=types, speed_limit=30))
        approach = beside + 2 * amplitude
        ramp = StraightLane(
            [x0 + 20.0, approach], [x0 + 150, approach], line_types=[continuous, continuous], speed_limit=20
        )
        bend = SineLane(
            [x0 + 150, beside + amplitude],
            [x0 + 230, beside + amplitude],
            amplitude,
            math.pi / 80,
            math.pi / 2,
            line_types=[continuous, continuous],
            speed_limit=25,
        )
        join = StraightLane([x0 + 230, beside], [x0 + 350, beside], line_types=[none, continuous], speed_limit=30)
        network.add_lane(f"j{unit}", f"k{unit}", ramp)
        network.add_lane(f"k{unit}", f"b{unit}", bend)
        network.add_lane(f"b{unit}", f"c{unit}", join)
        closing.add((f"b{unit}", f"c{unit}", lanes))
    on_ramp = rng.random() < 0.35
    return RoadPlan(
        "merge",
        table_from_network(network, closing=frozenset(closing)),
        _lanes_named(network, lambda index: index[:2] == (("j0", "k0") if on_ramp else ("a0", "b0"))),
        (10.0, 60.0) if on_ramp else (20.0, 120.0),
        "country" if rng.random() < 0.5 else "suburb",
        f"A {_NUMBERS[lanes]}-lane highway with an access ramp that merges from the right",
        22,
        260.0,
        2.0,
        False,
    )


def _two_way(rng: np.random.Generator) -> RoadPlan:
    network = _network()
    pieces = winding_pieces(rng, LENGTH_M - 600.0, radii_m=(70, 320), straights_m=(30, 160), most_heading_rad=0.9)
    limit = float(rng.choice([16.0, 20.0, 23.0]))
    lay_chain(network, pieces, [2.0], "e", speed_limit_mps=limit, left_line=1)
    lay_chain(network, pieces, [-2.0], "w", speed_limit_mps=limit, reverse=True, left_line=0)
    return RoadPlan(
        "two-way",
        table_from_network(network),
        _lanes_named(network, lambda index: index[:2] == ("e1", "e2")),
        (10.0, 25.0),
        "country" if rng.random() < 0.75 else "suburb",
        "A winding two-way road with one lane in each direction",
        18,
        240.0,
        1.0,
        False,
    )


def _racetrack(rng: np.random.Generator) -> RoadPlan:
    network = _network()
    pieces = closed_circuit(rng)
    lay_chain(network, pieces, [-2.5, 2.5], "t", speed_limit_mps=22.0, width_m=5.0, closed=True)
    return RoadPlan(
        "racetrack",
        table_from_network(network),
        _lanes_named(network, lambda index: index[0] == "t0"),
        (5.0, 30.0),
        "country",
        "A two-lane racetrack with bends",
        9,
        240.0,
        1.5,
        True,
    )


def _intersection(rng: np.random.Generator) -> RoadPlan:
    network = _network()
    junction_roads, approaches = junctions.lay_town(network, rng)
    return RoadPlan(
        "intersection",
        table_from_network(network, junction_roads=junction_roads),
        _lanes_named(network, lambda index: index[:2] in approaches),
        (10.0, 40.0),
        "city" if rng.random() < 0.6 else "suburb",
        "A two-way street that leads to an intersection",
        26,
        200.0,
        2.6,
        True,
    )


def _roundabout(rng: np.random.Generator) -> RoadPlan:
    network, junction_roads, approaches = junctions.roundabout_network(rng)
    return RoadPlan(
        "roundabout",
        table_from_network(network, junction_roads=junction_roads),
        _lanes_named(network, lambda index: index[:2] in approaches),
        (20.0, 60.0),
        "suburb" if rng.random() < 0.6 else "country",
        "A two-way road that leads to a two-lane roundabout",
        20,
        200.0,
        1.6,
        True,
    )


_BUILDERS: dict[RoadKind, Callable[[np.random.Generator], RoadPlan]] = {
    "highway": _highway,
    "merge": _merge,
    "roundabout": _roundabout,
    "intersection": _intersection,
    "two-way": _two_way,
    "racetrack": _racetrack,
}


def kind_of_seed(seed: int) -> RoadKind:
    """The kind of road that a scene seed has; highways and two-way roads are the most common, as in life."""
    shares = {"highway": 0.24, "two-way": 0.22, "intersection": 0.2, "merge": 0.14, "roundabout": 0.1, "racetrack": 0.1}
    rng = generator(seed, "road kind")
    return ROAD_KINDS[int(rng.choice(len(ROAD_KINDS), p=[shares[kind] for kind in ROAD_KINDS]))]


@lru_cache(maxsize=32)
def road_plan(seed: int, kind: RoadKind | None = None) -> RoadPlan:
    """The road of a scene seed, the same at every call; ``kind`` overrides the one drawn from the seed."""
    return _BUILDERS[kind or kind_of_seed(seed)](generator(seed, "road"))
