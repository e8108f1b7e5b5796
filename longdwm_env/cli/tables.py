"""What commands do with a table of results."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from longdwm_env.evaluation.report import Table


def written(table: "Table", out: Path) -> int:
    """Print a table and write it to a folder; returns the exit status."""
    print(table.as_markdown())
    print("written:", *(f"  {path}" for path in table.write(out)), sep="\n")
    return 0


def command_line() -> str:
    """What was typed, to stand under a table; without the program's folder, which is another on every machine."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
