"""``longdwm metrics steps``: the same drives in many and in few steps, side by side."""

import json
from pathlib import Path

import pytest

from longdwm_env.cli.measuring.steps import steps
from longdwm_env.errors import InvalidConfig
from longdwm_env.models.presets import build, debug


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pipeline")
    build(debug()).save_pretrained(str(made), safe_serialization=True)
    return made


def test_the_first_model_is_what_the_others_are_compared_with(folder: Path, tmp_path: Path) -> None:
    many, few = f"{folder}=3,2", str(folder)
    assert steps((many, few, many), samples=2, frames=12, dtype="bfloat16", out=tmp_path) == 0
    first, second, third = json.loads((tmp_path / "few-steps.json").read_text())["rows"]
    own = build(debug()).settings
    assert [row["steps"] for row in (first, second, third)] == [
        "3 + 2",
        f"{own.coarse_steps} + {own.fine_steps}",
        "3 + 2",
    ]
    assert first["PSNR (dB)"] == third["PSNR (dB)"], "the same steps make the same pictures"
    assert first["PSNR against the first (dB)"] is None
    assert second["FDS"] is not None
    assert "bfloat16" in (tmp_path / "few-steps.md").read_text()


def test_what_cannot_be_compared_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="FOLDER=COARSE,FINE"):
        steps((f"{folder}=4",), out=tmp_path)
    with pytest.raises(InvalidConfig, match="at least one --model"):
        steps((), out=tmp_path)
    with pytest.raises(InvalidConfig, match="no GPU here"):
        steps((str(folder),), device="cuda", out=tmp_path)
    with pytest.raises(InvalidConfig, match="at least two windows of 12 frames"):
        steps((str(folder),), samples=1, frames=12, out=tmp_path)
