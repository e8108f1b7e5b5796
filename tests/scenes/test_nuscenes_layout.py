"""What is made of the map expansion's geometry; how it is read is in ``test_nuscenes_expansion``."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longdwm_env.geometry.layout import CENTRE_LINE, LINE, ROAD

shapely = pytest.importorskip("shapely", reason="nuscenes-devkit is not installed")

from longdwm_env.scenes.nuscenes.nuscenes_layout import CELL_M, LINE_M, expansion_layout  # noqa: E402 (it needs shapely)


def quads_of(layout, kind):
    return shapely.polygons(layout.corners_m[layout.kinds == kind].astype(float))


def covered(layout, kind, points):
    hits = shapely.STRtree(quads_of(layout, kind)).query(shapely.points(points), predicate="intersects")[0]
    return np.isin(np.arange(len(points)), hits)


def street(middle, width_m, turn_rad=0.0):
    """A lane along points: its polygon and its centre line."""
    points = np.asarray(middle, float) @ [[np.cos(turn_rad), np.sin(turn_rad)], [-np.sin(turn_rad), np.cos(turn_rad)]]
    ahead = np.gradient(points, axis=0)
    centre = np.column_stack([points, np.arctan2(ahead[:, 1], ahead[:, 0])])
    return shapely.buffer(shapely.linestrings(points), width_m / 2, cap_style="flat"), centre


@given(st.integers(0, 10_000), st.integers(1, 4), st.floats(20, 300))
def test_asphalt_covers_the_areas_and_nothing_else(seed, count, size_m):
    """Overlapping polygons with holes: every point has asphalt just where an area is, to within the tolerance."""
    rng = np.random.default_rng(seed)
    discs = [
        shapely.buffer(shapely.points(rng.uniform(0, size_m, 2)), size_m * rng.uniform(0.1, 0.5)) for _ in range(count)
    ]
    areas = [disc.difference(disc.centroid.buffer(size_m * rng.uniform(0, 0.09))) for disc in discs]
    layout = expansion_layout(areas, [], [])
    assert set(layout.kinds) == {ROAD}
    assert np.ptp(layout.corners_m, axis=1).max() <= CELL_M * 1.001
    whole = shapely.union_all(areas)
    assert shapely.area(quads_of(layout, ROAD)).sum() == pytest.approx(whole.area, rel=0.03)
    points = rng.uniform(-0.6 * size_m, 1.6 * size_m, (400, 2))
    clear = shapely.distance(whole.boundary, shapely.points(points)) > 0.15
    expected = shapely.contains(whole, shapely.points(points))
    assert np.array_equal(covered(layout, ROAD, points)[clear], expected[clear])


def test_an_area_that_crosses_itself_is_mended():
    bow = shapely.polygons([[0, 0], [40, 20], [40, 0], [0, 20]])
    layout = expansion_layout([bow], [], [])
    assert covered(layout, ROAD, [[3, 10], [37, 10], [20, 3], [20, 17]]).tolist() == [True, True, False, False]


@given(st.floats(-3.2, 3.2))
def test_lines_run_along_a_lane_and_not_across_it(turn_rad):
    lane = street([[x, 0] for x in range(51)], 3.5, turn_rad)
    layout = expansion_layout([], [lane], [])
    assert set(layout.kinds) == {LINE}
    area = shapely.area(quads_of(layout, LINE)).sum()
    assert area == pytest.approx(2 * 50 * LINE_M, rel=0.02)
    at_sides = shapely.distance(quads_of(layout, LINE), shapely.linestrings(lane[1][:, :2]))
    assert at_sides == pytest.approx((3.5 - LINE_M) / 2, abs=1e-3)


def test_dividers_of_roads_are_painted_last():
    lane = street([[x, 0] for x in range(51)], 4.0)
    divider = shapely.linestrings([[0, 2], [50, 2]])
    layout = expansion_layout([lane[0]], [lane], [divider])
    assert (np.diff(layout.kinds.astype(int)) >= 0).all()
    assert covered(layout, CENTRE_LINE, [[25, 2], [25, -2]]).tolist() == [True, False]
    assert covered(layout, LINE, [[25, 2], [25, -2], [25, 0]]).tolist() == [True, True, False]
