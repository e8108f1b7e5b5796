"""The traffic at one instant, as a value; ``stepping.py`` moves it. Row 0 is the ego."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longdwm_env.geometry.boxes import corners
from longdwm_env.geometry.kinematics import CAR
from longdwm_env.simulator.roads.lane_table import IntArray, LaneTable
from longdwm_env.simulator.traffic.vehicle_kinds import SIZES_M
from longdwm_env.types import FloatArray

EGO = 0


@dataclass(frozen=True)
class Traffic:
    """Every vehicle at one instant; N rows, the ego first. Positions are the middles of the boxes, in the world frame.

    Attributes:
        positions_m: (N, 2).
        headings_rad, speeds_mps, accelerations_mps2: (N,).
        lanes, targets: (N,) the lane driven in and the lane aimed at.
        timers_s: (N,) since the last thought of a lane change.
        routes: (N,) numbers that decide every turn and habit of a vehicle.
        generations: (N,) how often a row has been given to a new vehicle.
        kinds, colours: (N,) indices into the catalogues of ``vehicles``.
        crashed_s: (N,) seconds since a collision, 0 without one.
        drivers: (N, D) columns of ``vehicles.Driver``.
    """

    positions_m: FloatArray
    headings_rad: FloatArray
    speeds_mps: FloatArray
    accelerations_mps2: FloatArray
    lanes: IntArray
    targets: IntArray
    timers_s: FloatArray
    routes: IntArray
    generations: IntArray
    kinds: IntArray
    colours: IntArray
    crashed_s: FloatArray
    drivers: FloatArray

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The attributes by name, as a world state keeps them."""
        return {field.name: self.__dict__[field.name] for field in fields(self)}

    @property
    def sizes_m(self) -> FloatArray:
        """(N, 3) length, width, height; the ego's row has those of the built-in car."""
        sizes = SIZES_M[self.kinds]
        sizes[EGO] = (CAR.length_m, CAR.width_m, CAR.height_m)
        return sizes

    @property
    def poses(self) -> FloatArray:
        """(N, 3) x m, y m, heading rad of the boxes' middles."""
        return np.column_stack([self.positions_m, self.headings_rad])

    @property
    def corners_m(self) -> FloatArray:
        """(N, 4, 2) corners of the boxes."""
        sizes = self.sizes_m
        return corners(self.poses, sizes[:, 0], sizes[:, 1])


EGO_CENTRE_AHEAD_M = CAR.length_m / 2 - CAR.rear_overhang_m
"""From the ego's rear axle to the middle of its body."""


def traffic_from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Traffic:
    """The inverse of ``Traffic.arrays``."""
    return Traffic(**{field.name: arrays[field.name] for field in fields(Traffic)})


def ego_pose(traffic: Traffic) -> FloatArray:
    """(3,) pose of the ego's rear axle."""
    x, y = traffic.positions_m[EGO]
    heading = traffic.headings_rad[EGO]
    return np.array([x - EGO_CENTRE_AHEAD_M * np.cos(heading), y - EGO_CENTRE_AHEAD_M * np.sin(heading), heading])


def located(table: LaneTable, traffic: Traffic) -> Traffic:
    """The same traffic with every vehicle's lane looked up afresh among all lanes, as when it is first placed."""
    cost, _ = table.mismatch(*table.local(traffic.positions_m), traffic.headings_rad)
    lanes = cost.argmin(0)
    return replace(traffic, lanes=lanes, targets=lanes.copy())
