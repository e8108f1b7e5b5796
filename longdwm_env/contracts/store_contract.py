"""The promises of whatever keeps something on disk: round trip, resume equals uninterrupted, damage is named."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from longdwm_env.contracts.promises import promise, same
from longdwm_env.errors import LongDWMError


class Store(Protocol):
    """What is kept in a folder, in one part or several, each written whole or not at all.

    Attributes:
        contents: what is written, as it is to be read again: numbers, texts, arrays, and dataclasses, lists and
            mappings of them.
        parts: how many parts it is written in; writing may stop after each of them.
        unread: names of files that reading does not look at, such as locks.
    """

    contents: object
    parts: int
    unread: tuple[str, ...]

    def write(self, folder: Path, parts: int | None = None) -> None:
        """Write into a folder, going on with what is there already; stop after so many parts."""
        ...

    def read(self, folder: Path) -> object:
        """What is in a folder.

        Raises:
            LongDWMError: a file is damaged; the message names it.
        """
        ...


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _turned(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x41]) + data[middle + 1 :] if data else b"\0"


DAMAGE: dict[str, Callable[[bytes], bytes | None]] = {
    "cut in half": _half,
    "empty": lambda data: b"",
    "of other bytes": lambda data: b"\x00not this\xff" * 4,
    "a flipped byte": _turned,
    "missing": lambda data: None,
}


def check_store(store: Store, folder: Path, most: int = 12) -> None:
    """Write a store, stop it, damage it, and see whether it keeps what ``Store`` promises.

    Args:
        store: with something to write.
        folder: an empty one, to work in.
        most: so many of its files are damaged, each in every way.

    Raises:
        BrokenPromise: a promise is not kept.
    """
    whole = folder / "whole"
    store.write(whole)
    written = _files(whole)
    promise(written, "a store writes files, but it wrote none")
    promise(same(store.read(whole), store.contents), "what is written comes back as it was, but something else did")
    promise(same(store.read(whole), store.contents), "reading changes nothing, but the second time gave something else")
    promise(_files(whole) == written, "reading changes nothing, but files are others than before")
    for count in range(1, store.parts):
        parts = folder / f"parts-{count}"
        store.write(parts, count)
        store.write(parts)
        promise(
            same(store.read(parts), store.contents), f"stopped after {count} parts and gone on, something else is kept"
        )
        left = _files(parts).keys() ^ written.keys()
        promise(not left, f"stopped after {count} parts and gone on, there are other files: {sorted(left)}")
    for name in [name for name in sorted(written) if Path(name).name not in store.unread][:most]:
        for kind, damage in DAMAGE.items():
            copy = folder / "copy"
            shutil.copytree(whole, copy)
            data = damage(written[name])
            if data is None:
                (copy / name).unlink()
            else:
                (copy / name).write_bytes(data)
            _check_damaged(store, copy, name, kind)
            shutil.rmtree(copy)


def _check_damaged(store: Store, folder: Path, name: str, kind: str) -> None:
    try:
        found = store.read(folder)
    except LongDWMError as error:
        # What is missing may be missed by its folder.
        names = {Path(name).name, Path(name).stem} | ({folder.name} if kind == "missing" else set())
        promise(any(each in str(error) for each in names), f"damage is named, but with {name} {kind} it is: {error}")
        return
    except FileNotFoundError as error:
        promise(kind == "missing", f"damage is a LongDWMError, but with {name} {kind} it is {error!r}")
        return
    except Exception as error:  # the store is a user's
        promise(False, f"damage is a LongDWMError, but with {name} {kind} it is {type(error).__name__}: {error}")
        raise
    if kind == "missing" and not same(found, store.contents):
        store.write(folder)
        found = store.read(folder)
        promise(
            same(found, store.contents), f"what is missing is made again, but without {name} something else is kept"
        )
    # A flipped byte can be a pixel's, which no format without checksums can tell; nothing else goes unnoticed.
    is_found = kind == "a flipped byte" or same(found, store.contents)
    promise(is_found, f"damage is found, but with {name} {kind} something else was read as if nothing were wrong")


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
