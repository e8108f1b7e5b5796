"""The sky that is remembered: as it was seen, wherever nothing stands before it, and nowhere else."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from longdwm_env.errors import InvalidState
from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.geometry.map_view.map_picture import MapPicture
from longdwm_env.geometry.map_view.upright import STATIC
from longdwm_env.geometry.pose import compose
from longdwm_env.models.closed_loop.sky_memory import DROP_PX, Sky
from longdwm_env.models.closed_loop.surroundings import Surroundings
from longdwm_env.models.world import DiffusionWorld
from longdwm_env.simulator.scene import builtin_scene
from longdwm_env.simulator.traffic.ego_driver import drive
from longdwm_env.worlds.simulator_world import SimulatorWorld
from tests.models.test_composition import SIZE, make_compositor

CLOUDY = 1_000_006
SECONDS = 6


@pytest.fixture(scope="module")
def seen():
    """Of a drive under clouds: camera, frames, poses, and what the map shows of the first and the last frame."""
    world = SimulatorWorld()
    scene = builtin_scene(CLOUDY)
    scene = replace(scene, camera=scene.camera.fitted(world.image_size))
    state = world.begin(scene, CLOUDY)
    start = scene.log.images(0, 1, scene.camera)[0]
    poses = [scene.start.pose]
    for _ in range(SECONDS):
        trajectory = drive(state, CLOUDY)
        poses.append(compose(poses[-1], trajectory.poses[11]))
        (state,), (frames,) = world.advance([state], [trajectory], 12)
    scenery = scene.road_map.scenery(scene.start.pose[:2], 500.0)
    around = Surroundings(np.stack(poses), scene.road_map.layout(scene.start.pose[:2], 500.0), scenery)
    return scene.camera, (start, frames[-1]), np.stack(poses), around


def at_depth(inverse_depth, owners=None):
    """What a map shows that knows this depth and, if given, these road users."""
    nothing = np.zeros((*inverse_depth.shape, 3), np.uint8)
    return MapPicture(
        nothing, inverse_depth, np.full(inverse_depth.shape, STATIC, np.int16) if owners is None else owners
    )


def far(picture, camera, around, number):
    """Where nothing stands before the sky, with room around it."""
    free = np.asarray(around.shown(number, camera).inverse_depth == 0, np.uint8)
    return cv2.erode(free, np.ones((11, 11), np.uint8)) > 0


def test_later_frames_have_the_sky_of_the_first(seen):
    camera, (start, later), poses, around = seen
    sky = Sky.unseen(camera).with_seen(start, around.shown(0, camera), poses[0, 2], camera)
    grey = np.full_like(later, 128)
    shown = sky.over(grey, around.shown(SECONDS, camera).inverse_depth, poses[SECONDS, 2], camera)
    free = far(later, camera, around, SECONDS)
    assert free.mean() > 0.2
    apart = np.abs(shown.astype(int) - later)[free].mean()
    assert apart < 6
    turned = sky.over(grey, around.shown(SECONDS, camera).inverse_depth, poses[SECONDS, 2] + 0.2, camera)
    assert np.abs(turned.astype(int) - later)[free].mean() > 2 * apart


def test_what_stands_before_it_is_left_alone(seen):
    camera, (start, later), poses, around = seen
    depth = around.shown(SECONDS, camera).inverse_depth
    sky = Sky.unseen(camera).with_seen(start, around.shown(0, camera), poses[0, 2], camera)
    shown = sky.over(np.zeros_like(later), depth, poses[SECONDS, 2], camera)
    standing = cv2.erode(np.asarray(depth > 0, np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert not shown[standing].any()
    assert shown[~standing].any()


def test_it_is_learnt_once_and_lies_all_around(seen):
    camera, (start, later), _, around = seen
    depth = around.shown(0, camera).inverse_depth
    sky = Sky.unseen(camera).with_seen(start, around.shown(0, camera), 0.3, camera)
    assert sky.with_seen(later, around.shown(SECONDS, camera), 1.0, camera) is sky
    assert sky.seen[..., 3].all()
    grey = np.full_like(start, 128)
    for heading in (0.3, 1.4, 3.0, -2.0):
        once, again = (sky.over(grey, depth, heading + turn, camera) for turn in (0.0, 2 * np.pi))
        assert np.abs(once.astype(int) - again).max() <= 1
        assert (once[far(start, camera, around, 0)] != 128).any()
    # To both sides the picture goes on without a step, and comes again.
    wide = 2 * np.arctan(camera.intrinsics.width_px / 2 / camera.intrinsics.fx_px)
    nowhere = np.zeros_like(depth)
    ahead, left, right = (sky.over(grey, nowhere, 0.3 + turn * wide, camera)[:30].astype(int) for turn in (0, 1, -1))
    steps = [
        np.abs(np.diff(shown, axis=1)).mean()
        for shown in (ahead, sky.over(grey, nowhere, 0.3 + wide / 2, camera)[:30].astype(int))
    ]
    assert steps[1] < 1.5 * steps[0]
    assert np.abs(left[:, :60] - ahead[:, :60]).mean() < 4
    assert np.abs(right[:, -60:] - ahead[:, -60:]).mean() < 4


def _bright_to_the_right(camera):
    """A picture that is 10 at its left and 240 at its right, and nothing before it above the middle."""
    height, width = camera.intrinsics.image_size
    picture = np.repeat(np.linspace(10, 240, width)[None, :, None], height, 0).repeat(3, 2).astype(np.uint8)
    depth = np.zeros((height, width), np.float32)
    depth[height // 2 :] = 0.05
    return picture, depth


def test_a_strip_between_houses_does_not_come_again():
    camera = assumed_camera((96, 144))
    picture, depth = _bright_to_the_right(camera)
    picture[...] = (60, 80, 120)
    picture[:, 64:84] = (200, 210, 220)
    depth[:, :50], depth[:, 94:] = 0.1, 0.1
    sky = Sky.unseen(camera).with_seen(picture, at_depth(depth), 0.0, camera)
    wide = 2 * np.arctan(camera.intrinsics.width_px / 2 / camera.intrinsics.fx_px)
    nowhere, black = np.zeros_like(depth), np.zeros_like(picture)
    ahead, aside, behind = (sky.over(black, nowhere, turn, camera)[2:30].astype(int) for turn in (0, wide, np.pi))
    assert np.ptp(ahead[:, 60:88]) > 60
    # Beside and behind there is a mean of what was seen, without an edge.
    for shown in (aside, behind):
        assert np.abs(np.diff(shown, axis=1)).max() <= 12
        assert ((shown >= 60) & (shown <= 220)).all()


def test_a_road_user_leaves_no_colour_in_the_sky():
    """His box is not exact: he reaches a little beyond it."""
    camera = assumed_camera((96, 144))
    picture = np.full((96, 144, 3), (120, 160, 220), np.uint8)
    picture[10:60, 60:100] = (200, 20, 20)
    depth = np.zeros((96, 144), np.float32)
    depth[48:] = 0.05
    owners = np.full((96, 144), STATIC, np.int16)
    owners[16:60, 66:94], depth[16:60, 66:94] = 0, 0.1
    sky = Sky.unseen(camera).with_seen(picture, at_depth(depth, owners), 0.0, camera)
    shown = sky.over(np.zeros_like(picture), np.where(depth == 0.1, 0, depth), 0.0, camera)
    assert np.abs(shown[2:36].astype(int) - (120, 160, 220)).max() <= 12


def test_drops_do_not_stay_in_the_sky(seen):
    camera, (start, _), _, around = seen
    plain = np.full_like(start, 120)
    wet = plain.copy()
    wet[4:40:9, 5:140:11] = 255
    wet[5:41:9, 5:140:11] = 255
    depth = np.zeros_like(around.shown(0, camera).inverse_depth)
    dry = Sky.unseen(camera).with_seen(wet, at_depth(depth), 0.0, camera, specks_px=DROP_PX)
    assert np.abs(dry.over(plain, depth, 0.0, camera).astype(int) - plain).max() <= 1
    kept = Sky.unseen(camera).with_seen(wet, at_depth(depth), 0.0, camera)
    assert np.abs(kept.over(plain, depth, 0.0, camera).astype(int) - plain).max() > 40


def street():
    """A photograph of a house before clouds, and the depth that a road which is only said has there."""
    rng = np.random.default_rng(0)
    picture = np.full((96, 144, 3), (120, 160, 220), np.uint8)
    cv2.circle(picture, (40, 18), 12, (235, 235, 235), -1)
    picture = cv2.GaussianBlur(picture, (0, 0), 2)
    picture[20:48, 90:] = rng.integers(40, 90, (28, 54, 3), dtype=np.uint8)
    picture[48:] = 70
    depth = np.zeros((96, 144), np.float32)
    depth[48:] = 0.05
    return picture, depth


def test_a_photograph_gives_its_sky_and_not_its_house():
    """Its map knows no house."""
    camera, (picture, depth) = assumed_camera((96, 144)), street()
    said, known = (
        Sky.unseen(camera, exact).with_seen(picture, at_depth(depth), 0.0, camera) for exact in (False, True)
    )
    grey = np.full_like(picture, 120)
    shown, copied = (sky.over(grey, depth, 0.0, camera)[26:40, 100:130].astype(int) for sky in (said, known))
    assert np.abs(shown - (120, 160, 220)).mean() < 20
    assert np.abs(copied - picture[26:40, 100:130]).mean() < 20
    assert np.abs(said.over(grey, depth, 0.0, camera)[4:30, 10:80].astype(int) - picture[4:30, 10:80]).mean() < 4


def test_what_is_filled_in_comes_up_within_a_second():
    camera, (picture, depth) = assumed_camera((96, 144)), street()
    sky = Sky.unseen(camera, exact=False).with_seen(picture, at_depth(depth), 0.0, camera)
    house, clouds = (slice(26, 40), slice(100, 130)), (slice(4, 16), slice(10, 80))
    changes = [
        [
            np.abs(sky.over(picture, depth, 0.0, camera, driven)[part].astype(int) - picture[part]).mean()
            for driven in (1, 6, 12)
        ]
        for part in (house, clouds)
    ]
    assert changes[0][0] < changes[0][1] / 3 < changes[0][2] / 3
    assert max(changes[1]) < 4


@pytest.fixture(scope="module")
def world(built):
    pipeline = built("debug")
    pipeline.register_to_config(settings={**pipeline.settings.to_json(), "sky_memory": True})
    pipeline.register_modules(compositor=make_compositor())
    return DiffusionWorld(pipeline)


@pytest.fixture(scope="module")
def begun(world):
    scene = builtin_scene(CLOUDY)
    return world.begin(replace(scene, camera=scene.camera.fitted(SIZE)), 1)


def test_a_drive_keeps_the_sky_that_it_began_under(world, begun, drive_at):
    assert "sky" not in begun.arrays
    (first,), frames = world.advance([begun], [drive_at(8.0)], 12)
    (second,), _ = world.advance([first], [drive_at(8.0)], 4)
    assert first.arrays["sky"].any()
    assert second.arrays["sky"] is first.arrays["sky"]
    without = replace(begun, arrays={n: a for n, a in begun.arrays.items() if not n.startswith("scenery_")})
    (bare,), plain = world.advance([without], [drive_at(8.0)], 12)
    assert "sky" not in bare.arrays
    assert (frames != plain).any()


def test_it_is_the_same_alone_and_together_and_in_parts(world, begun, drive_at):
    (first,), _ = world.advance([begun], [drive_at(8.0)], 12)
    _, together = world.advance([first, begun], [drive_at(8.0), drive_at(4.0, 1.0)], 12)
    for index, (state, trajectory) in enumerate([(first, drive_at(8.0)), (begun, drive_at(4.0, 1.0))]):
        assert (world.advance([state], [trajectory], 12)[1][0] == together[index]).all()
    assert (world.advance([first], [drive_at(8.0)], 5)[1] == together[:1, :5]).all()


def test_a_sky_of_another_camera_is_refused(world, begun, drive_at):
    (first,), _ = world.advance([begun], [drive_at(8.0)], 12)
    wrong = replace(first, arrays={**first.arrays, "sky": first.arrays["sky"][:, :-3]})
    with pytest.raises(InvalidState, match="sky of this camera"):
        world.advance([wrong], [drive_at(8.0)], 12)


def test_a_changed_prompt_has_three_seconds_to_change_the_sky(world, drive_at):
    scene = builtin_scene(CLOUDY)
    scene = replace(scene, camera=scene.camera.fitted(SIZE))
    state = world.begin(scene.with_changed_prompt("Weather: foggy. Time: nighttime."), 1)
    for second in range(4):
        (state,), _ = world.advance([state], [drive_at(8.0)], 12)
        assert ("sky" in state.arrays and bool(state.arrays["sky"].any())) == (second == 3)


def test_what_the_upper_edge_cuts_is_no_streak_above_it(seen):
    camera = seen[0]
    height, width = camera.intrinsics.image_size
    clouds = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    sky = Sky.unseen(camera).with_seen(clouds, at_depth(np.zeros((height, width), np.float32)), 0.0, camera).seen
    # The highest directions are seen in the middle of the picture only, or not there but at its sides.
    highest = sky[:4, :, :3].astype(int)
    assert np.median(np.abs(np.diff(highest, axis=0)).max(axis=(0, 2))) > 20
