"""What a map and boxes show of a frame, and pictures taken along by its depths."""

from dataclasses import replace

import numpy as np
import pytest

from longdwm_env.geometry.map_view.facades import LIT_RGB, PANE_RGB
from longdwm_env.geometry.map_view.map_picture import SKY_RGB, draw_map
from longdwm_env.geometry.map_view.reprojection import reprojected
from longdwm_env.geometry.map_view.scenery import SCENERY_KINDS, SceneryLayer
from longdwm_env.geometry.map_view.upright import STATIC
from longdwm_env.geometry.pose import relative_to
from longdwm_env.geometry.warp import WarpSettings, warp_images
from longdwm_env.types import ROAD_USER_CLASSES, ActorTracks

HERE = np.zeros(3)
RED, BLUE = (200, 20, 20), (20, 20, 200)


def scenery(*blocks):
    """Blocks (kind, x, y, length, width, height, colour)."""
    kinds, x, y, length, width, height, colours = zip(*blocks, strict=True)
    count = len(blocks)
    return SceneryLayer(
        np.array([SCENERY_KINDS.index(kind) for kind in kinds], np.uint8), np.arange(count, dtype=np.int32),
        np.stack([x, y], 1), np.zeros(count), np.stack([length, width, height], 1), np.zeros(count),
        np.array(colours, np.uint8), np.zeros((0, 4, 2)), np.zeros((0, 3), np.uint8), np.array([90, 120, 60], np.uint8),
    )  # fmt: skip


def tracks(*placed, **looks):
    """Road users at poses (x, y, heading) in each of some frames."""
    poses = np.array(placed, float).transpose(1, 0, 2)
    count = poses.shape[1]
    sizes, speeds = np.tile([4.5, 1.8, 1.5], (count, 1)), np.zeros(poses.shape[:2])
    return ActorTracks(poses, sizes, speeds, tuple(f"car-{i}" for i in range(count)), **looks)


def at(camera, x, y, z):
    """(row, column) where a point of the ego frame is seen."""
    ego_from_camera = camera.mounting.ego_from_camera
    seen = ego_from_camera[:3, :3].T @ (np.array([x, y, z]) - ego_from_camera[:3, 3])
    inside = camera.intrinsics
    column, row = inside.fx_px * seen[0] / seen[2] + inside.cx_px, inside.fy_px * seen[1] / seen[2] + inside.cy_px
    return round(row), round(column)


def test_nothing_known_is_sky_above_ground(camera):
    shown = draw_map(None, None, None, 0, camera, HERE)
    assert (shown.picture[0] == SKY_RGB).all()
    assert (shown.inverse_depth[:40] == 0).all()
    assert (shown.owners == STATIC).all()
    height = camera.mounting.translation_m[2]
    row = 80
    expected = (row - camera.intrinsics.cy_px) / camera.intrinsics.fy_px / height
    np.testing.assert_allclose(shown.inverse_depth[row], expected, rtol=1e-4)


def test_a_wall_has_the_depth_of_where_it_stands(camera):
    wall = scenery(("building", 25.0, 0.0, 10.0, 30.0, 12.0, RED))
    shown = draw_map(None, wall, None, 0, camera, HERE)
    row, column = at(camera, 20.0, 2.0, 4.0)
    forward = 20.0 - camera.mounting.translation_m[0]
    assert shown.inverse_depth[row, column] == pytest.approx(1 / forward, rel=1e-3)
    assert shown.picture[row, column, 0] > 2 * shown.picture[row, column, 1]


@pytest.mark.parametrize(("kind", "length"), [("broadleaf", 3.0), ("conifer", 3.0), ("sign", 0.1)])
def test_outlines_stand_upright_where_the_map_says(camera, kind, length):
    shown = draw_map(None, scenery((kind, 30.0, 1.0, length, 3.0, 3.0, BLUE)), None, 0, camera, HERE)
    row, column = at(camera, 30.0, 1.0, 1.2)
    forward = 30.0 - camera.mounting.translation_m[0]
    assert shown.inverse_depth[row, column] == pytest.approx(1 / forward, rel=0.02)
    assert shown.picture[row, column, 2] > 150
    assert (draw_map(None, None, None, 0, camera, HERE).picture[row, column] != shown.picture[row, column]).any()


def test_who_is_behind_a_lorry_is_not_drawn_over_it(camera):
    others = tracks([(20.0, 0.0, 0.0)], [(40.0, 0.0, 0.0)])
    shown = draw_map(None, None, others, 0, camera, HERE)
    row, column = at(camera, 20.0, 0.0, 1.0)
    assert shown.owners[row, column] == 0
    wall = scenery(("building", 30.0, 0.0, 1.0, 40.0, 9.0, RED))
    assert 1 not in draw_map(None, wall, others, 0, camera, HERE).owners


def test_looks_are_drawn(camera):
    lights = np.zeros((1, 1, 3), bool)
    plain = {"classes": np.array([ROAD_USER_CLASSES.index("sedan")]), "colours": np.array([BLUE])}
    dark = draw_map(None, None, tracks([(12.0, 0.0, 0.0)], lights=lights, **plain), 0, camera, HERE).picture
    lights[0, 0, 0] = True
    braking = draw_map(None, None, tracks([(12.0, 0.0, 0.0)], lights=lights, **plain), 0, camera, HERE).picture
    assert (braking.astype(int) - dark)[..., 0].max() > 60
    assert (dark[..., 2].astype(int) - dark[..., 0]).max() > 120
    bus = {**plain, "classes": np.array([ROAD_USER_CLASSES.index("bus")])}
    assert (draw_map(None, None, tracks([(12.0, 0.0, 0.0)], **bus), 0, camera, HERE).picture != dark).any()


@pytest.mark.parametrize("kind", ROAD_USER_CLASSES)
def test_every_road_user_fills_his_box_and_no_more(camera, kind):
    look = {"classes": np.array([ROAD_USER_CLASSES.index(kind)]), "colours": np.array([BLUE])}
    shown = draw_map(None, None, tracks([(9.0, 2.0, 0.4)], **look), 0, camera, HERE)
    rows, columns = np.nonzero(shown.owners == 0)
    turn = np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    feet = turn @ np.array([[2.25, 2.25, -2.25, -2.25], [0.9, -0.9, 0.9, -0.9]]) + [[9.0], [2.0]]
    corners = np.array([at(camera, x, y, z) for x, y in feet.T for z in (0.0, 1.5)])
    low, high = corners.min(axis=0).clip(0), corners.max(axis=0)
    # Mirrors and lamps stand out a little, and wheels are all that touches the ground.
    assert rows.min() >= low[0] - 2
    assert columns.min() >= low[1] - 3
    assert columns.max() <= high[1] + 3
    assert rows.max() <= high[0] + 2
    assert len(rows) > 0.4 * (high - low).prod()


def test_a_picture_seen_from_the_same_place_is_itself(camera, picture):
    others, blocks = tracks([(20.0, 0.0, 0.0)]), scenery(("building", 30.0, 9.0, 8.0, 8.0, 8.0, RED))
    shown = draw_map(None, blocks, others, 0, camera, HERE)
    taken, mask = reprojected(picture, shown, HERE, 0, shown, HERE, 0, others, camera)
    assert (mask == 255).all()
    assert np.abs(taken.astype(int) - picture).max() <= 2


def test_the_ground_is_taken_along_as_the_ground_plane_says(camera, picture):
    ahead = np.array([3.0, 0.2, 0.05])
    near, far = (draw_map(None, None, None, 0, camera, pose) for pose in (HERE, ahead))
    taken, mask = reprojected(picture, near, HERE, 0, far, ahead, 0, None, camera)
    warped = warp_images(picture, camera, ahead[None], WarpSettings(variant="ground", depth_m=1e6))[0]
    ground = mask.astype(bool)
    ground[:52] = False
    assert ground.any()
    assert np.abs(taken.astype(int) - warped)[ground].mean() < 4


def test_a_road_user_takes_his_picture_along(camera, picture):
    """Going as fast as we do, he looks the same from frame to frame."""
    others, ahead = tracks([(15.0, 0.0, 0.0), (18.0, 0.0, 0.0)]), np.array([3.0, 0.0, 0.0])
    first, last = (draw_map(None, None, others, t, camera, pose) for t, pose in ((0, HERE), (1, ahead)))
    taken, mask = reprojected(picture, first, HERE, 0, last, ahead, 1, others, camera)
    his = last.owners == 0
    assert his.sum() > 50
    assert (mask[his] == 255).mean() > 0.9
    assert np.abs(taken[his].astype(int) - picture[his]).mean() < 3


def test_what_stood_behind_something_is_not_claimed(camera, picture):
    """A wall hides the house behind it until we have passed it."""
    blocks = scenery(("building", 12.0, 4.0, 2.0, 4.0, 6.0, RED), ("building", 40.0, 9.0, 10.0, 10.0, 8.0, BLUE))
    ahead = np.array([14.0, 0.0, 0.0])
    first, last = (draw_map(None, blocks, None, 0, camera, pose) for pose in (HERE, ahead))
    _, mask = reprojected(picture, first, HERE, 0, last, ahead, 0, None, camera)
    row, column = at(camera, *(35.0 - ahead[0], 9.0, 3.0))
    assert last.picture[row, column, 2] > 100
    hidden = at(camera, 35.0, 9.0, 3.0)
    assert first.picture[hidden][0] > 100
    assert mask[row, column] == 0


def test_it_does_not_matter_where_the_world_begins(camera):
    """Everything moved and turned alike looks the same."""
    pose = np.array([40.0, -25.0, 2.2])
    others = tracks([(18.0, 1.0, 0.3)])
    moved = ActorTracks(
        relative_to(others.poses, relative_to(HERE[None], pose)[0]), others.sizes_m, others.speeds_mps, others.ids
    )
    here, there = draw_map(None, None, others, 0, camera, HERE), draw_map(None, None, moved, 0, camera, pose)
    assert (here.owners != there.owners).mean() < 0.002
    assert np.abs(here.picture.astype(int) - there.picture).mean() < 0.5


def test_windows_follow_from_the_number_of_a_facade(camera):
    blind = scenery(("building", 25.0, 0.0, 10.0, 30.0, 12.0, RED))
    shown = draw_map(None, blind, None, 0, camera, HERE)
    pictures = [
        draw_map(None, replace(blind, facades=np.array([number])), None, 0, camera, HERE) for number in (7, 7, 8)
    ]
    colours = {tuple(rgb) for rgb in pictures[0].picture.reshape(-1, 3)}
    assert {PANE_RGB, LIT_RGB} < colours
    assert not {PANE_RGB, LIT_RGB} & {tuple(rgb) for rgb in shown.picture.reshape(-1, 3)}
    np.testing.assert_array_equal(pictures[0].picture, pictures[1].picture)
    assert (pictures[0].picture != pictures[2].picture).any(), "another building, other lights"
    # Panes lie in their wall.
    np.testing.assert_allclose(pictures[0].inverse_depth, shown.inverse_depth, atol=1e-5)
