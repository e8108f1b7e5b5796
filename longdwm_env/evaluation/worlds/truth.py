"""Against the truth: what a world shows, frame by frame beside what the simulator shows for the same actions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from longdwm_env.clock import FPS
from longdwm_env.evaluation.image_quality import psnr_db, ssim
from longdwm_env.evaluation.paired import frechet_difference, frechet_interval, mean_interval
from longdwm_env.evaluation.report import Cell, Table
from longdwm_env.evaluation.statistics import Interval
from longdwm_env.models.scorer import WINDOW_FRAMES, DrivingEncoder
from longdwm_env.types import FloatArray, Images

TIMES_S = (1, 2, 4)
EVERY_FRAMES = FPS // 2
"""Means over a drive are of every half second."""

MOST_DB = 100.0
"""Equal frames count as this."""

KEPT = "first frame kept"
"""A row for a world that shows the start for ever."""


@dataclass(frozen=True)
class Likeness:
    """How a world's drive resembles the truth.

    Attributes:
        psnr_db, ssim: (S + 1,) at each of ``TIMES_S``, and the mean of every half second.
        features: (S, D) of the world's windows that end at ``TIMES_S``; None without an encoder.
    """

    psnr_db: FloatArray
    ssim: FloatArray
    features: FloatArray | None


@dataclass
class TruthScores:
    """Scores of worlds over scenes, gathered one drive at a time.

    Args:
        encoder: for FDS; None leaves it out.
    """

    encoder: DrivingEncoder | None = None
    seeds: list[int] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    truth: list[FloatArray] = field(default_factory=list)
    worlds: dict[str, list[Likeness]] = field(default_factory=dict)

    def add(self, seed: int, kind: str, truth: Images, made: Mapping[str, Images]) -> None:
        """One scene.

        Args:
            seed: of the scene.
            kind: of its actions.
            truth: (T, H, W, 3), the start first, 4 s long at least.
            made: by world, frames of the same instants.
        """
        self.seeds.append(seed)
        self.kinds.append(kind)
        if self.encoder is not None:
            self.truth.append(window_features(self.encoder, truth))
        kept = np.repeat(truth[:1], len(truth), axis=0)
        for world, frames in {**made, KEPT: kept}.items():
            self.worlds.setdefault(world, []).append(likeness(self.encoder, truth, frames))

    def table(self, world: str, against: Sequence[str], facts: Mapping[str, Any], notes: Sequence[str]) -> Table:
        """Every world, and how much better the first is than the others."""
        rows: list[tuple[str, tuple[Cell, ...]]] = []
        groups: list[tuple[str, list[int]]] = [("", list(range(len(self.seeds))))]
        for kind in sorted(set(self.kinds)) if len(set(self.kinds)) > 1 else ():
            groups.append((f", {kind}", [i for i, one in enumerate(self.kinds) if one == kind]))
        bars = []
        for label, scenes in groups:
            rows += [(name + label, self._cells([name], scenes)) for name in self.worlds]
            for other in against:
                cells = self._cells([world, other], scenes)
                rows.append((f"{world} - {other}{label}", cells))
                if not label:
                    bars += verdicts(world, other, cells)
        columns = ["world", "scenes"]
        for metric in ("PSNR", "SSIM"):
            unit = " (dB)" if metric == "PSNR" else ""
            columns += [f"{metric} at {t} s{unit}" for t in TIMES_S] + [f"{metric}, mean of 0.5 to 4 s{unit}"]
        columns += [f"FDS at {t} s" for t in TIMES_S]
        how = (
            "The same scene, seed and actions in every world. PSNR and SSIM are of the frame at that instant, FDS of "
            "the second that ends there. Differences are paired by scene.",
        )
        title = f"{world} against the truth"
        return Table(
            "truth", title, tuple(columns), tuple(rows), (), len(self.seeds), None, facts, (*bars, *how, *notes)
        )

    def scenes_table(self) -> Table:
        """Every scene by itself."""
        columns = ("scene", "world", "kind", *(f"PSNR at {t} s (dB)" for t in TIMES_S), "PSNR, mean (dB)")
        columns += (*(f"SSIM at {t} s" for t in TIMES_S), "SSIM, mean")
        rows: list[tuple[str, tuple[Cell, ...]]] = [
            (str(seed), (world, kind, *map(float, scores[i].psnr_db), *map(float, scores[i].ssim)))
            for i, (seed, kind) in enumerate(zip(self.seeds, self.kinds, strict=True))
            for world, scores in self.worlds.items()
        ]
        return Table("truth-scenes", "Scene by scene", columns, tuple(rows), (), len(self.seeds), None, {})

    def _cells(self, names: Sequence[str], scenes: list[int]) -> tuple[Cell, ...]:
        """Of one world, or of the first minus the second."""
        cells: list[Cell] = [len(scenes)]
        chosen = [[self.worlds[name][i] for i in scenes] for name in names]
        for metric in ("psnr_db", "ssim"):
            values = [np.stack([getattr(one, metric) for one in scores]) for scores in chosen]
            difference = values[0] - values[1] if len(values) > 1 else values[0]
            cells += [mean_interval(column) for column in difference.T]
        for place in range(len(TIMES_S)):
            cells.append(self._frechet(chosen, scenes, place))
        return tuple(cells)

    def _frechet(self, chosen: Sequence[Sequence[Likeness]], scenes: list[int], place: int) -> Interval | None:
        if self.encoder is None or len(scenes) < 2:
            return None
        real = [self.truth[i][place : place + 1] for i in scenes]
        made = []
        for scores in chosen:
            made.append([one.features[place : place + 1] for one in scores if one.features is not None])
        return frechet_interval(real, made[0]) if len(made) == 1 else frechet_difference(real, made[0], made[1])


def likeness(encoder: DrivingEncoder | None, truth: Images, made: Images) -> Likeness:
    """Compare frames of the same instants, (T, H, W, 3) each, the start first."""
    exact = [t * FPS for t in TIMES_S]
    every = list(range(EVERY_FRAMES, TIMES_S[-1] * FPS + 1, EVERY_FRAMES))
    shown = sorted({*exact, *every})
    signal = dict(zip(shown, np.minimum(psnr_db(made[shown], truth[shown]), MOST_DB), strict=True))
    similar = dict(zip(shown, ssim(made[shown], truth[shown]), strict=True))
    series = [
        np.array([*(values[i] for i in exact), np.mean([values[i] for i in every])]) for values in (signal, similar)
    ]
    return Likeness(series[0], series[1], None if encoder is None else window_features(encoder, made))


def window_features(encoder: DrivingEncoder, frames: Images) -> FloatArray:
    """(S, D) features of the seconds that end at ``TIMES_S``; the start is frame 0."""
    windows = np.stack([frames[t * FPS + 1 - WINDOW_FRAMES : t * FPS + 1] for t in TIMES_S])
    return np.asarray(encoder.read(windows).features.numpy(), np.float64)


def verdicts(world: str, other: str, cells: Sequence[Cell]) -> list[str]:
    """Whether a row of differences says that the first world is better, in words, for each metric at each time."""
    said = []
    place = 1
    for metric, count, better in (("PSNR", len(TIMES_S) + 1, 1), ("SSIM", len(TIMES_S) + 1, 1), ("FDS", 3, -1)):
        for t, cell in zip(TIMES_S, cells[place : place + len(TIMES_S)], strict=True):
            if isinstance(cell, Interval):
                sure = "yes" if min(better * cell.low, better * cell.high) > 0 else "not shown"
                if max(better * cell.low, better * cell.high) < 0:
                    sure = "NO"
                said.append(f"Bar: {world} better than {other} in {metric} at {t} s: {sure} ({cell}).")
        place += count
    return said
