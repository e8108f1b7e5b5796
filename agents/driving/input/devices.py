"""Gamepads and steering wheels: what they read. Only the window needs pygame for it."""

from typing import Any, Protocol

from longdwm_env.agents.driving.input.pedals import DriverInput

DEAD_ZONE = 0.1
"""Sticks rest this far from their middle."""

WHEEL_DEAD_ZONE = 0.01
STICK_CURVE = 1.6
"""Exponent of the stick's answer: fine near the middle, everything at the edge."""

WHEEL_WORDS = ("wheel", "racing", "g25", "g27", "g29", "g920", "g923", "t150", "t248", "t300", "tmx", "fanatec", "moza")


class Device(Protocol):
    """Something with a wheel or a stick, and pedals or triggers."""

    name: str

    def read(self) -> DriverInput:
        """What it asks for now."""
        ...


def shaped(value: float, dead_zone: float, exponent: float) -> float:
    """An axis in -1 to 1 without its dead zone, bent by an exponent; keeps sign and full deflection."""
    beyond = (min(abs(value), 1.0) - dead_zone) / (1 - dead_zone)
    return 0.0 if beyond <= 0 else (1 if value > 0 else -1) * beyond**exponent


def gamepad_input(stick: float, gas: float, brake: float) -> DriverInput:
    """What a stick (-1 left to 1 right) and two triggers (0 to 1) ask for."""
    # The stick's axis points right, steering points left.
    steer = -shaped(stick, DEAD_ZONE, STICK_CURVE)
    return DriverInput(steer, max(0.0, shaped(gas, 0.03, 1.0)), max(0.0, shaped(brake, 0.03, 1.0)), direct=True)


class Gamepad:
    """A controller that SDL knows: left stick steers, right trigger accelerates, left trigger brakes."""

    def __init__(self, controller: Any, name: str) -> None:
        self.name = name
        self._controller = controller

    def read(self) -> DriverInput:
        """See ``Device``."""
        import pygame

        stick, gas, brake = (
            self._controller.get_axis(axis) / 32768
            for axis in (
                pygame.CONTROLLER_AXIS_LEFTX,
                pygame.CONTROLLER_AXIS_TRIGGERRIGHT,
                pygame.CONTROLLER_AXIS_TRIGGERLEFT,
            )
        )
        return gamepad_input(stick, gas, brake)


class SteeringWheel:
    """A wheel with pedals: axis 0 steers; which axes the pedals have differs between makes.

    A pedal's axis rests at 1 and goes to -1; before it first moves, SDL reports 0, which is no position of it.
    """

    def __init__(self, joystick: Any, pedal_axes: tuple[int, int]) -> None:
        self.name = joystick.get_name()
        self._joystick = joystick
        self._axes = tuple(axis for axis in pedal_axes if axis < joystick.get_numaxes())
        self._moved: set[int] = set()

    def read(self) -> DriverInput:
        """See ``Device``."""
        steer = -shaped(self._joystick.get_axis(0), WHEEL_DEAD_ZONE, 1.0)
        throttle, brake = ([*(self._pedal(axis) for axis in self._axes), 0.0, 0.0])[:2]
        return DriverInput(steer, throttle, brake, direct=True)

    def _pedal(self, axis: int) -> float:
        value = self._joystick.get_axis(axis)
        if value != 0:
            self._moved.add(axis)
        return max(0.0, shaped((1 - value) / 2, 0.03, 1.0)) if axis in self._moved else 0.0


def is_wheel(name: str) -> bool:
    """Whether a device of this name is a steering wheel."""
    return any(word in name.lower() for word in WHEEL_WORDS)


def connected_devices(pedal_axes: tuple[int, int]) -> list[Device]:
    """All gamepads and wheels that are plugged in; pygame's joysticks must be initialised."""
    import pygame
    from pygame._sdl2 import controller

    if not controller.get_init():
        controller.init()
    devices: list[Device] = []
    for index in range(pygame.joystick.get_count()):
        joystick = pygame.joystick.Joystick(index)
        if is_wheel(joystick.get_name()):
            devices.append(SteeringWheel(joystick, pedal_axes))
        elif controller.is_controller(index):
            devices.append(Gamepad(controller.Controller(index), joystick.get_name()))
    return devices
