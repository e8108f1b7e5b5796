"""Whether a world shows what was commanded: speed and yaw rate as the inverse-dynamics model reads its pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from longdwm_env.evaluation.compliance import commanded, correlation
from longdwm_env.evaluation.paired import mean_interval, pooled_interval, ratio_interval
from longdwm_env.evaluation.report import Cell, Table
from longdwm_env.evaluation.statistics import Interval
from longdwm_env.models.inverse_dynamics import InverseDynamics
from longdwm_env.models.scorer import WINDOW_FRAMES, windows_of
from longdwm_env.types import Camera, FloatArray, Images

STRIDE_FRAMES = WINDOW_FRAMES // 2
LEAST_SPEED_MPS = 1.0
"""A drive that is slower on average has no speed error in percent."""

MOST_SPEED_ERROR, LEAST_CORRELATION = 0.10, 0.9
"""The bars."""


@dataclass(frozen=True)
class Read:
    """One drive as commanded and as read from its pictures: (n,) means over its windows of a second."""

    speed_mps: FloatArray
    yaw_rate_radps: FloatArray
    said_speed_mps: FloatArray
    said_yaw_rate_radps: FloatArray


def read_drive(
    reader: InverseDynamics, frames: Images, camera: Camera, speeds_mps: FloatArray, yaw_rates_radps: FloatArray
) -> Read:
    """Read frames (T, H, W, 3) of a camera, the start first, which was given and is left out; (T,) speeds and turns."""
    motion = reader.read(windows_of(frames[1:], STRIDE_FRAMES), camera)
    speed, yaw_rate = commanded(speeds_mps[1:], yaw_rates_radps[1:], STRIDE_FRAMES)
    return Read(speed, yaw_rate, motion.speed_mps, motion.yaw_rate_radps)


@dataclass
class Obedience:
    """What was read of drives of several worlds in several action modes, gathered one drive at a time."""

    reader: InverseDynamics
    drives: dict[tuple[str, str], list[Read]] = field(default_factory=dict)

    def add(
        self,
        world: str,
        mode: str,
        frames: Images,
        camera: Camera,
        speeds_mps: FloatArray,
        yaw_rates_radps: FloatArray,
    ) -> None:
        """One drive; every world is given the same drives of a mode in the same order."""
        read = read_drive(self.reader, frames, camera, speeds_mps, yaw_rates_radps)
        self.drives.setdefault((world, mode), []).append(read)

    def table(self, world: str, facts: Mapping[str, Any]) -> Table:
        """Every world in every mode, and in all modes together."""
        rows: list[tuple[str, tuple[Cell, ...]]] = []
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
        return Table("obey", f"Does {world} obey?", columns, tuple(rows), (), sum(counts), None, facts, (*bars, *how))


def obedience_cells(drives: Sequence[Read]) -> tuple[Cell, ...]:
    """A row of the table."""
    wanted = np.array([read.speed_mps.mean() for read in drives])
    errors = np.array([np.abs(read.said_speed_mps - read.speed_mps).mean() for read in drives])
    turned = np.array([np.abs(read.said_yaw_rate_radps - read.yaw_rate_radps).mean() for read in drives])
    driven = wanted > LEAST_SPEED_MPS
    shares = np.where(driven, errors / np.where(driven, wanted, 1.0), np.nan)
    yaw_rates = np.concatenate([read.yaw_rate_radps for read in drives])
    speeds = np.concatenate([read.speed_mps for read in drives])
    return (
        len(drives),
        mean_interval(shares),
        ratio_interval(errors, wanted),
        mean_interval(errors),
        mean_interval(turned),
        pooled_interval(lambda chosen: _correlation(drives, chosen, "yaw_rate_radps"), len(drives)),
        pooled_interval(lambda chosen: _correlation(drives, chosen, "speed_mps"), len(drives)),
        float(yaw_rates.std()),
        float(speeds.mean()),
        float(speeds.std()),
    )


def _correlation(drives: Sequence[Read], chosen: Sequence[int], name: str) -> float:
    said = np.concatenate([getattr(drives[i], f"said_{name}") for i in chosen])
    return correlation(said, np.concatenate([getattr(drives[i], name) for i in chosen]))


def _bars(mode: str, cells: Sequence[Cell]) -> list[str]:
    error, follows = cells[1], cells[5]
    assert isinstance(error, Interval)
    assert isinstance(follows, Interval)
    return [
        f"Bar, {mode}: speed error at most {MOST_SPEED_ERROR:.0%}: "
        f"{'yes' if error.value <= MOST_SPEED_ERROR else 'NO'} ({error}).",
        f"Bar, {mode}: yaw rate correlation at least {LEAST_CORRELATION:g}: "
        f"{'yes' if follows.value >= LEAST_CORRELATION else 'NO'} ({follows}).",
    ]
