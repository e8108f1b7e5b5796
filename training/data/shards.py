"""Folders of safetensors shards with a manifest that notices when what they were made from has changed.

A folder holds ``manifest.json``, which says what its contents were made from, and ``shard-00000.safetensors``, ... A
shard holds the tensors of a run of entries, named ``{place}/{name}``, and in its header the entries' own JSON. Shards
are written whole, so an interrupted run leaves only complete ones and continues with the missing ones; several
processes may write different shards of one folder.
"""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from longdwm_env.errors import InvalidConfig
from longdwm_env.files import atomic_path, atomic_write_json
from longdwm_env.training.data.clip import BadClip, TooManyBadClips

LAYOUT_VERSION = 2

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """One clip in a folder of shards: where its tensors are and what its header says of it."""

    shard: Path
    place: int
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class BadLimit:
    """How much damage is skipped with a report before it becomes an error: a share of all, and always at least one."""

    share: float = 0.01

    def check(self, bad: int, total: int, what: str) -> None:
        """Raise when more than the allowed share is bad.

        Raises:
            TooManyBadClips: the limit is passed.
        """
        if bad > max(1, int(self.share * total)):
            raise TooManyBadClips(
                f"{bad} of {total} {what} cannot be read (allowed: {self.share:.1%}, at least one); "
                "delete the reported files so that they are made again, or raise the limit"
            )


class ShardFolder:
    """A folder of shards. Opening one whose manifest differs from ``made_from`` is refused.

    Args:
        folder: created with its manifest when missing.
        made_from: JSON values that decide the contents.

    Raises:
        InvalidConfig: the folder was made from something else.
    """

    def __init__(self, folder: Path, made_from: Mapping[str, Any]) -> None:
        self.folder = folder
        self._open: dict[Path, Any] = {}
        manifest = {"layout": LAYOUT_VERSION, "made_from": json.loads(json.dumps(made_from))}
        path = folder / "manifest.json"
        if path.is_file():
            found = json.loads(path.read_text())
            changed = _differences(found, manifest)
            if changed:
                raise InvalidConfig(
                    f"{folder} was made from something else: {'; '.join(changed)}. Delete the folder to make it "
                    "again, or name another one"
                )
        else:
            atomic_write_json(path, manifest)

    def path(self, shard: int) -> Path:
        """Path of a shard."""
        return self.folder / f"shard-{shard:05d}.safetensors"

    def write(self, shard: int, entries: Sequence[tuple[Mapping[str, Any], Mapping[str, torch.Tensor]]]) -> None:
        """Write one shard whole: (facts, tensors) of each of its entries."""
        tensors = {
            f"{place}/{name}": tensor.contiguous()
            for place, (_, named) in enumerate(entries)
            for name, tensor in named.items()
        }
        facts = json.dumps([facts for facts, _ in entries], allow_nan=False)
        with atomic_path(self.path(shard)) as temporary:
            save_file(tensors, temporary, metadata={"entries": facts})

    def missing(self, shards: int) -> list[int]:
        """Which of the shards 0 .. ``shards`` - 1 are not there yet."""
        return [shard for shard in range(shards) if not self.path(shard).is_file()]

    def entries(self, limit: BadLimit | None = None) -> list[Entry]:
        """All entries of all readable shards, by shard and place; damaged shards are reported and skipped.

        Raises:
            TooManyBadClips: more shards are damaged than ``limit`` allows.
        """
        found: list[Entry] = []
        paths = sorted(p for p in self.folder.glob("shard-*.safetensors") if re.fullmatch(r"shard-\d+", p.stem))
        bad = 0
        for path in paths:
            try:
                with safe_open(path, "pt") as file:
                    listed = json.loads(file.metadata()["entries"])
            except (SafetensorError, OSError, TypeError, KeyError, ValueError) as error:
                bad += 1
                log.warning("skipping damaged shard %s: %s", path, error)
                (limit or BadLimit()).check(bad, len(paths), f"shards of {self.folder}")
                continue
            found += [Entry(path, place, facts) for place, facts in enumerate(listed)]
        return found

    def tensor(self, entry: Entry, name: str) -> torch.Tensor:
        """A whole tensor of an entry.

        Raises:
            BadClip: it cannot be read.
        """
        try:
            loaded: torch.Tensor = self._file(entry.shard).get_tensor(f"{entry.place}/{name}")
        except (SafetensorError, OSError) as error:
            raise BadClip(f"{entry.shard} entry {entry.place}: {error}") from error
        return loaded

    def rows(self, entry: Entry, name: str, rows: slice | int) -> torch.Tensor:
        """Rows of a tensor's first axis, read without touching the rest.

        Raises:
            BadClip: they cannot be read.
        """
        try:
            loaded: torch.Tensor = self._file(entry.shard).get_slice(f"{entry.place}/{name}")[rows]
        except (SafetensorError, OSError) as error:
            raise BadClip(f"{entry.shard} entry {entry.place}: {error}") from error
        return loaded

    def _file(self, path: Path) -> Any:
        if path not in self._open:
            self._open[path] = safe_open(path, "pt").__enter__()
        return self._open[path]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}


def _differences(found: Any, wanted: Any, name: str = "") -> list[str]:
    if isinstance(found, dict) and isinstance(wanted, dict):
        return [
            text
            for key in sorted({*found, *wanted})
            for text in _differences(found.get(key), wanted.get(key), f"{name}.{key}".lstrip("."))
        ]
    return [] if found == wanted else [f"{name} was {found!r} and is now {wanted!r}"]
