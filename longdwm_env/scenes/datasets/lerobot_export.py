"""Drives as a LeRobot v3 data set: one table and one video of all episodes, and tables of what is where.

    meta/info.json, stats.json, tasks.parquet, episodes/chunk-000/file-000.parquet
    data/chunk-000/file-NNN.parquet
    videos/observation.images.front/chunk-000/file-NNN.mp4

The layout is that of LeRobot's documentation of version 3.0. Frame t of a table holds what is seen at t, what is asked
for there (``action``), and what came of it (``next.reward``, ``next.done``, ``next.success``).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from longdwm_env.clock import FPS
from longdwm_env.errors import InvalidConfig, MissingDependency
from longdwm_env.io.files import atomic_path, atomic_write_json, folder_appearing
from longdwm_env.io.video import VideoWriter
from longdwm_env.types import FloatArray, Images

if TYPE_CHECKING:
    import pyarrow as pa

CAMERA = "observation.images.front"
STATE = ("x_m", "y_m", "heading_rad", "speed_mps", "acceleration_mps2", "yaw_rate_radps")
EPISODES_A_FILE = 50
"""A file's mp4 is written in one go, and read by seeking."""

STATISTICS_IMAGES = 24
"""Of an episode: as many of its pictures are looked at for the statistics."""

_WHERE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
_VIDEO = {
    "height": 0,
    "width": 0,
    "codec": "h264",
    "pix_fmt": "yuv420p",
    "is_depth_map": False,
    "fps": FPS,
    "channels": 3,
}


@dataclass(frozen=True)
class DrivenEpisode:
    """One drive, at the clock's frames.

    Attributes:
        clips: the pictures (T_i, H, W, 3), T in all, a part at a time.
        states: (T, 6) float, ``STATE``.
        actions: (T, A) float.
        rewards: (T,) float, of the frame that follows.
        done: (T,) bool, whether it is the last.
        success: whether the drive came to its end in time, in its lane, without a collision.
    """

    clips: Iterable[Images]
    states: FloatArray
    actions: FloatArray
    rewards: FloatArray
    done: NDArray[np.bool_]
    success: bool
    task: str

    def __post_init__(self) -> None:
        count = len(self.states)
        shapes = (self.states.shape, self.actions.shape[:1], self.rewards.shape, self.done.shape)
        if not count or shapes != ((count, len(STATE)), (count,), (count,), (count,)):
            raise ValueError(f"an episode's columns disagree: {shapes}")


def export_lerobot(
    episodes: Iterable[DrivenEpisode],
    out: Path,
    action_names: tuple[str, ...],
    about: Mapping[str, object] | None = None,
) -> int:
    """Write drives as a data set that ``lerobot`` opens; the folder appears when all is done.

    Args:
        episodes: at least one, with pictures of one size.
        out: folder to write; it must not exist or be empty.
        action_names: of an action's numbers.
        about: what ``meta/longdwm.json`` says of where the drives come from.

    Returns:
        Frames written.

    Raises:
        InvalidConfig: ``out`` is occupied, or there is no episode.
        MissingDependency: pyarrow is not installed.
    """
    try:
        import pyarrow  # noqa: F401 - asked for before anything is driven
    except ImportError as error:
        raise MissingDependency("LeRobot data sets need pyarrow: pip install 'longdwm[lerobot]'") from error
    with folder_appearing(out) as folder:
        written = _Written(folder, action_names)
        for number, part in enumerate(_batched(episodes)):
            written.add_file(number, part)
        if not written.records:
            raise InvalidConfig("there is no drive to export")
        written.finish(about or {})
    return written.frames


def _batched(episodes: Iterable[DrivenEpisode]) -> Iterator[Iterator[DrivenEpisode]]:
    """Groups of episodes that share a file; each is taken up when the one before is done."""
    source = iter(episodes)

    def some(first: DrivenEpisode) -> Iterator[DrivenEpisode]:
        yield first
        for _, episode in zip(range(EPISODES_A_FILE - 1), source, strict=False):
            yield episode

    for first in source:
        yield some(first)


class _Written:
    """A data set in the making."""

    def __init__(self, folder: Path, action_names: tuple[str, ...]) -> None:
        self.folder, self.action_names = folder, action_names
        self.frames, self.size = 0, (0, 0)
        self.records: list[dict[str, object]] = []
        self.tasks: dict[str, int] = {}
        self.statistics: list[dict[str, dict[str, np.ndarray]]] = []

    def add_file(self, number: int, episodes: Iterator[DrivenEpisode]) -> None:
        """Write a table and a video of some episodes."""
        columns: list[dict[str, np.ndarray]] = []
        first = next(episodes)
        clips = iter(first.clips)
        clip = next(clips)
        if self.records and clip.shape[1:3] != self.size:
            raise InvalidConfig(f"an episode has pictures of {clip.shape[1:3]}, the ones before of {self.size}")
        self.size = (clip.shape[1], clip.shape[2])
        path = self.folder / "videos" / CAMERA / f"{_WHERE.format(chunk_index=0, file_index=number)}.mp4"
        with VideoWriter(path, self.size, FPS, scale=1) as video:
            columns.append(self._episode(first, _and(clip, clips), video, number))
            for episode in episodes:
                columns.append(self._episode(episode, iter(episode.clips), video, number))
        joined = {name: np.concatenate([part[name] for part in columns]) for name in columns[0]}
        self._write_table(self.folder / "data" / f"{_WHERE.format(chunk_index=0, file_index=number)}.parquet", joined)

    def _episode(
        self, episode: DrivenEpisode, clips: Iterator[Images], video: VideoWriter, file: int
    ) -> dict[str, np.ndarray]:
        index, begins = len(self.records), video.frames_written
        seen: list[Images] = []
        for clip in clips:
            video.write(clip)
            seen.append(clip)
        count = video.frames_written - begins
        if count != len(episode.states):
            raise ValueError(f"an episode has {count} pictures and {len(episode.states)} rows")
        task = self.tasks.setdefault(episode.task, len(self.tasks))
        success = np.zeros(count, bool)
        success[-1] = episode.success
        columns = {
            "observation.state": episode.states.astype(np.float32),
            "action": episode.actions.astype(np.float32),
            "next.reward": episode.rewards.astype(np.float32),
            "next.done": episode.done.astype(bool),
            "next.success": success,
            "timestamp": (np.arange(count) / FPS).astype(np.float32),
            "frame_index": np.arange(count, dtype=np.int64),
            "episode_index": np.full(count, index, np.int64),
            "index": np.arange(self.frames, self.frames + count, dtype=np.int64),
            "task_index": np.full(count, task, np.int64),
        }
        pictures = np.concatenate(seen)[:: max(1, count // STATISTICS_IMAGES)]
        self.statistics.append(
            {name: _numbers(values) for name, values in columns.items()} | {CAMERA: _of_pictures(pictures)}
        )
        self.records.append(
            {
                "episode_index": index,
                "tasks": [episode.task],
                "length": count,
                "data/chunk_index": 0,
                "data/file_index": file,
                "dataset_from_index": self.frames,
                "dataset_to_index": self.frames + count,
                f"videos/{CAMERA}/chunk_index": 0,
                f"videos/{CAMERA}/file_index": file,
                f"videos/{CAMERA}/from_timestamp": begins / FPS,
                f"videos/{CAMERA}/to_timestamp": (begins + count) / FPS,
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": 0,
            }
        )
        self.frames += count
        return columns

    def finish(self, about: Mapping[str, object]) -> None:
        """Write the tables of what is where."""
        import pyarrow as pa
        import pyarrow.parquet as parquet

        meta = self.folder / "meta"
        for record, statistics in zip(self.records, self.statistics, strict=True):
            record |= {
                f"stats/{feature}/{name}": values.tolist()
                for feature, numbers in statistics.items()
                for name, values in numbers.items()
            }
        tables = {
            "episodes/chunk-000/file-000.parquet": pa.Table.from_pylist(self.records),
            # As pandas writes a frame whose index is the task: that is how lerobot reads it.
            "tasks.parquet": _as_pandas_writes(list(self.tasks), list(self.tasks.values())),
        }
        for name, table in tables.items():
            with atomic_path(meta / name) as temporary:
                parquet.write_table(table, temporary)
        whole = {feature: _together([one[feature] for one in self.statistics]) for feature in self.statistics[0]}
        atomic_write_json(
            meta / "stats.json", {f: {name: v.tolist() for name, v in numbers.items()} for f, numbers in whole.items()}
        )
        atomic_write_json(meta / "info.json", self._info())
        atomic_write_json(meta / "longdwm.json", dict(about))

    def _info(self) -> dict[str, object]:
        height, width = (side + side % 2 for side in self.size)
        known = _VIDEO | {"height": height, "width": width}
        video = {f"video.{name}": value for name, value in known.items()} | {"has_audio": False}
        one = {"shape": [1], "names": None}
        return {
            "codebase_version": "v3.0",
            "robot_type": "car",
            "total_episodes": len(self.records),
            "total_frames": self.frames,
            "total_tasks": len(self.tasks),
            "chunks_size": 1000,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "fps": FPS,
            "splits": {"train": f"0:{len(self.records)}"},
            "data_path": f"data/{_WHERE}.parquet",
            "video_path": f"videos/{{video_key}}/{_WHERE}.mp4",
            "features": {
                CAMERA: {
                    "dtype": "video",
                    "shape": [height, width, 3],
                    "names": ["height", "width", "channels"],
                    "info": video,
                },
                "observation.state": {"dtype": "float32", "shape": [len(STATE)], "names": list(STATE)},
                "action": {"dtype": "float32", "shape": [len(self.action_names)], "names": list(self.action_names)},
                "next.reward": {"dtype": "float32", **one},
                "next.done": {"dtype": "bool", **one},
                "next.success": {"dtype": "bool", **one},
                "timestamp": {"dtype": "float32", **one},
                **{name: {"dtype": "int64", **one} for name in ("frame_index", "episode_index", "index", "task_index")},
            },
        }

    def _write_table(self, path: Path, columns: dict[str, np.ndarray]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as parquet

        arrays = {
            name: pa.array(values)
            if values.ndim == 1
            else pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
            for name, values in columns.items()
        }
        with atomic_path(path) as temporary:
            parquet.write_table(pa.table(arrays), temporary)


def _and(first: Images, others: Iterator[Images]) -> Iterator[Images]:
    yield first
    yield from others


def _numbers(values: np.ndarray) -> dict[str, np.ndarray]:
    """Statistics over the rows of a column, (N,) or (N, D)."""
    table = values.reshape(len(values), -1).astype(np.float64)
    return {
        "min": table.min(axis=0),
        "max": table.max(axis=0),
        "mean": table.mean(axis=0),
        "std": table.std(axis=0),
        "count": np.array([len(table)]),
    }


def _of_pictures(pictures: Images) -> dict[str, np.ndarray]:
    """Statistics of pictures (N, H, W, 3) by channel, from 0 to 1, in the shape (3, 1, 1) that lerobot has."""
    found = _numbers(pictures.reshape(-1, 3) / 255.0)
    shaped = {name: values.reshape(3, 1, 1) for name, values in found.items() if name != "count"}
    return {**shaped, "count": np.array([len(pictures)])}


def _together(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Statistics of all episodes from those of each."""
    counts = np.array([float(part["count"][0]) for part in parts])
    weights = counts / counts.sum()
    mean = sum(weight * part["mean"] for weight, part in zip(weights, parts, strict=True))
    squares = sum(weight * (part["std"] ** 2 + part["mean"] ** 2) for weight, part in zip(weights, parts, strict=True))
    return {
        "min": np.min([part["min"] for part in parts], axis=0),
        "max": np.max([part["max"] for part in parts], axis=0),
        "mean": np.asarray(mean),
        "std": np.sqrt(np.maximum(np.asarray(squares) - np.asarray(mean) ** 2, 0)),
        "count": np.array([int(counts.sum())]),
    }


def _as_pandas_writes(names: list[str], numbers: list[int]) -> "pa.Table":
    import json

    import pyarrow as pa

    table = pa.table({"task_index": pa.array(numbers, pa.int64()), "task": pa.array(names, pa.string())})
    kinds = {"task_index": ("int64", "int64"), "task": ("unicode", "object")}
    about = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [
            {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": stored, "metadata": None}
            for name, (kind, stored) in kinds.items()
        ],
        "pandas_version": "2.0.0",
    }
    return table.replace_schema_metadata({b"pandas": json.dumps(about).encode()})
