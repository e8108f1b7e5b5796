"""Worlds held against real footage: which starts there are, what is measured, and the bars."""

import json

import numpy as np
import pytest

from longdwm_env.cli import main
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.worlds.real_footage import KEPT, WARP, FootageScores, recordings, shown_from

from ..training.test_mine import SPEED, a_video
from .given import Oracle

SIZE = (32, 48)


@pytest.fixture
def videos(tmp_path):
    a_video(tmp_path / "long.mp4", 8)
    a_video(tmp_path / "short.mp4", 3)
    return tmp_path


def test_every_second_with_four_after_it_is_a_start(videos):
    (recording,) = recordings(videos)
    assert recording.name == "long.mp4"
    assert list(recording.starts) == [12, 24, 36]
    scene = recording.scene(24, SIZE)
    assert scene.log.num_past == 24
    assert scene.start.speed_mps == pytest.approx(SPEED, abs=0.05)
    assert scene.start.pose.tolist() == [0, 0, 0]
    assert scene.log.ego_poses[24 + 12, 0] == pytest.approx(SPEED, abs=0.1)
    later, now = (recording.scene(start, SIZE) for start in (36, 24))
    np.testing.assert_array_equal(later.log.images(0, 1, later.camera), now.log.images(12, 1, now.camera))
    with pytest.raises(InvalidConfig, match="with poses"):
        recordings(videos / "short.mp4")


def test_footage_itself_meets_the_bars_and_the_first_frame_does_not(videos):
    (recording,) = recordings(videos)
    found = FootageScores()
    for start in recording.starts:
        scene = recording.scene(start, SIZE)
        footage, made = shown_from({"oracle": Oracle()}, scene)
        np.testing.assert_array_equal(made["oracle"], footage)
        assert set(made) == {"oracle", WARP, KEPT}
        found.add(scene.key, footage, made)
    good, bad = (found.table(world, {}).notes for world in ("oracle", KEPT))
    assert sum("PSNR" in line and ": yes" in line for line in good) == 6
    assert any("NO" in line for line in bad)


def test_the_command_writes_a_table_and_a_sheet(videos, tmp_path):
    out = tmp_path / "out"
    options = ["--data", str(videos), "--world", "warp", "--out", str(out), "--sheets", "1"]
    assert main(["metrics", "footage", *options]) == 0
    table = json.loads((out / "footage.json").read_text())
    assert [row["world"] for row in table["rows"]] == ["warp", WARP, KEPT]
    assert (out / "footage-sheet-1.png").stat().st_size > 1000
