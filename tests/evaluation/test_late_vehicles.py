"""Vehicles late in a drive: counted, found where they are, and the same as before."""

from dataclasses import replace

import numpy as np
import pytest

from longdwm_env.evaluation.drives.plans import LogPlan
from longdwm_env.evaluation.drives.recorder import Driver
from longdwm_env.evaluation.report import Table
from longdwm_env.evaluation.worlds.late_vehicles import GONE, LateVehicles
from longdwm_env.evaluation.worlds.objects import TRUTH
from longdwm_env.types import ROAD_USER_CLASSES

FOLLOWED = 1_400_001
"""A scene in which the car ahead stays in view for 20 s."""


@pytest.fixture(scope="module")
def long_drive():
    return LogPlan(21, "normal", False).drive(Driver("simulator"), FOLLOWED)


@pytest.fixture(scope="module")
def found(long_drive):
    """Beside the simulator: a world that shows grey, one whose colours fade, one that knows no road user."""
    frames = long_drive.frames
    fading = np.linspace(1, 0.2, len(frames))[:, None, None, None]
    vehicles = LateVehicles.of_length(21)
    worlds = {
        "grey": replace(long_drive, frames=np.full_like(frames, 128)),
        "fading": replace(long_drive, frames=(frames * fading).astype(np.uint8)),
        "lonely": replace(long_drive, actors=None),
    }
    vehicles.add(long_drive, worlds)
    return vehicles


def _cell(table: Table, world: str, column: str) -> object:
    return dict(table.rows)[world][table.columns.index(column) - 1]


def test_the_simulator_finds_its_own_vehicles(found) -> None:
    table = found.table(TRUTH, {})
    assert found.times_s == (10,)
    assert len(found.at[0]) >= 5
    assert _cell(table, TRUTH, "in view at 10 s").value >= 1
    assert _cell(table, TRUTH, "found at 10 s").value == 1
    assert _cell(table, TRUTH, "followed for 20 s") == 1
    assert _cell(table, TRUTH, "share that keeps its colour").value == 1
    assert _cell(table, TRUTH, "share that keeps its shape").value == 1
    assert found.worlds[GONE][0].scores.max() < found.worlds[TRUTH][0].scores.min()
    assert all("yes" in note for note in table.notes if note.startswith("Bar"))


@pytest.mark.parametrize(
    ("world", "column", "value"),
    [
        ("grey", "found at 10 s", 0),
        ("grey", "found over the simulator's share", 0),
        ("grey", "share that keeps its shape", 0),
        ("fading", "share that keeps its colour", 0),
        ("lonely", "found at 10 s", 0),
        ("lonely", "share that keeps its shape", 0),
    ],
)
def test_worlds_without_them_are_told_apart(found, world, column, value) -> None:
    assert _cell(found.table(world, {}), world, column).value == value


def test_a_world_that_knows_no_road_user_has_no_count(found) -> None:
    assert np.isnan(found.worlds["lonely"][0].counts).all()
    assert any("NO" in note for note in found.table("lonely", {}).notes)


def test_only_vehicles_are_counted(long_drive) -> None:
    walkers = np.full(len(long_drive.actors.ids), ROAD_USER_CLASSES.index("pedestrian"), np.uint8)
    vehicles = LateVehicles.of_length(10)
    vehicles.add(replace(long_drive, actors=replace(long_drive.actors, classes=walkers)), {})
    assert vehicles.worlds[TRUTH][0].counts.tolist() == [0.0]
    assert len(vehicles.scenes_table().rows) == 2
