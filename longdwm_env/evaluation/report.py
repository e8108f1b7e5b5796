"""Tables of results: ours beside the paper's, with how many samples, which seeds and which model, in three formats.

Pages are drawn from the files in ``templates``.
"""

import base64
import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from longdwm_env.evaluation.statistics import Interval
from longdwm_env.io.files import atomic_write_bytes
from longdwm_env.io.words import clean

Cell = str | int | float | Interval | None
Row = tuple[str, tuple[Cell, ...]]

Scores = TypeVar("Scores")

LONGEST_SHOWN = 100_000
"""Characters of a text on a page: a configuration with many policies is long, and is shown whole."""


@dataclass(frozen=True)
class Table:
    """A table of results.

    Attributes:
        title: one line. If fewer samples were measured than in the paper, the title says so by itself.
        columns: headings; the first is that of the rows' names.
        rows: (name, cells) measured here.
        facts: what the numbers depend on: model hash, seeds, data, command.
        notes: what a reader must know to compare.
        paper: (name, cells) as published, for the same columns; None where the paper has no number.
        paper_samples: how many the paper measured; None where it measured nothing of the kind.
        picture: file beside the page that it shows below its title.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    samples: int
    facts: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    paper: tuple[Row, ...] = ()
    paper_samples: int | None = None
    picture: str = ""

    def __post_init__(self) -> None:
        for name, cells in (*self.rows, *self.paper):
            if len(cells) != len(self.columns) - 1:
                raise ValueError(f"row {name!r} has {len(cells)} cells for {len(self.columns) - 1} columns")

    @property
    def full_title(self) -> str:
        """The title, and how much smaller than the paper's this run is."""
        if self.paper_samples is None or self.samples >= self.paper_samples:
            return self.title
        return f"{self.title} (SMALLER THAN THE PAPER'S: {self.samples} of {self.paper_samples} samples)"

    def as_json(self) -> dict[str, object]:
        """Everything as JSON values."""
        rows = [("here", row) for row in self.rows] + [("paper", row) for row in self.paper]
        return {
            "title": self.full_title,
            "samples": self.samples,
            "paper_samples": self.paper_samples,
            "facts": json.loads(json.dumps(dict(self.facts), default=str)),
            "notes": list(self.notes),
            "rows": [
                {"from": origin, self.columns[0]: name, **dict(zip(self.columns[1:], map(_plain, cells), strict=True))}
                for origin, (name, cells) in rows
            ],
        }

    def as_markdown(self) -> str:
        """For people."""
        return page("table.md.j2", table=self)

    def as_csv(self) -> str:
        """For spreadsheets."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(["from", *self.columns])
        for origin, rows in (("here", self.rows), ("paper", self.paper)):
            for name, cells in rows:
                writer.writerow([origin, name, *map(cell_text, cells)])
        return buffer.getvalue()

    def write(self, folder: Path) -> list[Path]:
        """Write json, csv and markdown; the paths written."""
        texts = {"json": json.dumps(self.as_json(), indent=2) + "\n", "csv": self.as_csv(), "md": self.as_markdown()}
        paths = [folder / f"{self.name}.{suffix}" for suffix in texts]
        for path, text in zip(paths, texts.values(), strict=True):
            atomic_write_bytes(path, text.encode())
        return paths


def scenes_table(
    name: str,
    title: str,
    columns: Sequence[str],
    seeds: Sequence[int],
    worlds: Mapping[str, Sequence[Scores]],
    cells: Callable[[Scores], Sequence[Cell]],
) -> Table:
    """Every scene by itself: a row for each scene and world.

    ``columns`` stand beside "scene" and "world", and ``cells`` gives what they show of what was found in a scene.
    """
    rows = tuple(
        (str(seed), (world, *cells(found[place])))
        for place, seed in enumerate(seeds)
        for world, found in worlds.items()
    )
    return Table(name, title, ("scene", "world", *columns), rows, len(seeds))


def bar(wanted: str, found: Cell, reached: bool | None, of: str = "") -> str:
    """A line that says whether a bar is reached.

    ``reached`` is None where the interval leaves it open; ``of`` names the part of the table that it is about.
    """
    verdict = "not shown" if reached is None else "yes" if reached else "NO"
    return f"Bar{', ' if of else ''}{of}: {wanted}: {verdict} ({cell_text(found)})."


def is_above_zero(found: Interval, sign: int = 1) -> bool | None:
    """Whether the whole interval of a difference, times a sign, is above zero; None where it holds zero."""
    low, high = sorted((sign * found.low, sign * found.high))
    return True if low > 0 else False if high < 0 else None


def page(template: str, **values: object) -> str:
    """A page drawn from a template; a name that the template needs and is not given is an error."""
    return _templates().get_template(template).render(values)


def write_page(path: Path, template: str, **values: object) -> None:
    """Write a page drawn from a template, whole or not at all."""
    atomic_write_bytes(path, page(template, **values).encode("utf-8", "backslashreplace"))


@cache
def _templates() -> Environment:
    loader = PackageLoader("longdwm_env.evaluation")
    made = Environment(
        loader=loader, undefined=StrictUndefined, autoescape=select_autoescape(["html", "html.j2"]),
        keep_trailing_newline=True, trim_blocks=True,
    )  # fmt: skip
    made.filters |= {
        "text": cell_text,
        "shown": lambda words: clean(words, LONGEST_SHOWN),
        "base64": lambda data: base64.b64encode(data).decode(),
    }
    return made


def cell_text(cell: Cell) -> str:
    """A cell for people."""
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:.4g}" if math.isfinite(cell) else "-"
    return str(cell)


def _plain(cell: Cell) -> object:
    if isinstance(cell, Interval):
        return {"value": _number(cell.value), "low": _number(cell.low), "high": _number(cell.high)}
    return _number(cell) if isinstance(cell, float) else cell


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
