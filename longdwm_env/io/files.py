"""Files are written whole or not at all: a temporary file beside the target, fsync, rename.

A folder that a long run fills has one writer at a time; and whether something can be written is asked before the work.
"""

import hashlib
import json
import logging
import os
import shlex
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from longdwm_env.errors import FolderInUse, InvalidConfig

LEAST_FREE_MB = 16
"""What has to be free where something is about to be written."""

WHOLE_BYTES, PIECES = 2**26, 256

LOCK = ".lock"
PATIENCE_S = 5.0
"""A process that was just killed is given so long to let go of its folder."""

log = logging.getLogger(__name__)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path with the target's suffix in the target's folder; on success it becomes the target.

    If the code inside raises, the target is left as it was and the temporary file is removed.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        # mkstemp makes private files; what is written here is meant to be opened by others like any other file.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def file_name(words: str) -> str:
    """Words as a part of a file's name: letters and digits stay, all else becomes a hyphen."""
    return "".join(letter if letter.isalnum() else "-" for letter in words).strip("-")


def content_hash(path: str | os.PathLike[str]) -> str:
    """Short hash of a file's contents, or of the names and contents in a folder, by which another one is noticed.

    Of a file above ``WHOLE_BYTES`` (videos, tables of large datasets) the size and pieces all over it are looked at.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    path = Path(path)
    digest = hashlib.blake2b(digest_size=12)
    if path.is_dir():
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            digest.update(
                f"{file.relative_to(path).as_posix()} {content_hash(file)}\n".encode("utf-8", "surrogateescape")
            )
        return digest.hexdigest()
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        piece = min(WHOLE_BYTES, size) if size <= WHOLE_BYTES else WHOLE_BYTES // PIECES
        digest.update(str(size).encode())
        for number in range(1 if size <= WHOLE_BYTES else PIECES):
            stream.seek(number * (size - piece) // (PIECES - 1))
            digest.update(stream.read(piece))
    return digest.hexdigest()


def atomic_write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def atomic_write_json(path: str | os.PathLike[str], value: object) -> None:
    """Write a JSON file whole or not at all; NaN and infinity, which are not JSON, are rejected."""
    atomic_write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


@contextmanager
def one_writer(
    folder: str | os.PathLike[str], wait: bool = False, lock: str = LOCK, leave_nothing: bool = False
) -> Iterator[None]:
    """Hold a folder while the code inside writes to it; may be nested in one thread.

    The operating system keeps the lock, so it goes with the process that holds it, however that ends.

    Args:
        folder: made where it is missing.
        wait: for another writer to be done, and say who that is; else there is an error after ``PATIENCE_S``.
        lock: name of the file in the folder that is locked; who holds it stands in one of that name and ``.json``.
        leave_nothing: delete the file afterwards, and folders that were made for it alone: for those who write one file
            in a folder of others.

    Raises:
        FolderInUse: another process writes to the folder.
    """
    from filelock import FileLock, Timeout

    folder = Path(folder)
    missing = [each for each in (folder, *folder.parents) if not each.exists()] if leave_nothing else []
    folder.mkdir(parents=True, exist_ok=True)
    held = FileLock(folder / lock, is_singleton=True)
    holder, outermost = folder / f"{lock}.json", not held.is_locked
    try:
        held.acquire(timeout=PATIENCE_S if not wait else 0.5, poll_interval=0.1)
    except Timeout as error:
        if not wait:
            raise FolderInUse(
                f"{folder} is being written to by {_holder(holder)}; wait until that is done, end it, or name another "
                "place"
            ) from error
        log.warning("waiting for %s, which writes to %s", _holder(holder), folder)
        held.acquire(timeout=-1, poll_interval=0.5)
    try:
        if outermost:
            begun = datetime.now().astimezone().isoformat(timespec="seconds")
            words = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
            me = {"process": os.getpid(), "machine": socket.gethostname(), "command": words, "since": begun}
            atomic_write_json(holder, me)
        yield
    finally:
        if outermost:
            holder.unlink(missing_ok=True)
            if leave_nothing:
                (folder / lock).unlink(missing_ok=True)
        held.release()
        for each in missing:
            with suppress(OSError):  # something was written there
                each.rmdir()


def one_writer_of(path: str | os.PathLike[str], part: str = "") -> AbstractContextManager[None]:
    """As ``one_writer``, for one file or folder that appears among others: the lock lies beside it, and goes again.

    Args:
        path: what is written.
        part: of a folder, where writers of other parts may be at work too.

    Raises:
        FolderInUse: another process writes it.
    """
    target = Path(path).absolute()
    return one_writer(target.parent, lock=f".{target.name}{part and '.' + part}.lock", leave_nothing=True)


def _holder(path: Path) -> str:
    try:
        owner = json.loads(path.read_text())
        return f"process {owner['process']} on {owner['machine']} ({owner['command']}, since {owner['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def check_output_folder(path: str | os.PathLike[str], least_free_mb: float = LEAST_FREE_MB) -> None:
    """Whether a folder can be written to, or made; to be asked before the work whose result goes there.

    Nothing is made or changed. A command that raises this error ends with exit status 2 and one line.

    Args:
        path: the folder; it and those above it need not exist.
        least_free_mb: megabytes that have to be free there.

    Raises:
        InvalidConfig: something else than a folder is in the way, or what is there cannot be written to or is full.
    """
    target = Path(path)
    with _refused(target):
        nearest = _nearest(target)
        if not nearest.is_dir():
            raise InvalidConfig(f"{target} cannot be a folder: {nearest} is {_kind(nearest)}; name another one")
        # Tried, not looked up: permissions do not bind root, and do not tell of read-only mounts and quotas.
        with tempfile.TemporaryFile(dir=nearest) as probe:
            probe.write(bytes(4096))
            probe.flush()
        total, _, free = shutil.disk_usage(nearest)
    # Some network file systems say that they have no room at all, and mean that they do not know.
    if total and free < least_free_mb * 1e6:
        raise InvalidConfig(
            f"cannot write to {target}: {free / 1e6:,.0f} MB are free, and at least {least_free_mb:,.0f} MB are "
            "needed; make room, or name another folder"
        )


def check_output_file(path: str | os.PathLike[str], least_free_mb: float = LEAST_FREE_MB) -> None:
    """Whether a file can be written, or replaced; as ``check_output_folder``, for the folder that it is to lie in.

    Raises:
        InvalidConfig: a folder or a device is in its place, or its folder cannot be written to or is full.
    """
    target = Path(path)
    with _refused(target):
        if target.exists() and not target.is_file():
            raise InvalidConfig(f"{target} cannot be a file: it is {_kind(target)}; name another one")
    check_output_folder(target.parent, least_free_mb)


@contextmanager
def _refused(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidConfig(f"cannot write to {target}: {error.strerror or error}; name another place") from error


def _nearest(path: Path) -> Path:
    """The path itself, or the lowest folder above it that is there; a link that leads nowhere counts as there."""
    for candidate in (path, *path.absolute().parents):
        with suppress(FileNotFoundError, NotADirectoryError):
            candidate.lstat()
            return candidate
    raise FileNotFoundError(f"no folder above {path}")


def _kind(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    if path.is_file():
        return "a file"
    return "a link that leads nowhere" if path.is_symlink() else "a device"


def refuse_occupied(out: Path) -> None:
    """Raise ``InvalidConfig`` unless a folder of results can appear at ``out``; asked before any footage is made."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InvalidConfig(f"{out} exists and is not an empty folder; choose another, or remove it first")


@contextmanager
def folder_appearing(out: Path) -> Iterator[Path]:
    """A hidden folder beside ``out`` that becomes it at the end, and vanishes if anything goes wrong.

    Raises:
        InvalidConfig: ``out`` has something in it, or cannot be written.
        FolderInUse: another process is making it.
    """
    refuse_occupied(out)
    check_output_folder(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{out.name}-unfinished-", dir=out.parent))
    except OSError as error:
        raise InvalidConfig(f"{out} cannot be written: {error}") from error
    try:
        with one_writer_of(out):
            refuse_occupied(out)
            yield unfinished
            unfinished.chmod(0o755)
            unfinished.replace(out)
    except OSError as error:
        raise InvalidConfig(f"{out} cannot be written: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
