"""A folder of pictures with a csv of their times: columns ``file`` and ``time_s``, and what else is known.

Poses come from ``x_m``, ``y_m`` and ``heading_rad``, or from ``speed_mps`` with ``yaw_rate_radps``.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from longdwm_env.errors import InvalidScene
from longdwm_env.io.names import inside
from longdwm_env.scenes.datasets.imported_drives import ForeignDrive
from longdwm_env.scenes.ego_motion.poses_file import integrated
from longdwm_env.scenes.media.image_file import read_image
from longdwm_env.scenes.media.sidecar import read_sidecar
from longdwm_env.types import FloatArray


def picture_drives(path: Path, camera: str | None) -> Iterator[Callable[[], ForeignDrive]]:
    """One drive for each csv in the folder."""
    tables = sorted(path.glob("*.csv"))
    if not tables:
        raise InvalidScene(f"{path} holds no csv with the columns file and time_s")
    for table in tables:
        yield partial(_drive, table)


def frames_of(paths: Sequence[Path]) -> Callable[[list[int]], Iterator[NDArray[np.uint8]]]:
    """Pictures of a list of files, decoded when they are asked for."""
    return lambda wanted: (read_image(paths[index]) for index in wanted)


def _drive(table: Path) -> ForeignDrive:
    try:
        with table.open(newline="") as file:
            rows = list(csv.DictReader(file))
        columns = set(rows[0]) if rows else set()
        if not {"file", "time_s"} <= columns:
            raise ValueError("needs the columns file and time_s, and a row for each picture")
        rows.sort(key=lambda row: float(row["time_s"]))
        paths = [inside(table.parent, row["file"]) for row in rows]
        numbers = {
            name: np.array([float(row[name]) for row in rows])
            for name in ("time_s", "x_m", "y_m", "heading_rad", "speed_mps", "yaw_rate_radps")
            if name in columns
        }
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise InvalidScene(f"{table}: {error}") from error
    missing = [str(path.name) for path in paths if not path.is_file()]
    if missing:
        raise InvalidScene(f"{table} names pictures that are not there: {', '.join(missing[:3])}")
    height, width = read_image(paths[0]).shape[:2]
    sidecar = read_sidecar(paths[0], (height, width))
    return ForeignDrive(
        table.stem,
        numbers["time_s"] - numbers["time_s"][0],
        frames_of(paths),
        _poses(numbers),
        sidecar.camera,
        sidecar.prompt,
        {"kind": "pictures", "file": table.name},
    )


def _poses(numbers: dict[str, FloatArray]) -> FloatArray | None:
    if {"x_m", "y_m", "heading_rad"} <= set(numbers):
        return np.stack([numbers["x_m"], numbers["y_m"], numbers["heading_rad"]], axis=1)
    if {"speed_mps", "yaw_rate_radps"} <= set(numbers):
        return integrated(numbers["time_s"], numbers["speed_mps"], numbers["yaw_rate_radps"])
    return None
