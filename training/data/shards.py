"""Folders of safetensors shards with a manifest that notices when what they were made from has changed.

A folder holds ``manifest.json``, which says what its contents were made from, and ``shard-00000.safetensors``, ... A
shard holds the tensors of a run of entries, named ``{place}/{name}``, and in its header the entries' own JSON. Shards
are written whole, so an interrupted run leaves only complete ones and continues with the missing ones; several
processes of one run may write different shards of one folder. ``asked.json`` says how many clips each shard is to hold,
so that a folder that is not full is never taken for one that is.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from longdwm_env.errors import InvalidConfig
from longdwm_env.io.files import atomic_path, atomic_write_json, one_writer
from longdwm_env.training.data.clip import BadClip, TooManyBadClips
from longdwm_env.types import JsonObject

LAYOUT_VERSION = 2
MANIFEST, ASKED = "manifest.json", "asked.json"

_UNREADABLE = (SafetensorError, OSError, TypeError, KeyError, ValueError, AttributeError)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """One clip in a folder of shards: where its tensors are and what its header says of it."""

    shard: Path
    place: int
    facts: JsonObject


class ClipsInShards:
    """Clips read back from a folder of shards."""

    entries: list[Entry]

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def longest(self) -> int:
        """Frames of the longest clip."""
        return max(entry.facts["frames"] for entry in self.entries)


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


def said(path: Path) -> JsonObject:
    """What a JSON file beside the shards says.

    Raises:
        InvalidConfig: it is damaged.
    """
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        found, why = None, f" ({error})"
    else:
        why = ""
    if not isinstance(found, dict):
        raise InvalidConfig(f"{path} is damaged{why}; delete its folder, and it is made again")
    return found


def made_from(manifest: Path) -> JsonObject:
    """What the contents of a folder of shards were made from, by its manifest.

    Raises:
        InvalidConfig: the manifest is damaged.
    """
    found = said(manifest).get("made_from")
    if not isinstance(found, dict):
        raise InvalidConfig(f"{manifest} is damaged; delete its folder, and it is made again")
    return found


class ShardFolder:
    """A folder of shards. Opening one whose manifest differs from ``made_from`` is rejected.

    Raises:
        InvalidConfig: the folder was made from something else.
    """

    def __init__(self, folder: Path, made_from: Mapping[str, object]) -> None:
        self.folder = folder
        self._open: dict[Path, safe_open] = {}
        self.made_from: JsonObject = json.loads(json.dumps(made_from))
        manifest = {"layout": LAYOUT_VERSION, "made_from": self.made_from}
        path = folder / MANIFEST
        if path.is_file():
            found = said(path)
            changed = _differences(found, manifest)
            if changed:
                raise InvalidConfig(
                    f"{folder} was made from something else: {'; '.join(changed)}. Delete the folder to make it "
                    "again, or name another one"
                )
        else:
            atomic_write_json(path, manifest)

    def ask(self, clips: Mapping[int, int]) -> list[int]:
        """Note how many clips each shard is to hold; which are missing, damaged, or made of fewer."""
        if clips != self.asked():
            atomic_write_json(self.folder / ASKED, {str(shard): count for shard, count in sorted(clips.items())})
        return self.missing(clips)

    def is_full(self, clips: Mapping[int, int]) -> bool:
        """Whether ``ask`` would change nothing and find nothing missing."""
        return self.asked() in ({}, clips) and not self.missing(clips)

    def asked(self) -> dict[int, int]:
        """How many clips each shard is to hold; empty where it was never said, as by earlier versions."""
        path = self.folder / ASKED
        found = said(path) if path.is_file() else {}
        if not all(name.isdecimal() and isinstance(count, int) for name, count in found.items()):
            raise InvalidConfig(f"{path} is damaged; delete its folder, and it is made again")
        return {int(shard): count for shard, count in found.items()}

    def check_complete(self) -> None:
        """Raise unless all that was asked for has been made; what was damaged later is another matter.

        Raises:
            InvalidConfig: shards are missing.
        """
        asked = self.asked()
        lacking = [s for s in self.missing(asked) if not self.path(s).is_file() or 0 < self.holds(s) < asked[s]]
        if lacking:
            there = sum(count for shard, count in asked.items() if shard not in lacking)
            raise InvalidConfig(
                f"{self.folder} holds {there} of the {sum(asked.values())} clips that were asked for; run the command "
                "that makes them again, and it goes on where it was interrupted"
            )

    def path(self, shard: int) -> Path:
        """Path of a shard."""
        return self.folder / f"shard-{shard:05d}.safetensors"

    def write(
        self,
        shard: int,
        entries: Sequence[tuple[Mapping[str, object], Mapping[str, torch.Tensor]]],
        made_of: int | None = None,
    ) -> None:
        """Write one shard whole.

        Args:
            shard: its number.
            entries: (facts, tensors) of each.
            made_of: clips, where some of them gave no entry.
        """
        tensors = {
            f"{place}/{name}": tensor.contiguous()
            for place, (_, named) in enumerate(entries)
            for name, tensor in named.items()
        }
        described = {"made_of": made_of or len(entries), "facts": [facts for facts, _ in entries]}
        with atomic_path(self.path(shard)) as temporary:
            # Under one name: several are written in any order, and the same shard would not have the same bytes.
            save_file(tensors, temporary, metadata={"entries": json.dumps(described, allow_nan=False)})

    def holds(self, shard: int) -> int:
        """How many clips a shard was made of; 0 where it is missing or cannot be read."""
        try:
            with safe_open(self.path(shard), "pt") as file:
                return _described(file.metadata())[0]
        except _UNREADABLE:
            return 0

    def missing(self, clips: Mapping[int, int]) -> list[int]:
        """Which shards are not there yet, damaged, or made of fewer clips than wanted."""
        return [shard for shard, count in clips.items() if self.holds(shard) < count]

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
                    listed = _described(file.metadata())[1]
            except _UNREADABLE as error:
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

    def _file(self, path: Path) -> safe_open:
        if path not in self._open:
            self._open[path] = safe_open(path, "pt").__enter__()
        return self._open[path]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_open": {}}


@contextmanager
def shards_to_make(
    folder: Path, made_from: Mapping[str, object], clips: Mapping[int, int]
) -> Iterator[tuple[ShardFolder, list[int]]]:
    """A folder and its shards that are still to be made; it has no other writer meanwhile. A full one is only read.

    Raises:
        InvalidConfig: the folder was made from something else.
    """
    if (folder / MANIFEST).is_file() and ShardFolder(folder, made_from).is_full(clips):
        yield ShardFolder(folder, made_from), []
        return
    with one_writer(folder, wait=True):
        shards = ShardFolder(folder, made_from)
        yield shards, shards.ask(clips)


def _differences(found: object, wanted: object, name: str = "") -> list[str]:
    if isinstance(found, dict) and isinstance(wanted, dict):
        return [
            text
            for key in sorted({*found, *wanted})
            for text in _differences(found.get(key), wanted.get(key), f"{name}.{key}".lstrip("."))
        ]
    return [] if found == wanted else [f"{name} was {found!r} and is now {wanted!r}"]


def _described(metadata: Mapping[str, str]) -> tuple[int, list[JsonObject]]:
    """Of how many clips a shard was made, and the facts of each entry; an earlier version kept the facts alone."""
    found = json.loads(metadata["entries"])
    if isinstance(found, list):
        return len(found), found
    return int(found["made_of"]), list(found["facts"])
