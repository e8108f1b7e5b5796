"""Where a command's results go: looked at before the work, and held while it lasts."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Literal

from longdwm_env.io.files import check_output_file, check_output_folder, one_writer_of


def holding_its(kind: Literal["folder", "file"]) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """For a command with ``out``, itself or among its options: a second one like it there is told who is there.

    Other commands may write beside it, as several tables go to one folder. A destination that cannot be written is
    refused before the work, with ``InvalidConfig``.
    """
    check = {"folder": check_output_folder, "file": check_output_file}[kind]

    def around(command: Callable[..., int]) -> Callable[..., int]:
        signature = inspect.signature(command)

        @wraps(command)
        def held(*arguments: object, **options: object) -> int:
            given = signature.bind(*arguments, **options)
            given.apply_defaults()
            groups = [vars(value) for value in given.arguments.values() if hasattr(value, "out")]
            (out,) = (each["out"] for each in (given.arguments, *groups) if "out" in each)
            check(out)
            with one_writer_of(out, command.__name__ if kind == "folder" else ""):
                return command(*arguments, **options)

        return held

    return around
