"""Detail of pictures: how much fine structure a world shows, over what the simulator shows at the same moment.

Detail of a frame is the variance of the Laplacian of its luma, of the rows above the horizon (sky, houses, trees) and
of those below it (road, cars). A world's detail at a time is the mean over the frames of the second around it, over the
same mean of the simulator's frames: 1 is right, below is soft, above is noise. Keyframes and the frames between them
are measured separately too, since a world that draws both by different models may pulse once a second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from longdwm_env.clock import FPS, FRAMES_PER_INTERVAL
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.report import Cell, Table
from longdwm_env.evaluation.statistics import Interval, bootstrap
from longdwm_env.evaluation.worlds.truth import KEPT
from longdwm_env.types import FloatArray, Images

TIMES_S = (1, 2, 4, 12, 30, 60, 90)

PARTS = {"upper": (2 / 96, 42 / 96), "lower": (48 / 96, 94 / 96)}
"""Rows of a picture, as shares of its height; its edges and the horizon are left out."""

LEAST, LEAST_LATE, MOST = 0.6, 0.5, 1.3
"""The bars: up to ``LATE_S``, after it, and at any time."""

LATE_S = 4
LEAST_BETWEEN = 0.85
"""The bar of frames between keyframes over keyframes."""

ALL, KEYS, BETWEEN, RATIO = "all frames", "keyframes", "frames between", "between / keyframes"


def picture_detail(frames: Images) -> FloatArray:
    """(T, 2) variance of the Laplacian of the luma of frames (T, H, W, 3), above and below the horizon.

    Raises:
        InvalidConfig: frames are so low that a part has no rows.
    """
    height = frames.shape[1]
    rows = [slice(round(first * height), round(last * height)) for first, last in PARTS.values()]
    if height < 8:
        raise InvalidConfig(f"detail is measured of frames of 8 rows or more, these have {height}")
    values = np.empty((len(frames), len(rows)))
    for place, frame in enumerate(frames):
        laplacian = cv2.Laplacian(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32), cv2.CV_32F)
        values[place] = [laplacian[part].var(dtype=np.float64) for part in rows]
    return values


def around(time_s: float, frames: int) -> np.ndarray:
    """Numbers of the frames of the second around a time, in a drive whose frame 0 is the start; fewer at its end."""
    middle = round(time_s * FPS)
    return np.arange(middle - FPS // 2, min(middle + FPS // 2, frames))


@dataclass
class Detail:
    """Detail of worlds over scenes, gathered one drive at a time.

    Attributes:
        times_s: at which it is measured.
        seeds: of the scenes.
        worlds: for each world and scene (4, P, T): ``ALL``, ``KEYS``, ``BETWEEN``, ``RATIO`` by ``PARTS`` and time.
    """

    times_s: Sequence[int] = TIMES_S
    seeds: list[int] = field(default_factory=list)
    worlds: dict[str, list[FloatArray]] = field(default_factory=dict)

    @classmethod
    def of_length(cls, seconds: int) -> "Detail":
        """For drives of so many seconds: the times that they reach."""
        return cls(tuple(time for time in TIMES_S if time <= seconds))

    def add(self, seed: int, truth: Images, made: Mapping[str, Images]) -> None:
        """One scene.

        Args:
            seed: of the scene.
            truth: (T, H, W, 3) of the simulator, the start first.
            made: by world, frames of the same instants.
        """
        self.seeds.append(seed)
        needed = np.unique(np.concatenate([around(time, len(truth)) for time in self.times_s]))
        real = np.full((len(truth), len(PARTS)), np.nan)
        real[needed] = picture_detail(truth[needed])
        kept = np.broadcast_to(picture_detail(truth[:1]), real.shape)
        self.worlds.setdefault(KEPT, []).append(self._over(kept, real))
        for world, frames in made.items():
            shown = np.full(real.shape, np.nan)
            shown[needed] = picture_detail(frames[needed])
            self.worlds.setdefault(world, []).append(self._over(shown, real))

    def _over(self, made: FloatArray, real: FloatArray) -> FloatArray:
        """(4, P, T) from the detail (T, P) of every frame."""
        columns = []
        for time in self.times_s:
            frames = around(time, len(real))
            keys = frames[frames % FRAMES_PER_INTERVAL == 0]
            between = frames[frames % FRAMES_PER_INTERVAL != 0]
            # Rows of one colour have none in the truth either: they say nothing about a world.
            parts = [
                made[chosen].mean(0) / np.where(real[chosen].mean(0) > 0, real[chosen].mean(0), np.nan)
                for chosen in (frames, keys, between)
            ]
            with np.errstate(divide="ignore", invalid="ignore"):
                columns.append(np.stack([*parts, parts[2] / parts[1]]))
        return np.stack(columns, axis=2)

    def table(self, world: str, facts: Mapping[str, Any]) -> Table:
        """Medians over scenes of every world, and of the first frame kept as it is."""
        rows: list[tuple[str, tuple[Cell, ...]]] = []
        bars = []
        for name, scenes in self._in_order(world).items():
            for part_place, part in enumerate(PARTS):
                for kind_place, kind in enumerate((ALL, KEYS, BETWEEN, RATIO)):
                    values = np.stack(scenes)[:, kind_place, part_place]
                    intervals = [median_interval(column) for column in values.T]
                    rows.append((f"{name}, {part}, {kind}", (len(scenes), *intervals)))
                    if name == world and kind in (ALL, RATIO):
                        bars += self._bars(part, kind, intervals)
        columns = ("world, part and frames", "scenes", *(f"at {time} s" for time in self.times_s))
        how = (
            "Detail: variance of the Laplacian of the luma, rows 2 to 42 (upper) and 48 to 94 (lower) of 96, mean over "
            "the frames of the second around a time, over that of the simulator's frames of the same drive; median "
            "over scenes, with a bootstrap interval over scenes. 1 is right, below is soft, above is noise. A keyframe "
            f"is every frame whose number is a multiple of {FRAMES_PER_INTERVAL}, in worlds without keyframes too.",
        )
        title = f"Detail of the pictures of {world}"
        return Table("detail", title, columns, tuple(rows), (), len(self.seeds), None, facts, (*bars, *how))

    def _in_order(self, world: str) -> dict[str, list[FloatArray]]:
        others = {name: scenes for name, scenes in self.worlds.items() if name not in (world, KEPT)}
        return {world: self.worlds[world], **others, KEPT: self.worlds[KEPT]}

    def _bars(self, part: str, kind: str, intervals: Sequence[Interval]) -> list[str]:
        said = []
        for time, found in zip(self.times_s, intervals, strict=True):
            least = LEAST_BETWEEN if kind == RATIO else LEAST if time <= LATE_S else LEAST_LATE
            reached = found.value >= least and (kind == RATIO or found.value <= MOST)
            wanted = f"at least {least:g}" + ("" if kind == RATIO else f", at most {MOST:g}")
            said.append(f"Bar: {part}, {kind} at {time} s {wanted}: {'yes' if reached else 'NO'} ({found}).")
        return said

    def scenes_table(self) -> Table:
        """Every scene by itself, all frames."""
        columns = ("scene", "world", *(f"{part} at {time} s" for part in PARTS for time in self.times_s))
        rows: list[tuple[str, tuple[Cell, ...]]] = [
            (str(seed), (world, *map(float, scenes[place][0].reshape(-1))))
            for place, seed in enumerate(self.seeds)
            for world, scenes in self.worlds.items()
        ]
        return Table("detail-scenes", "Detail, scene by scene", columns, tuple(rows), (), len(self.seeds), None, {})


def median_interval(values: FloatArray) -> Interval:
    """Median over scenes (S,), those left out that are NaN; NaN where all are."""
    known = np.asarray(values)[np.isfinite(values)]
    if not len(known):
        return Interval(np.nan, np.nan, np.nan)
    return bootstrap(known, lambda drawn: float(np.median(drawn)))
