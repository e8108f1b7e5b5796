import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from longdwm_env.geometry.boxes import corners, overlap, times_to_collision_s
from longdwm_env.geometry.kinematics import CAR
from longdwm_env.types import ActorTracks

number = st.floats(-6, 6)
angle = st.floats(-4, 4)
size = st.floats(0.5, 5)
boxes = st.tuples(number, number, angle, size, size)


def box(x, y, heading, length, width):
    return corners(np.array([x, y, heading]), length, width)


def inside(points, x, y, heading, length, width):
    """Which of (N, 2) points lie in a box: the definition, used as the oracle."""
    gap = points - [x, y]
    along = gap @ [np.cos(heading), np.sin(heading)]
    aside = gap @ [-np.sin(heading), np.cos(heading)]
    return (np.abs(along) <= length / 2) & (np.abs(aside) <= width / 2)


def points_of(x, y, heading, length, width):
    a, b = np.meshgrid(np.linspace(-0.5, 0.5, 41) * length, np.linspace(-0.5, 0.5, 41) * width)
    cos, sin = np.cos(heading), np.sin(heading)
    return np.column_stack([x + cos * a.ravel() - sin * b.ravel(), y + sin * a.ravel() + cos * b.ravel()])


@given(a=boxes, b=boxes)
def test_overlap_agrees_with_sampled_points(a, b):
    found = bool(overlap(box(*a), box(*b)))
    if inside(points_of(*a), *b).any() or inside(points_of(*b), *a).any():
        assert found
    elif found:
        # The sampled points are at most 5 / 40 m apart: boxes that touch between them touch when grown by that much.
        grown = (*b[:3], b[3] + 0.3, b[4] + 0.3)
        assert inside(points_of(*a), *grown).any()


@given(gap=st.floats(0.5, 60), speed=st.floats(1, 30), other=st.floats(0, 30))
def test_time_to_collision_behind_a_slower_car_is_gap_over_closing_speed(gap, speed, other):
    nose = CAR.length_m - CAR.rear_overhang_m
    actors = ActorTracks(
        np.array([[[nose + gap + 2.0, 0.0, 0.0]]]), np.array([[4.0, 1.8, 1.5]]), np.array([[other]]), ("a",)
    )
    seconds = times_to_collision_s(np.zeros((1, 3)), np.array([speed]), actors, CAR)[0]
    expected = gap / (speed - other) if speed > other else np.inf
    if expected > 3.1:
        assert seconds == np.inf
    elif expected < 2.9:
        assert expected - 1e-6 <= seconds <= expected + 0.1 + 1e-6
