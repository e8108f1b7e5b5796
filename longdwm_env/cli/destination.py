"""Where a command's results go: looked at before the work, and held while it lasts."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from pathlib import Path
from typing import Literal

from longdwm_env.io.files import check_output_file, check_output_folder, one_writer_of

Kind = Literal["folder", "file"]


@contextmanager
def held(out: Path, kind: Kind, command: str = "") -> Iterator[None]:
    """Hold the place of results while they are made; a folder for this command, as others may write beside it.

    Raises:
        InvalidConfig: nothing of this kind can be written there.
        FolderInUse: another process writes there.
    """
    {"folder": check_output_folder, "file": check_output_file}[kind](out)
    with one_writer_of(out, command if kind == "folder" else ""):
        yield


def holding_its(kind: Kind) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """For a command with ``out``, itself or among its options: a second one like it there is told who is there.

    Other commands may write beside it, as several tables go to one folder. A destination that cannot be written is
    refused before the work, with ``InvalidConfig``. Without a destination there is nothing to hold.
    """

    def around(command: Callable[..., int]) -> Callable[..., int]:
        signature = inspect.signature(command)

        @wraps(command)
        def wrapped(*arguments: object, **options: object) -> int:
            given = signature.bind(*arguments, **options)
            given.apply_defaults()
            groups = [vars(value) for value in given.arguments.values() if hasattr(value, "out")]
            (out,) = (each["out"] for each in (given.arguments, *groups) if "out" in each)
            with nullcontext() if out is None else held(out, kind, command.__name__):
                return command(*arguments, **options)

        return wrapped

    return around
