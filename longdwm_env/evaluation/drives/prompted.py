"""Which weather and time of day a drive is prompted with, and whether its start shows them."""

from typing import Literal

from longdwm_env.agents.driving.prompts import conditions_of, with_conditions
from longdwm_env.simulator.conditions import TIMES_OF_DAY, WEATHERS, Conditions

Way = Literal["start as prompted", "start as it was"]
DRAWN: Way = "start as prompted"
CHANGED: Way = "start as it was"

ALL = tuple(Conditions(weather, time_of_day) for weather in WEATHERS for time_of_day in TIMES_OF_DAY)


def asked(own: Conditions, number: int, way: Way) -> Conditions:
    """The conditions for the scene with this number: all nine in turn, or the eight that are not its own."""
    if way == DRAWN:
        return ALL[number % len(ALL)]
    others = [one for one in ALL if one != own]
    return others[number % len(others)]


__all__ = ["ALL", "CHANGED", "DRAWN", "Way", "asked", "conditions_of", "with_conditions"]
