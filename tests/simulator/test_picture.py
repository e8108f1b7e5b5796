from dataclasses import replace

import numpy as np
import pytest

from longdwm_env.geometry.camera import project_points
from longdwm_env.simulator.conditions import TIMES_OF_DAY, WEATHERS, Conditions
from longdwm_env.simulator.drawing.camera_picture import draw_frame
from longdwm_env.simulator.roads.road_kinds import ROAD_KINDS, kind_of_seed, road_plan
from longdwm_env.simulator.scene import default_camera, episode
from longdwm_env.simulator.traffic.traffic_state import EGO, Traffic, ego_pose

CLEAR = Conditions("clear", "day")


def lonely(seed, others):
    """The ego of a scene with other vehicles at (ahead m, left m, turned rad) of its rear axle."""
    now = episode(seed).past[-1]
    pose = ego_pose(now)
    cosine, sine = np.cos(pose[2]), np.sin(pose[2])
    count = 1 + len(others)
    rows = {name: np.resize(value, (count, *value.shape[1:])).copy() for name, value in now.arrays.items()}
    for i, (ahead, left, turned) in enumerate(others, 1):
        rows["positions_m"][i] = pose[:2] + np.array([cosine * ahead - sine * left, sine * ahead + cosine * left])
        rows["headings_rad"][i] = pose[2] + turned
        rows["kinds"][i], rows["accelerations_mps2"][i], rows["speeds_mps"][i] = i % 6, 0.0, 10.0
    rows["positions_m"][EGO] = now.positions_m[EGO]
    rows["headings_rad"][EGO] = now.headings_rad[EGO]
    return Traffic(**rows)


def drawn(seed, traffic, conditions=CLEAR, size=(96, 144)):
    return draw_frame(road_plan(seed), seed, traffic, 0, conditions, default_camera(seed, size)).astype(int)


@pytest.mark.parametrize(
    "place", [(25.0, 0.0, 0.0), (16.0, 3.8, 0.1), (40.0, -4.0, 3.1), (20.0, 6.0, 1.5), (7.5, 0.0, 0.0), (5.0, 3.0, 0.0)]
)
@pytest.mark.parametrize("seed", [2, 8])
def test_a_vehicle_is_painted_where_it_projects(place, seed):
    traffic = lonely(seed, [place])
    difference = np.abs(drawn(seed, traffic) - drawn(seed, lonely(seed, []))).max(-1)
    ahead, left, turned = place
    length, width, height = traffic.sizes_m[1] + [0.7, 0.7, 0.05]
    x, y = np.meshgrid([-length / 2, length / 2], [-width / 2, width / 2])
    x, y = x.ravel(), y.ravel()
    foot = np.stack(
        [ahead + x * np.cos(turned) - y * np.sin(turned), left + x * np.sin(turned) + y * np.cos(turned)], -1
    )
    box = np.concatenate([np.column_stack([foot, np.full(4, z)]) for z in (0.0, height)])
    camera = default_camera(seed)
    pixels, depths = project_points(camera, box)
    inside = np.zeros(difference.shape, bool)
    if depths.min() > 0.3:
        low, high = pixels.min(0) - 2, pixels.max(0) + 3
        rows = slice(max(int(low[1]), 0), max(int(high[1]), 0))
        inside[rows, max(int(low[0]), 0) : max(int(high[0]), 0)] = True
        assert difference[~inside].max() <= 2, "something was painted outside the vehicle's box"
        u, v = np.clip(pixels.mean(0).round().astype(int), 0, [143, 95])
        if 0 < pixels.mean(0)[0] < 143:
            assert difference[v, u] > 8, "the middle of the vehicle was not painted"
    else:
        assert (difference > 8).sum() > 100


def test_brake_lights():
    traffic = lonely(2, [(14.0, 0.0, 0.0)])
    braking = replace(traffic, accelerations_mps2=np.array([0.0, -4.0]))
    change = drawn(2, braking) - drawn(2, traffic)
    assert change[..., 0].max() > 60
    assert change[..., 0].max() > 2 * change[..., 2].max()


@pytest.mark.parametrize("kind", ROAD_KINDS[::3])
def test_light(kind):
    seed = next(seed for seed in range(200) if kind_of_seed(seed) == kind)
    now = episode(seed).past[-1]
    pictures = {(w, t): drawn(seed, now, Conditions(w, t)) for w in WEATHERS for t in TIMES_OF_DAY}
    for weather in WEATHERS:
        day, dusk, night = (pictures[weather, t].mean() for t in TIMES_OF_DAY)
        assert day > dusk > night > 5
    assert pictures["rain", "day"][60:].mean() < pictures["clear", "day"][60:].mean()


def test_fog_hides_what_is_far():
    def contrast(weather, ahead):
        conditions = Conditions(weather, "day")
        change = drawn(8, lonely(8, [(ahead, 0.0, 0.0)]), conditions) - drawn(8, lonely(8, []), conditions)
        return np.abs(change).max()

    assert contrast("clear", 70.0) > contrast("fog", 70.0)
    assert contrast("fog", 110.0) < 0.5 * contrast("clear", 110.0)


def test_the_road_moves_as_the_ground_does():
    # One metre on, the ground ahead of the bonnet is the ground that was a metre further away.
    seed = 2
    camera = default_camera(seed)
    now = lonely(seed, [])
    heading = now.headings_rad[EGO]
    ahead = replace(now, positions_m=now.positions_m + np.array([np.cos(heading), np.sin(heading)]))
    before, after = drawn(seed, now), drawn(seed, ahead)
    samples = [(x, y) for x in np.arange(7.0, 14.0, 0.5) for y in (-1.5, -0.5, 0.5, 1.5)]
    errors = []
    for x, y in samples:
        (old, new), _ = project_points(camera, np.array([[x + 1, y, 0.0], [x, y, 0.0]]))
        old, new = old.round().astype(int), new.round().astype(int)
        errors.append(np.abs(before[old[1], old[0]] - after[new[1], new[0]]).mean())
    assert np.median(errors) < 9


def test_the_nearer_hides_the_further():
    near = (12.0, 0.0, 0.0)
    alone = drawn(2, lonely(2, [near]))
    both = drawn(2, lonely(2, [near, (30.0, 0.0, 0.0)]))
    seen = np.abs(alone - drawn(2, lonely(2, []))).max(-1) > 12
    middle = np.argwhere(seen).mean(0).round().astype(int)
    np.testing.assert_array_equal(alone[tuple(middle)], both[tuple(middle)])
