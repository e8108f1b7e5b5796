"""The road as the simulator's map tells it, against the road as the simulator paints and drives it."""

from dataclasses import replace

import numpy as np
import pytest

from longdwm_env.geometry.layout import CENTRE_LINE, LINE, ROAD, DrawnRoadMap, draw_layout
from longdwm_env.simulator.conditions import Conditions
from longdwm_env.simulator.drawing.camera_picture import draw_frame
from longdwm_env.simulator.roads.painted_map import PaintedRoadMap, road_layout
from longdwm_env.simulator.roads.road_kinds import ROAD_KINDS, kind_of_seed, road_plan
from longdwm_env.simulator.scene import builtin_scene, default_camera, episode
from longdwm_env.simulator.traffic.traffic_state import EGO, Traffic, ego_pose

SEEDS = {kind: next(seed for seed in range(400) if kind_of_seed(seed) == kind) for kind in ROAD_KINDS}


def inside_any(quads, points):
    """(N,) whether each of (N, 2) points lies in one of (Q, 4, 2) convex quadrilaterals."""
    along = np.roll(quads, -1, axis=1) - quads
    beside = points[:, None, None] - quads
    turn = along[..., 0] * beside[..., 1] - along[..., 1] * beside[..., 0]
    return ((turn >= 0).all(axis=2) | (turn <= 0).all(axis=2)).any(axis=1)


@pytest.mark.parametrize("kind", ROAD_KINDS)
def test_asphalt_is_where_the_map_says_one_may_drive(kind):
    road = road_plan(SEEDS[kind])
    road_map = PaintedRoadMap(road.table, road)
    assert isinstance(road_map, DrawnRoadMap)
    middle = builtin_scene(SEEDS[kind]).start.pose[:2]
    layout = road_map.layout(middle, 60.0)
    points = middle + np.random.default_rng(0).uniform(-40, 40, (200, 2))
    # Pieces of a bend are straight, and the road's ends are drawn a little longer: half a metre decides nothing.
    rim = np.array([(0.5 * np.cos(a), 0.5 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 9)[1:]])
    around = road_map.drivable((points + np.vstack([np.zeros((1, 2)), rim])[:, None]).reshape(-1, 2)).reshape(9, -1)
    paved, bare = around.all(axis=0), ~around.any(axis=0)
    assert min(paved.sum(), bare.sum()) > 10
    told = inside_any(layout.corners_m[layout.kinds == ROAD].astype(float), points)
    assert told[paved].all()
    assert not told[bare].any()


@pytest.mark.parametrize("kind", ROAD_KINDS)
def test_lines_lie_on_the_asphalt_and_are_painted_after_it(kind):
    layout = road_layout(road_plan(SEEDS[kind])).near(builtin_scene(SEEDS[kind]).start.pose[:2], 60.0)
    kinds = layout.kinds.tolist()
    assert {ROAD, LINE} <= set(kinds) <= {ROAD, LINE, CENTRE_LINE}
    assert kinds == sorted(kinds, key=lambda kind: kind != ROAD)
    lines, asphalt = (layout.corners_m[chosen].astype(float) for chosen in (layout.kinds != ROAD, layout.kinds == ROAD))
    middles = lines.mean(axis=1)
    assert inside_any(asphalt, middles[np.linalg.norm(middles - middles[0], axis=1) < 60]).all()


def test_only_roads_of_two_directions_have_a_yellow_line():
    for kind in ("highway", "two-way"):
        layout = road_layout(road_plan(SEEDS[kind]))
        assert (layout.kinds == CENTRE_LINE).any() == (kind == "two-way")


def seen(kind):
    """A scene's start on a clear day without traffic, and what the map shows there with and without lines."""
    seed, size = SEEDS[kind], (192, 288)
    road, camera, now = road_plan(seed), default_camera(seed, size), episode(seed).past[-1]
    alone = Traffic(**{name: value[: EGO + 1] for name, value in now.arrays.items()})
    frame = draw_frame(road, seed, alone, 0, Conditions("clear", "day"), camera)
    layout = road_layout(road)
    plain = replace(layout, kinds=np.zeros_like(layout.kinds))
    return frame.astype(float), *(draw_layout(one, camera, ego_pose(now)).astype(float) for one in (layout, plain))


@pytest.mark.parametrize("kind", ROAD_KINDS)
def test_the_layout_lies_on_the_picture(kind):
    """Whatever it calls a line is brighter than the asphalt beside it; two pixels aside that is over."""
    frame, told, plain = seen(kind)
    asphalt = (plain == plain[-1, 144]).all(axis=2)
    line = asphalt & ((told - plain).sum(axis=2) > 150)
    assert line.sum() > 100
    # Of white lines and yellow ones alike.
    bright = frame[..., :2].mean(axis=2)
    beside = asphalt & (told == plain).all(axis=2)
    beside[: np.flatnonzero(line.any(axis=1))[0]] = False

    def contrast(down, right):
        there = np.roll(line, (down, right), axis=(0, 1)) & asphalt
        return bright[there].mean() - bright[beside].mean()

    here = contrast(0, 0)
    assert here > 50
    assert here > max(contrast(0, 3), contrast(0, -3), contrast(2, 0), contrast(-2, 0)) + 10


def test_yellow_is_yellow():
    frame, told, _ = seen("two-way")
    yellow, white = ((told[..., 0] > 200) & chosen for chosen in (told[..., 2] < 100, told[..., 2] > 200))
    assert (frame[yellow][:, 0] - frame[yellow][:, 2]).mean() > 60
    assert abs((frame[white][:, 0] - frame[white][:, 2]).mean()) < 30
