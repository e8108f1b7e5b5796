"""What worlds are called in results, and that all of them drive at one image size."""

import numpy as np
import pytest

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.drives.drive_set import MeasuredWorlds
from longdwm_env.evaluation.drives.plans import LogPlan
from longdwm_env.scenes.builtin import BuiltinScenes


def test_worlds_are_called_by_the_end_of_their_path_where_that_tells_them_apart():
    assert MeasuredWorlds("mini", ("warp", "warp")).names == ["mini", "warp"]
    assert MeasuredWorlds("runs/a/pipeline", ("warp",)).names == ["pipeline", "warp"]
    assert MeasuredWorlds("runs/a/pipeline", ("runs/b/pipeline",)).names == ["runs/a/pipeline", "runs/b/pipeline"]


def test_drives_are_those_of_the_simulator_and_of_every_world(tmp_path):
    drives = MeasuredWorlds("warp", ("simulator",)).drives(LogPlan(seconds=4), tmp_path, 7)
    assert set(drives.drivers) == {"simulator", "warp"}
    assert drives.store.versions["simulator"] == drives.store.versions["warp"], "both depend on the simulator alone"
    assert drives.store.versions["warp"].endswith("-96x144")
    assert {driver.world.image_size for driver in drives.drivers.values()} == {(96, 144)}
    assert drives.first_seed == 7
    assert drives.skipped == "none"


def test_scenes_that_were_passed_over_are_counted_by_reason(tmp_path):
    drives = MeasuredWorlds("warp").drives(LogPlan(seconds=4), tmp_path, 7)
    drives.rejected = {7: "scene 7: off road", 8: "scene 8: collision", 9: "scene 9: off road"}
    assert drives.skipped == "3 (off road: 2, collision: 1)"


def test_the_flat_control_shows_what_the_map_of_the_measured_world_shows(tmp_path):
    drivers = MeasuredWorlds("mini", ("flat",)).drivers
    drive = LogPlan(seconds=1).drive(drivers["simulator"], 1000012)
    again = drivers["flat"].again(drive)
    world = drivers["flat"].world
    state = world.begin(BuiltinScenes().scene(1000012), 1000012)
    known = world._surroundings(state, None, np.zeros((0, 3)))
    road = known.shown(0, drive.camera).picture[-12:]
    assert again.frames.shape == drive.frames.shape
    assert (again.frames[0] == drive.frames[0]).all(), "it begins with what was seen"
    colours = np.unique(again.frames[-1].reshape(-1, 3), axis=0)
    assert len(colours) < len(np.unique(drive.frames[-1].reshape(-1, 3), axis=0)) / 2, "flat: no light and no texture"
    assert np.abs(again.frames[1, -12:].astype(int) - road).mean() < 25, "the same road, a frame on"


def test_a_world_without_a_map_picture_has_no_flat_control():
    with pytest.raises(InvalidConfig, match="warp has none"):
        MeasuredWorlds("warp", ("flat",)).drivers  # noqa: B018 - made when asked for
