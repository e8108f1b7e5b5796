import numpy as np
import pytest

from longdwm_env.simulator.roads.road_kinds import ROAD_KINDS, kind_of_seed, road_plan
from longdwm_env.simulator.roads.road_map import PAVED_MARGIN_M, LaneRoadMap
from longdwm_env.simulator.scene import TEST_SEEDS_START, builtin_scene
from longdwm_env.types import RoadMap


@pytest.mark.parametrize("kind", ROAD_KINDS)
def test_lane_coordinates_round_trip(kind):
    table = road_plan(1, kind).table
    lanes, along = table.sample(15.0)
    lateral = np.linspace(-1.5, 1.5, len(lanes))
    found_along, found_lateral = table.local(table.position(lanes, along, lateral))
    columns = np.arange(len(lanes))
    np.testing.assert_allclose(found_along[lanes, columns], along, atol=1e-6)
    np.testing.assert_allclose(found_lateral[lanes, columns], lateral, atol=1e-6)


def test_lanes_agree_with_highway_env():
    from highway_env.road.lane import CircularLane, SineLane, StraightLane
    from highway_env.road.road import RoadNetwork

    from longdwm_env.simulator.roads.lane_table import table_from_network

    network = RoadNetwork()
    network.add_lane("a", "b", StraightLane([3, 4], [50, 30]))
    network.add_lane("b", "c", SineLane([3, 4], [50, 30], 3.0, 0.1, 0.4))
    network.add_lane("c", "d", CircularLane([10, -20], 30, 0.3, 1.9))
    network.add_lane("c", "e", CircularLane([10, -20], 30, 2.3, 0.9, clockwise=False))
    table = table_from_network(network)
    points = np.random.default_rng(0).uniform(-40, 40, (20, 2))
    along, lateral = table.local(points * [1, -1])
    for i, lane in enumerate(network.lanes_list()):
        theirs = np.array([lane.local_coordinates(point) for point in points])
        np.testing.assert_allclose(along[i], theirs[:, 0], atol=1e-9)
        np.testing.assert_allclose(lateral[i], -theirs[:, 1], atol=1e-9)
        heading = table.heading_at(np.array([i]), np.array([7.0]))[0]
        assert np.isclose(np.cos(heading + lane.heading_at(7.0)), 1.0)


@pytest.mark.parametrize("kind", ROAD_KINDS)
def test_road_map_knows_the_lanes(kind):
    table = road_plan(2, kind).table
    road_map = LaneRoadMap(table)
    assert isinstance(road_map, RoadMap)
    lanes, along = table.sample(20.0)
    middle = table.position(lanes, along)
    assert road_map.drivable(middle).all()
    assert not road_map.drivable(middle + np.array([0, 5e4])).any()
    assert not road_map.drivable(np.full((2, 2), np.nan)).any()
    alone = ~table.junctions[lanes]
    lanes, along = lanes[alone], along[alone]
    lateral = np.random.default_rng(1).uniform(-1.2, 1.2, len(lanes))
    heading = table.heading_at(lanes, along)
    fit = road_map.fit_lanes(np.column_stack([table.position(lanes, along, lateral), heading + 0.05]))
    if kind != "roundabout":
        np.testing.assert_allclose(fit.lateral_m, lateral, atol=0.05)
        np.testing.assert_allclose(fit.heading_error_rad, 0.05, atol=0.02)
    np.testing.assert_allclose(np.mean(fit.width_m), table.widths_m[0])
    off = road_map.fit_lanes(np.array([[0.0, 5e4, 0.0], [np.nan, 0, 0]]))
    assert np.isnan([off.lateral_m, off.heading_error_rad, off.width_m]).all()


def test_the_wrong_side_of_the_road_is_far_from_ones_lane():
    table = road_plan(4, "two-way").table
    road_map = LaneRoadMap(table)
    lane = np.array([0])
    heading = table.heading_at(lane, np.array([10.0]))
    over = np.column_stack([table.position(lane, np.array([10.0]), 4.0), heading])
    assert road_map.drivable(over[:, :2]).all()
    assert road_map.fit_lanes(over).lateral_m[0] == pytest.approx(4.0, abs=0.05)
    turned = over + np.array([0, 0, np.pi])
    assert abs(road_map.fit_lanes(turned).lateral_m[0]) < 0.05


@pytest.mark.parametrize("kind", ROAD_KINDS)
def test_edge_of_the_asphalt(kind):
    road = road_plan(3, kind)
    table = road.table
    lane = np.array([road.start_lanes[-1]])
    while table.rights[lane[0]] >= 0:
        lane = table.rights[lane]
    half = table.widths_m[lane] / 2 + PAVED_MARGIN_M
    along = np.array([12.0])
    assert LaneRoadMap(table).drivable(table.position(lane, along, -half + 0.05)).all()
    assert not LaneRoadMap(table).drivable(table.position(lane, along, -half - 0.05)).any()


def test_every_kind_of_road_and_weather_occurs():
    assert {kind_of_seed(seed) for seed in range(120)} == set(ROAD_KINDS)
    assert TEST_SEEDS_START == 1_000_000
    assert builtin_scene(TEST_SEEDS_START).key == "simulator:1000000"
