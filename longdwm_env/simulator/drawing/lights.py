"""What vehicles show beside their shape: the colour of the body, brake lights and indicators."""

import numpy as np
from numpy.typing import NDArray

from longdwm_env.clock import FPS
from longdwm_env.simulator.roads.lane_table import NO_LANE, IntArray, LaneTable
from longdwm_env.simulator.traffic.traffic_state import Traffic
from longdwm_env.simulator.traffic.vehicle_kinds import COLOURS_RGB, VEHICLE_KINDS
from longdwm_env.types import FloatArray

BRAKE_LIGHT, LEFT, RIGHT = 0, 1, 2
"""Columns of ``lights_of``."""

BRAKING_MPS2 = -0.9
"""Brake lights are lit below this acceleration, and at standstill."""
STANDSTILL_MPS = 0.15

BLINK_FRAMES = round(2 * FPS / 3)
"""Indicators blink at about 1.5 Hz."""
ANNOUNCED_M = 30.0
"""A turn is announced from this distance to the junction on."""
TURN_RAD = 1.0
"""A way through a junction that turns by less is no turn: a roundabout's ring is made of such."""

CARGO_RGB: FloatArray = np.array(
    [[206, 208, 206], [186, 190, 196], [228, 226, 216], [70, 96, 140], [150, 60, 52]], dtype=np.float64
)


def cargo_rgb(traffic: Traffic) -> FloatArray:
    """(N, 3) colours of what lorries carry."""
    return CARGO_RGB[traffic.routes % len(CARGO_RGB)]


def colours_of(traffic: Traffic) -> NDArray[np.uint8]:
    """(N, 3) RGB of the largest part of each body in even light: of a lorry it is the load."""
    lorries = traffic.kinds == VEHICLE_KINDS.index("truck")
    return np.where(lorries[:, None], cargo_rgb(traffic), COLOURS_RGB[traffic.colours]).astype(np.uint8)


def lights_of(table: LaneTable, traffic: Traffic, frame: int | IntArray) -> NDArray[np.bool_]:
    """(N, 3) whether brake lights, left and right indicator shine at a frame; those who blink are dark half the time.

    ``frame`` may be one for each vehicle, (N,).

    Indicators announce a change to the lane beside, and a turn at a junction.
    """
    lanes = traffic.lanes
    beside = np.stack([table.lefts[lanes], table.rights[lanes]], -1)
    wanted = (beside == traffic.targets[:, None]) & (beside != NO_LANE)
    following = table.following(lanes, traffic.routes)
    ends = table.position(lanes, table.lengths_m[lanes])
    near = np.hypot(*(ends - traffic.positions_m).T) < ANNOUNCED_M
    for way, now in ((lanes, np.ones(len(lanes), bool)), (following, near & (following != NO_LANE))):
        sharp = table.junctions[way] & (table.lengths_m[way] > TURN_RAD * table.radii_m[way]) & now
        wanted |= sharp[:, None] & np.stack([table.turns[way] > 0, table.turns[way] < 0], -1)
    shining = (frame + traffic.routes) % BLINK_FRAMES < BLINK_FRAMES / 2
    braking = (traffic.accelerations_mps2 < BRAKING_MPS2) | (traffic.speeds_mps < STANDSTILL_MPS)
    return np.column_stack([braking, wanted & shining[:, None]])
