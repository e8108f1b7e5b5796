"""Photographs that strangers bring: checked, read and made small in a process that may do nothing else."""

import asyncio
import hashlib
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from longdwm_env.agents.driving_page.orders import Refused
from longdwm_env.agents.driving_page.read_photo import NO_PHOTO, REFUSED, is_of_a_kind_read
from longdwm_env.io.files import atomic_write_bytes

MAX_PHOTO_BYTES = 16 * 2**20
UPLOAD_S = 30.0
READING_S = 30.0

MAX_PHOTOS = 50
"""The oldest are deleted."""

NAME = re.compile(r"photo-[0-9a-f]{16}", re.ASCII)


class Photos:
    """A folder of pictures that came from pages; each is named by its content, so a link finds it again.

    Only files that this class would have written are ever read or deleted, whatever name is asked for.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._one_at_a_time = asyncio.Lock()

    async def receive(self, chunks: AsyncIterator[bytes]) -> str:
        """Take in a file and return its name.

        Raises:
            Refused: it is too large, comes too slowly, or is no photograph; the message says which.
        """
        if self._one_at_a_time.locked():
            raise Refused("another photo is being read; try again in a moment")
        async with self._one_at_a_time:
            try:
                async with asyncio.timeout(UPLOAD_S):
                    data = await _collected(chunks)
            except TimeoutError as error:
                raise Refused(f"the photo did not arrive within {UPLOAD_S:g} s") from error
            # Looked at here first: a process for what is no photo would be work that any stranger can ask for.
            if not is_of_a_kind_read(data):
                raise Refused(NO_PHOTO)
            name = f"photo-{hashlib.sha256(data).hexdigest()[:16]}"
            if not self._file(name).is_file():
                picture = await _read(data)
                try:
                    self._make_room()
                    atomic_write_bytes(self._file(name), picture)
                except OSError as error:
                    raise Refused(f"the photo cannot be kept: {error.strerror or 'no room'}") from error
            return name

    def names(self) -> list[str]:
        """Of all photos, the newest first."""
        found = [
            path for path in self.folder.glob("photo-*.png") if NAME.fullmatch(path.stem) and not path.is_symlink()
        ]
        return [path.stem for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]

    def path_of(self, name: str) -> Path:
        """The file of a photo.

        Raises:
            Refused: there is none of this name.
        """
        path = self._file(name) if NAME.fullmatch(name) else None
        if path is None or path.is_symlink() or not path.is_file():
            raise Refused("this photo is not here: drop it on the page first")
        return path.resolve()

    def name_of(self, path: Path) -> str | None:
        """The name of a photo's file; None if it is not one."""
        return path.stem if path.parent == self.folder.resolve() and NAME.fullmatch(path.stem) else None

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.png"

    def _make_room(self) -> None:
        for name in self.names()[MAX_PHOTOS - 1 :]:
            self._file(name).unlink(missing_ok=True)


async def _collected(chunks: AsyncIterator[bytes]) -> bytes:
    parts, size = [], 0
    async for chunk in chunks:
        size += len(chunk)
        if size > MAX_PHOTO_BYTES:
            raise Refused(f"a photo has at most {MAX_PHOTO_BYTES >> 20} MiB")
        parts.append(chunk)
    return b"".join(parts)


async def _read(data: bytes) -> bytes:
    """The picture as a PNG that was drawn anew: nothing of the file itself, such as where it was taken, is kept."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "longdwm_env.agents.driving_page.read_photo",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(READING_S):
            picture, said = await process.communicate(data)
    except TimeoutError as error:
        raise Refused(f"the photo could not be read within {READING_S:g} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == REFUSED:
        raise Refused(said.decode(errors="replace").strip()[-300:])
    if process.returncode != 0 or not picture:
        raise Refused("the photo could not be read: it is damaged, or needs more memory than a photo may")
    return picture
