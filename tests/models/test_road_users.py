"""The other road users of a generated world: along their lanes, at their speed, as long as the camera sees them."""

import numpy as np
import pytest

from longdwm_env.geometry.boxes import seen_boxes
from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.geometry.layout import LINE, RoadLayout
from longdwm_env.models.conditioning.road_users import driven_on, in_view, still_known
from longdwm_env.types import ActorTracks

SIZE = (96, 144)
CAMERA = assumed_camera(SIZE)


def box(left, top, right, bottom, depth=20.0):
    return np.array([left, top, right, bottom, depth], float)


def at(*poses, speed_mps=12.0):
    poses = np.array(poses, float)
    count = len(poses)
    names = tuple(f"car {number}" for number in range(count))
    return ActorTracks(poses[None], np.tile([4.5, 1.8, 1.5], (count, 1)), np.full((1, count), speed_mps), names)


def strips(points, width_m, kind):
    """Quadrilaterals along points (P, 2)."""
    along = np.diff(points, axis=0)
    left = np.column_stack([-along[:, 1], along[:, 0]]) / np.hypot(*along.T)[:, None] * width_m / 2
    first, last = points[:-1], points[1:]
    corners = np.stack([first + left, last + left, last - left, first - left], axis=1)
    return RoadLayout(corners, np.full(len(corners), kind, np.uint8))


def test_without_a_map_everybody_drives_straight_on():
    tracks = driven_on(at([10, 0, 0], [20, 3, np.pi / 2]), None, 12)
    assert tracks.poses.shape == (13, 2, 3)
    np.testing.assert_allclose(tracks.poses[-1], [[22, 0, 0], [20, 15, np.pi / 2]], atol=1e-9)
    np.testing.assert_allclose(tracks.speeds_mps, 12.0)
    assert tracks.ids == ("car 0", "car 1")


@pytest.mark.parametrize("sense", [1, -1], ids=["with us", "towards us"])
@pytest.mark.parametrize("reverse", [False, True], ids=["as drawn", "drawn backwards"])
def test_a_bend_is_followed_both_ways(sense, reverse):
    radius, angles = 60.0, np.linspace(0, 3, 120)
    line = radius * np.column_stack([np.cos(angles), np.sin(angles)])
    layout = strips(line[::-1] if reverse else line, 0.15, LINE)
    lane, angle = radius - 1.75, 1.5
    start = [lane * np.cos(angle), lane * np.sin(angle), angle + sense * np.pi / 2]
    tracks = driven_on(at(start), layout, 24)
    away = np.hypot(*tracks.poses[:, 0, :2].T)
    assert np.abs(away - lane).max() < 0.5
    straight = driven_on(at(start), None, 24)
    assert np.hypot(*straight.poses[-1, 0, :2]) > lane + 4, "straight on he would have left the road"
    turned = tracks.poses[-1, 0, 2] - start[2]
    assert turned == pytest.approx(sense * 24 / lane, abs=0.05)


def test_whose_picture_cannot_be_moved_is_forgotten():
    tracks = at([20, 0, 0], [-20, 0, 0], [200, 3, 0], [15, 40, 0], [30, 0, 0], [25, 5, 0])
    known = still_known(tracks, np.zeros(3), CAMERA)
    # One is behind, one far away, one aside, one hidden by the first.
    assert known.ids == ("car 0", "car 5")
    assert known.poses.shape == (1, 2, 3)
    nobody = still_known(at([-20, 0, 0]), np.zeros(3), CAMERA)
    assert driven_on(nobody, None, 12).poses.shape == (13, 0, 3)
    assert seen_boxes(driven_on(nobody, None, 12), [0, 12], np.zeros((2, 3)), CAMERA).shape == (2, 0, 5)


def test_who_hides_whom_does_not_depend_on_their_order():
    """The middle one is hidden by the nearest and hides the farthest all the same."""
    row = np.stack([box(60, 40, 80, 54, depth) for depth in (10.0, 20.0, 30.0)])
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        assert in_view(row[order], SIZE).tolist() == [place == 0 for place in order]
