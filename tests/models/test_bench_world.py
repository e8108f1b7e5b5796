import json

import pytest

from longdwm_env.cli.benchmarks.bench_world import bench_world
from longdwm_env.errors import InvalidConfig


def test_it_measures_a_tiny_world(pipeline, tmp_path, capsys):
    pipeline.save_pretrained(tmp_path / "tiny")
    out = tmp_path / "bench.json"
    assert bench_world(str(tmp_path / "tiny"), steps=1, futures=2, seconds=3, device="cpu", out=out) == 0
    results = json.loads(out.read_text())
    assert set(results["second_s"]) == {"geometry", "coarse", "fine", "decode", "total", "realtime_factor"}
    assert results["imagine_2_s"] > 0
    assert results["drive_s"] == 3
    assert results["memory_most_mb"] >= 1
    assert "futures_in_singles" in capsys.readouterr().out


def test_worlds_that_generate_nothing_have_another_bench():
    with pytest.raises(InvalidConfig, match="longdwm bench env"):
        bench_world("warp")
