import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longdwm_env.geometry.camera import assumed_camera, forward_mounting, project_points
from longdwm_env.geometry.layout import (
    CENTRE_LINE,
    LINE,
    LINE_REACH_M,
    REACH_M,
    ROAD,
    RoadLayout,
    draw_layout,
    layout_along,
)
from longdwm_env.geometry.pose import compose
from longdwm_env.types import Camera, Intrinsics

SIZE = (96, 144)
HERE = np.zeros(3)
CAMERAS = (
    assumed_camera(SIZE),
    Camera(Intrinsics(120.0, 110.0, 60.0, 40.0, 144, 96), forward_mounting((1.2, 0.3, 1.4), 0.08)),
)

poses = st.builds(
    lambda x, y, heading: np.array([x, y, heading]), st.floats(-90, 90), st.floats(-90, 90), st.floats(-3.1, 3.1)
)


def rectangle(first_m, last_m, left_m, right_m):
    return [[first_m, left_m], [last_m, left_m], [last_m, right_m], [first_m, right_m]]


def layout(*quads, kinds=None):
    corners = np.array(quads, np.float32).reshape(-1, 4, 2)
    return RoadLayout(corners, np.full(len(corners), ROAD, np.uint8) if kinds is None else np.array(kinds, np.uint8))


def drawn(one, camera=CAMERAS[0], pose=HERE):
    return draw_layout(one, camera, pose).astype(int)


def depth_inside(outline):
    """(H, W) how many pixels deep inside a convex outline (N, 2) each pixel's middle lies; negative outside."""
    columns, rows = np.meshgrid(np.arange(SIZE[1]), np.arange(SIZE[0]))
    towards = np.roll(outline, -1, axis=0) - outline
    middle = outline.mean(axis=0)
    deep = []
    for (u, v), (du, dv) in zip(outline, towards / np.linalg.norm(towards, axis=1, keepdims=True), strict=True):
        side = np.sign(du * (middle[1] - v) - dv * (middle[0] - u))
        deep.append(side * (du * (rows - v) - dv * (columns - u)))
    return np.min(deep, axis=0)


EMPTY = drawn(layout(rectangle(-9, -5, 2, -2)))
BACKGROUND = EMPTY[0, 0]
# What fills the picture below the horizon: each kind's colour.
COLOURS = [drawn(layout(rectangle(-5, 60, 60, -60), kinds=[kind]))[-1, 72] for kind in (ROAD, LINE, CENTRE_LINE)]


def test_without_a_road_the_picture_has_one_colour():
    assert EMPTY.shape == (*SIZE, 3)
    assert np.array_equal(drawn(layout()), EMPTY)
    assert np.array_equal(drawn(layout(rectangle(900, 910, 2, -2))), EMPTY)
    assert (EMPTY == BACKGROUND).all()
    assert len({tuple(colour) for colour in (BACKGROUND, *COLOURS)}) == 4


@pytest.mark.parametrize("camera", CAMERAS)
@given(
    st.floats(5, 40),
    st.floats(-8, 8),
    st.floats(-3.1, 3.1),
    st.floats(0.4, 4),
    st.floats(0.4, 4),
    st.sampled_from([ROAD, LINE, CENTRE_LINE]),
)
def test_a_quadrilateral_is_painted_where_its_corners_project(camera, ahead, left, turned, long, wide, kind):
    """The law between ``draw_layout`` and ``project_points``, to a pixel."""
    shape = np.array(rectangle(-long / 2, long / 2, wide / 2, -wide / 2))
    corners = compose(np.array([ahead, left, turned]), np.column_stack([shape, np.zeros(4)]))[:, :2]
    pixels, depths = project_points(camera, np.column_stack([corners, np.zeros(4)]))
    if depths.min() < 0.6:
        return
    image = drawn(layout(corners, kinds=[kind]), camera)
    depth_px = depth_inside(pixels)
    assert (image[depth_px > 1.0] == COLOURS[kind]).all()
    assert (image[depth_px < -1.2] == BACKGROUND).all()
    # No corner is shifted either: the painted area is the outline's, up to a third of a pixel along its border.
    outline = cv2.convexHull(pixels.astype(np.float32).reshape(-1, 1, 2))
    frame = np.array([[-0.5, -0.5], [143.5, -0.5], [143.5, 95.5], [-0.5, 95.5]], np.float32)
    area, seen = cv2.intersectConvexConvex(outline, frame)
    difference = COLOURS[kind] - BACKGROUND
    covered = ((image - BACKGROUND) @ difference / (difference @ difference)).sum()
    border = 0.0 if seen is None else cv2.arcLength(seen, True)
    assert covered == pytest.approx(area, abs=0.35 * border + 0.5)


@given(poses, poses)
def test_a_layout_is_the_same_from_whatever_frame_it_is_told(pose, origin):
    road = layout(rectangle(-80, 80, 4, -4), rectangle(-40, 40, 60, 50), rectangle(10, 30, 1, -1), kinds=[0, 0, 1])
    there = road.seen_from(origin)
    here = compose(origin, pose[None])[0]
    np.testing.assert_allclose(there.seen_from(pose).corners_m, road.seen_from(here).corners_m, atol=1e-3)
    # The last bits of a corner may move a sample: a ninth of a pixel.
    assert np.abs(drawn(there, pose=pose) - drawn(road, pose=here)).max() <= 255 / 9 + 1


@given(poses, st.floats(1, 300))
def test_near_keeps_what_has_a_corner_within_reach(pose, reach_m):
    rng = np.random.default_rng(7)
    kinds = rng.integers(0, 3, 300)
    road = layout(*(rectangle(0, 6, 2, -2) + rng.uniform(-300, 300, 2) for _ in kinds), kinds=kinds)
    within = (np.linalg.norm(road.corners_m - pose[:2], axis=2) < reach_m).any(axis=1)
    near = road.near(pose[:2], reach_m)
    assert np.array_equal(near.corners_m, road.corners_m[within])
    assert np.array_equal(near.kinds, road.kinds[within])
    if reach_m >= REACH_M:
        assert np.array_equal(drawn(near, pose=pose), drawn(road, pose=pose))


def test_what_lies_half_behind_the_camera_is_cut_and_not_lost():
    nearest = CAMERAS[0].mounting.translation_m[0] + 0.5
    whole = drawn(layout(rectangle(-30, 25, 2, -2)))
    assert np.array_equal(whole, drawn(layout(rectangle(nearest + 1e-4, 25, 2, -2))))
    assert (whole[-1, 72] == COLOURS[ROAD]).all()
    # A triangle and a pentagon are left of quadrilaterals that the plane cuts aslant.
    for turned in (0.7, 2.0, -2.4):
        aslant = compose(np.array([nearest, 1.0, turned]), np.array([[0, 0, 0], [9, 0, 0], [9, 9, 0], [0, 9, 0.0]]))
        image = drawn(layout(aslant[:, :2]))
        ground = np.stack(np.meshgrid(np.arange(4, 9, 0.5), np.arange(-6, 6, 0.5)), axis=-1).reshape(-1, 2)
        pixels, _ = project_points(CAMERAS[0], np.column_stack([ground, np.zeros(len(ground))]))
        inside = [cv2.pointPolygonTest(aslant[:, :2].astype(np.float32), (x, y), True) for x, y in ground]
        for (u, v), deep in zip(pixels.round().astype(int), inside, strict=True):
            if abs(deep) > 0.5 and 0 <= u < SIZE[1] and 0 <= v < SIZE[0]:
                assert (image[v, u] == (COLOURS[ROAD] if deep > 0 else BACKGROUND)).all()


def test_far_lines_are_left_out_and_far_asphalt_is_not():
    depth = CAMERAS[0].mounting.translation_m[0]
    for kind, within, beyond in (
        (LINE, depth + LINE_REACH_M - 0.1, depth + LINE_REACH_M + 0.1),
        (CENTRE_LINE, depth + LINE_REACH_M - 0.1, depth + LINE_REACH_M + 0.1),
        (ROAD, REACH_M - 1.0, REACH_M + 1.0),
    ):
        here, there = (drawn(layout(rectangle(x, x + 9, 9, -9), kinds=[kind])) for x in (within, beyond))
        assert (here != EMPTY).any()
        assert np.array_equal(there, EMPTY)


def test_later_quadrilaterals_are_painted_over_earlier_ones():
    road, line = rectangle(5, 30, 4, -4), rectangle(5, 30, 0.5, -0.5)
    above, below = drawn(layout(road, line, kinds=[ROAD, LINE])), drawn(layout(line, road, kinds=[LINE, ROAD]))
    (column, row), _ = (values[0] for values in project_points(CAMERAS[0], np.array([[8.0, 0.0, 0.0]])))
    assert (above[round(row), round(column)] == COLOURS[LINE]).all()
    assert np.array_equal(below, drawn(layout(road)))


@pytest.mark.parametrize("turn", [1, -1])
def test_a_road_is_shown_near_asphalt_however_far_its_corners_are(turn):
    road = layout(rectangle(0, 10, 2, -2), rectangle(500, 510, 2, -2), kinds=[ROAD, LINE])
    for x, y, shown in ((5, 0, True), (39, 2, True), (41, 2, False), (0, 40, False), (505, 0, False)):
        assert road.shows_road(np.array([x, y, 1.0])) is shown
    # Maps of whole carriageways have pieces hundreds of metres long, in either sense of rotation.
    long = layout(rectangle(-300, 300, 40, -40)[::turn])
    for x, y, shown in ((0, 0, True), (0, 69, True), (0, 71, False), (329, 39, True), (331, 0, False)):
        assert long.shows_road(np.array([x, y, 1.0])) is shown


class DrawnMap:
    """A map whose paint is a layout."""

    def __init__(self, everything):
        self.everything = everything

    def layout(self, centre_m, reach_m):
        return self.everything.near(centre_m, reach_m)

    def drivable(self, points_m):
        raise NotImplementedError

    def fit_lanes(self, poses):
        raise NotImplementedError


@given(poses)
def test_the_layout_along_a_drive_has_all_that_is_seen_from_it(pose):
    patches = (rectangle(x, x + 5, y + 5, y) for x in range(-600, 600, 40) for y in range(-600, 600, 40))
    everywhere = layout(*patches)
    drive = compose(pose, np.array([[x, 0.01 * x**2, 0.0] for x in (0.0, 10.0, 70.0)]))
    along = layout_along(DrawnMap(everywhere), drive)
    for seen in drive:
        assert np.array_equal(drawn(along, pose=seen), drawn(everywhere, pose=seen))
    assert len(along.kinds) < len(everywhere.kinds)


def test_a_map_that_draws_nothing_has_no_layout():
    assert layout_along(None, HERE[None]) is None


def test_a_layout_is_a_value():
    corners = np.array([rectangle(0.0, 1.0, 1.0, 0.0)])
    one = RoadLayout(corners, np.zeros(1, np.uint8))
    corners += 5
    assert one.corners_m.dtype == np.float32
    assert one.kinds.dtype == np.uint8
    assert one.corners_m.max() == 1
    with pytest.raises(ValueError, match="read-only"):
        one.corners_m[0] = 0


@pytest.mark.parametrize(
    ("corners", "kinds"),
    [
        (np.zeros((2, 4, 2)), [0]),
        (np.zeros((1, 3, 2)), [0]),
        (np.zeros((1, 4, 3)), [0]),
        (np.full((1, 4, 2), np.nan), [0]),
        (np.zeros((1, 4, 2)), [3]),
    ],
)
def test_what_is_no_layout_is_refused(corners, kinds):
    # Shapes are refused here by the types that tests check, elsewhere by the class itself.
    with pytest.raises((ValueError, TypeError), match=r"a layout has|Type-check error"):
        RoadLayout(corners, np.array(kinds, np.uint8))
