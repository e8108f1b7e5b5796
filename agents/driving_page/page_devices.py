"""Gamepads, wheels and fingers of a browser, as input devices."""

from dataclasses import dataclass, field

from longdwm_env.agents.driving.input.devices import SteeringWheel, gamepad_input, is_wheel
from longdwm_env.agents.driving.input.pedals import DriverInput
from longdwm_env.agents.driving_page.orders import Pad, Touch

PEDAL_AXES = (2, 3)

STICK, TRIGGERS = 0, (7, 6)
"""Axis and buttons of the browsers' standard gamepad."""


class PageTouch:
    """The page's own wheel and pedals, under fingers."""

    name = "touch"

    def __init__(self) -> None:
        self.at = Touch(0.0, 0.0, 0.0)

    def read(self) -> DriverInput:
        """See ``Device``."""
        return DriverInput(self.at.steer, self.at.throttle, self.at.brake, direct=True)


@dataclass
class _Joystick:
    """The last that a browser said of a device, by the names that pygame has for it."""

    name: str
    axes: tuple[float, ...] = field(default=())

    def get_name(self) -> str:
        return self.name

    def get_numaxes(self) -> int:
        return len(self.axes)

    def get_axis(self, axis: int) -> float:
        return self.axes[axis] if axis < len(self.axes) else 0.0


class PagePad:
    """One gamepad or steering wheel, whose positions arrive again and again."""

    def __init__(self, first: Pad) -> None:
        self.name = first.id
        self.at = first
        self._joystick = _Joystick(first.id, first.axes)
        self._wheel = SteeringWheel(self._joystick, PEDAL_AXES) if is_wheel(first.id) else None

    def tell(self, pad: Pad) -> None:
        """Take in where its controls are."""
        self.at, self._joystick.axes = pad, pad.axes

    def read(self) -> DriverInput:
        """See ``Device``."""
        if self._wheel is not None:
            return self._wheel.read()
        if not self.at.standard or not self.at.axes:
            return DriverInput(direct=True)
        gas, brake = (self.at.buttons[index] if index < len(self.at.buttons) else 0.0 for index in TRIGGERS)
        return gamepad_input(self.at.axes[STICK], gas, brake)
