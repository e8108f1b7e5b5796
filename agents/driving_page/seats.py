"""Who is at the wheel, of all viewers: one at a time, and a viewer who goes away loses it."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

GRACE_S = 10.0
"""For so long the wheel waits for a driver whose connection was cut; then any viewer may take it."""

ASLEEP_S = 120.0
"""A driver who moves nothing for so long is taken to be away."""

T = TypeVar("T")


@dataclass
class Seats(Generic[T]):
    """The viewers, each known by the name that its browser tab has chosen. Times are seconds of any one clock."""

    viewers: dict[str, T] = field(default_factory=dict)
    driver: str | None = None
    _moved_s: float = 0.0
    _away: str | None = None
    _left_s: float = 0.0

    def join(self, name: str, viewer: T, now_s: float) -> T | None:
        """Add a viewer, who drives if the wheel is free; returns the viewer that had this name before.

        A tab that connects again takes its own place: its last connection may not have been missed yet.
        """
        before = self.viewers.get(name)
        self.viewers[name] = viewer
        self.take(name, now_s)
        return before

    def leave(self, name: str, viewer: T, now_s: float) -> None:
        """A connection ended."""
        if self.viewers.get(name) is viewer:
            del self.viewers[name]
            if self.driver == name:
                self.driver, self._away, self._left_s = None, name, now_s

    def take(self, name: str, now_s: float) -> bool:
        """Take the wheel; returns whether it was free for this viewer."""
        asleep = self.driver is not None and now_s - self._moved_s > ASLEEP_S
        kept = self._away not in (None, name) and now_s - self._left_s < GRACE_S
        if self.driver != name and ((self.driver is not None and not asleep) or kept):
            return False
        self.driver, self._away, self._moved_s = name, None, now_s
        return True

    def hand_over(self, name: str) -> None:
        """The driver leaves the wheel to the first viewer who takes it."""
        if self.driver == name:
            self.driver = None

    def moved(self, name: str, now_s: float) -> None:
        """The driver did something."""
        if self.driver == name:
            self._moved_s = now_s
