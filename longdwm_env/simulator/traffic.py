"""The traffic as a value, and one step of it: a vectorised equivalent of HighwayEnv's road with IDM vehicles.

Row 0 is the ego. It is moved by whoever drives it, and every other vehicle sees it like any vehicle; only a scripted
driver (``driver.py``) lets the same control laws move it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longdwm_env.boxes import body_poses, corners, overlap
from longdwm_env.clock import FRAME_S
from longdwm_env.geometry.kinematics import Car
from longdwm_env.simulator import behaviour, population
from longdwm_env.simulator.lanes import IntArray, LaneTable
from longdwm_env.simulator.roads import RoadPlan
from longdwm_env.simulator.vehicles import SIZES_M
from longdwm_env.types import FloatArray, wrap_angle

HALF_LENGTH_M = 2.5
"""Half of HighwayEnv's Vehicle.LENGTH, the lever of its bicycle model."""

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
        sizes[EGO] = (_CAR.length_m, _CAR.width_m, _CAR.height_m)
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


_CAR = Car()
EGO_CENTRE_AHEAD_M = _CAR.length_m / 2 - _CAR.rear_overhang_m
"""From the ego's rear axle to the middle of its body."""


def traffic_from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Traffic:
    """The inverse of ``Traffic.arrays``."""
    return Traffic(**{field.name: arrays[field.name] for field in fields(Traffic)})


def ego_pose(traffic: Traffic) -> FloatArray:
    """(3,) pose of the ego's rear axle."""
    x, y = traffic.positions_m[EGO]
    heading = traffic.headings_rad[EGO]
    return np.array([x - EGO_CENTRE_AHEAD_M * np.cos(heading), y - EGO_CENTRE_AHEAD_M * np.sin(heading), heading])


def step(
    road: RoadPlan, traffic: Traffic, seed: int, frame: int, ego: tuple[FloatArray, float] | None = None
) -> Traffic:
    """The traffic one frame later.

    Args:
        road: where it drives.
        traffic: at the frame before.
        seed: of the scene.
        frame: number of the frame that is being made; with the seed it decides every chance event.
        ego: the pose (3,) of the ego's rear axle at the new frame and its speed; None lets the ego's own driver drive.
    """
    table = road.table
    decision = behaviour.decide(table, traffic, frame)
    speeds, headings = traffic.speeds_mps, traffic.headings_rad
    # HighwayEnv's Vehicle.step: a bicycle about the middle of the vehicle.
    slip = np.arctan(0.5 * np.tan(decision.steering_rad))
    course = headings + slip
    positions = traffic.positions_m + (speeds * FRAME_S)[:, None] * np.stack([np.cos(course), np.sin(course)], -1)
    headings = wrap_angle(headings + speeds * np.sin(slip) / HALF_LENGTH_M * FRAME_S)
    new_speeds = np.maximum(speeds + decision.accelerations_mps2 * FRAME_S, 0.0)
    accelerations = (new_speeds - speeds) / FRAME_S
    if ego is None:
        pose, new_speeds[EGO] = behaviour.steer_ego(traffic, ego_pose(traffic), decision, _CAR)
    else:
        pose, new_speeds[EGO] = ego
        accelerations[EGO] = (new_speeds[EGO] - speeds[EGO]) / FRAME_S
    body = body_poses(pose, _CAR)
    positions[EGO], headings[EGO] = body[:2], body[2]
    moved = replace(
        traffic,
        positions_m=positions,
        headings_rad=headings,
        speeds_mps=new_speeds,
        accelerations_mps2=accelerations,
        lanes=decision.lanes,
        targets=decision.targets,
        timers_s=decision.timers_s + FRAME_S,
        crashed_s=np.where(traffic.crashed_s > 0, traffic.crashed_s + FRAME_S, 0.0),
    )
    return population.renew(road, _with_collisions(moved), seed, frame)


def _with_collisions(traffic: Traffic) -> Traffic:
    """Mark those who touch somebody as crashed; as in HighwayEnv they then roll to a stop."""
    reach = traffic.sizes_m[:, :2].sum(-1) / 2
    gaps = np.abs(traffic.positions_m[:, None] - traffic.positions_m[None]).max(-1)
    first, second = np.nonzero(np.triu(gaps < reach[:, None] + reach[None], 1))
    if not len(first):
        return traffic
    boxes = traffic.corners_m
    touching = overlap(boxes[first], boxes[second])
    crashed = traffic.crashed_s.copy()
    for row in np.unique(np.concatenate([first[touching], second[touching]])):
        crashed[row] = max(crashed[row], FRAME_S)
    return replace(traffic, crashed_s=crashed)


def located(table: LaneTable, traffic: Traffic) -> Traffic:
    """The same traffic with every vehicle's lane looked up afresh among all lanes, as when it is first placed."""
    cost, _ = table.mismatch(*table.local(traffic.positions_m), traffic.headings_rad)
    lanes = cost.argmin(0)
    return replace(traffic, lanes=lanes, targets=lanes.copy())
