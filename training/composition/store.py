"""Moments of drives that the compositor is trained on, in a ring of fixed size: drives write it, training reads it."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from longdwm_env.errors import InvalidConfig
from longdwm_env.io.files import atomic_path
from longdwm_env.models.compositor import FLAGS
from longdwm_env.types import ImageSize


def _columns(image_size: ImageSize, text_shape: tuple[int, int]) -> dict[str, tuple[tuple[int, ...], type]]:
    height, width = image_size
    return {
        "pictures": ((4, height, width, 3), np.uint8),
        "masks": ((2, height, width), np.uint8),
        "map_pictures": ((height, width, 4), np.uint8),
        "flags": ((len(FLAGS),), np.float32),
        "texts": (text_shape, np.float32),
        "targets": ((height, width, 3), np.uint8),
        "taken": ((2, height, width, 3), np.uint8),
        "road_users": ((height, width), np.uint8),
        "seconds": ((), np.int32),
    }


def _take_room(path: Path) -> None:
    """Have the disk set aside what a file with holes says it has: written to later, a full one would kill us (SIGBUS).

    Raises:
        OSError: there is not so much room.
    """
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


@dataclass(frozen=True)
class MomentRing:
    """Columns of moments; the oldest give way to new ones. Several processes may write it and read it.

    Attributes:
        columns: arrays (N, ...) by name, mapped from files.
        counts: (1,) int64, how many moments were ever written.
        lock: held by the process that writes or reads a moment.
    """

    columns: Mapping[str, NDArray[Any]]
    counts: NDArray[np.int64]
    lock: FileLock

    @classmethod
    def open(
        cls, folder: Path, size: int, image_size: ImageSize = (96, 144), text_shape: tuple[int, int] = (5, 64)
    ) -> "MomentRing":
        """The ring in a folder, made anew where there is none.

        Raises:
            InvalidConfig: a ring of another form lies there.
        """
        form = {"size": size, "image_size": list(image_size), "text_shape": list(text_shape)}
        description = folder / "ring.json"
        columns = _columns(image_size, text_shape)
        if not description.exists():
            folder.mkdir(parents=True, exist_ok=True)
            for name, (shape, dtype) in {**columns, "counts": ((), np.int64)}.items():
                rows = 1 if name == "counts" else size
                np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, (rows, *shape)).flush()
                _take_room(folder / f"{name}.npy")
            with atomic_path(description) as temporary:
                temporary.write_text(json.dumps(form))
        found = json.loads(description.read_text())
        if found != form:
            raise InvalidConfig(f"{folder} holds a ring of {found}, not of {form}; name another folder")
        arrays = {name: np.lib.format.open_memmap(folder / f"{name}.npy", "r+") for name in columns}
        return cls(arrays, np.lib.format.open_memmap(folder / "counts.npy", "r+"), FileLock(folder / ".ring.lock"))

    @property
    def size(self) -> int:
        """How many moments it holds at most."""
        return len(self.columns["flags"])

    def __len__(self) -> int:
        return min(int(self.counts[0]), self.size)

    def add(self, moment: Mapping[str, Any]) -> None:
        """Write one moment over the oldest."""
        with self.lock:
            place = int(self.counts[0]) % self.size
            for name, column in self.columns.items():
                column[place] = moment[name]
            self.counts[0] += 1

    def batch(self, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """Columns of some moments, copied."""
        with self.lock:
            return {name: np.array(column[rows]) for name, column in self.columns.items()}
