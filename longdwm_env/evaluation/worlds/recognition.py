"""Whether a prompt can be seen: the scorer, trained on simulator footage, names weather and time of day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from longdwm_env.clock import FPS
from longdwm_env.evaluation.drives.recorder import Drive
from longdwm_env.evaluation.report import Cell, Row, Table, bar
from longdwm_env.evaluation.statistics import Interval, wilson
from longdwm_env.models.readers.scorer import WINDOW_FRAMES, DrivingEncoder
from longdwm_env.simulator.conditions import TIMES_OF_DAY, WEATHERS, Conditions
from longdwm_env.types import FloatArray

SECONDS = (1, 2, 3, 4)
"""Windows end at these times after the start."""

COUNTED_FROM = 1
"""The verdict of a drive is that of its windows of the seconds from the second one on: 1 to 4 s."""

LEAST_SHARE = 0.9
"""The bar."""


@dataclass(frozen=True)
class Named:
    """What the scorer names a drive.

    Attributes:
        prompted: what the prompt asks for.
        own: what the scene is by itself, and what the start shows unless it was drawn as prompted.
        weather, time_of_day: (S, 3) log-probabilities of windows that end at ``SECONDS``.
    """

    prompted: Conditions
    own: Conditions
    weather: FloatArray
    time_of_day: FloatArray

    @property
    def said(self) -> tuple[int, int]:
        """Weather and time of day of the whole drive."""
        return int(self.weather[COUNTED_FROM:].sum(0).argmax()), int(self.time_of_day[COUNTED_FROM:].sum(0).argmax())


@dataclass
class Recognition:
    """What the scorer names the drives of several worlds, gathered one drive at a time.

    A group is a world and a way of prompting, such as ("mini", "start as prompted").
    """

    encoder: DrivingEncoder
    groups: dict[tuple[str, str], list[Named]] = field(default_factory=dict)

    def add(self, drives: Mapping[str, Drive], way: str, prompted: Conditions, own: Conditions) -> None:
        """One scene of 4 s."""
        for world, drive in drives.items():
            windows = np.stack([drive.frames[t * FPS + 1 - WINDOW_FRAMES : t * FPS + 1] for t in SECONDS])
            readings = self.encoder.read(windows)
            logs = [x.double().log_softmax(dim=1).numpy() for x in (readings.weather, readings.time_of_day)]
            self.groups.setdefault((world, way), []).append(Named(prompted, own, *logs))

    def table(self, world: str, facts: Mapping[str, object]) -> Table:
        """Shares that were recognised."""
        columns = (
            "world and start", "drives", "weather", "time of day", "both", "weather, where the prompt changes it",
            "time of day, where the prompt changes it", *(f"weather at {t} s" for t in SECONDS),
            *(f"time of day at {t} s" for t in SECONDS),
        )  # fmt: skip
        rows = [(f"{name}, {way}", recognition_cells(named)) for (name, way), named in self.groups.items()]
        bars = []
        for (name, way), named in self.groups.items():
            if name == world:
                cells = dict(zip(columns[1:], recognition_cells(named), strict=True))
                for part in ("weather", "time of day"):
                    share = cells[part]
                    assert isinstance(share, Interval)
                    wanted = f"{part} recognised in at least {LEAST_SHARE:.0%}"
                    bars.append(bar(wanted, share, share.value >= LEAST_SHARE, way))
        how = (
            "The scorer's condition heads, trained on simulator footage. A drive counts as what its windows of the "
            "seconds 1 to 4 say together; the columns by second take single windows. Intervals are Wilson's, over "
            "drives, one of each scene. The simulator's row is the heads' own accuracy on true footage.",
        )
        title = f"Is the prompt seen in {world}?"
        return Table("text", title, columns, tuple(rows), self._drives, facts, (*bars, *how))

    @property
    def _drives(self) -> int:
        return max(len(named) for named in self.groups.values())

    def confusion(self) -> Table:
        """How often each prompt was named what."""
        columns = ("world, start and prompt", "drives", *WEATHERS, *TIMES_OF_DAY)
        rows: list[Row] = []
        for (name, way), named in self.groups.items():
            for place, kinds in enumerate((WEATHERS, TIMES_OF_DAY)):
                for kind in kinds:
                    own = [one for one in named if _indices(one.prompted)[place] == kinds.index(kind)]
                    counts = np.bincount([one.said[place] for one in own], minlength=3)
                    blank: list[Cell] = [None] * 3
                    said: list[Cell] = [int(count) for count in counts]
                    cells = (len(own), *(said + blank if place == 0 else blank + said))
                    rows.append((f"{name}, {way}: {kind}", cells))
        return Table("text-confusion", "What prompts were taken for", columns, tuple(rows), self._drives)


def recognition_cells(named: Sequence[Named]) -> tuple[Cell, ...]:
    """A row of the table."""
    wanted = np.array([_indices(one.prompted) for one in named])
    own = np.array([_indices(one.own) for one in named])
    said = np.array([one.said for one in named])
    right, changed = said == wanted, own != wanted
    at = [
        np.array([getattr(one, name).argmax(1) for one in named]) == wanted[:, place, None]
        for place, name in enumerate(("weather", "time_of_day"))
    ]
    return (
        len(named),
        _share(right[:, 0]),
        _share(right[:, 1]),
        _share(right.all(1)),
        _share(right[changed[:, 0], 0]),
        _share(right[changed[:, 1], 1]),
        *(_share(at[0][:, second]) for second in range(len(SECONDS))),
        *(_share(at[1][:, second]) for second in range(len(SECONDS))),
    )


def _share(right: np.ndarray) -> Interval:
    return wilson(int(right.sum()), len(right))


def _indices(conditions: Conditions) -> tuple[int, int]:
    return WEATHERS.index(conditions.weather), TIMES_OF_DAY.index(conditions.time_of_day)
