"""One step of the traffic: a vectorised equivalent of HighwayEnv's road with IDM vehicles.

The ego is moved by its driver, and every other vehicle sees it like any vehicle; only a scripted driver
(``driver.py``) lets the same control laws move it.
"""

from dataclasses import replace

import numpy as np

from longdwm_env.clock import FRAME_S
from longdwm_env.geometry.boxes import body_poses, overlap
from longdwm_env.geometry.kinematics import CAR
from longdwm_env.simulator.roads.road_kinds import RoadPlan
from longdwm_env.simulator.traffic import behaviour, population
from longdwm_env.simulator.traffic.traffic_state import EGO, Traffic, ego_pose
from longdwm_env.types import FloatArray, wrap_angle

HALF_LENGTH_M = 2.5
"""Half of HighwayEnv's Vehicle.LENGTH, the lever of its bicycle model."""


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
        pose, new_speeds[EGO] = behaviour.steer_ego(traffic, ego_pose(traffic), decision, CAR)
    else:
        pose, new_speeds[EGO] = ego
        accelerations[EGO] = (new_speeds[EGO] - speeds[EGO]) / FRAME_S
    body = body_poses(pose, CAR)
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
    """Mark vehicles that touch as crashed; as in HighwayEnv they then roll to a stop."""
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
