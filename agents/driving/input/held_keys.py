"""Keys as analogue controls: how long each was held since the last look, so that a short tap is not lost."""

from dataclasses import dataclass, field

from longdwm_env.agents.driving.input.pedals import DriverInput

LEFT, RIGHT, UP, DOWN = "left", "right", "up", "down"
DIRECTIONS = (LEFT, RIGHT, UP, DOWN)

SHORTEST_TAP = 0.25
"""A key tapped between two looks counts at least this much, else the shortest taps would move nothing visibly."""


@dataclass
class HeldKeys:
    """Which direction keys are down, and for what share of the time since the last look each was.

    Times are seconds of any one clock that the caller chooses.
    """

    _pressed_since: dict[str, float] = field(default_factory=dict)
    _held_s: dict[str, float] = field(default_factory=dict)
    _looked_at_s: float = 0.0

    def press(self, direction: str, now_s: float) -> None:
        """A key went down."""
        self._pressed_since.setdefault(direction, now_s)

    def release(self, direction: str, now_s: float) -> None:
        """A key went up."""
        since = self._pressed_since.pop(direction, None)
        if since is not None:
            held = now_s - max(since, self._looked_at_s)
            self._held_s[direction] = self._held_s.get(direction, 0.0) + max(held, 1e-6)

    def release_all(self) -> None:
        """The window lost the keyboard: no key is known to be down any more."""
        self._pressed_since.clear()
        self._held_s.clear()

    @property
    def down(self) -> frozenset[str]:
        """Directions whose key is down right now."""
        return frozenset(self._pressed_since)

    def peek(self) -> DriverInput:
        """What the keys that are down ask for, without ending the period."""
        return _input_of(dict.fromkeys(self._pressed_since, 1.0))

    def look(self, now_s: float) -> DriverInput:
        """What was asked for since the last look; begins a new period.

        A key that is down counts fully, however recently it was pressed: waiting for a share of the period would only
        add latency. One that was let go again counts for its share.
        """
        period = max(now_s - self._looked_at_s, 1e-6)
        strengths = {
            direction: min(1.0, max(SHORTEST_TAP, held / period))
            for direction, held in self._held_s.items()
            if held > 0
        }
        strengths |= dict.fromkeys(self._pressed_since, 1.0)
        self._held_s.clear()
        self._looked_at_s = now_s
        return _input_of(strengths)


def _input_of(strengths: dict[str, float]) -> DriverInput:
    steer = strengths.get(LEFT, 0.0) - strengths.get(RIGHT, 0.0)
    return DriverInput(steer=steer, throttle=strengths.get(UP, 0.0), brake=strengths.get(DOWN, 0.0))
