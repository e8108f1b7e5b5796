import numpy as np
import pytest

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.drives.recorder import Driver
from longdwm_env.evaluation.media.shown_drives import driven_in_directions, driven_under_skies, log_drive

SIZE = (24, 36)
MIDDLE_LANE = 1_000_224
"""A highway with a free lane on either side."""

CITY = 1_000_016
"""A clear day between houses."""


@pytest.fixture(scope="module")
def warp():
    return Driver("warp", SIZE)


def test_three_drives_share_their_start_and_end_side_by_side(warp):
    drives = driven_in_directions(warp, MIDDLE_LANE, seconds=3, aside_m=3.5)
    assert list(drives) == ["left", "straight", "right"]
    starts = [drive.frames[0] for drive in drives.values()]
    assert np.array_equal(starts[0], starts[1])
    assert np.array_equal(starts[0], starts[2])
    ends = {name: drive.poses[-1] for name, drive in drives.items()}
    heading = ends["straight"][2]
    to_left = np.array([-np.sin(heading), np.cos(heading)])
    beside = {name: float((end - ends["straight"])[:2] @ to_left) for name, end in ends.items()}
    assert beside["left"] == pytest.approx(3.5, abs=0.3)
    assert beside["right"] == pytest.approx(-3.5, abs=0.3)


def test_a_drive_that_leaves_the_road_asks_for_another_scene(warp):
    with pytest.raises(InvalidConfig, match="choose another scene"):
        driven_in_directions(warp, MIDDLE_LANE, seconds=2, aside_m=30.0)


def test_the_sky_changes_after_the_start_or_with_it():
    simulator = Driver("simulator", SIZE)
    drive = log_drive(simulator, CITY, 1)
    kept, redrawn = (driven_under_skies(simulator, drive, start) for start in ("kept", "redrawn"))
    assert np.array_equal(kept["sun"].frames, drive.frames)
    assert np.array_equal(kept["night"].frames[0], drive.frames[0])
    for night in (kept["night"].frames[-1], redrawn["night"].frames[0], redrawn["night"].frames[-1]):
        assert night.mean() < drive.frames[0].mean() / 2
    assert np.array_equal(kept["night"].poses, drive.poses)
    assert "Foggy" in kept["fog"].prompt
