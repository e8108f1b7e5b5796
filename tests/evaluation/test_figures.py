"""Figures stay what they were: every measure on small fixed inputs, and a drive kept by an older version."""

import json
from pathlib import Path

import pytest

from longdwm_env.evaluation.drives.drive_store import read_drive
from longdwm_env.evaluation.drives.recorder import Driver

from .figures import KEPT, figures

OLD_DRIVE = Path(__file__).with_name("old-drive.safetensors")


def differing(kept, found, where=""):
    """Where two values differ by more than the last digits, which change with the processor."""
    if isinstance(kept, dict) and isinstance(found, dict) and kept.keys() == found.keys():
        return [place for key in kept for place in differing(kept[key], found[key], f"{where}/{key}")]
    if isinstance(kept, list) and isinstance(found, list) and len(kept) == len(found):
        pairs = enumerate(zip(kept, found, strict=True))
        return [place for i, (a, b) in pairs for place in differing(a, b, f"{where}/{i}")]
    if isinstance(kept, float | int) and isinstance(found, float | int):
        return [] if found == pytest.approx(kept, rel=2e-4, abs=1e-6, nan_ok=True) else [f"{where}: {kept} {found}"]
    # Notes quote figures with three digits.
    return [] if kept == found or "/notes/" in where else [f"{where}: {kept} {found}"]


def test_every_figure_is_what_it_was():
    assert differing(json.loads(KEPT.read_text()), json.loads(json.dumps(figures()))) == []


def test_a_drive_that_an_older_version_kept_still_opens():
    drive = read_drive(OLD_DRIVE)
    assert drive.frames.shape == (13, 24, 36, 3)
    assert (drive.seed, drive.world, drive.kind, drive.action_mode) == (1_000_010, "simulator", "log", "trajectory")
    assert len(drive.poses) == len(drive.speeds_mps) == len(drive.actors.poses) == 13
    assert len(drive.actions) == len(drive.seconds) == 1
    assert drive.prompt.startswith("Weather:")
    again = Driver("warp", (24, 36)).again(drive)
    assert (again.poses == drive.poses).all()
