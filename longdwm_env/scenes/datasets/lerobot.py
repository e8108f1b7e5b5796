"""LeRobot v3 data sets: tables in parquet and many episodes in one mp4 (what yaak-ai/L2D comes in, once converted)."""

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from longdwm_env.errors import InvalidScene, MissingDependency
from longdwm_env.io.names import inside
from longdwm_env.scenes.datasets.imported_drives import ForeignDrive
from longdwm_env.scenes.ego_motion.poses_file import integrated
from longdwm_env.scenes.media.video_frames import numbered_frames
from longdwm_env.types import FloatArray, JsonObject

if TYPE_CHECKING:
    from pyarrow import Table

MOST_ROWS = 20_000_000
"""Of one file: three weeks at ten a second."""

_FIELD = re.compile(r"\{(?P<name>video_key|chunk_index|file_index)(?::0?(?P<digits>\d)d?)?\}")
_NUMBERS = ("float32", "float64")
_UNITS = {"speed_mps": 1.0, "speed_kmh": 1 / 3.6}


def lerobot_drives(path: Path, camera: str | None) -> Iterator[Callable[[], ForeignDrive]]:
    """Every episode of a data set, seen by one camera: the one named, else the one with "front" in its name."""
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise MissingDependency("LeRobot data sets need pyarrow: pip install 'longdwm[lerobot]'") from error
    try:
        info = json.loads((path / "meta" / "info.json").read_bytes())
        version, features = str(info["codebase_version"]), dict(info["features"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidScene(f"{path} holds no LeRobot data set (meta/info.json): {error}") from error
    if not version.startswith("v3"):
        raise InvalidScene(f"{path} has the format {version}; LeRobot's own converter brings it to v3.0 first")
    videos = [name for name, feature in features.items() if feature.get("dtype") == "video"]
    key = camera or next((name for name in videos if "front" in name), videos[0] if videos else None)
    if key is None or key not in videos:
        raise InvalidScene(f"{path} has no camera {key!r}; there are {', '.join(videos) or 'none'}")
    files = sorted((path / "meta" / "episodes").rglob("*.parquet"))
    if not files:
        raise InvalidScene(f"{path} has no meta/episodes")
    for file in files:
        _schema(file)
        for row in parquet.read_table(file).to_pylist():
            yield partial(_episode, path, info, key, row)


def _episode(path: Path, info: JsonObject, key: str, row: JsonObject) -> ForeignDrive:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        number, length = int(row["episode_index"]), int(row["length"])
        places = row[f"videos/{key}/chunk_index"], row[f"videos/{key}/file_index"]
        video = _file(path, info["video_path"], key, *places)
        table = _file(path, info["data_path"], key, row["data/chunk_index"], row["data/file_index"])
        first_s = float(row[f"videos/{key}/from_timestamp"])
        numbers = {name for name, facts in info["features"].items() if facts.get("dtype") in _NUMBERS}
        columns = [name for name in _schema(table) if name in {"episode_index", "timestamp", *numbers}]
        rows = parquet.read_table(table, columns=columns, filters=[("episode_index", "==", number)])
        times = np.array(rows["timestamp"].to_pylist(), np.float64).reshape(len(rows))
        poses = _poses(times, rows, info["features"])
    except (OSError, KeyError, TypeError, ValueError, IndexError, pa.ArrowException) as error:
        raise InvalidScene(f"{path}, an episode cannot be read: {type(error).__name__}: {error}") from error
    if len(times) != length:
        raise InvalidScene(f"{table}: episode {number} has {len(times)} rows, its record says {length}")
    return ForeignDrive(
        f"episode-{number:06d}",
        times,
        lambda wanted: numbered_frames(video, wanted, first_s),
        poses,
        source={"kind": "lerobot", "camera": key},
    )


def _schema(table: Path) -> list[str]:
    """The columns of a table. A few bytes can be packed so that they unpack to any number of rows."""
    import pyarrow.parquet as parquet

    facts = parquet.read_metadata(table)
    if facts.num_rows > MOST_ROWS:
        raise InvalidScene(f"{table} has {facts.num_rows:,} rows; at most {MOST_ROWS:,} are read")
    return [str(name) for name in facts.schema.to_arrow_schema().names]


def _file(path: Path, template: str, key: str, chunk: int, number: int) -> Path:
    """A file of the data set by its template, as ``{chunk_index:03d}``; no other formatting, and nowhere else."""
    values = {"video_key": str(key), "chunk_index": int(chunk), "file_index": int(number)}

    def written(field: re.Match[str]) -> str:
        digits = int(field["digits"] or 0)
        return str(values[field["name"]]).zfill(digits)

    return inside(path, _FIELD.sub(written, template))


def _poses(times: FloatArray, rows: "Table", features: JsonObject) -> FloatArray | None:
    """Poses from columns named x_m, y_m and heading_rad, else from speed_mps (or speed_kmh) and yaw_rate_radps.

    Other names, such as L2D's plain "speed", say nothing of their unit; such episodes come without poses, which
    ``longdwm data poses`` can estimate.
    """
    found: dict[str, FloatArray] = {}
    for feature, facts in features.items():
        names = facts.get("names")
        names = next(iter(names.values()), None) if isinstance(names, dict) else names
        if facts.get("dtype") not in _NUMBERS or not names or feature not in rows.column_names:
            continue
        values = np.array(rows[feature].to_pylist(), np.float64).reshape(len(times), -1)
        if values.shape[1] == len(names):
            found.update(zip(names, values.T, strict=True))
    if {"x_m", "y_m", "heading_rad"} <= set(found):
        return np.stack([found["x_m"], found["y_m"], found["heading_rad"]], axis=1)
    speed = next((found[name] * unit for name, unit in _UNITS.items() if name in found), None)
    if speed is None or "yaw_rate_radps" not in found:
        return None
    return integrated(times, speed, found["yaw_rate_radps"])
