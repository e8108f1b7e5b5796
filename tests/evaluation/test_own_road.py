"""A recorded road driven again: which moments, what is measured, and the page."""

import numpy as np
import pytest

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.own_road import (
    RecordedDrive,
    RoadQuality,
    driven_again,
    measured,
    measured_once,
    write_page,
)
from longdwm_env.world import WorldModel

from ..training.test_mine import SPEED, a_video
from .given import Oracle


@pytest.fixture
def drive(tmp_path):
    return RecordedDrive.of(a_video(tmp_path / "drive.mp4", 14), 4.0, most=3)


def test_moments_lie_in_the_part_with_room_before_and_after(drive, tmp_path):
    assert len(drive.moments) <= 3
    assert min(drive.moments) >= 7 * 12
    assert max(drive.moments) < 12 * 12
    with pytest.raises(InvalidConfig, match="5 s with poses"):
        RecordedDrive.of(drive.video, 10.0, 3)


def test_the_car_is_driven_as_it_was(drive):
    world = Oracle()
    frames = driven_again(world, drive, drive.moments[0], 3)
    assert isinstance(world, WorldModel)
    assert len(frames) == 37
    assert world.starts[0].speed_mps == pytest.approx(SPEED, abs=0.05)
    assert world.starts[0].x_m == pytest.approx(SPEED * drive.moments[0] / 12, abs=0.1)
    for trajectory in world.trajectories:
        np.testing.assert_allclose(trajectory.poses[:, 0], SPEED / 12 * np.arange(1, 25), atol=0.01)


def test_psnr_is_against_the_recording(drive):
    right, wrong = measured(Oracle(), drive), measured(Oracle(offset=20), drive)
    assert right.world.shape == (len(drive.moments), 2)
    assert right.world.min() > 45
    assert wrong.world == pytest.approx(np.full_like(wrong.world, 20 * np.log10(255 / 20)), abs=0.3)
    assert right.kept.max() < 40, "the recording grows brighter, the first picture does not"


def test_what_was_measured_is_kept_until_it_is_of_something_else(drive, tmp_path):
    path, world = tmp_path / "before.json", Oracle()
    first = measured_once(path, world, drive, "weights-1")
    driven = len(world.trajectories)
    np.testing.assert_allclose(measured_once(path, world, drive, "weights-1").world, first.world, atol=1e-3)
    assert len(world.trajectories) == driven
    measured_once(path, world, drive, "weights-2")
    assert len(world.trajectories) > driven


def test_the_page_shows_table_sheet_and_video(drive, tmp_path):
    moments = len(drive.moments)
    before, after = (RoadQuality(*(np.full((moments, 2), value),) * 3) for value in (14.0, 15.5))
    worlds = {"before": Oracle(offset=40), "after": Oracle()}
    page = write_page(tmp_path / "report", before, after, drive, worlds, "My <road>")
    text = page.read_text()
    assert "My &lt;road&gt;" in text
    assert "+1.5" in text
    for name in ("drive.mp4", "sheet.png"):
        assert (page.parent / name).stat().st_size > 1000
        assert name in text
