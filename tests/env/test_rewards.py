import dataclasses

import numpy as np
import pytest

from longdwm_env import EgoState, InvalidConfig, RewardTerm, Unavailable, WorldState
from longdwm_env.clock import FPS, FRAME_S
from longdwm_env.episodes.lazy_frames import Frames
from longdwm_env.geometry.kinematics import CAR
from longdwm_env.rewards import DEFAULT_WEIGHTS, TERMS, Driven, reward_from
from longdwm_env.types import ActorTracks, Trajectory


def straight(kit, speed=10.0, y=0.0, actors=None, road_map=None, count=12, **changes):
    """A period along x at constant speed."""
    times = np.arange(1, count + 1) * FRAME_S
    poses = np.column_stack([speed * times, np.full(count, y), np.zeros(count)])
    motion = np.column_stack([np.full(count, speed), np.zeros(count), np.zeros(count)])
    waypoints = np.zeros((4, 2))
    parts = {
        "ego_before": EgoState(0.0, y, 0.0, speed),
        "poses": poses,
        "motion": motion,
        "past_motion": motion[:1],
        "trajectory": Trajectory(waypoints, poses, motion[:, 0], motion[:, 1], motion[:, 2], waypoints),
        "car": CAR,
        "actors": actors,
        "road_map": road_map,
        "clip": Frames.of(np.zeros((count, 2, 2, 3), np.uint8)),
        "world_state": WorldState(),
        "unknown": {"actors": "nobody looked", "road_map": "terra incognita"},
    }
    return Driven(**(parts | changes))


def one_car(x, y, speed=0.0, heading=0.0, count=13):
    times = np.arange(count) / FPS
    poses = np.stack([x + speed * times * np.cos(heading), y + speed * times * np.sin(heading), 0 * times + heading], 1)
    return ActorTracks(poses[:, None], np.array([[4.5, 1.8, 1.5]]), np.full((count, 1), speed), ("car",))


def value(name, driven):
    return TERMS[name].value(driven)


LEARNED = {"learned_danger", "learned_off_road", "uncertainty"}


def test_every_term_has_a_unit_a_source_and_unless_it_is_learned_a_weight():
    assert set(TERMS) == set(DEFAULT_WEIGHTS) | LEARNED
    assert not LEARNED & set(DEFAULT_WEIGHTS)
    for name, term in TERMS.items():
        assert term.name == name
        assert term.unit
        assert term.source


def test_terms_without_what_they_need_say_so_and_are_left_out(kit):
    total, values, unavailable = reward_from(None)(straight(kit))
    assert unavailable == {
        "collision": "nobody looked",
        "time_to_collision": "nobody looked",
        "drivable_area": "terra incognita",
        "lane_keeping": "terra incognita",
    }
    assert set(values) == {"progress", "comfort", "feasibility"}
    assert total == pytest.approx(sum(DEFAULT_WEIGHTS[name] * number for name, number in values.items()))


@pytest.mark.parametrize("speed", [0.0, 3.0, 20.0])
def test_progress_is_the_distance_driven(kit, speed):
    assert value("progress", straight(kit, speed)) == pytest.approx(speed)
    assert value("progress", straight(kit, speed, road_map=kit.StraightRoad())) == pytest.approx(speed)


def test_progress_against_the_lane_is_negative(kit):
    back = straight(kit, 5.0, road_map=kit.StraightRoad())
    turned = back.poses * [-1, 1, 1] + [0, 0, np.pi]
    driven = dataclasses.replace(back, poses=turned, ego_before=EgoState(heading_rad=np.pi, speed_mps=5.0))
    assert value("progress", driven) == pytest.approx(-5.0)


def test_a_steady_drive_is_comfortable_and_a_harsh_one_is_not(kit):
    assert value("comfort", straight(kit)) == 0
    for column, number in ((1, -5.0), (1, 3.0), (2, 1.0)):
        motion = np.array(straight(kit).motion)
        motion[:, column] = number
        driven = straight(kit, motion=motion, past_motion=np.repeat(motion[:1], 15, axis=0))
        assert value("comfort", driven) == -1.0


def test_comfort_looks_back_over_the_border_of_periods(kit):
    calm = np.tile([10.0, 0.0, 0.0], (15, 1))
    braking = np.tile([10.0, -4.0, 0.0], (12, 1))
    alone = straight(kit, motion=braking, past_motion=braking[:1])
    after_calm = straight(kit, motion=braking, past_motion=calm)
    assert value("comfort", alone) == 0
    assert value("comfort", after_calm) < 0


def test_feasibility_is_the_largest_shift(kit):
    driven = straight(kit)
    moved = dataclasses.replace(driven.trajectory, requested_waypoints_m=np.array([[0, 0], [0, 0], [3, 4], [1, 0]]))
    assert value("feasibility", dataclasses.replace(driven, trajectory=moved)) == -5.0


@pytest.mark.parametrize(("gap", "hit"), [(0.2, True), (-0.2, False)])
def test_collision_is_overlap_of_the_boxes(kit, gap, hit):
    """The ego ends at x = 10 with its front bumper 3.6 m ahead; the other's rear is 2.25 m behind its middle."""
    ahead = 10.0 + (CAR.length_m - CAR.rear_overhang_m) + 2.25 - gap
    assert value("collision", straight(kit, actors=one_car(ahead, 0.0))) == (-1 if hit else 0)
    beside = CAR.width_m / 2 + 0.9 - gap
    assert value("collision", straight(kit, actors=one_car(5.0, beside))) == (-1 if hit else 0)


def test_time_to_collision_counts_the_frames_that_are_too_close(kit):
    nose = CAR.length_m - CAR.rear_overhang_m
    # Standing car, 10 m/s: the gap closes from 15 m to 5 m; below 9.5 m from half of the period on.
    value_of = value("time_to_collision", straight(kit, actors=one_car(15.0 + nose + 2.25, 0.0)))
    assert -0.6 < value_of < -0.3
    assert value("time_to_collision", straight(kit, actors=one_car(15.0 + nose + 2.25, 3.0))) == 0
    assert value("time_to_collision", straight(kit, actors=one_car(6.0 + nose, 0.0, speed=10.0))) == 0
    assert value("time_to_collision", straight(kit, actors=one_car(-12.0, 0.0, speed=20.0))) == 0
    assert value("time_to_collision", straight(kit, 0.0, actors=one_car(8.0, 0.0))) == 0


def test_crossing_traffic_counts_where_paths_meet_in_time(kit):
    soon = one_car(14.0, -7.0, speed=10.0, heading=np.pi / 2)
    assert value("time_to_collision", straight(kit, actors=soon)) < 0
    gone = one_car(14.0, 7.0, speed=10.0, heading=np.pi / 2)
    assert value("time_to_collision", straight(kit, actors=gone)) == 0


def test_drivable_area_is_the_share_of_corners_off_the_road(kit):
    road = kit.StraightRoad(half_width_m=6.0)
    assert value("drivable_area", straight(kit, road_map=road)) == 0
    assert value("drivable_area", straight(kit, y=6.0, road_map=road)) == -0.5
    assert value("drivable_area", straight(kit, y=9.0, road_map=road)) == -1


def test_lane_keeping_grows_with_the_distance_from_the_middle(kit):
    road = kit.StraightRoad(lane_width_m=4.0, half_width_m=6.0)
    shares = [value("lane_keeping", straight(kit, y=y, road_map=road)) for y in (0.0, 1.0, -1.0, 2.0, 5.0)]
    assert shares == [0, -0.5, -0.5, -1, -1]
    assert value("lane_keeping", straight(kit, y=7.0, road_map=road)) == Unavailable("the ego is in no lane")


def test_a_users_own_term(kit):
    def brightness(driven):
        return float(driven.frames.mean()) if driven.frames.size else Unavailable("no pixels")

    own = RewardTerm("brightness", "0 to 255", "made up", brightness)
    total, values, _ = reward_from({own: 0.5, "progress": 2})(
        straight(kit, clip=Frames.of(np.full((12, 2, 2, 3), 4, np.uint8)))
    )
    assert values == {"brightness": 4.0, "progress": pytest.approx(10.0)}
    assert total == pytest.approx(22.0)
    with pytest.raises(InvalidConfig, match="'brightness' gave nan"):
        reward_from({dataclasses.replace(own, value=lambda driven: float("nan")): 1})(straight(kit))


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        ({"progres": 1.0}, "'progres' does not exist; the terms are progress, comfort"),
        ({"progress": float("nan")}, "finite"),
        ({"progress": "much"}, "finite"),
        ({"progress": True}, "finite"),
        ({3: 1.0}, "does not exist"),
        ({"progress": 1.0, TERMS["progress"]: 2.0}, "same name: progress"),
        ("progress", "mapping"),
        (5, "mapping"),
    ],
)
def test_bad_rewards_list_what_exists(reward, message):
    with pytest.raises(InvalidConfig, match=message):
        reward_from(reward)
