"""Detail: the truth has all of it, a blurred picture less, noise more, and only the frames around a time count."""

import cv2
import numpy as np
import pytest

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.worlds.detail import KEPT, Detail, around, picture_detail

from .given import given


@pytest.fixture(scope="module")
def truth():
    """Five drives of 4 s, of noise with structure."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(60, 200, (5, 49, 48, 72, 3)).astype(np.uint8)
    return [np.stack([cv2.GaussianBlur(frame, (0, 0), 0.8) for frame in drive]) for drive in coarse]


def blurred(frames):
    return np.stack([cv2.GaussianBlur(frame, (0, 0), 2.0) for frame in frames])


def cells(table, name):
    return dict(zip(table.columns[1:], dict(table.rows)[name], strict=True))


def measured(truth, change):
    detail = Detail.of_length(4)
    for seed, frames in enumerate(truth):
        detail.add(given(frames, seed=seed), {"made": given(change(frames))})
    return detail.table("made", {})


def test_the_definition_on_one_frame() -> None:
    frame = np.random.default_rng(1).integers(0, 255, (96, 20, 3)).astype(np.uint8)
    luma = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float64)
    padded = np.pad(luma, 1, mode="reflect")
    laplacian = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * luma
    assert picture_detail(frame[None])[0] == pytest.approx([laplacian[2:42].var(), laplacian[48:94].var()], rel=1e-5)
    with pytest.raises(InvalidConfig, match="8 rows"):
        picture_detail(frame[None, :6])


def test_the_truth_has_detail_1_and_a_blurred_picture_less(truth) -> None:
    table = measured(truth, lambda frames: frames)
    for part in ("upper", "lower"):
        for kind in ("all frames", "keyframes", "frames between", "between / keyframes"):
            row = cells(table, f"made, {part}, {kind}")
            assert row["scenes"] == 5
            assert [row[f"at {time} s"].value for time in (1, 2, 4)] == [1, 1, 1]
    assert all("yes" in note for note in table.notes if note.startswith("Bar"))
    soft = measured(truth, blurred)
    assert cells(soft, "made, upper, all frames")["at 2 s"].high < 0.2
    assert sum("NO" in note for note in soft.notes if note.startswith("Bar")) == 6
    assert cells(soft, f"{KEPT}, lower, keyframes")["at 4 s"].value == pytest.approx(1, abs=0.2)


def test_above_and_below_the_horizon_are_apart(truth) -> None:
    def soft_sky(frames):
        made = frames.copy()
        made[:, :23] = blurred(frames)[:, :23]
        return made

    table = measured(truth, soft_sky)
    assert cells(table, "made, upper, all frames")["at 1 s"].value < 0.3
    assert cells(table, "made, lower, all frames")["at 1 s"].value == 1


def test_pictures_that_pulse_are_found_out(truth) -> None:
    def pulsing(frames):
        made = blurred(frames)
        made[::12] = frames[::12]
        return made

    table = measured(truth, pulsing)
    assert cells(table, "made, upper, keyframes")["at 2 s"].value == 1
    assert cells(table, "made, upper, frames between")["at 2 s"].value < 0.2
    assert cells(table, "made, upper, between / keyframes")["at 2 s"].value < 0.2
    assert any("between / keyframes at 2 s at least 0.85: NO" in note for note in table.notes)


def test_only_the_second_around_a_time_counts(truth) -> None:
    def flash(frames):
        made = frames.copy()
        made[19:30] = 0
        return made

    table = measured(truth, flash)
    row = cells(table, "made, lower, all frames")
    assert [row[f"at {time} s"].value == 1 for time in (1, 2, 4)] == [True, False, True]
    assert around(2, 49).tolist() == list(range(18, 30))
    assert around(4, 49).tolist() == list(range(42, 49)), "the drive ends there"
