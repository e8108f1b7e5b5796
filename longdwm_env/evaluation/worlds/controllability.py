"""Whether a world shows what was commanded: speed and yaw rate as the inverse-dynamics model reads its pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from longdwm_env.evaluation.compliance import LEAST_SPEED_MPS, ReadMotion, motion_correlation, read_motion
from longdwm_env.evaluation.drives.recorder import Drive
from longdwm_env.evaluation.report import Cell, Row, Table, bar
from longdwm_env.evaluation.statistics import Interval, mean_interval, pooled_interval, ratio_interval
from longdwm_env.models.readers.inverse_dynamics import InverseDynamics

MOST_SPEED_ERROR, LEAST_CORRELATION = 0.10, 0.9
"""The bars."""


@dataclass
class Controllability:
    """What was read of drives of several worlds in several action modes, gathered one drive at a time."""

    reader: InverseDynamics
    drives: dict[tuple[str, str], list[ReadMotion]] = field(default_factory=dict)

    def add(self, drives: Mapping[str, Drive]) -> None:
        """One scene; every world is given the same drives of an action mode in the same order."""
        for world, drive in drives.items():
            # The start was given.
            motions = drive.frames[1:], drive.camera, drive.speeds_mps[1:], drive.yaw_rates_radps[1:]
            self.drives.setdefault((world, drive.action_mode), []).append(read_motion(self.reader, *motions))

    def table(self, world: str, facts: Mapping[str, object]) -> Table:
        """Every world in every mode, and in all modes together."""
        rows: list[Row] = []
        bars = []
        for name in dict.fromkeys(name for name, _ in self.drives):
            modes = {mode: read for (other, mode), read in self.drives.items() if other == name}
            for mode, read in {**modes, "all": [one for part in modes.values() for one in part]}.items():
                cells = obedience_cells(read)
                rows.append((f"{name}, {mode}", cells))
                if name == world:
                    bars += _bars(mode, cells)
        columns = (
            "world and actions", "drives", "speed error", "speed error of all metres driven", "speed error (m/s)",
            "yaw rate error (rad/s)", "yaw rate correlation", "speed correlation", "commanded yaw rate, spread (rad/s)",
            "commanded speed, mean (m/s)", "commanded speed, spread (m/s)",
        )  # fmt: skip
        how = (
            "Read by the inverse-dynamics model from windows of a second, every half second of the 4 s after the "
            "start. Speed error: the mean over drives of |read - commanded| / commanded speed of the drive; drives "
            f"slower than {LEAST_SPEED_MPS:g} m/s have none. The simulator's rows are the reader's own error on true "
            "footage of the same drives. The correlation is over all windows.",
        )
        counts = [len(drives) for (name, _), drives in self.drives.items() if name == world]
        return Table("obey", f"Does {world} obey?", columns, tuple(rows), sum(counts), facts, (*bars, *how))


def obedience_cells(drives: Sequence[ReadMotion]) -> tuple[Cell, ...]:
    """A row of the table."""
    wanted = np.array([read.speed_mps.mean() for read in drives])
    errors = np.array([read.speed_error_mps for read in drives])
    yaw_rates = np.concatenate([read.yaw_rate_radps for read in drives])
    speeds = np.concatenate([read.speed_mps for read in drives])
    return (
        len(drives),
        mean_interval(np.array([read.speed_error_share for read in drives])),
        ratio_interval(errors, wanted),
        mean_interval(errors),
        mean_interval(np.array([read.yaw_rate_error_radps for read in drives])),
        _correlation(drives, "yaw_rate_radps"),
        _correlation(drives, "speed_mps"),
        float(yaw_rates.std()),
        float(speeds.mean()),
        float(speeds.std()),
    )


def _correlation(drives: Sequence[ReadMotion], name: str) -> Interval:
    return pooled_interval(lambda chosen: motion_correlation([drives[i] for i in chosen], name), len(drives))


def _bars(mode: str, cells: Sequence[Cell]) -> list[str]:
    error, follows = cells[1], cells[5]
    assert isinstance(error, Interval)
    assert isinstance(follows, Interval)
    is_exact, is_following = error.value <= MOST_SPEED_ERROR, follows.value >= LEAST_CORRELATION
    return [
        bar(f"speed error at most {MOST_SPEED_ERROR:.0%}", error, is_exact, mode),
        bar(f"yaw rate correlation at least {LEAST_CORRELATION:g}", follows, is_following, mode),
    ]
