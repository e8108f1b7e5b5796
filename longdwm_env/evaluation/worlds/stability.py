"""Whether a world lasts: long drives, their likeness to the simulator's early and late, and whether they collapse."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from longdwm_env.clock import FPS
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.drives.recorder import Drive
from longdwm_env.evaluation.frechet import frechet_interval, frechet_ratio, window_features
from longdwm_env.evaluation.report import Cell, Row, Table, bar, scenes_table
from longdwm_env.evaluation.statistics import Interval, mean_interval, wilson
from longdwm_env.evaluation.worlds.collapse import BOUNDS, DAMAGES, SIGNS, WINDOW_S, Course, course, damaged
from longdwm_env.models.readers.scorer import WINDOW_FRAMES, DrivingEncoder
from longdwm_env.types import FloatArray, Images

EARLY_S, LATE_S = (0, 10), (60, 90)
PART_S = 10
"""The course over time is given in parts of this length."""

WINDOWS_A_PART = 19
"""Of a second each, in every part, and in the late one too: Frechet distances of more features are smaller."""

MOST_RATIO, MOST_GROWTH = 2.0, 0.02
"""The bars."""

TRUTH = "simulator"
TESTED = 10
"""Drives of the simulator that are damaged on purpose."""


@dataclass(frozen=True)
class LongDrive:
    """A long drive in numbers.

    Attributes:
        course: how it looks over time.
        parts: for each 10 s the features (n, D) of its windows; empty without an encoder.
        late: those of the last third.
        seconds: wall clock per second.
        memory_mb: after each second.
    """

    course: Course
    parts: tuple[FloatArray, ...]
    late: FloatArray
    seconds: FloatArray
    memory_mb: FloatArray

    @property
    def memory_growth(self) -> float:
        """From the second ten seconds, when everything has been loaded, to the last ten, as a share."""
        settled = self.memory_mb[PART_S : 2 * PART_S] if len(self.memory_mb) > 2 * PART_S else self.memory_mb[:1]
        return float(self.memory_mb[-PART_S:].mean() / settled.mean() - 1)


def spread_windows(frames: Images, span_s: tuple[int, int]) -> Images:
    """``WINDOWS_A_PART`` windows of a second, evenly over a span of a drive (T, H, W, 3) whose frame 0 is the start.

    Raises:
        InvalidConfig: the drive ends before the span does.
    """
    first, last = span_s[0] * FPS + 1, span_s[1] * FPS + 1
    if len(frames) < last:
        raise InvalidConfig(f"a drive of {(len(frames) - 1) / FPS:g} s has no seconds {span_s[0]} to {span_s[1]}")
    starts = np.linspace(first, last - WINDOW_FRAMES, WINDOWS_A_PART).round().astype(int)
    return np.stack([frames[start : start + WINDOW_FRAMES] for start in starts])


@dataclass
class Stability:
    """Long drives of several worlds, gathered one drive at a time; the same drives in the simulator are the truth.

    Attributes:
        encoder: for FDS; None leaves it out.
    """

    encoder: DrivingEncoder | None
    length_s: int
    seeds: list[int] = field(default_factory=list)
    worlds: dict[str, list[LongDrive]] = field(default_factory=dict)
    damages: dict[str, list[Course]] = field(default_factory=dict)

    @property
    def late_s(self) -> tuple[int, int]:
        """The last third, which is ``LATE_S`` of a drive of 90 s."""
        return self.length_s * LATE_S[0] // LATE_S[1], self.length_s

    @property
    def settled_s(self) -> tuple[int, int]:
        """Seconds 5 to 10 of a drive of 90 s: the pictures that were given have left the model's memory."""
        first = self.length_s // 18
        return first, max(self.length_s // 9, first + 1)

    @property
    def parts_s(self) -> list[tuple[int, int]]:
        """The spans of 10 s."""
        return [(start, start + PART_S) for start in range(0, self.length_s - PART_S + 1, PART_S)]

    def add(self, drives: Mapping[str, Drive]) -> None:
        """One scene, driven in the simulator and in each world."""
        truth = drives[TRUTH]
        if len(self.seeds) < TESTED:
            for kind in DAMAGES:
                worse = damaged(truth.frames, kind, len(truth.frames) // 2)
                self.damages.setdefault(kind, []).append(course(worse, truth.speeds_mps))
        self.seeds.append(truth.seed)
        for world, drive in drives.items():
            parts = tuple(self._features(drive.frames, span) for span in self.parts_s)
            late, shown = self._features(drive.frames, self.late_s), course(drive.frames, drive.speeds_mps)
            long = LongDrive(shown, parts, late, drive.seconds, drive.memory_mb)
            self.worlds.setdefault(world, []).append(long)

    def _features(self, frames: Images, span_s: tuple[int, int]) -> FloatArray:
        if self.encoder is None:
            return np.empty((0, 0))
        return window_features(self.encoder, spread_windows(frames, span_s))

    def collapses(self, world: str) -> list[float | None]:
        """When each drive has collapsed."""
        found = [drive.course.collapse for drive in self.worlds[world]]
        return [None if one is None else one.time_s for one in found]

    def table(self, world: str, facts: Mapping[str, object]) -> Table:
        """Every world, and the simulator itself."""
        early, late = f"{EARLY_S[0]} to {EARLY_S[1]} s", f"{self.late_s[0]} to {self.late_s[1]} s"
        columns = (
            "world", "drives", f"FDS, {early}", f"FDS, {late}", "ratio", "collapsed", "collapsed, share",
            "first collapse (s)", "wall clock for a second (s)", "memory growth, mean", "memory growth, worst",
            "anomaly, {} to {} s".format(*self.settled_s), f"anomaly, {late}",
        )  # fmt: skip
        cells = {name: self._cells(name) for name in self.worlds}
        rows = [(name, found) for name, found in cells.items() if name != TRUTH]
        rows.append((f"{TRUTH} (collapsed: false alarms)", cells[TRUTH]))
        title = f"Does {world} last {self.length_s} s?"
        notes = (*_bars(cells[world]), *self._how())
        return Table("last", title, columns, tuple(rows), len(self.seeds), facts, notes)

    def _cells(self, world: str) -> tuple[Cell, ...]:
        drives, found = self.worlds[world], self.collapses(world)
        when = [time for time in found if time is not None]
        growth = np.array([drive.memory_growth for drive in drives])
        # The simulator's drives are drawn after they are over, so their clock and memory say nothing.
        cost: tuple[Cell, ...] = (None, None, None)
        if world != TRUTH:
            seconds = np.array([drive.seconds.mean() for drive in drives])
            cost = (mean_interval(seconds), mean_interval(growth), float(growth.max()))
        return (
            len(drives),
            *self._distances(world),
            len(when),
            wilson(len(when), len(found)),
            min(when, default=None),
            *cost,
            *self._anomaly(world),
        )

    def _anomaly(self, world: str) -> tuple[Cell, Cell]:
        """Means over drives of the median anomaly, soon after the start and in the last third."""
        courses = [drive.course for drive in self.worlds[world]]
        times = courses[0].times_s
        spans = [(times > first) & (times <= last) for first, last in (self.settled_s, self.late_s)]
        # Of a drive of 20 s the first span is over before a window is; its first window stands for it.
        spans = [span if span.any() else times == times[0] for span in spans]
        soon, late = (np.array([np.median(one.anomaly[span]) for one in courses]) for span in spans)
        return mean_interval(soon), mean_interval(late)

    def _compared(self, world: str) -> tuple[list[LongDrive], list[LongDrive]]:
        """The simulator's drives and a world's; of the simulator itself one half of its scenes and the other."""
        truth, drives = self.worlds[TRUTH], self.worlds[world]
        return (truth[::2], truth[1::2]) if world == TRUTH else (truth, drives)

    @property
    def _has_distances(self) -> bool:
        return self.encoder is not None and len(self.seeds) >= 4

    def _distances(self, world: str) -> tuple[Cell, Cell, Cell]:
        """FDS early, late, and late over early."""
        if not self._has_distances:
            return None, None, None
        pairs = self._compared(world)
        early = [[one.parts[0] for one in drives] for drives in pairs]
        late = [[one.late for one in drives] for drives in pairs]
        return frechet_interval(*early), frechet_interval(*late), frechet_ratio(*late, *early)

    def _how(self) -> list[str]:
        noticed = []
        for kind, courses in self.damages.items():
            seen = [one.collapse.time_s for one in courses if one.collapse is not None]
            after = f", after {np.median(seen) - self.length_s / 2:.1f} s" if seen else ""
            noticed.append(f"{kind}: {len(seen)} of {len(courses)}{after}")
        bounds = ", ".join(f"{sign} {bound:g}" for sign, bound in zip(SIGNS, BOUNDS, strict=True))
        return [
            "FDS: between the world's and the simulator's footage of the same drives and the same seconds, "
            f"{WINDOWS_A_PART} windows of a second a drive in either span. The simulator's row is the distance between "
            "one half of its drives and the other: what is left if the pictures are perfect.",
            f"Collapse: the median over {WINDOW_S:g} s of one of five signs lies beyond its bound ({bounds}; "
            "docs/metrics.md says what they are). The bounds are the same for all worlds and for real roads. The "
            "simulator's row counts drives of the truth that are taken for collapsed.",
            "Anomaly: how far the sign has come that has come farthest, as a share of its bound; median over the "
            "seconds and mean over drives. A drive that goes on falling apart has a greater one late than soon after "
            "its start.",
            f"The detector on simulator drives damaged on purpose from half time on: {'; '.join(noticed)}.",
            "Memory growth: the process in the last 10 s over that in seconds 10 to 20. Wall clock: of the "
            "environment's step, pictures included.",
        ]

    def over_time(self) -> Table:
        """FDS and collapsed drives for every ten seconds."""
        spans = self.parts_s
        columns = ("world", *(f"FDS, {a} to {b} s" for a, b in spans), *(f"collapsed by {b} s" for _, b in spans))
        rows: list[Row] = []
        for world in self.worlds:
            distances: list[Cell] = [None] * len(spans)
            if self._has_distances:
                pairs = self._compared(world)
                distances = [
                    frechet_interval(*([one.parts[i] for one in some] for some in pairs))
                    for i in tqdm(range(len(spans)), desc=f"last: {world} over time", unit="span", leave=False)
                ]
            when = [time for time in self.collapses(world) if time is not None]
            rows.append((world, (*distances, *(sum(time <= b for time in when) for _, b in spans))))
        return Table("last-over-time", "Ten seconds at a time", columns, tuple(rows), len(self.seeds))

    def drives_table(self) -> Table:
        """Every drive by itself."""
        columns = ("collapsed at (s)", "sign", "greatest anomaly", "memory growth")
        worlds = {world: [_drive_cells(drive) for drive in drives] for world, drives in self.worlds.items()}
        return scenes_table("last-drives", "Drive by drive", columns, self.seeds, worlds, tuple)


def _drive_cells(drive: LongDrive) -> tuple[Cell, ...]:
    found = drive.course.collapse
    when, sign = (None, None) if found is None else (found.time_s, found.sign)
    return when, sign, float(drive.course.anomaly.max()), drive.memory_growth


def _bars(cells: Sequence[Cell]) -> list[str]:
    ratio, collapsed, growth = cells[3], cells[4], cells[9]
    said = []
    if isinstance(ratio, Interval):
        wanted = f"FDS of the last third at most {MOST_RATIO:g} times that of the start"
        said.append(bar(wanted, ratio, ratio.value <= MOST_RATIO))
    said.append(bar("no collapse", f"{collapsed} of {cells[0]} drives", not collapsed))
    if isinstance(growth, float):
        wanted = f"memory grows by at most {MOST_GROWTH:.0%} in any drive"
        said.append(bar(wanted, f"{growth:.2%}", growth <= MOST_GROWTH))
    return said
