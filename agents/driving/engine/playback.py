"""Playing generated clips while the next one is made: when to show which frame, and when to ask for more.

The player of a world with latency has one decision: when to read the driver's input for the next clip. Early, and the
clip is ready in good time but answers late; late, and the picture waits. ``Playback`` asks just in time: as late as
the measured generation time allows. A world that is slower than real time is played slower, so that the picture keeps
moving instead of stopping and jumping.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from longdwm_env.clock import FPS

SPARE_S = 0.015
"""Time left between the expected arrival of a clip and the moment it is due: one refresh of a 60 Hz screen."""

RECENT_CLIPS = 12
"""Clips from which the generation time is estimated: about a second in quick worlds."""

MADE_UP_FOR = 0.75
"""By so much of a frame a clip may be late without time being lost: its first frame is still drawn once."""

AT_ONCE = 1 / 8
"""A clip that takes less than this share of most others' time was there already."""

SLOWEST_RATE = 0.05
"""Slower than this the picture is a slide show anyway."""


def of_those_made(seconds: Iterable[float]) -> list[float]:
    """Durations without those of clips that were there already: a world that finishes its seconds makes every other."""
    every = list(seconds)
    return [each for each in every if each >= AT_ONCE * _second_longest(every)]


def _second_longest(seconds: Iterable[float]) -> float:
    """The second longest of some durations, or the only one; 0 of none."""
    return min(sorted(seconds)[-2:], default=0.0)


class GenerationTime:
    """How long a clip takes to make, from the recent ones. One that took unusually long, as the first does, passes."""

    def __init__(self) -> None:
        self._recent_s: deque[float] = deque(maxlen=RECENT_CLIPS)

    def add(self, seconds: float) -> None:
        """Take in one measurement."""
        self._recent_s.append(seconds)

    @property
    def measured(self) -> int:
        """How many measurements there are, of the recent ones."""
        return len(self._recent_s)

    @property
    def typical_s(self) -> float:
        """The median of those that were made; 0 before the first measurement."""
        made = of_those_made(self._recent_s)
        return float(np.median(made)) if made else 0.0

    @property
    def mean_s(self) -> float:
        """The mean, without the longest, which may be the first; 0 before the first measurement."""
        each = sorted(self._recent_s)
        return float(np.mean(each[:-1] or each)) if each else 0.0

    @property
    def safe_s(self) -> float:
        """A duration that most clips stay under: the second longest of the recent ones."""
        return _second_longest(self._recent_s)


@dataclass
class Playback:
    """The position in the clip that is playing, in frames. Knows nothing of pictures.

    An answer may come in parts, each a clip: ``generation`` is how long the first of them takes to make, ``whole`` all.
    ``held``: it stands, and goes on with the next clip.
    """

    length: int = 1
    position: float = 0.0
    rate: float = 1.0
    waited_s: float = 0.0
    held: bool = True
    generation: GenerationTime = field(default_factory=GenerationTime)
    whole: GenerationTime = field(default_factory=GenerationTime)

    @property
    def frame(self) -> int:
        """Index of the frame to show."""
        return min(int(self.position), self.length - 1)

    @property
    def at_end(self) -> bool:
        """The last frame has been on screen for its time."""
        return self.position >= self.length

    @property
    def remaining_s(self) -> float:
        """Time until the next clip is due."""
        return max(0.0, self.length - self.position) / (FPS * self.rate)

    def advance(self, elapsed_s: float) -> None:
        """Let time pass."""
        before = self.position
        self.position += elapsed_s * FPS * self.rate
        if self.position > self.length:
            beyond = (self.position - max(before, self.length)) / (FPS * self.rate)
            self.waited_s += beyond

    def should_ask(self, waiting: int = 0) -> bool:
        """Whether the driver must be asked now for the next clip to arrive in time, after so many frames that wait."""
        return self.remaining_s + waiting / (FPS * self.rate) <= self.generation.safe_s + SPARE_S

    def is_in_time(self, waiting: int) -> bool:
        """Whether an answer that is asked for now is there when so many frames that wait have been played.

        Or less than half a frame later, which the next frame makes up for (``begin``).
        """
        return self.generation.safe_s <= self.remaining_s + (waiting + 0.5) / (FPS * self.rate)

    def begin(self, length: int, answered: int | None = None) -> None:
        """Start the next clip. The time by which the last one ran over is taken off its first frame, if it is short.

        Args:
            length: frames of the clip.
            answered: frames of the answer that it is a part of; None where it is all of it.
        """
        late = self.position - self.length
        self.position = late if 0 <= late < MADE_UP_FOR else 0.0
        self.length, self.waited_s, self.held = length, 0.0, False
        needed = max(self.whole.mean_s, self.generation.typical_s) + SPARE_S
        self.rate = min(1.0, max(SLOWEST_RATE, (answered or length) / FPS / needed)) if needed > 0 else 1.0

    def forget_generation_time(self) -> None:
        """Another world makes the next clip: what was measured says nothing about it."""
        self.generation, self.whole = GenerationTime(), GenerationTime()

    def hold(self, length: int) -> None:
        """Stand on the last frame of a clip of ``length`` frames."""
        self.length, self.position, self.rate, self.waited_s, self.held = length, float(length), 1.0, 0.0, True


class LatencyMeter:
    """Time from an input event to the first picture that shows it, over the recent events."""

    def __init__(self, window: int = 40) -> None:
        self._measured_s: deque[float] = deque(maxlen=window)
        self._earliest_s: float | None = None

    def event(self, at_s: float) -> None:
        """The driver changed something. Only the first change since the last request counts."""
        if self._earliest_s is None:
            self._earliest_s = at_s

    def take(self) -> float | None:
        """The first change not yet asked for, which the clip asked for now will show; None if there is none."""
        event_s, self._earliest_s = self._earliest_s, None
        return event_s

    @property
    def waits(self) -> bool:
        """Whether the driver changed something that was not yet asked for."""
        return self._earliest_s is not None

    def add(self, seconds: float) -> None:
        """Take in one measurement."""
        self._measured_s.append(seconds)

    @property
    def last_s(self) -> float:
        """The latest measurement; NaN before the first."""
        return self._measured_s[-1] if self._measured_s else math.nan

    @property
    def median_s(self) -> float:
        """Median of the recent measurements; NaN before the first."""
        return float(np.median(self._measured_s)) if self._measured_s else math.nan

    @property
    def measurements_s(self) -> tuple[float, ...]:
        """The recent measurements, oldest first."""
        return tuple(self._measured_s)
