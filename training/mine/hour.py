"""How the time of ``longdwm train mine`` is spent: noted while it passes, so that a killed call has counted too."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from longdwm_env.errors import InvalidConfig
from longdwm_env.io.files import atomic_write_json
from longdwm_env.types import JsonObject

FILE = "hour.json"
NOTED_EVERY_S = 5.0
SAID_EVERY_S = 30.0
REPORT_S = 240.0
"""Kept for measuring and the page."""

LEAST_TRAINING_S = 60.0


class Hour:
    """Seconds spent by part, all calls together, and what each part may take.

    Args:
        folder: of the run; ``hour.json`` lies there.
        minutes: of all parts together.
        say: where progress goes, a line at a time.
    """

    def __init__(self, folder: Path, minutes: float, say: Callable[[str], None] = print) -> None:
        if not 1 <= minutes <= 7 * 24 * 60:
            raise InvalidConfig(f"minutes is from 1 to a week, got {minutes:g}")
        self._path, self.minutes, self._say = folder / FILE, minutes, say
        found: JsonObject = json.loads(self._path.read_text()) if self._path.is_file() else {}
        self.spent_s: dict[str, float] = found.get("spent_s", {})
        self._reached: list[tuple[float, float]] = []

    @property
    def all_s(self) -> float:
        """Spent so far."""
        return sum(self.spent_s.values())

    def left_s(self, part: str, share: float = 1.0) -> float:
        """What a part of training may still take: a share of what preparing has left."""
        prepared = sum(self.spent_s.get(name, 0.0) for name in ("poses", "footage", "streets", "before"))
        training = max(60 * self.minutes - prepared - min(REPORT_S, 6 * self.minutes), 2 * LEAST_TRAINING_S)
        return max(0.0, share * training - self.spent_s.get(part, 0.0))

    @contextmanager
    def spending(self, part: str) -> Iterator[None]:
        """Count time towards a part, and say now and then how far it is."""
        over, self._reached = threading.Event(), []
        watch = threading.Thread(target=self._watch, args=(part, over), daemon=True, name="hour")
        watch.start()
        try:
            yield
        finally:
            over.set()
            watch.join()

    def reached(self, share: float) -> None:
        """How much of the part that is being done is: from this and the time it took follows when it will be."""
        # The first and the last: what an earlier call did says nothing of this one's pace.
        self._reached = [*self._reached[:1], (time.monotonic(), min(share, 1.0))]

    def _watch(self, part: str, over: threading.Event) -> None:
        before, said = time.monotonic(), time.monotonic()
        while not over.wait(NOTED_EVERY_S):
            before = self._note(part, before)
            if before - said >= SAID_EVERY_S:
                said = before
                self._say(f"{part}: {self.spent_s[part] / 60:.1f} min{self._pace()}; {self.words()}")
        self._note(part, before)

    def _note(self, part: str, before: float) -> float:
        now = time.monotonic()
        self.spent_s[part] = self.spent_s.get(part, 0.0) + now - before
        atomic_write_json(self._path, {"spent_s": {name: round(value, 1) for name, value in self.spent_s.items()}})
        return now

    def words(self) -> str:
        """How much of the time is left, in words; or by how much it was too short."""
        left_min = self.minutes - self.all_s / 60
        spent = f"{self.all_s / 60:.1f} of {self.minutes:g} min spent"
        if left_min >= 0:
            return f"{spent}, {left_min:.0f} min ({left_min / 60:.1f} h) left"
        return f"{spent}, {-left_min:.0f} min over: what is not done yet is done in the least time that it needs"

    def _pace(self) -> str:
        if len(self._reached) < 2:
            return ""
        # Counted to now, as a part may well stand still.
        (began, first), (_, last), now = *self._reached, time.monotonic()
        if last <= first or now <= began:
            return ""
        return f", {last:.0%} done, about {(1 - last) * (now - began) / (last - first) / 60:.0f} min more"
