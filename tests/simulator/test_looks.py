"""What tracks say of a vehicle's colour and lights, against what the simulator paints."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from longdwm_env.scenes.builtin import BuiltinScenes
from longdwm_env.simulator.conditions import Conditions
from longdwm_env.simulator.drawing import camera_picture as picture
from longdwm_env.simulator.drawing.lights import BLINK_FRAMES, BRAKE_LIGHT, LEFT, RIGHT, colours_of, lights_of
from longdwm_env.simulator.roads.road_kinds import kind_of_seed, road_plan
from longdwm_env.simulator.scene import default_camera, episode
from longdwm_env.simulator.traffic.stepping import step
from longdwm_env.simulator.traffic.traffic_state import EGO, Traffic, ego_pose
from longdwm_env.simulator.traffic.vehicle_kinds import VEHICLE_KINDS
from longdwm_env.types import ROAD_USER_CLASSES
from longdwm_env.worlds.simulator_world import actor_tracks


def seed_of(kind):
    return next(seed for seed in range(400) if kind_of_seed(seed) == kind)


def later(seed, frames):
    """The road and the traffic of a scene at its start and each frame after it."""
    one = episode(seed)
    steps = [one.past[-1]]
    for frame in range(1, frames + 1):
        steps.append(step(one.road, steps[-1], seed, frame))
    return one.road, steps


def test_tracks_say_how_each_vehicle_looks():
    road, steps = later(5, 24)
    tracks = actor_tracks(steps, road.table, 0)
    assert tracks.looks.keys() == {"classes", "colours", "lights"}
    for column, name in enumerate(tracks.ids):
        row, generation = map(int, name.split("-"))
        for frame, now in enumerate(steps):
            if np.isnan(tracks.poses[frame, column, 0]):
                assert not tracks.lights[frame, column].any()
                continue
            assert now.generations[row] == generation
            assert ROAD_USER_CLASSES[tracks.classes[column]] == VEHICLE_KINDS[now.kinds[row]]
            assert np.array_equal(tracks.colours[column], colours_of(now)[row])
            assert np.array_equal(tracks.lights[frame, column], lights_of(road.table, now, frame)[row])


def test_who_brakes_or_stands_shows_it():
    road, (now,) = later(2, 0)
    count = len(now.speeds_mps)
    for speed, acceleration, lit in ((10.0, 0.0, False), (10.0, -3.0, True), (0.0, 0.0, True)):
        same = replace(now, speeds_mps=np.full(count, speed), accelerations_mps2=np.full(count, acceleration))
        assert (lights_of(road.table, same, 0)[:, BRAKE_LIGHT] == lit).all()


def blinked(table, traffic):
    """(N, 3) which lights shine at some time of a blink."""
    return np.any([lights_of(table, traffic, frame) for frame in range(BLINK_FRAMES)], axis=0)


def test_a_change_of_lane_is_indicated_to_its_side_and_blinks():
    seed = seed_of("highway")
    road, (now,) = later(seed, 0)
    table = road.table
    assert not blinked(table, now)[now.lanes == now.targets][:, [LEFT, RIGHT]].any()
    for beside, side, other in ((table.lefts, LEFT, RIGHT), (table.rights, RIGHT, LEFT)):
        movers = np.flatnonzero(beside[now.lanes] >= 0)
        targets = now.lanes.copy()
        targets[movers] = beside[now.lanes[movers]]
        moving = replace(now, targets=targets)
        shining = np.array([lights_of(table, moving, frame)[movers] for frame in range(2 * BLINK_FRAMES)])
        assert not shining[..., other].any()
        np.testing.assert_allclose(shining[..., side].mean(axis=0), 0.5)


def test_a_turn_at_a_junction_is_indicated_before_it_and_a_roundabout_is_none():
    turned = {LEFT: 0, RIGHT: 0}
    road, steps = later(seed_of("intersection"), 12 * 25)
    for row in range(1, len(steps[0].lanes)):
        for before, now in pairwise(steps[60:]):
            lane = now.lanes[row]
            enters = road.table.junctions[lane] and not road.table.junctions[before.lanes[row]]
            if not enters or before.generations[row] != now.generations[row]:
                continue
            side = {1.0: LEFT, -1.0: RIGHT}.get(float(road.table.turns[lane]))
            shown = blinked(road.table, before)[row]
            assert [shown[LEFT], shown[RIGHT]] == [side == LEFT, side == RIGHT]
            if side is not None:
                turned[side] += 1
    assert min(turned.values()) > 0, "the scene has turns to either side"
    road, steps = later(seed_of("roundabout"), 12 * 10)
    ring = [np.flatnonzero(road.table.junctions[now.lanes] & (now.lanes == now.targets)) for now in steps]
    assert sum(map(len, ring)) > 0
    for now, rows in zip(steps, ring, strict=True):
        assert not blinked(road.table, now)[rows][:, LEFT].any()


@pytest.mark.parametrize("turned", [0.0, np.pi], ids=["from behind", "from ahead"])
@pytest.mark.parametrize(("column", "sign"), [(LEFT, 1), (RIGHT, -1)])
@pytest.mark.parametrize("conditions", [Conditions("clear", "day"), Conditions("rain", "night")])
def test_an_indicator_is_painted_amber_on_its_side(turned, column, sign, conditions, monkeypatch):
    seed, size = 2, (192, 288)
    road, (now,) = later(seed, 0)
    pose = ego_pose(now)
    rows = {name: np.resize(value, (2, *value.shape[1:])).copy() for name, value in now.arrays.items()}
    rows["positions_m"][1] = pose[:2] + 12 * np.array([np.cos(pose[2]), np.sin(pose[2])])
    rows["headings_rad"][1], rows["kinds"][1] = pose[2] + turned, VEHICLE_KINDS.index("sedan")
    traffic = Traffic(**rows)

    def drawn(*lit):
        lights = np.zeros((2, 3), bool)
        lights[1, list(lit)] = True
        monkeypatch.setattr(picture, "lights_of", lambda *_: lights)
        return picture.draw_frame(road, seed, traffic, 0, conditions, default_camera(seed, size)).astype(int)

    # A vehicle's left is our left from behind, our right from ahead.
    side = sign if turned == 0 else -sign
    for others in ((), (BRAKE_LIGHT,)):
        change = np.abs(drawn(column, *others) - drawn(*others)).sum(-1)
        columns = np.flatnonzero(change.max(0) > 40)
        assert len(columns) > 0
        assert (columns < size[1] / 2).all() if side > 0 else (columns > size[1] / 2).all()
        red, green, blue = drawn(column, *others)[change > 0.5 * change.max()].mean(0)
        assert red > 120
        assert red > green > 1.15 * blue


@pytest.mark.parametrize("seed", [2, 8])
def test_a_scene_marks_looks_at_its_start(seed):
    actors = BuiltinScenes().scene(seed).actors
    now = episode(seed).past[-1]
    rows = [int(name.split("-")[0]) for name in actors.ids]
    assert EGO not in rows
    assert np.array_equal(actors.colours, colours_of(now)[rows])
    assert np.array_equal(actors.lights[0], lights_of(road_plan(seed).table, now, 0)[rows])
