"""Files are written whole or not at all: a temporary file beside the target, fsync, rename."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from longdwm_env.errors import InvalidConfig

LEAST_FREE_MB = 16
"""What has to be free where something is about to be written."""


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


def atomic_write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def atomic_write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a JSON file whole or not at all; NaN and infinity, which are not JSON, are refused."""
    atomic_write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


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
