"""``longdwm bench drive``: a whole measurement, tiny, in a window that is not on the screen."""

import pytest

from longdwm_env.cli.benchmarks.bench_drive import bench_drive
from longdwm_env.errors import InvalidConfig


def test_it_measures_in_a_window_that_nobody_sees(monkeypatch, capsys):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    assert bench_drive(("warp",), (1,), image_size=(32, 48), window=(160, 120), seconds=1.0) == 0
    _, head, row = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["world", "size", "period"]
    world, height, _, width, period, unit, _median, _most, _keys, world_fps, *_ = row.split()
    assert (world, height, width, period, unit) == ("warp", "32", "48", "83", "ms")
    assert float(world_fps) > 0


def test_without_a_window_it_says_how_to_measure(monkeypatch):
    for name in ("SDL_VIDEODRIVER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InvalidConfig, match="SDL_VIDEODRIVER=dummy"):
        bench_drive()
