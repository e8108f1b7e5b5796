"""What was read from videos, on disk: a file a video, so that memory holds one at a time and a stopped run goes on."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from longdwm_env.io.files import atomic_path, atomic_write_json, file_name
from longdwm_env.io.names import printable
from longdwm_env.types import JsonObject

Numbers = Mapping[str, np.ndarray]
"""What was read from one video, by name."""

MADE_FROM = "made_from.json"
_FACTS = "facts"


class KeptNumbers:
    """The numbers of one system's videos, each under the place of its sample in the source.

    Args:
        folder: of all systems of all protocols.
        system: what tables call it.
        made_from: JSON values that decide the numbers; those of others lie in another folder.
    """

    def __init__(self, folder: Path, system: str, made_from: Mapping[str, object]) -> None:
        described = json.loads(json.dumps({"system": system, **made_from}, sort_keys=True, default=str))
        digest = hashlib.blake2b(json.dumps(described, sort_keys=True).encode(), digest_size=6).hexdigest()
        words = file_name(printable(system).lower()[:40])
        self.folder = folder / f"{words}-{digest}"
        if not (self.folder / MADE_FROM).is_file():
            atomic_write_json(self.folder / MADE_FROM, described)

    def path(self, place: int) -> Path:
        """Where the numbers of a sample lie."""
        return self.folder / f"{place:06d}.safetensors"

    def facts(self, place: int) -> JsonObject | None:
        """What was noted of a sample; None where it has not been measured, or its file is damaged."""
        try:
            with safe_open(self.path(place), "np") as file:
                noted: JsonObject = json.loads(file.metadata()[_FACTS])
                return noted
        except (SafetensorError, OSError, KeyError, TypeError, ValueError):
            return None

    def put(self, place: int, numbers: Numbers, facts: Mapping[str, object]) -> None:
        """Keep the numbers of a sample, whole or not at all."""
        arrays = {name: np.ascontiguousarray(value) for name, value in numbers.items()}
        with atomic_path(self.path(place)) as temporary:
            save_file(arrays, temporary, metadata={_FACTS: json.dumps(dict(facts))})

    def note(self, place: int, facts: Mapping[str, object]) -> None:
        """Note other facts of a sample that has been measured."""
        with safe_open(self.path(place), "np") as file:
            numbers = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        self.put(place, numbers, facts)

    def of(self, places: Sequence[int]) -> "NumbersOf":
        """Those of some samples, read when they are looked at."""
        return NumbersOf(self, tuple(places))


@dataclass(frozen=True)
class NumbersOf:
    """Numbers of some samples; a name at a time, one sample after the other."""

    kept: KeptNumbers
    places: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.places)

    def each(self, name: str) -> Iterator[np.ndarray]:
        """One sample's after the other."""
        for place in self.places:
            with safe_open(self.kept.path(place), "np") as file:
                yield file.get_tensor(name)

    def stacked(self, name: str) -> np.ndarray:
        """Of all samples, (N, ...): for the few numbers a sample that are no pictures' features."""
        return np.stack(list(self.each(name)))
