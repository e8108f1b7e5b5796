"""What the machine refuses (a full disk, a read-only one, no memory), apart from faults of ours, in one line."""

import errno
import os
import re
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool

from longdwm_env.io.names import printable

REFUSED = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO, errno.EISDIR}
    | {errno.ENAMETOOLONG, errno.ELOOP}
)
"""Errors of the machine and its disks, which are clear by themselves; any other error of the system is our fault."""

# Libraries written in Rust, such as safetensors, raise errors of their own kind with the system's in their text.
_IN_TEXT = re.compile(r"\(os error (\d+)\)")


def refusal(error: BaseException) -> str | None:
    """One line on what the machine refused, if an error or what led to it comes of that; None if it is another fault.

    Files are written whole or not at all, so whatever had been written before is there, and the line says so.
    """
    for cause in _led_to(error):
        if isinstance(cause, BrokenProcessPool):
            return "a process that worked beside this one was killed, as systems do where memory is used up"
        if isinstance(cause, MemoryError):
            return "there is not enough memory"
        code, place = _code_of(cause)
        if code in REFUSED:
            kept = "; what was written before is kept" if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else ""
            return f"{os.strerror(code)}{place}{kept}"
    return None


def _code_of(error: BaseException) -> tuple[int, str]:
    """(number of a system's error, where it happened) or (0, "")."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno, "" if error.filename is None else f": {printable(error.filename):.300}"
    found = _IN_TEXT.search(str(error)) if type(error).__name__ == "SafetensorError" else None
    return (0, "") if found is None else (int(found.group(1)), "")


def _led_to(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
