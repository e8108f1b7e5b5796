"""What the map says stands beside the road, against what the simulator paints there."""

import cv2
import numpy as np
import pytest

from longdwm_env.geometry.boxes import corners
from longdwm_env.geometry.camera import project_points
from longdwm_env.geometry.map_view.scenery import SCENERY_KINDS, SceneryMap, scenery_along
from longdwm_env.geometry.pose import relative_to, transform_points
from longdwm_env.simulator.conditions import Conditions
from longdwm_env.simulator.drawing import camera_picture as picture
from longdwm_env.simulator.roads.road_kinds import ROAD_KINDS, kind_of_seed, road_plan
from longdwm_env.simulator.roads.road_map import LaneRoadMap
from longdwm_env.simulator.scene import builtin_scene, default_camera, episode
from longdwm_env.simulator.traffic.traffic_state import Traffic, ego_pose

SEEDS = {kind: next(seed for seed in range(400) if kind_of_seed(seed) == kind) for kind in ROAD_KINDS}
CLEAR = Conditions("clear", "day")


def told(seed, reach_m):
    scene = builtin_scene(seed)
    assert isinstance(scene.road_map, SceneryMap)
    return scene.road_map.scenery(scene.start.pose[:2], reach_m)


def frame_of(seed, size):
    """The start of a scene on a clear day, without any other vehicle."""
    now = episode(seed).past[-1]
    alone = Traffic(**{name: value[:1] for name, value in now.arrays.items()})
    return picture.draw_frame(road_plan(seed), seed, alone, 0, CLEAR, default_camera(seed, size)).astype(float)


def block_outlines(layer, pose, camera):
    """Hulls of the blocks that lie wholly before the camera, as pixels (n, 2), with their rows and distances."""
    feet = corners(np.column_stack([layer.positions_m, layer.headings_rad]), layer.sizes_m[:, 0], layer.sizes_m[:, 1])
    feet = transform_points(relative_to(np.zeros(3), pose), feet.reshape(-1, 2)).reshape(-1, 4, 2)
    low, high = layer.bases_m, layer.bases_m + layer.sizes_m[:, 2]
    levels = [np.concatenate([feet, np.broadcast_to(z[:, None, None], (len(z), 4, 1))], -1) for z in (low, high)]
    points = np.concatenate(levels, 1)
    pixels, depths = project_points(camera, points.reshape(-1, 3))
    pixels, depths = pixels.reshape(-1, 8, 2), depths.reshape(-1, 8)
    for row in np.flatnonzero((depths > 1.0).all(1)):
        hull = cv2.convexHull(np.round(pixels[row].clip(-4000, 4000) * 16).astype(np.int32))[:, 0]
        yield row, hull, float(depths[row].mean())


@pytest.mark.parametrize("kind", ROAD_KINDS)
def test_what_is_painted_beside_the_road_is_told_where_it_is(kind, monkeypatch):
    seed, size = SEEDS[kind], (192, 288)
    camera = default_camera(seed, size)
    whole = frame_of(seed, size)
    monkeypatch.setattr(picture, "drawings", lambda painter, props: [])
    changed = np.abs(whole - frame_of(seed, size)).max(-1) > 24
    mask = np.zeros(size, np.uint8)
    layer = told(seed, 320.0)
    pose = ego_pose(episode(seed).past[-1])
    for _, hull, _ in block_outlines(layer, pose, camera):
        cv2.fillConvexPoly(mask, hull, (1,), cv2.LINE_8, 4)
    mask = cv2.dilate(mask, np.ones((5, 5), np.uint8))
    assert changed.sum() > 300
    assert changed[mask == 0].sum() < 0.03 * changed.sum(), "painted where the map says nothing stands"
    assert changed.sum() > 0.4 * (mask[: size[0] // 2] > 0).sum(), "told where nothing is painted"


def test_colours_are_those_that_are_painted():
    """Of each large block that is near, the picture has the map's colour but for light and windows."""
    seed, size = SEEDS["intersection"], (192, 288)
    camera, layer, frame = default_camera(seed, size), told(seed, 80.0), frame_of(seed, size)
    pose = ego_pose(episode(seed).past[-1])
    nearest: dict[int, np.ndarray] = {}
    owner, depth = np.full(size, -1), np.full(size, np.inf)
    for row, hull, distance in block_outlines(layer, pose, camera):
        mask = np.zeros(size, np.uint8)
        cv2.fillConvexPoly(mask, hull, (1,), cv2.LINE_8, 4)
        nearest[row] = mask > 0
        taken = (mask > 0) & (depth > distance)
        owner[taken], depth[taken] = row, distance
    compared = []
    for row, mask in nearest.items():
        own = (owner == row) & (cv2.erode(mask.astype(np.uint8), np.ones((5, 5))) > 0)
        if own.sum() > 150 and SCENERY_KINDS[layer.kinds[row]] == "building":
            shown = np.median(frame[own], axis=0)
            told_hue = layer.colours[row] / layer.colours[row].sum()
            compared.append(np.abs(shown / shown.sum() - told_hue).max())
    assert len(compared) >= 3
    assert np.median(compared) < 0.03


def test_nothing_stands_on_the_road_below_the_height_of_a_bridge():
    for kind in ROAD_KINDS:
        layer = told(SEEDS[kind], 1e6)
        low = layer.bases_m < 4.0
        bushes = np.isin(layer.kinds, [SCENERY_KINDS.index(name) for name in ("bush", "lamp", "sign")])
        road_map = builtin_scene(SEEDS[kind]).road_map
        assert not road_map.drivable(layer.positions_m[low & ~bushes].astype(float)).any()


def test_maps_without_scenery_say_so():
    road = road_plan(2)
    poses = np.zeros((3, 3))
    assert scenery_along(LaneRoadMap(road.table), poses, 50.0) is None
    assert scenery_along(None, poses, 50.0) is None
    assert len(scenery_along(builtin_scene(2).road_map, builtin_scene(2).start.pose[None], 50.0).kinds) > 0
