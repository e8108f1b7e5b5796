"""From the driver's input, and where it comes from, to a steering angle and an acceleration."""

import math
from dataclasses import dataclass
from typing import Protocol

from longdwm_env.geometry.kinematics import CAR, check_positive


@dataclass(frozen=True)
class DriverInput:
    """What the driver asks for over one control period.

    Attributes:
        steer: -1 (full right) to 1 (full left).
        throttle: 0 to 1.
        brake: 0 to 1.
        direct: the steering comes from a wheel or stick that a hand moves smoothly, so it is followed closely; a key
            jumps from nothing to everything, so it is followed slowly.
    """

    steer: float = 0.0
    throttle: float = 0.0
    brake: float = 0.0
    direct: bool = False

    def __post_init__(self) -> None:
        for name, low in (("steer", -1.0), ("throttle", 0.0), ("brake", 0.0)):
            value = self.__dict__[name]
            if not (math.isfinite(value) and low <= value <= 1.0):
                raise ValueError(f"{name} is from {low:g} to 1, got {value!r}")

    @property
    def idle(self) -> bool:
        """No key, pedal or wheel is touched."""
        return self.steer == 0 and self.throttle == 0 and self.brake == 0


@dataclass(frozen=True)
class Controls:
    """Where the steering wheel and the pedals are: the "control" action of the environment."""

    steering_rad: float = 0.0
    acceleration_mps2: float = 0.0


@dataclass(frozen=True)
class Feel:
    """How the car answers the driver.

    Attributes:
        full_steering_rad: front wheel angle of a full turn at walking pace.
        lateral_acceleration_mps2: a full turn at speed asks for no more than this: brisk, and within tyres.
        steering_s: time constant with which keys turn the wheel.
        return_s: time constant with which it returns when they are let go; returning is quicker than turning.
        direct_s: time constant for a wheel or stick.
        coast_mps2: the engine's drag when no pedal is pressed.
        pedal_s: time constant of the pedals.
        top_speed_mps: where the throttle fades out: 108 km/h.
    """

    full_steering_rad: float = 0.5
    lateral_acceleration_mps2: float = 4.0
    steering_s: float = 0.35
    return_s: float = 0.2
    direct_s: float = 0.08
    throttle_mps2: float = 3.0
    brake_mps2: float = 6.0
    coast_mps2: float = 0.3
    pedal_s: float = 0.15
    top_speed_mps: float = 30.0

    def __post_init__(self) -> None:
        check_positive(self)


FEEL = Feel()

NOTICEABLE = 0.02
"""A change of a control smaller than this is noise."""

CENTRED_RAD = 1e-3
"""A steering wheel that has returned to within this is straight: an exponential would never get there."""


def full_turn_rad(speed_mps: float, feel: Feel = FEEL) -> float:
    """Steering angle of a full turn at a speed: ``lateral_acceleration = speed^2 tan(steering) / wheelbase``."""
    by_tyres = math.atan(CAR.wheelbase_m * feel.lateral_acceleration_mps2 / max(speed_mps, 1.0) ** 2)
    return min(feel.full_steering_rad, by_tyres)


class InputSource(Protocol):
    """Where the driver's input comes from."""

    def peek(self) -> DriverInput:
        """What is asked for at this instant."""
        ...

    def look(self, now_s: float) -> DriverInput:
        """What was asked for since the last look."""
        ...


def next_controls(
    controls: Controls, driver_input: DriverInput, speed_mps: float, period_s: float, feel: Feel = FEEL
) -> Controls:
    """The controls that the car holds over the next period.

    Steering and pedals approach what is wished with a time constant each. They move in the car's time, not the clock's:
    the same inputs give the same drive at any frame rate, and already the first period after a key shows it.
    """
    target = driver_input.steer * full_turn_rad(speed_mps, feel)
    returning = abs(target) < abs(controls.steering_rad)
    keys_s = feel.return_s if returning else feel.steering_s
    steering = _approach(controls.steering_rad, target, period_s, feel.direct_s if driver_input.direct else keys_s)
    if target == 0 and abs(steering) < CENTRED_RAD:
        steering = 0.0
    # The wheel may have been turned at a lower speed.
    most = full_turn_rad(speed_mps, feel)
    steering = min(max(steering, -most), most)

    pull = driver_input.throttle * feel.throttle_mps2 * min(1.0, max(0.0, (feel.top_speed_mps - speed_mps) / 3.0))
    drag = feel.coast_mps2 if driver_input.throttle == 0 and speed_mps > 0 else 0.0
    pedals = pull - driver_input.brake * feel.brake_mps2 - drag
    return Controls(steering, _approach(controls.acceleration_mps2, pedals, period_s, feel.pedal_s))


def _approach(value: float, target: float, duration_s: float, time_constant_s: float) -> float:
    return target + (value - target) * math.exp(-duration_s / time_constant_s)


def merged(inputs: list[DriverInput]) -> DriverInput:
    """Several controls at once: the hardest steering and the deepest pedal count."""
    if not inputs:
        return DriverInput()
    steering = max(inputs, key=lambda one: abs(one.steer))
    return DriverInput(
        steering.steer,
        max(one.throttle for one in inputs),
        max(one.brake for one in inputs),
        direct=steering.direct,
    )


def differ(one: DriverInput, other: DriverInput) -> bool:
    """Whether two inputs differ noticeably."""
    pairs = ((one.steer, other.steer), (one.throttle, other.throttle), (one.brake, other.brake))
    return any(abs(a - b) > NOTICEABLE for a, b in pairs)
