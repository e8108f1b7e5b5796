import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import least_squares

from longdwm_env.clock import FRAMES_PER_HORIZON, WAYPOINT_TIMES_S
from longdwm_env.geometry.kinematics import LIMITS, max_curvature_per_m, roll_bicycle, violations
from longdwm_env.geometry.pose import relative_to
from longdwm_env.geometry.projection import PASS_TOLERANCE_M
from longdwm_env.geometry.spline import plan_trajectory, trajectory_from_controls
from longdwm_env.types import EgoState, Trajectory, wrap_angle

FRAMES_OF_WAYPOINTS = [5, 11, 17, 23]
"""Samples of a trajectory at the waypoint times."""

speeds = st.floats(0, 40)
wild = arrays(float, (4, 2), elements=st.floats(-60, 80, allow_subnormal=False))
"""What an agent asks for that has learned nothing."""


@st.composite
def drivable(draw):
    """Waypoints of a steady bend, and the speed that goes with them."""
    speed = draw(st.floats(2, 35))
    acceleration = draw(st.floats(-0.9, 1.5))
    curvature = draw(st.floats(-0.5, 0.5)) * float(max_curvature_per_m(speed + 3))
    drive = roll_bicycle(np.array([acceleration]), np.array([curvature]), np.array([2.0]), speed)
    return drive.sample(np.array(WAYPOINT_TIMES_S))[0][:, :2], speed


@given(drivable())
def test_a_drivable_plan_passes_through_its_waypoints_and_is_left_alone(case):
    waypoints, speed = case
    plan = plan_trajectory(waypoints, EgoState(speed_mps=speed))
    assert plan.projection_m == 0
    np.testing.assert_array_equal(plan.waypoints_m, waypoints)
    np.testing.assert_allclose(plan.poses[FRAMES_OF_WAYPOINTS, :2], waypoints, atol=2 * PASS_TOLERANCE_M)


@given(drivable(), st.integers(1, 12))
def test_consecutive_plans_join_without_a_kink(case, frames):
    """Plan, drive a few frames, plan again through the rest: positions, headings and speeds go on smoothly."""
    waypoints, speed = case
    first = plan_trajectory(waypoints, EgoState(speed_mps=speed))
    pose, now = first.poses[frames - 1], first.speeds_mps[frames - 1]
    ahead = relative_to(first.poses[frames + 5 :: 6], pose)[:, :2]
    times = np.arange(1, len(ahead) + 1) * 0.5
    second = plan_trajectory(ahead, EgoState(speed_mps=float(now)), waypoint_times_s=times, num_frames=6)
    expected = relative_to(first.poses[frames : frames + 6], pose)
    np.testing.assert_allclose(second.poses[:, :2], expected[:, :2], atol=0.06)
    np.testing.assert_allclose(wrap_angle(second.poses[:, 2] - expected[:, 2]), 0, atol=0.03)
    np.testing.assert_allclose(second.speeds_mps[0], first.speeds_mps[frames], atol=0.2)


def test_a_standing_car_stays_put():
    plan = plan_trajectory(np.zeros((4, 2)), EgoState())
    assert plan.projection_m == 0
    for values in (plan.poses, plan.speeds_mps, plan.accelerations_mps2, plan.yaw_rates_radps):
        assert not values.any()


@given(st.floats(0.5, 14), st.floats(1, 6))
def test_slowing_to_a_stop_neither_spins_nor_reverses(speed, braking):
    times = np.minimum(WAYPOINT_TIMES_S, speed / braking)
    distances = speed * times - braking * times**2 / 2
    sideways = 1e-4 * np.array([1, -1, 1, -1])
    plan = plan_trajectory(np.stack([distances, sideways], axis=1), EgoState(speed_mps=speed))
    assert np.diff(plan.poses[:, 0]).min() > -1e-3
    assert plan.speeds_mps.min() > -2e-3
    assert np.abs(plan.poses[:, 2]).max() < 0.02
    assert plan.projection_m < 0.01


def test_the_pose_of_the_ego_does_not_matter():
    waypoints = np.array([[5, 0.1], [10, 0.4], [15, 0.9], [20, 1.6]])
    a = plan_trajectory(waypoints, EgoState(speed_mps=10))
    b = plan_trajectory(waypoints, EgoState(100.0, -30.0, 2.0, 10.0))
    np.testing.assert_array_equal(a.poses, b.poses)


@given(wild, speeds)
def test_whatever_is_asked_the_result_obeys_the_limits(waypoints, speed):
    plan = plan_trajectory(waypoints, EgoState(speed_mps=speed))
    assert violations(plan) == {}
    assert len(plan.poses) == FRAMES_PER_HORIZON
    assert np.isfinite(plan.poses).all()


@given(wild, speeds)
def test_projection_is_idempotent(waypoints, speed):
    """What was projected once is left alone, also after a trip through the float32 of an action."""
    ego = EgoState(speed_mps=speed)
    once = plan_trajectory(waypoints, ego)
    for again in (once.waypoints_m, once.waypoints_m.astype(np.float32)):
        assert plan_trajectory(again, ego).projection_m == 0


def miss_m(plan: Trajectory) -> float:
    return float(np.linalg.norm(plan.waypoints_m - plan.requested_waypoints_m))


@pytest.mark.parametrize("seed", range(2))
def test_projection_is_as_near_as_a_general_optimiser_comes(seed):
    """Against the best of four starts of scipy's trust region, to a tenth and 5 cm over all waypoints."""
    random = np.random.default_rng(seed)
    speed = random.uniform(1, 30)
    steady = np.array(WAYPOINT_TIMES_S)[:, None] * [speed, 0]
    plan = plan_trajectory(steady + random.normal(size=(4, 2)) * 3, EgoState(speed_mps=speed))
    assert plan.projection_m > 0
    low = np.tile([-LIMITS.max_braking_mps2, -1.0], 4)
    high = np.tile([LIMITS.max_acceleration_mps2, 1.0], 4)

    def misses(controls: np.ndarray) -> np.ndarray:
        accelerations, fractions = controls[::2], controls[1::2]
        ends = [speed]
        for acceleration in accelerations:
            ends.append(min(max(ends[-1] + acceleration * 0.5, 0), LIMITS.max_speed_mps))
        curvatures = fractions * max_curvature_per_m(np.maximum(ends[:-1], ends[1:]))
        drive = roll_bicycle(accelerations, curvatures, np.full(4, 0.5), speed)
        return (drive.poses[1:, :2] - plan.requested_waypoints_m).ravel()

    starts = [np.zeros(8), *(random.uniform(low, high) for _ in range(3))]
    best = min(least_squares(misses, start, bounds=(low, high), max_nfev=60).cost for start in starts)
    assert miss_m(plan) <= 1.1 * np.sqrt(2 * best) + 0.05


def test_asking_to_reverse_brings_the_car_to_a_halt():
    plan = plan_trajectory(np.array([[-2.0, 0], [-4, 0], [-6, 0], [-8, 0]]), EgoState(speed_mps=5.0))
    assert plan.speeds_mps[-1] == 0
    assert plan.projection_m > 8
    assert np.diff(plan.poses[:, 0]).min() >= 0
    assert np.abs(plan.poses[:, 1:]).max() < 0.5


def test_pulling_away_into_a_bend_is_drivable():
    """From standstill a spline has no direction of its own; the bicycle does."""
    distances = np.array(WAYPOINT_TIMES_S) ** 2
    waypoints = 20 * np.stack([np.sin(distances / 20), 1 - np.cos(distances / 20)], axis=1)
    plan = plan_trajectory(waypoints, EgoState())
    assert plan.projection_m == 0
    assert plan.poses[-1, 2] == pytest.approx(0.2, abs=0.06)
    assert np.diff(plan.poses[:, 2]).min() > -0.01


@pytest.mark.parametrize("bend", [0.02, 0.4])
def test_a_plan_of_ninety_seconds(bend):
    """Many waypoints at any pace; the sharper bend has to be projected, piece by piece."""
    times = np.arange(1, 91) * 1.0
    headings = bend * np.sin(times / 3) * 3
    waypoints = np.cumsum(8 * np.stack([np.cos(headings), np.sin(headings)], axis=1), axis=0)
    ego = EgoState(speed_mps=8.0)
    plan = plan_trajectory(waypoints, ego, waypoint_times_s=times, num_frames=1080)
    assert len(plan.poses) == 1080
    assert violations(plan) == {}
    assert (plan.projection_m > 0) == (bend > 0.1)
    again = plan_trajectory(plan.waypoints_m, ego, waypoint_times_s=times, num_frames=1080)
    assert again.projection_m == 0


def test_beyond_the_last_waypoint_the_car_goes_straight_on():
    plan = plan_trajectory(np.array([[5.0, 0.0]]), EgoState(speed_mps=10.0), waypoint_times_s=[0.5], num_frames=24)
    np.testing.assert_allclose(np.diff(plan.poses[6:, 0]), 10 / 12, atol=1e-9)
    assert not plan.accelerations_mps2[6:].any()


@given(st.floats(-0.6, 0.6), st.floats(-8, 4), speeds)
def test_held_controls_drive_within_the_limits(steering, acceleration, speed):
    plan = trajectory_from_controls(steering, acceleration, EgoState(speed_mps=speed))
    assert violations(plan) == {}
    np.testing.assert_allclose(plan.poses[FRAMES_OF_WAYPOINTS, :2], plan.waypoints_m, atol=1e-9)


def test_gentle_controls_are_the_bicycle_itself():
    plan = trajectory_from_controls(0.05, 1.0, EgoState(speed_mps=5.0))
    assert plan.projection_m == 0
    np.testing.assert_allclose(plan.speeds_mps, 5 + np.arange(1, 25) / 12, atol=1e-12)
    np.testing.assert_allclose(plan.yaw_rates_radps, plan.speeds_mps * np.tan(0.05) / 2.8, atol=1e-12)


def test_controls_beyond_the_limits_are_cut_and_it_is_said():
    plan = trajectory_from_controls(0.6, 0.0, EgoState(speed_mps=20.0))
    assert plan.projection_m > 1
    assert plan.yaw_rates_radps.max() == pytest.approx(LIMITS.max_lateral_acceleration_mps2 / 20)


@pytest.mark.parametrize(
    ("waypoints", "times", "frames"),
    [
        (np.zeros((4, 3)), WAYPOINT_TIMES_S, 24),
        (np.zeros((0, 2)), (), 24),
        (np.full((4, 2), np.nan), WAYPOINT_TIMES_S, 24),
        (np.zeros((4, 2)), (0.5, 1.0), 24),
        (np.zeros((4, 2)), (0.5, 1.0, 1.0, 2.0), 24),
        (np.zeros((4, 2)), (0.0, 1.0, 1.5, 2.0), 24),
        (np.zeros((4, 2)), WAYPOINT_TIMES_S, 0),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(waypoints, times, frames):
    # A wrong shape is caught by the shape check of the tests before the function itself refuses it.
    with pytest.raises((ValueError, TypeError), match=r"waypoints|finite|frame"):
        plan_trajectory(waypoints, EgoState(), waypoint_times_s=times, num_frames=frames)
