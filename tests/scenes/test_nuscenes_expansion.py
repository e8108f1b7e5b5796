"""Scenes of a nuScenes dataset whose map expansion is installed."""

import numpy as np
import pytest

from longdwm_env.errors import InvalidScene
from longdwm_env.geometry.layout import CENTRE_LINE, LINE, ROAD, DrawnRoadMap
from longdwm_env.scenes import open_scenes
from longdwm_env.traffic.meanwhile import begin, kind_of, react
from longdwm_env.types import WorldState

from .expansion import at, install_expansion

pytest.importorskip("nuscenes", reason="nuscenes-devkit is not installed")

VERSION = "v1.0-simulator"


def corners_of(layout, kind) -> np.ndarray:
    return layout.corners_m[layout.kinds == kind].reshape(-1, 2)


def test_map_expansion_brings_lanes(dataset):
    x, y, heading = open_scenes(dataset).scene(0).start.pose
    path = install_expansion(dataset, VERSION, (x, y, heading))
    road_map = open_scenes(dataset).scene(0).road_map
    poses = np.array([at(x, y, heading, *place) for place in ((5, 0.5, 0.1), (5, -0.5, 0), (5, 3, 0), (-90, 0, 0))])
    fit = road_map.fit_lanes(poses)
    assert fit.lateral_m[:3] == pytest.approx([0.5, -0.5, 3.0], abs=1e-3)
    assert fit.heading_error_rad[:2] == pytest.approx([0.1, 0.0], abs=1e-3)
    assert fit.width_m[:2] == pytest.approx(4.0, rel=0.02)
    assert np.isnan([fit.lateral_m[3], fit.width_m[3]]).all()
    assert road_map.drivable(poses[:, :2]).tolist() == [True, True, False, False]
    path.write_text("{}")
    with pytest.raises(InvalidScene, match=r"boston-seaport\.json"):
        open_scenes(dataset).scene(0)


def test_recorded_road_users_react_where_the_expansion_knows_their_lanes(dataset, shared_dataset):
    plain = open_scenes(shared_dataset).scene(0)
    assert kind_of(plain, None) == "constant"
    install_expansion(dataset, VERSION, tuple(plain.start.pose))
    scene = open_scenes(dataset).scene(0)
    assert kind_of(scene, None) == "reactive"
    begun = begin(scene)
    names = list(scene.actors.ids)
    assert begun.values["road_users"] == names
    state = WorldState({"track": scene.start.pose[None], **begun.arrays}, begun.values, begun.actors)
    ego = np.asarray(scene.log.ego_poses)[scene.log.num_past + 1 :][:12]
    logged = react(state, ego, np.full(12, 10.0)).tracks
    for column, name in enumerate(logged.ids):
        np.testing.assert_array_equal(logged.poses[:, column], scene.actors.poses[:13, names.index(name)])
    assert np.array_equal(logged.classes, [scene.actors.classes[names.index(name)] for name in logged.ids])
    standing = react(state, np.repeat(scene.start.pose[None], 12, axis=0), np.zeros(12))
    assert standing.after(12)["traffic.left"]
    assert not standing.after(1)["traffic.left"], "a frame of standing is no departure yet"
    there = standing.tracks.poses[:, [name in logged.ids for name in standing.tracks.ids]]
    assert np.isfinite(there[-1]).any()


def test_map_expansion_says_what_is_painted_where(dataset, shared_dataset):
    plain = open_scenes(shared_dataset).scene(0)
    pose = plain.start.pose
    install_expansion(dataset, VERSION, tuple(pose))
    road_map = open_scenes(dataset).scene(0).road_map
    assert isinstance(road_map, DrawnRoadMap)
    assert not isinstance(plain.road_map, DrawnRoadMap)
    seen = road_map.layout(pose[:2], 3000.0).seen_from(pose)
    extents = {kind: np.ptp(corners_of(seen, kind), axis=0) for kind in (ROAD, LINE, CENTRE_LINE)}
    assert extents[ROAD] == pytest.approx([60, 4], abs=0.01)
    # No lines across the lane's ends, and none in the junction.
    assert extents[LINE] == pytest.approx([40, 4.15], abs=0.2)
    assert abs(abs(corners_of(seen, LINE)[:, 1]) - 2) == pytest.approx(0.075, abs=1e-3)
    assert corners_of(seen, CENTRE_LINE)[:, 1].mean() == pytest.approx(2.5, abs=0.01)
    near = road_map.layout(np.array(at(*pose, 45.0, 0.0, 0.0)[:2]), 10.0).seen_from(pose)
    assert 0 < len(near.kinds) < len(seen.kinds)
    assert set(near.kinds) == {ROAD}
    assert road_map.layout(pose[:2] + 1000.0, 100.0).kinds.size == 0
