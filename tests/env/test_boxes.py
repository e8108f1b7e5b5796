import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longdwm_env.geometry.boxes import body_poses, corners, overlap, times_to_collision_s
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


@given(a=boxes, b=boxes, x=number, y=number, turn=angle)
def test_overlap_is_symmetric_and_does_not_depend_on_the_frame(a, b, x, y, turn):
    def moved(c):
        cos, sin = np.cos(turn), np.sin(turn)
        return (x + cos * c[0] - sin * c[1], y + sin * c[0] + cos * c[1], c[2] + turn, c[3], c[4])

    found = bool(overlap(box(*a), box(*b)))
    assert found == bool(overlap(box(*b), box(*a)))
    slightly_smaller = (*a[:3], a[3] - 1e-6, a[4] - 1e-6)
    if found == bool(overlap(box(*slightly_smaller), box(*b))):
        assert found == bool(overlap(box(*moved(slightly_smaller)), box(*moved(b))))


def test_absent_boxes_never_overlap():
    nothing = corners(np.full(3, np.nan), 4.0, 2.0)
    assert not overlap(nothing, box(0, 0, 0, 4, 2))
    assert not overlap(nothing, nothing)


def test_the_body_is_ahead_of_the_rear_axle():
    (x, y, heading) = body_poses(np.array([1.0, 2.0, np.pi / 2]), CAR)
    assert (x, heading) == (pytest.approx(1.0), pytest.approx(np.pi / 2))
    assert y == pytest.approx(2.0 + CAR.length_m / 2 - CAR.rear_overhang_m)


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
