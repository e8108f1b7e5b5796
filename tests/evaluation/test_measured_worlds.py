"""What worlds are called in results, and that all of them drive at one image size."""

from longdwm_env.evaluation.drives.drive_set import MeasuredWorlds
from longdwm_env.evaluation.drives.plans import LogPlan


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
    assert drives.passed_over == "none"


def test_scenes_that_were_passed_over_are_counted_by_reason(tmp_path):
    drives = MeasuredWorlds("warp").drives(LogPlan(seconds=4), tmp_path, 7)
    drives.refused = {7: "scene 7: off road", 8: "scene 8: collision", 9: "scene 9: off road"}
    assert drives.passed_over == "3 (off road: 2, collision: 1)"
