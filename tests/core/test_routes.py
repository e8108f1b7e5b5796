import json

import numpy as np
import pytest

from longdwm_env.clock import FPS
from longdwm_env.errors import InvalidConfig
from longdwm_env.io.routes import PRESETS, Route, open_route, read_poses


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_smooth_and_start_where_the_car_is(name):
    route = open_route(name, seconds=8.0, start_speed_mps=3.0)
    steps = np.linalg.norm(np.diff(route.poses[:, :2], axis=0), axis=1) * FPS
    assert np.array_equal(route.poses[0], np.zeros(3))
    assert np.linalg.norm(route.poses[1, :2] - route.poses[0, :2]) * FPS == pytest.approx(3.0, abs=0.2)
    assert np.abs(np.diff(steps)).max() * FPS < 4.0  # m/s2
    assert len(route.poses) > 8 * FPS


def test_left_is_left():
    assert open_route("left", 8).poses[-1, 1] > 5
    assert open_route("right", 8).poses[-1, 1] < -5


def test_a_route_goes_on_as_it_ended():
    route = Route("short", np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0]]))
    assert np.allclose(route.poses_at(np.array([0, 1, 2, 3, 10]))[:, 0], [0, 1, 2, 3, 10])


def drive(n=60):
    time = np.arange(n) / 10
    heading = 0.1 * time
    return time, np.cumsum(np.cos(heading)) - 1, np.cumsum(np.sin(heading)), heading


def test_three_formats_say_the_same(tmp_path):
    time, x, y, heading = drive()
    (tmp_path / "a.json").write_text(
        json.dumps({"times_s": [*time], "poses": [*map(list, zip(x, y, heading, strict=True))]})
    )
    # A camera that starts along z: forward is z, left is -x.
    kitti = [
        f"{np.cos(h)} 0 {-np.sin(h)} {-b}  0 1 0 0  {np.sin(h)} 0 {np.cos(h)} {a}"
        for a, b, h in zip(x, y, heading, strict=True)
    ]
    (tmp_path / "kitti.txt").write_text("\n".join(kitti))
    tum = [
        f"{t} {-b} 0 {a} 0 {-np.sin(h / 2)} 0 {np.cos(h / 2)}" for t, a, b, h in zip(time, x, y, heading, strict=True)
    ]
    (tmp_path / "tum.txt").write_text("# time tx ty tz qx qy qz qw\n" + "\n".join(tum))
    first, *others = (read_poses(tmp_path / name) for name in ("a.json", "kitti.txt", "tum.txt"))
    assert len(first) == int(5.9 * FPS) + 1
    for other in others:
        assert np.allclose(first, other, atol=1e-9)


BROKEN = {
    "empty": "",
    "three numbers": "1 2 3",
    "half an object": "{",
    "no heading": "[[1,2],[3,4]]",
    "time stands still": '{"times_s": [0, 0], "poses": [[0,0,0],[1,0,0]]}',
    "longer than a day": '{"times_s": [0, 1e300], "poses": [[0,0,0],[1,0,0]]}',
    "words": "a b c",
    "deep": "[" * 5000,
    "not a number": "[[0,0,0],[1,0,NaN]]",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_other_files_are_refused_by_name(tmp_path, content):
    path = tmp_path / "poses.txt"
    path.write_text(content)
    with pytest.raises(InvalidConfig, match="poses"):
        read_poses(path)


def test_an_unknown_name_lists_the_presets():
    with pytest.raises(InvalidConfig, match="slalom"):
        open_route("circle", 8)
