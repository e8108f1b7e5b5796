"""Networks with junctions: a town of HighwayEnv's intersections, and its roundabout with roads that return to it.

In HighwayEnv's frame (y down). Both networks are closed, so that 90 s of driving never run out of road.
"""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np

LANE_WIDTH_M = 4.0
RIGHT_TURN_M = LANE_WIDTH_M + 5
LEFT_TURN_M = RIGHT_TURN_M + LANE_WIDTH_M
OUTER_M = RIGHT_TURN_M + LANE_WIDTH_M / 2
"""From a junction's middle to where its arms begin, as in HighwayEnv's IntersectionEnv."""

RoadNames = frozenset[tuple[str, str]]

_ARMS = ((0, 1), (-1, 0), (0, -1), (1, 0))
"""Grid steps of the arms: south, west, north, east, in HighwayEnv's order."""


def lay_town(network: Any, rng: np.random.Generator) -> tuple[RoadNames, RoadNames]:
    """Three by three junctions; those at the rim have two or three arms.

    Returns:
        the roads inside junctions, and the roads that lead to the middle one.
    """
    across = np.cumsum([0.0, *rng.uniform(120, 200, 2)])
    down = np.cumsum([0.0, *rng.uniform(120, 200, 2)])
    limit = float(rng.choice([11.0, 13.0, 15.0]))
    inside = set()
    approaches = set()
    for column in range(3):
        for row in range(3):
            middle = np.array([across[column], down[row]])
            name = f"{column}{row}"
            arms = [arm for arm, step in enumerate(_ARMS) if 0 <= column + step[0] < 3 and 0 <= row + step[1] < 3]
            for arm in arms:
                inside |= _lay_turns(network, middle, name, arm, arms)
                neighbour = column + _ARMS[arm][0], row + _ARMS[arm][1]
                other = np.array([across[neighbour[0]], down[neighbour[1]]])
                road = (f"il{arm}-{name}", f"ir{(arm + 2) % 4}-{neighbour[0]}{neighbour[1]}")
                _lay_street(network, middle, other, road, limit, arm)
                if neighbour == (1, 1):
                    approaches.add(road)
    return frozenset(inside), frozenset(approaches)


def _lay_street(
    network: Any, start: np.ndarray, end: np.ndarray, road: tuple[str, str], limit_mps: float, arm: int
) -> None:
    from highway_env.road.lane import LineType, StraightLane

    ahead = (end - start) / np.linalg.norm(end - start)
    right = np.array([-ahead[1], ahead[0]])
    aside = right * LANE_WIDTH_M / 2
    # The line between the directions is drawn once, by the street that leads west or south.
    left_line = LineType.STRIPED if arm in (0, 1) else LineType.NONE
    network.add_lane(
        *road,
        StraightLane(
            start + ahead * OUTER_M + aside,
            end - ahead * OUTER_M + aside,
            line_types=[left_line, LineType.CONTINUOUS],
            speed_limit=limit_mps,
            priority=1,
        ),
    )


def _lay_turns(network: Any, middle: np.ndarray, name: str, arm: int, arms: list[int]) -> set[tuple[str, str]]:
    """The ways from one arm to the others, with the geometry and the priorities of HighwayEnv's IntersectionEnv."""
    from highway_env.road.lane import CircularLane, LineType, StraightLane

    none, continuous = LineType.NONE, LineType.CONTINUOUS
    angle = math.radians(90 * arm)
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    priority = 3 if arm % 2 else 1
    half = LANE_WIDTH_M / 2
    made = set()

    def add(to: int, lane: Any) -> None:
        road = (f"ir{arm}-{name}", f"il{to}-{name}")
        network.add_lane(*road, lane)
        made.add(road)

    right, left, across = (arm - 1) % 4, (arm + 1) % 4, (arm + 2) % 4
    if right in arms:
        centre = middle + rotation @ np.array([OUTER_M, OUTER_M])
        phases = angle + math.pi, angle + 1.5 * math.pi
        line_types = [none, continuous]
        add(
            right,
            CircularLane(centre, RIGHT_TURN_M, *phases, line_types=line_types, priority=priority, speed_limit=5.5),
        )
    if left in arms:
        centre = middle + rotation @ np.array([-LEFT_TURN_M + half, LEFT_TURN_M - half])
        # Where no road goes on to the right, the turn's outer edge is the kerb.
        line_types = [none, none]
        add(
            left,
            CircularLane(
                centre,
                LEFT_TURN_M,
                angle,
                angle - math.pi / 2,
                clockwise=False,
                line_types=line_types,
                priority=priority - 1,
                speed_limit=6.5,
            ),
        )
    if across in arms:
        ends = middle + rotation @ np.array([half, OUTER_M]), middle + rotation @ np.array([half, -OUTER_M])
        line_types = [none, none if right in arms else continuous]
        add(across, StraightLane(*ends, line_types=line_types, priority=priority, speed_limit=11.0))
    return made


def roundabout_network(rng: np.random.Generator) -> tuple[Any, RoadNames, RoadNames]:
    """HighwayEnv's roundabout, its four arms joined in pairs by wide bends, so that a car that leaves comes back.

    Returns:
        the network, the roads of the ring with its entries, and the roads that lead to it.
    """
    from highway_env.envs.roundabout_env import RoundaboutEnv
    from highway_env.road.lane import CircularLane, LineType

    config = {"show_trajectories": False, "neighbour_vehicles_connected_lanes": False}
    host = SimpleNamespace(np_random=np.random.default_rng(0), config=config)
    RoundaboutEnv._make_road(host)
    network = host.road.network
    ring = ("se", "ex", "ee", "nx", "ne", "wx", "we", "sx")
    ring_roads = {(ring[i], ring[(i + 1) % 8]) for i in range(8)}
    limit = float(rng.choice([13.0, 15.0]))
    for road, lanes in ((f, t) for f, ts in network.graph.items() for t in ts.items()):
        node = (road, lanes[0])
        for lane in lanes[1]:
            lane.priority = 2 if node in ring_roads else 1
            if node in ring_roads and lane is lanes[1][-1]:
                # Roads enter and leave all along the ring's outer edge.
                lane.line_types = [lane.line_types[0], LineType.STRIPED]
            lane.speed_limit = 8.0 if node in ring_roads or lanes[0] in ring or road in ring else limit
    # A bend of three quarters of a circle leads from the east arm to the north arm, another from west to south; each
    # is laid in three arcs because HighwayEnv's arcs must be shorter than half a circle.
    reach = 170.0
    bends = (("exr", "ner", "nxr", "eer", 1.0, 0.5), ("wxr", "ser", "sxr", "wer", -1.0, 1.5))
    for out, back, out_again, back_again, side, first in bends:
        centre = np.array([side * reach, -side * reach])
        for offset, names, reverse in ((2.0, (out, back), False), (-2.0, (out_again, back_again), True)):
            for part in range(3):
                phases = (first - 0.5 * part) * math.pi, (first - 0.5 * (part + 1)) * math.pi
                nodes = [names[0], f"{names[0]}1", f"{names[0]}2", names[1]]
                step = 2 - part if reverse else part
                network.add_lane(
                    nodes[step],
                    nodes[step + 1],
                    CircularLane(
                        centre,
                        reach + offset,
                        *(phases[::-1] if reverse else phases),
                        clockwise=reverse,
                        line_types=[LineType.NONE if reverse else LineType.STRIPED, LineType.CONTINUOUS],
                        speed_limit=limit,
                        priority=1,
                    ),
                )
    inside = ring_roads | {(ring[i], f"{ring[i]}s") for i in (1, 3, 5, 7)}
    return network, frozenset(inside), frozenset({("ser", "ses"), ("eer", "ees"), ("ner", "nes"), ("wer", "wes")})
