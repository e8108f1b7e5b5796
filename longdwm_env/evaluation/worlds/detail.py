"""Detail of pictures: how much fine structure a world shows, over what the simulator shows at the same moment.

Detail of a frame is the variance of the Laplacian of its luma, of the rows above the horizon (sky, houses, trees) and
of those below it (road, cars). A world's detail at a time is the mean over the frames of the second around it, over the
same mean of the simulator's frames: 1 is right, below is soft, above is noise. Keyframes and the frames between them
are measured separately too, since a world that draws both by different models may pulse once a second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from longdwm_env.clock import FPS, FRAMES_PER_INTERVAL
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.drives.recorder import Drive
from longdwm_env.evaluation.report import Row, Table, bar, scenes_table
from longdwm_env.evaluation.statistics import Interval, mean_interval
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
        worlds: for each world and scene (4, P, T): ``ALL``, ``KEYS``, ``BETWEEN``, ``RATIO`` by ``PARTS`` and time.
    """

    times_s: Sequence[int] = TIMES_S
    seeds: list[int] = field(default_factory=list)
    worlds: dict[str, list[FloatArray]] = field(default_factory=dict)

    @classmethod
    def of_length(cls, seconds: int) -> "Detail":
        """For drives of so many seconds: the times that they reach."""
        return cls(tuple(time for time in TIMES_S if time <= seconds))

    def add(self, truth: Drive, made: Mapping[str, Drive]) -> None:
        """One scene: a drive in the simulator, and the same in each world."""
        self.seeds.append(truth.seed)
        needed = np.unique(np.concatenate([around(time, len(truth.frames)) for time in self.times_s]))

        def measured(frames: Images) -> FloatArray:
            found = np.full((len(frames), len(PARTS)), np.nan)
            found[needed] = picture_detail(frames[needed])
            return found

        real = measured(truth.frames)
        shown = {name: measured(drive.frames) for name, drive in made.items()}
        shown[KEPT] = np.broadcast_to(picture_detail(truth.frames[:1]), real.shape)
        for world, detail in shown.items():
            self.worlds.setdefault(world, []).append(self._over(detail, real))

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

    def table(self, world: str, facts: Mapping[str, object]) -> Table:
        """Medians over scenes of every world, and of the first frame kept as it is."""
        rows: list[Row] = []
        bars = []
        for name, scenes in self.worlds.items():
            for part_place, part in enumerate(PARTS):
                for kind_place, kind in enumerate((ALL, KEYS, BETWEEN, RATIO)):
                    values = np.stack(scenes)[:, kind_place, part_place]
                    intervals = [mean_interval(column, np.median) for column in values.T]
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
        return Table("detail", title, columns, tuple(rows), len(self.seeds), facts, (*bars, *how))

    def _bars(self, part: str, kind: str, intervals: Sequence[Interval]) -> list[str]:
        said = []
        for time, found in zip(self.times_s, intervals, strict=True):
            least = LEAST_BETWEEN if kind == RATIO else LEAST if time <= LATE_S else LEAST_LATE
            reached = found.value >= least and (kind == RATIO or found.value <= MOST)
            wanted = f"at least {least:g}" + ("" if kind == RATIO else f", at most {MOST:g}")
            said.append(bar(f"{part}, {kind} at {time} s {wanted}", found, reached))
        return said

    def scenes_table(self) -> Table:
        """Every scene by itself, all frames."""
        columns = [f"{part} at {time} s" for part in PARTS for time in self.times_s]
        title = "Detail, scene by scene"
        return scenes_table(
            "detail-scenes",
            title,
            columns,
            self.seeds,
            self.worlds,
            lambda found: tuple(map(float, found[0].reshape(-1))),
        )
