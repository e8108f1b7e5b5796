"""What every driver sees: who is next on his way, who comes behind, and where all will soon be."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longdwm_env.simulator.roads.lane_table import NO_LANE, IntArray, LaneTable
from longdwm_env.simulator.traffic.traffic_state import Traffic
from longdwm_env.simulator.traffic.vehicle_kinds import DRIVER_COLUMNS
from longdwm_env.types import FloatArray

LANES_AHEAD = 4
BESIDE_M = 0.6
"""How far outside a lane's edge the middle of a vehicle still blocks the lane."""

COLUMN = {name: i for i, name in enumerate(DRIVER_COLUMNS)}


@dataclass(frozen=True)
class Outlook:
    """One instant as the drivers see it; L lanes, N vehicles.

    Attributes:
        table: the lanes.
        traffic: the vehicles.
        along_m, lateral_m: (L, N) coordinates of every vehicle in every lane.
        on_lane: (L, N) whether a vehicle blocks a lane.
        velocities: (N, 2) m/s in the world.
        lengths_m: (N,) of the vehicles.
    """

    table: LaneTable
    traffic: Traffic
    along_m: FloatArray
    lateral_m: FloatArray
    on_lane: NDArray[np.bool_]
    velocities: FloatArray
    lengths_m: FloatArray

    def column(self, name: str) -> FloatArray:
        """(N,) one attribute of ``vehicles.Driver`` of every driver."""
        return self.traffic.drivers[:, COLUMN[name]]


def paths_of(table: LaneTable, lanes: IntArray, routes: IntArray) -> tuple[IntArray, FloatArray]:
    """(M, K) the next lanes of each route, and (M, K) the distance from the first one's start to theirs."""
    path = [lanes]
    for _ in range(LANES_AHEAD - 1):
        path.append(np.where(path[-1] == NO_LANE, NO_LANE, table.following(path[-1], routes)))
    paths = np.stack(path, -1)
    lengths = np.where(paths == NO_LANE, 0.0, table.lengths_m[paths])
    offsets = np.cumsum(lengths, -1) - lengths
    return paths, offsets


def leaders_of(
    scene: Outlook, rows: IntArray, paths: IntArray, offsets: FloatArray, here_m: FloatArray
) -> tuple[FloatArray, IntArray]:
    """Bumper-to-bumper gap to the next vehicle on each path, (M,) inf where none, and that vehicle's row."""
    ahead = offsets[:, :, None] + scene.along_m[paths] - here_m[:, None, None]
    seen = scene.on_lane[paths] & (paths != NO_LANE)[:, :, None] & (ahead > 1e-6)
    seen[np.arange(len(rows)), :, rows] = False
    # Two who block each other inside a junction would wait for ever: the lower number goes first.
    speeds = scene.traffic.speeds_mps
    same_way = (scene.traffic.lanes[None, None, :] == paths[:, :, None]).any(1)
    waiting = (speeds[rows][:, None] < 0.5) & (speeds[None] < 0.5) & (rows[:, None] < np.arange(len(speeds))[None])
    waiting &= ~same_way & scene.table.junctions[scene.traffic.lanes][None, :]
    waiting[:, 0] = False
    distance = np.where(seen & ~waiting[:, None], ahead, np.inf).min(1)
    leaders = distance.argmin(1)
    gaps = distance[np.arange(len(rows)), leaders]
    return gaps - (scene.lengths_m[rows] + scene.lengths_m[leaders]) / 2, leaders


def followers_of(scene: Outlook, movers: IntArray, lanes: IntArray, here_m: FloatArray) -> tuple[FloatArray, IntArray]:
    """Gap to the next vehicle behind a place in a lane, also from beyond the lane's start; (M,) and rows."""
    behind = here_m[:, None] - scene.along_m[lanes]
    width = scene.table.widths_m[lanes][:, None] / 2 + BESIDE_M
    seen = (np.abs(scene.lateral_m[lanes]) <= width) & (behind >= 0) & (behind < 90.0)
    facing = np.cos(scene.traffic.headings_rad[None] - scene.traffic.headings_rad[movers][:, None]) > 0
    seen &= facing
    seen[np.arange(len(movers)), movers] = False
    distance = np.where(seen, behind, np.inf)
    followers = distance.argmin(1)
    gap = distance[np.arange(len(movers)), followers]
    return gap - (scene.lengths_m[movers] + scene.lengths_m[followers]) / 2, followers


def futures_of(
    scene: Outlook, paths: IntArray, offsets: FloatArray, here_m: FloatArray, speeds: FloatArray, times_s: FloatArray
) -> FloatArray:
    """(N, S, 2) positions after each time at constant speed along the routes."""
    reach = here_m[:, None] + speeds[:, None] * times_s
    known = paths != NO_LANE
    part = ((reach[:, :, None] >= offsets[:, None]) & known[:, None]).sum(-1).clip(1) - 1
    rows = np.arange(len(paths))[:, None]
    return scene.table.position(paths[rows, part], reach - offsets[rows, part])
