"""Going round weathers and times of day in a prompt's four-line form; the other lines stay."""

import re

from longdwm_env.simulator.conditions import (
    TIMES_OF_DAY,
    WEATHERS,
    Conditions,
    caption,
    parts_from_prompt,
)


def conditions_of(prompt: str) -> Conditions:
    """What a prompt says of weather and time; a clear day where it says nothing."""
    weather, time_of_day = parts_from_prompt(prompt)
    return Conditions(weather or WEATHERS[0], time_of_day or TIMES_OF_DAY[0])


def spelt_out(prompt: str) -> str:
    """The prompt with a line each for the weather and time that it stands for."""
    return with_conditions(prompt, conditions_of(prompt))


def next_weather(prompt: str) -> str:
    """The prompt with the next weather."""
    present = conditions_of(prompt)
    weather = WEATHERS[(WEATHERS.index(present.weather) + 1) % len(WEATHERS)]
    return with_conditions(prompt, Conditions(weather, present.time_of_day))


def next_time_of_day(prompt: str) -> str:
    """The prompt with the next time of day."""
    present = conditions_of(prompt)
    time_of_day = TIMES_OF_DAY[(TIMES_OF_DAY.index(present.time_of_day) + 1) % len(TIMES_OF_DAY)]
    return with_conditions(prompt, Conditions(present.weather, time_of_day))


def with_conditions(prompt: str, conditions: Conditions) -> str:
    """The prompt with its Weather and Time lines replaced, or put in front where there are none."""
    weather_line, time_line, *_ = caption(conditions, "", "").splitlines()
    rest = re.sub(r"(?im)^\s*(?:weather|time(?: of day)?)\s*:.*$\n?", "", prompt).strip()
    return "\n".join(line for line in (weather_line, time_line, rest) if line)
