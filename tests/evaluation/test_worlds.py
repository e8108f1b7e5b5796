"""How good a world is: a perfect one is perfect by every measure, a broken one by none."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.statistics import Interval
from longdwm_env.evaluation.worlds.collapse import damaged
from longdwm_env.evaluation.worlds.controllability import Controllability
from longdwm_env.evaluation.worlds.recognition import Recognition
from longdwm_env.evaluation.worlds.stability import Stability, spread_windows
from longdwm_env.evaluation.worlds.truth import KEPT, TruthScores, verdicts
from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.models.readers.inverse_dynamics import Motion
from longdwm_env.models.readers.scorer import DrivingEncoder, Readings
from longdwm_env.simulator.conditions import Conditions
from longdwm_env.types import Camera

from ..training.scenery import PaintedRoad
from .given import given

SECONDS = 20


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return DrivingEncoder(channels=(8, 8, 16, 16), feature_dim=16).eval()


@pytest.fixture(scope="module")
def road():
    """Eight drives of 20 s, as (frames, speeds)."""
    source = PaintedRoad(clips=8, frames=SECONDS * 12 + 1)
    return [(clip.images, clip.labels["speed_mps"].astype(float)) for clip in map(source.clip, range(8))]


def columns_of(table, name):
    return dict(zip(table.columns[1:], dict(table.rows)[name], strict=True))


def test_the_truth_against_itself_is_perfect(encoder, road) -> None:
    scores = TruthScores(encoder)
    for seed, (frames, _) in enumerate(road):
        real = given(frames, seed=seed)
        scores.add(real, {"simulator": real, "dark": given(frames // 2)})
    table = scores.table("simulator", ["dark"], {}, ())
    perfect = columns_of(table, "simulator")
    assert perfect["PSNR at 4 s (dB)"].value == 100
    assert perfect["SSIM at 1 s"].value == pytest.approx(1)
    assert perfect["FDS at 2 s"].value == pytest.approx(0, abs=1e-6)
    better = columns_of(table, "simulator - dark")
    assert better["PSNR at 1 s (dB)"].low > 0
    assert better["FDS at 4 s"].high < 0
    assert all("yes" in note for note in table.notes if note.startswith("Bar:") and "FDS" not in note)
    assert KEPT in dict(table.rows)
    assert len(scores.scenes_table().rows) == len(road) * 3


CAMERA = assumed_camera((4, 6))


class Reader:
    """Stands for a trained encoder: reads what the test tells it, in the order of the windows."""

    def __init__(self, **said) -> None:
        self.said = said

    def read(self, windows, batch: int = 32) -> Readings:
        count = len(windows)
        blank = {name: torch.zeros(count) for name in Readings.__dataclass_fields__}
        return Readings(**{**blank, **{name: values(windows) for name, values in self.said.items()}})


class MotionReader:
    """Stands for the inverse-dynamics model: speed lies in the pictures' red and yaw rate in their green."""

    def read(self, windows, camera: Camera) -> Motion:
        assert camera is CAMERA
        return Motion(windows[..., 0].mean((1, 2, 3)) / 8, windows[..., 1].mean((1, 2, 3)) / 500 - 0.25)


def test_a_world_that_shows_what_was_commanded_obeys() -> None:
    controllability = Controllability(MotionReader())
    rng = np.random.default_rng(0)
    for _ in range(6):
        speeds = np.repeat(rng.integers(4, 20), 49).astype(float)
        green = np.repeat(rng.integers(0, 250, 49 // 7), 7)
        frames = np.zeros((49, 4, 6, 3), np.uint8)
        frames[..., 0], frames[..., 1] = speeds[:, None, None] * 8, green[:, None, None]
        for mode in ("control", "goal"):
            good = replace(given(frames, mode=mode, speeds=speeds, turns=green / 500 - 0.25), camera=CAMERA)
            controllability.add({"obedient": good, "slow": replace(good, speeds_mps=speeds * 2)})
    table = controllability.table("obedient", {})
    good, slow = columns_of(table, "obedient, all"), columns_of(table, "slow, goal")
    assert good["drives"] == 12
    assert good["speed error"].value == pytest.approx(0, abs=1e-6)
    assert good["yaw rate correlation"].value == pytest.approx(1)
    assert slow["speed error"].value == pytest.approx(0.5)
    assert slow["speed error of all metres driven"].value == pytest.approx(0.5)
    bars = [note for note in table.notes if note.startswith("Bar")]
    assert len(bars) == 6
    assert all("yes" in bar for bar in bars)


def test_a_prompt_is_recognised_over_the_seconds_that_count() -> None:
    def classes(windows):
        # The first second shows something else, as where the start does not agree with the prompt.
        return torch.eye(3)[windows[:, 0, 0, 0, 0].astype(int)] * 5

    recognition = Recognition(Reader(weather=classes, time_of_day=classes))
    frames = np.full((49, 2, 3, 3), 2, np.uint8)
    frames[:13] = 0
    right, wrong = Conditions("rain", "night"), Conditions("fog", "night")
    recognition.add({"mini": given(frames)}, "start as it was", right, Conditions("clear", "night"))
    recognition.add({"mini": given(frames)}, "start as it was", wrong, Conditions("clear", "day"))
    table = recognition.table("mini", {})
    cells = columns_of(table, "mini, start as it was")
    assert cells["weather"].value == 0.5
    assert cells["time of day"].value == 1
    assert cells["both"].value == 0.5
    assert cells["time of day, where the prompt changes it"].value == 1
    assert cells["weather at 1 s"].value == 0
    assert cells["weather at 3 s"].value == 0.5
    confusion = dict(recognition.confusion().rows)
    assert confusion["mini, start as it was: fog"][:4] == (1, 0, 0, 1)
    assert confusion["mini, start as it was: night"][4:] == (0, 0, 2)


def test_a_world_that_lasts_and_one_that_does_not(encoder, road) -> None:
    road = road[:4]
    stability = Stability(encoder, SECONDS)
    for seed, (frames, speeds) in enumerate(road):
        cost = {"speeds": speeds, "seconds": np.full(SECONDS, 0.3), "memory": np.full(SECONDS, 500.0)}
        good = given(frames, seed=seed, **cost)
        bad = replace(good, frames=damaged(frames, "grey", 100), memory_mb=good.memory_mb * np.linspace(1, 2, SECONDS))
        stability.add({"simulator": good, "perfect": good, "blurring": bad})
    table = stability.table("blurring", {})
    perfect, bad = columns_of(table, "perfect"), columns_of(table, "blurring")
    assert perfect["collapsed"] == 0
    assert bad["collapsed"] == len(road)
    assert bad["first collapse (s)"] < 13
    assert perfect["memory growth, worst"] == 0
    assert bad["memory growth, worst"] > 0.2
    assert perfect["FDS, 13 to 20 s"].value == pytest.approx(0, abs=1e-6)
    assert bad["FDS, 13 to 20 s"].value > bad["FDS, 0 to 10 s"].value
    assert sum("NO" in note for note in table.notes if note.startswith("Bar")) == 3
    assert len(stability.over_time().rows) == 3
    assert len(stability.drives_table().rows) == 3 * len(road)


def test_windows_are_spread_over_a_span(road) -> None:
    frames = np.arange(241, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 3), np.uint8)
    windows = spread_windows(frames, (10, 20))
    assert windows[0, 0, 0, 0, 0] == 121
    assert windows[-1, -1, 0, 0, 0] == 240
    with pytest.raises(InvalidConfig, match="no seconds 10 to 30"):
        spread_windows(frames, (10, 30))


def test_verdicts_say_no_only_when_it_is_sure() -> None:
    def said(low, high):
        cells = [1] + [Interval((low + high) / 2, low, high)] * 11
        return verdicts("mini", "warp", cells)

    assert "yes" in said(1, 2)[0]
    assert "NO" in said(1, 2)[-1], "a greater Frechet distance is worse"
    assert "not shown" in said(-1, 1)[0]
    assert len(said(1, 2)) == 9
