"""Against the truth: what a world shows, frame by frame beside what the simulator shows for the same actions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from longdwm_env.clock import FPS
from longdwm_env.evaluation.drives.recorder import Drive
from longdwm_env.evaluation.frechet import frechet_difference, frechet_interval, window_features
from longdwm_env.evaluation.image_quality import psnr_db, ssim
from longdwm_env.evaluation.report import Cell, Table, bar, is_above_zero, scenes_table
from longdwm_env.evaluation.statistics import Interval, mean_interval
from longdwm_env.models.readers.scorer import WINDOW_FRAMES, DrivingEncoder
from longdwm_env.types import FloatArray, Images

TIMES_S = (1, 2, 4)
EVERY_FRAMES = FPS // 2
"""Means over a drive are of every half second."""

KEPT = "first frame kept"
"""A row for a world that shows the start for ever."""


@dataclass(frozen=True)
class Likeness:
    """How a world's drive resembles the truth.

    Attributes:
        psnr_db, ssim: (S + 1,) at each of ``TIMES_S``, and the mean of every half second.
        features: for each of ``TIMES_S`` (1, D) of the world's window that ends there; empty without an encoder.
    """

    psnr_db: FloatArray
    ssim: FloatArray
    features: tuple[FloatArray, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """As a row of numbers."""
        return (*map(float, self.psnr_db), *map(float, self.ssim))


@dataclass
class TruthScores:
    """Scores of worlds over scenes, gathered one drive at a time.

    Args:
        encoder: for FDS; None leaves it out.
    """

    encoder: DrivingEncoder | None = None
    seeds: list[int] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    truth: list[tuple[FloatArray, ...]] = field(default_factory=list)
    worlds: dict[str, list[Likeness]] = field(default_factory=dict)

    def add(self, truth: Drive, made: Mapping[str, Drive]) -> None:
        """One scene: a drive of 4 s or more in the simulator, and the same in each world."""
        real = truth.frames
        self.seeds.append(truth.seed)
        self.kinds.append(truth.kind)
        self.truth.append(end_features(self.encoder, real))
        kept = np.repeat(real[:1], len(real), axis=0)
        for world, frames in {**{name: drive.frames for name, drive in made.items()}, KEPT: kept}.items():
            self.worlds.setdefault(world, []).append(likeness(self.encoder, real, frames))

    def table(
        self, world: str, against: Sequence[str], facts: Mapping[str, object], notes: Sequence[str] = ()
    ) -> Table:
        """Every world, and how much better the first is than the others."""
        groups = {"": list(range(len(self.seeds)))}
        for kind in sorted(set(self.kinds)) if len(set(self.kinds)) > 1 else ():
            groups[f", {kind}"] = [i for i, one in enumerate(self.kinds) if one == kind]
        compared = [[name] for name in self.worlds] + [[world, other] for other in against]
        asked = [(" - ".join(names) + label, names, scenes) for label, scenes in groups.items() for names in compared]
        # Each distance is drawn again some hundred times: that takes minutes of many scenes.
        rows = [
            (name, self._cells(names, scenes))
            for name, names, scenes in tqdm(asked, desc="truth: intervals", unit="row")
        ]
        bars = [line for other in against for line in verdicts(world, other, dict(rows)[f"{world} - {other}"])]
        how = (
            "The same scene, seed and actions in every world. PSNR and SSIM are of the frame at that instant, FDS of "
            "the second that ends there. Differences are paired by scene.",
        )
        columns = ("world", "scenes", *_columns("PSNR", " (dB)"), *_columns("SSIM"), *_columns("FDS", with_mean=False))
        title = f"{world} against the truth"
        return Table("truth", title, columns, tuple(rows), len(self.seeds), facts, (*bars, *how, *notes))

    def scenes_table(self) -> Table:
        """Every scene by itself."""
        columns = ("kind", *(f"PSNR at {t} s (dB)" for t in TIMES_S), "PSNR, mean (dB)")
        columns += (*(f"SSIM at {t} s" for t in TIMES_S), "SSIM, mean")
        worlds = {name: [(kind, *one.cells) for kind, one in zip(self.kinds, found, strict=True)]
                  for name, found in self.worlds.items()}  # fmt: skip
        return scenes_table("truth-scenes", "Scene by scene", columns, self.seeds, worlds, tuple)

    def _cells(self, names: Sequence[str], scenes: list[int]) -> tuple[Cell, ...]:
        """Of one world, or of the first minus the second."""
        cells: list[Cell] = [len(scenes)]
        chosen = [[self.worlds[name][i] for i in scenes] for name in names]
        for metric in ("psnr_db", "ssim"):
            values = [np.stack([getattr(one, metric) for one in scores]) for scores in chosen]
            difference = values[0] - values[1] if len(values) > 1 else values[0]
            cells += [mean_interval(column) for column in difference.T]
        for place in range(len(TIMES_S)):
            if self.encoder is None or len(scenes) < 2:
                cells.append(None)
                continue
            real = [self.truth[i][place] for i in scenes]
            made = [[one.features[place] for one in scores] for scores in chosen]
            cells.append(frechet_interval(real, *made) if len(made) == 1 else frechet_difference(real, *made))
        return tuple(cells)


def _columns(metric: str, unit: str = "", with_mean: bool = True) -> list[str]:
    mean = [f"{metric}, mean of 0.5 to 4 s{unit}"] if with_mean else []
    return [*(f"{metric} at {t} s{unit}" for t in TIMES_S), *mean]


def likeness(encoder: DrivingEncoder | None, truth: Images, made: Images) -> Likeness:
    """Compare frames of the same instants, (T, H, W, 3) each, the start first."""
    exact = [t * FPS for t in TIMES_S]
    every = list(range(EVERY_FRAMES, TIMES_S[-1] * FPS + 1, EVERY_FRAMES))
    shown = sorted({*exact, *every})
    series = []
    for compared in (psnr_db, ssim):
        values = dict(zip(shown, compared(made[shown], truth[shown]), strict=True))
        series.append(np.array([*(values[i] for i in exact), np.mean([values[i] for i in every])]))
    return Likeness(series[0], series[1], end_features(encoder, made))


def end_features(encoder: DrivingEncoder | None, frames: Images) -> tuple[FloatArray, ...]:
    """For each of ``TIMES_S`` the features (1, D) of the second that ends there; the start is frame 0."""
    if encoder is None:
        return ()
    windows = np.stack([frames[t * FPS + 1 - WINDOW_FRAMES : t * FPS + 1] for t in TIMES_S])
    return tuple(window_features(encoder, windows)[:, None])


def verdicts(world: str, other: str, cells: Sequence[Cell]) -> list[str]:
    """Whether a row of differences says that the first world is better, in words, for each metric at each time."""
    said = []
    place = 1
    for metric, count, better in (("PSNR", len(TIMES_S) + 1, 1), ("SSIM", len(TIMES_S) + 1, 1), ("FDS", 3, -1)):
        for t, cell in zip(TIMES_S, cells[place : place + len(TIMES_S)], strict=True):
            if isinstance(cell, Interval):
                said.append(bar(f"{world} better than {other} in {metric} at {t} s", cell, is_above_zero(cell, better)))
        place += count
    return said
