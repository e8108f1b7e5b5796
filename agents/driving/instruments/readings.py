"""What the instruments say, in words and shares: the same under the window and in the page."""

import math
from dataclasses import dataclass

from longdwm_env.agents.driving.window.screen import Screen
from longdwm_env.clock import FPS

FULL_PEDAL_MPS2 = (6.0, 3.0)
"""Braking and acceleration at which their bars are full."""

LONGEST_WAY_BACK_S = 30.0

LONGEST_NAME = 28


@dataclass(frozen=True)
class Reading:
    """A number with its name; ``warning`` where it should be better."""

    name: str
    value: str
    warning: bool = False


@dataclass(frozen=True)
class Pedal:
    """How far a pedal is down: in the clip that plays, and as the driver now asks for; each 0 to 1."""

    name: str
    share: float
    asked: float


def place_of(screen: Screen) -> tuple[str, list[str]]:
    """The world's name; then where and when, the weather, and who drives."""
    assert screen.moment is not None
    state = screen.moment.state
    # A saved pipeline is named by its path, of which the end tells it apart.
    world = state.world.rstrip("/").rsplit("/", 1)[-1][-LONGEST_NAME:]
    where = f"{state.scene[-LONGEST_NAME:]}   {screen.time_s:.1f} s"
    lines = (where, screen.conditions, f"driver: {screen.driver[-LONGEST_NAME:]}")
    return world, [line for line in lines if line]


def numbers_of(screen: Screen) -> list[Reading]:
    """Pace of the world, latency, and what it is made of."""
    pace = screen.world_fps / FPS
    rows = [
        Reading("world", f"{screen.world_fps:.0f} fps", pace <= 0.9),
        Reading("real time", f"{pace:.2f} x", pace <= 0.9),
        Reading("latency", _milliseconds(screen.latency_s), screen.latency_s > 0.4),
        Reading("median", _milliseconds(screen.median_latency_s), screen.median_latency_s > 0.4),
        Reading("clip", f"{1000 * screen.period_s:.0f} ms"),
        Reading("made in", f"{1000 * screen.made_in_s:.0f} ms" if screen.made_in_s else "-"),
    ]
    return [*rows, Reading("picture", "waits", True)] if screen.stalled else rows


def speed_kmh(screen: Screen) -> float:
    """Speed in the frame shown."""
    assert screen.moment is not None
    return 3.6 * max(0.0, screen.moment.speed_mps(screen.frame))


def steering_words(screen: Screen) -> str:
    """Angle of the front wheels, and to which side."""
    assert screen.moment is not None
    degrees = math.degrees(screen.moment.controls.steering_rad)
    side = "left" if degrees > 0.5 else "right" if degrees < -0.5 else ""
    return f"{abs(degrees):.0f}° {side}".strip()


def pedals_of(screen: Screen) -> tuple[Pedal, Pedal]:
    """Brake and throttle."""
    assert screen.moment is not None
    acceleration = screen.moment.controls.acceleration_mps2
    brake, throttle = -acceleration / FULL_PEDAL_MPS2[0], acceleration / FULL_PEDAL_MPS2[1]
    return (
        Pedal("brake", min(1.0, max(0.0, brake)), screen.brake),
        Pedal("throttle", min(1.0, max(0.0, throttle)), screen.throttle),
    )


def _milliseconds(seconds: float) -> str:
    return "-" if math.isnan(seconds) else f"{1000 * seconds:.0f} ms"
