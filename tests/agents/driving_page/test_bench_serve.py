"""``longdwm bench serve``: a whole measurement, tiny."""

import json

import pytest

from longdwm_env.cli.benchmarks.bench_serve import bench_serve
from longdwm_env.errors import InvalidConfig


def test_it_measures_alone_and_watched_in_turns(tmp_path, capsys):
    out = tmp_path / "serve.json"
    assert bench_serve("warp", viewers=2, seconds=1.5, rounds=1, image_size=(32, 48), out=out) == 0
    found = json.loads(out.read_text())
    assert (found["world"], found["image_size"], found["control_frames"]) == ("warp", [32, 48], 1)
    alone, watched = found["measured"]
    assert (alone["viewers"], watched["viewers"]) == (1, 2)
    for each in (alone, watched):
        assert each["keys"] > 0
        assert each["latency_ms_95"] >= each["latency_ms_median"] > 0
        assert each["world_fps"] > 0
    assert alone["seen_fps_median"] is None
    assert watched["seen_fps_median"] >= watched["seen_fps_lowest"] > 0
    assert found["speed_ratio"] == pytest.approx(watched["world_fps"] / alone["world_fps"])
    assert "48 x 32" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "says"), [({"viewers": 1}, "viewers"), ({"viewers": 99}, "64"), ({"rounds": 0}, "rounds")]
)
def test_what_cannot_be_measured_is_refused(options, says):
    with pytest.raises(InvalidConfig, match=says):
        bench_serve("warp", **options)
