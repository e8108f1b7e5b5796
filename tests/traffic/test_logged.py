"""Recorded road users: on their log while the ego is on its own, and by the intelligent driver model from then on."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from longdwm_env.clock import FPS
from longdwm_env.geometry.boxes import collisions
from longdwm_env.geometry.kinematics import CAR
from longdwm_env.traffic.meanwhile import begin, kind_of, react
from longdwm_env.types import ROAD_USER_CLASSES, ActorTracks, EgoState, LaneFit, Scene, WorldState

SPEED = 10.0
FRAMES = 5 * FPS + 1
RADIUS = 80.0


@dataclass(frozen=True)
class Ring:
    """One lane, 3.5 m wide, on a circle that is driven to the left; it passes the origin along x."""

    def drivable(self, points_m):
        return np.abs(np.hypot(points_m[:, 0], points_m[:, 1] - RADIUS) - RADIUS) < 1.75

    def fit_lanes(self, poses):
        away = np.hypot(poses[:, 0], poses[:, 1] - RADIUS)
        direction = np.arctan2(poses[:, 1] - RADIUS, poses[:, 0]) + np.pi / 2
        error = (poses[:, 2] - direction + np.pi) % (2 * np.pi) - np.pi
        on = np.abs(away - RADIUS) < 1.75
        return LaneFit(np.where(on, RADIUS - away, np.nan), np.where(on, error, np.nan), np.where(on, 3.5, np.nan))


class NoLanes(Ring):
    def fit_lanes(self, poses):
        nothing = np.full(len(poses), np.nan)
        return LaneFit(nothing, nothing, nothing)


@dataclass
class Log:
    ego_poses: np.ndarray | None
    num_past: int = 0
    num_future: int = FRAMES - 1

    def images(self, first, count, camera):
        raise AssertionError("traffic looks at no picture")


def on_ring(along_m):
    """Poses at distances from the origin along the ring."""
    angle = np.asarray(along_m, float) / RADIUS
    return np.stack([RADIUS * np.sin(angle), RADIUS * (1 - np.cos(angle)), angle], axis=-1)


TIMES = np.arange(FRAMES) / FPS
EGO_LOG = on_ring(SPEED * TIMES)
FIRST_SEEN = 3 * FPS


def recorded():
    """One 25 m ahead, one 20 m behind, one parked beside, one who is recorded from 3 s on 40 m ahead; all on 10 m/s."""
    poses = np.full((FRAMES, 4, 3), np.nan)
    poses[:, 0] = on_ring(25 + SPEED * TIMES)
    poses[:, 1] = on_ring(-20 + SPEED * TIMES)
    poses[:, 2] = [30.0, -6.0, 0.4]
    poses[FIRST_SEEN:, 3] = on_ring(40 + SPEED * TIMES[FIRST_SEEN:])
    speeds = np.where(np.isfinite(poses[..., 0]), SPEED, np.nan)
    speeds[:, 2] = 0.0
    names = ("ahead", "behind", "parked", "later")
    return ActorTracks(poses, np.tile([4.5, 1.8, 1.5], (4, 1)), speeds, names, [ROAD_USER_CLASSES.index("car")] * 4)


def scene_of(actors, road_map=None, ego=EGO_LOG):
    start = EgoState(*on_ring(0.0), speed_mps=SPEED)
    return Scene("recorded", Log(ego), None, start, "", Ring() if road_map is None else road_map, actors)


def driven(scene, along_m, parts=(12,), speeds=None):
    """States and joined boxes of all while the ego drives along the ring, (T, A) by name."""
    begun = begin(scene)
    state = WorldState({"track": scene.start.pose[None], **begun.arrays}, begun.values, begun.actors)
    poses = on_ring(along_m)
    speeds = np.gradient(np.asarray(along_m), 1 / FPS) if speeds is None else speeds
    tracks = {name: [pose] for name, pose in zip(begun.actors.ids, begun.actors.poses[0], strict=True)}
    frame, turn = 0, 0
    while frame < len(poses):
        count = min(parts[turn % len(parts)], len(poses) - frame)
        turn += 1
        ahead = slice(frame, frame + 12)
        meanwhile = react(state, poses[ahead], speeds[ahead])
        part = meanwhile.tracks
        for column, name in enumerate(part.ids):
            row = tracks.setdefault(name, [np.full(3, np.nan)] * (frame + 1))
            row += list(part.poses[1 : count + 1, column])
        for row in tracks.values():
            row += [np.full(3, np.nan)] * (frame + count + 1 - len(row))
        frame += count
        arrays = {**state.arrays, **meanwhile.after(count), "track": poses[frame - 1][None]}
        state = WorldState(arrays, state.values, part.during(slice(count + 1)))
    return state, {name: np.array(row) for name, row in tracks.items()}


def test_kinds_of_traffic_by_scene():
    assert kind_of(scene_of(recorded()), None) == "reactive"
    assert kind_of(scene_of(recorded(), NoLanes()), None) == "constant"
    assert kind_of(scene_of(recorded()), "constant") == "constant"
    assert kind_of(scene_of(recorded()), "none") == "none"
    assert kind_of(scene_of(None), "reactive") == "none", "none was marked, as in a photograph"


def test_while_the_ego_is_on_its_log_so_is_everybody():
    actors = recorded()
    state, tracks = driven(scene_of(actors), SPEED * TIMES[1:] + 0.5)
    assert not state.arrays["traffic.left"]
    for column, name in enumerate(actors.ids):
        np.testing.assert_array_equal(tracks[name], actors.poses[:, column])


def stopping(until_s=12.0):
    """Where the ego is that brakes with 5 m/s2 from the start on: it leaves its log within a second."""
    times = np.arange(1, round(until_s * FPS) + 1) / FPS
    braked = np.minimum(times, SPEED / 5)
    return SPEED * braked - 2.5 * braked**2


def test_who_comes_from_behind_stops_behind_an_ego_that_brakes():
    actors = recorded()
    along = stopping()
    state, tracks = driven(scene_of(actors), along)
    assert state.arrays["traffic.left"]
    alone = on_ring(-20 + SPEED * TIMES)
    ego = np.concatenate([on_ring(0.0)[None], on_ring(along)])
    behind = ActorTracks(tracks["behind"][:, None], actors.sizes_m[:1], np.zeros((len(ego), 1)), ("behind",))
    assert not collisions(ego, behind, CAR).any()
    crossing = ActorTracks(alone[:, None], actors.sizes_m[:1], np.zeros((FRAMES, 1)), ("behind",))
    assert collisions(ego[:FRAMES], crossing, CAR).any(), "on his log he would have run into the ego"
    last = tracks["behind"][-FPS:]
    np.testing.assert_allclose(last, last[:1].repeat(FPS, axis=0), atol=0.05)
    gap = RADIUS * (ego[-1, 2] - last[-1, 2]) - actors.sizes_m[1, 0] / 2 - CAR.rear_overhang_m
    assert 1.0 < gap < 8.0


def test_who_is_ahead_goes_on_along_the_lane_beyond_the_end_of_the_record():
    actors = recorded()
    _, tracks = driven(scene_of(actors), stopping(9.0))
    ahead = tracks["ahead"]
    away = np.abs(np.hypot(ahead[:, 0], ahead[:, 1] - RADIUS) - RADIUS)
    assert np.nanmax(away) < 0.6
    gone = np.isnan(ahead[:, 0])
    reached = RADIUS * np.unwrap(ahead[~gone, 2])[-1]
    assert reached > 25 + SPEED * TIMES[-1] + 20
    steps = np.diff(RADIUS * np.unwrap(ahead[~gone, 2]))
    assert (steps * FPS < SPEED + 0.5).all()


def test_the_parked_stay_and_those_who_come_later_come():
    actors = recorded()
    _, tracks = driven(scene_of(actors), stopping(4.0))
    np.testing.assert_allclose(tracks["parked"], actors.poses[:1, 2].repeat(len(tracks["parked"]), axis=0), atol=1e-6)
    later = tracks["later"]
    assert np.isnan(later[:FIRST_SEEN]).all()
    np.testing.assert_allclose(later[FIRST_SEEN], actors.poses[FIRST_SEEN, 3], atol=0.02)
    assert np.isfinite(later[FIRST_SEEN:]).all()


def test_nobody_comes_in_where_somebody_is():
    actors = recorded()
    poses = actors.poses.copy()
    # Who appears later would appear in the ego that stopped at 10 m.
    poses[FIRST_SEEN:, 3] = on_ring(11 + 0 * TIMES[FIRST_SEEN:])
    tracks = ActorTracks(poses, actors.sizes_m, actors.speeds_mps, actors.ids)
    _, driven_tracks = driven(scene_of(tracks), stopping(5.0))
    assert np.isnan(driven_tracks.get("later", np.full(1, np.nan))).all()


@pytest.mark.parametrize("parts", [(6,), (5, 12, 1)])
def test_it_does_not_matter_how_often_the_ego_acts(parts):
    scene = scene_of(recorded())
    along = stopping(6.0)
    whole, tracks = driven(scene, along)
    state, others = driven(scene, along, parts, np.gradient(along, 1 / FPS))
    assert tracks.keys() == others.keys()
    for name in tracks:
        np.testing.assert_array_equal(tracks[name], others[name])
    for name in ("along_m", "speeds_mps", "left", "frame"):
        np.testing.assert_array_equal(whole.arrays[f"traffic.{name}"], state.arrays[f"traffic.{name}"])


def test_a_drive_that_goes_on_elsewhere_keeps_its_road_users():
    scene = scene_of(recorded())
    along = stopping(3.0)
    state, _ = driven(scene, along[:20])
    begun = begin(replace(scene, driven=state, start=EgoState(*on_ring(along[19]))))
    assert begun.actors.ids == state.actors.ids
    poses, speeds = on_ring(along[20:32]), np.gradient(along, 1 / FPS)[20:32]
    again = WorldState({"track": state.arrays["track"], **begun.arrays}, begun.values, begun.actors)
    np.testing.assert_array_equal(react(again, poses, speeds).tracks.poses, react(state, poses, speeds).tracks.poses)
    # A world that knew none cannot say where those of the record are by now.
    assert kind_of(replace(scene, driven=WorldState()), None) == "constant"


def test_a_moment_alone_is_enough():
    """Nor is a recorded ego needed: then everybody reacts at once."""
    state, _ = driven(scene_of(recorded(), ego=None), SPEED * TIMES[1:3])
    assert state.arrays["traffic.left"]
    actors = recorded().during(slice(1))
    state, tracks = driven(scene_of(actors), stopping(6.0))
    assert state.arrays["traffic.left"]
    assert RADIUS * np.nanmax(tracks["ahead"][:, 2]) > 60
    assert np.isfinite(tracks["behind"]).all()
