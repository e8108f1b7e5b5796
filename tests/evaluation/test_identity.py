"""Things beside the road: they are followed by geometry, the truth keeps them, and other pictures do not."""

import json
from dataclasses import replace

import numpy as np
import pytest

from longdwm_env.cli import main
from longdwm_env.evaluation.drives.plans import LogPlan
from longdwm_env.evaluation.drives.recorder import Driver
from longdwm_env.evaluation.worlds.identity import (
    KEPT,
    LEAST_ALIKE,
    MOMENTS,
    OTHER,
    START,
    Identity,
    alike,
    marked,
    things_ahead,
)

SEED = 900_010
"""A street in a city, driven slowly: the same houses are ahead for 4 s."""


@pytest.fixture(scope="module")
def drive():
    return LogPlan(seconds=4).drive(Driver("simulator", (96, 144)), SEED)


@pytest.fixture(scope="module")
def things(drive):
    return things_ahead(drive)


def cells(table, name):
    return dict(zip(table.columns[1:], dict(table.rows)[name], strict=True))


def test_things_come_nearer_and_stay_what_they_are(drive, things) -> None:
    assert [len(some) for some in things] == [3, 3, 3, 3]
    for moment, some in zip(MOMENTS[1:], things, strict=True):
        for one in some:
            assert 12 < one.distance_m < 110
            assert one.now.side_px > one.start.side_px, "the car drives towards it"
            assert alike(drive.frames[0], one.start, drive.frames[moment], one.now) >= LEAST_ALIKE
            left, top, right, bottom = one.now.box_px
            assert left >= -0.5
            assert top >= -0.5
            assert right <= 143.5
            assert bottom <= 95.5
    nearness = [abs(one.distance_m - 30) for one in things[0]]
    assert nearness == sorted(nearness)


def test_the_truth_keeps_things_and_another_picture_does_not(drive) -> None:
    identity = Identity()
    for _ in range(3):
        worse = replace(drive, frames=np.ascontiguousarray(drive.frames[:, ::-1]))
        identity.add(drive, {"same": drive, "upside down": worse})
    table = identity.table("same", ["upside down"], {})
    for time in (1, 2, 3, 4):
        column = f"correlation at {time} s"
        assert cells(table, "same")[column].value == pytest.approx(1, abs=1e-3)
        assert cells(table, "upside down")[column].value < 0.6
        assert cells(table, KEPT)[column].value < 0.9
        assert cells(table, START)[column].value >= LEAST_ALIKE
        assert cells(table, f"same - {KEPT}")[column].low > 0
    assert OTHER in dict(table.rows)
    assert sum("yes" in note for note in table.notes if note.startswith("Bar")) == 8
    assert any("3 at 1 s" in note or "9 at 1 s" in note for note in table.notes)
    assert np.isfinite(marked(drive)).all()


def test_a_scene_without_things_leaves_no_mark(drive) -> None:
    identity = Identity()
    plain = replace(drive, frames=np.full_like(drive.frames, 90))
    identity.add(plain, {"same": plain})
    assert np.isnan(identity.worlds["same"][0]).all()
    assert np.isnan(marked(plain)).all()


def test_the_command_writes_tables_and_a_sheet(tmp_path) -> None:
    words = ["metrics", "identity", "--world", "warp", "--against", "--scenes", "1", "--first-seed", str(SEED)]
    words += ["--out", str(tmp_path / "out"), "--drives", str(tmp_path / "drives")]
    assert main(words) == 0
    table = json.loads((tmp_path / "out" / "identity.json").read_text())
    assert {row["world"] for row in table["rows"]} == {"warp", KEPT, OTHER, START, f"warp - {KEPT}"}
    for name in ("identity.csv", "identity.md", "identity-scenes.csv", "identity-sheet-1.png"):
        assert (tmp_path / "out" / name).stat().st_size > 0
