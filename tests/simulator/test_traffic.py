from dataclasses import replace

import numpy as np
import pytest

from longdwm_env.geometry.boxes import overlap
from longdwm_env.simulator.roads.road_kinds import ROAD_KINDS, kind_of_seed, road_plan
from longdwm_env.simulator.scene import builtin_scene, episode
from longdwm_env.simulator.traffic import traffic_state as traffic_module
from longdwm_env.simulator.traffic.ego_driver import with_style
from longdwm_env.simulator.traffic.stepping import step
from longdwm_env.simulator.traffic.traffic_state import EGO, Traffic, ego_pose, located
from longdwm_env.simulator.traffic.vehicle_kinds import STYLES


@pytest.mark.parametrize("kind", ROAD_KINDS)
def test_nobody_touches_anybody_at_the_start(kind):
    for seed in [seed for seed in range(200) if kind_of_seed(seed) == kind][:4]:
        now = episode(seed).past[0]
        boxes = now.corners_m
        first, second = np.triu_indices(len(boxes), 1)
        assert not overlap(boxes[first], boxes[second]).any(), seed


@pytest.mark.parametrize("kind", ROAD_KINDS)
def test_road_and_traffic_go_on_for_as_long_as_one_drives(kind):
    seed = next(seed for seed in range(200) if kind_of_seed(seed) == kind)
    one = episode(seed)
    now = with_style(one.past[-1], "normal", seed)
    nearby = []
    for frame in range(1, 40 * 12 + 1):
        before, now = now, step(one.road, now, seed, frame)
        fresh = now.generations != before.generations
        delta = now.positions_m - now.positions_m[EGO]
        distance = np.hypot(delta[:, 0], delta[:, 1])
        heading = now.headings_rad[EGO]
        ahead = delta[:, 0] * np.cos(heading) + delta[:, 1] * np.sin(heading) > 0
        assert (distance[fresh & ahead] > one.road.view_m).all(), "a vehicle appeared in view"
        nearby.append((distance < one.road.view_m).sum() - 1)
        kept = ~fresh
        moved = np.linalg.norm(now.positions_m - before.positions_m, axis=1)
        assert (moved[kept] < 50 / 12).all()
    assert np.mean(nearby) >= 1.5
    assert builtin_scene(seed).road_map.drivable(now.positions_m[:1]).all()


def one_behind_the_other(kind="highway", gap_m=25.0, speed_mps=20.0):
    """The ego and a follower behind it in one lane."""
    seed = next(seed for seed in range(200) if kind_of_seed(seed) == kind)
    road = road_plan(seed)
    now = episode(seed).past[-1]
    lane = np.full(2, road.start_lanes[0])
    along = np.array([120.0, 120.0 - gap_m])
    rows = {name: value[:2].copy() for name, value in now.arrays.items()}
    rows |= {
        "positions_m": road.table.position(lane, along),
        "headings_rad": road.table.heading_at(lane, along),
        "speeds_mps": np.full(2, speed_mps),
        "drivers": np.tile(STYLES["normal"].row, (2, 1)),
        "crashed_s": np.zeros(2),
        "kinds": np.ones(2, int),
    }
    return road, seed, located(road.table, Traffic(**rows))


def test_who_follows_a_braking_ego_brakes_too():
    road, seed, now = one_behind_the_other()
    pose, speed = ego_pose(now), 20.0
    slowest = 20.0
    for frame in range(1, 12 * 12):
        speed = max(speed - 5.0 / 12, 0.0)
        pose = pose + np.array([np.cos(pose[2]), np.sin(pose[2]), 0]) * speed / 12
        now = step(road, now, seed, frame, (pose, speed))
        slowest = min(slowest, now.speeds_mps[1])
        assert not now.crashed_s.any()
    assert slowest < 1.0 or now.lanes[1] != now.lanes[EGO]


def test_idm_keeps_its_distance_to_a_steady_leader():
    road, seed, now = one_behind_the_other(gap_m=60.0, speed_mps=12.0)
    pose = ego_pose(now)
    now = replace(now, drivers=np.where(np.arange(now.drivers.shape[1]) == 5, 5e3, now.drivers))
    for frame in range(1, 30 * 12):
        pose = pose + np.array([np.cos(pose[2]), np.sin(pose[2]), 0]) * 12.0 / 12
        now = step(road, now, seed, frame, (pose, 12.0))
        if now.lanes[1] != now.lanes[EGO]:
            return
    gap = now.positions_m[EGO] - now.positions_m[1]
    assert now.speeds_mps[1] == pytest.approx(12.0, abs=0.6)
    assert 15 < np.hypot(*gap) < 45


def test_alone_a_driver_reaches_his_speed_in_the_middle_of_his_lane():
    road, seed, now = one_behind_the_other()
    now = Traffic(**{name: value[:1] for name, value in now.arrays.items()})
    now = replace(now, drivers=np.array([STYLES["careful"].row]))
    for frame in range(1, 200):
        now = step(road, now, seed, frame)
    limit = road.table.speed_limits_mps[now.lanes[EGO]]
    assert now.speeds_mps[EGO] == pytest.approx(STYLES["careful"].speed_factor * limit, rel=0.1)
    _, lateral = road.table.local(now.positions_m)
    assert abs(lateral[now.lanes[EGO], EGO]) < 0.3


def test_touching_is_noticed():
    road, seed, now = one_behind_the_other(gap_m=3.0)
    after = step(road, now, seed, 1, (ego_pose(now), 0.0))
    assert (after.crashed_s > 0).all()
    assert traffic_module.EGO == 0
