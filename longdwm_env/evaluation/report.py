"""Tables of results: ours beside the paper's, with how many samples, which seeds and which model, in three formats."""

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longdwm_env.evaluation.statistics import Interval
from longdwm_env.files import atomic_write_bytes

Cell = str | int | float | Interval | None


@dataclass(frozen=True)
class Table:
    """A table of results.

    Attributes:
        name: file name without suffix.
        title: one line. If fewer samples were measured than in the paper, the title says so by itself.
        columns: headings; the first is that of the rows' names.
        rows: (name, cells) measured here.
        paper: (name, cells) as published, for the same columns; None where the paper has no number.
        samples: how many were measured.
        paper_samples: how many the paper measured; None where it measured nothing of the kind.
        facts: what the numbers depend on: model hash, seeds, data, command.
        notes: what a reader must know to compare.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    paper: tuple[tuple[str, tuple[Cell, ...]], ...]
    samples: int
    paper_samples: int | None
    facts: Mapping[str, Any]
    notes: tuple[str, ...] = ()

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

    def as_json(self) -> dict[str, Any]:
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
        lines = [f"# {self.full_title}", "", "| " + " | ".join(self.columns) + " |", "|---" * len(self.columns) + "|"]
        for name, cells in self.rows:
            lines.append("| " + " | ".join([f"**{name}**", *map(_text, cells)]) + " |")
        for name, cells in self.paper:
            lines.append("| " + " | ".join([f"{name} (paper)", *map(_text, cells)]) + " |")
        beside = "" if self.paper_samples is None else f" (paper: {self.paper_samples})"
        lines += ["", f"- Samples: {self.samples}{beside}. Intervals are 95 %."]
        lines += [f"- {key}: {value}" for key, value in self.facts.items()]
        lines += [f"- {note}" for note in self.notes]
        return "\n".join(lines) + "\n"

    def as_csv(self) -> str:
        """For spreadsheets."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(["from", *self.columns])
        for origin, rows in (("here", self.rows), ("paper", self.paper)):
            for name, cells in rows:
                writer.writerow([origin, name, *[_text(cell) for cell in cells]])
        return buffer.getvalue()

    def write(self, folder: Path) -> list[Path]:
        """Write json, csv and markdown; the paths written."""
        texts = {
            "json": json.dumps(self.as_json(), indent=2) + "\n",
            "csv": self.as_csv(),
            "md": self.as_markdown(),
        }
        paths = []
        for suffix, text in texts.items():
            paths.append(folder / f"{self.name}.{suffix}")
            atomic_write_bytes(paths[-1], text.encode())
        return paths


def _plain(cell: Cell) -> Any:
    if isinstance(cell, Interval):
        return {"value": _number(cell.value), "low": _number(cell.low), "high": _number(cell.high)}
    return _number(cell) if isinstance(cell, float) else cell


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _text(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:.4g}" if math.isfinite(cell) else "-"
    return str(cell)
