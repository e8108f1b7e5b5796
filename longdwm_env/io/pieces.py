"""What takes long, piece by piece in a folder, so that work that was stopped goes on."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from longdwm_env.io.files import atomic_write_bytes, atomic_write_json

Arrays = Mapping[str, NDArray[np.generic]]

FORM = 1
"""Of the pieces and of what they are found by: those of another form are found anew."""

_ABOUT = "about.json"


class Pieces:
    """Arrays by name.

    Args:
        folder: where they are kept; None keeps nothing.
        about: what they are of: of something else they are thrown away.
    """

    def __init__(self, folder: Path | None = None, about: str = "") -> None:
        self._folder = folder
        if folder is None:
            return
        record, wanted = folder / _ABOUT, {"form": FORM, "about": about}
        try:
            same = json.loads(record.read_text()) == wanted
        except (OSError, ValueError):
            same = False
        if not same:
            self.clear()
            atomic_write_json(record, wanted)

    def get(self, name: str) -> Arrays | None:
        """A piece; None where it has not been found yet, or its file is damaged."""
        path = self._path(name)
        if path is None or not path.is_file():
            return None
        try:
            return load_file(path)
        except (SafetensorError, OSError, ValueError):
            return None

    def put(self, name: str, arrays: Arrays) -> None:
        """Keep a piece."""
        if (path := self._path(name)) is not None:
            atomic_write_bytes(path, save({key: np.ascontiguousarray(value) for key, value in arrays.items()}))

    def clear(self) -> None:
        """Throw everything away: it is not needed any more."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, name: str) -> Path | None:
        return None if self._folder is None else self._folder / f"{name}.safetensors"


__all__ = ["Arrays", "Pieces"]
