"""Weather and time of day, and the four-line captions that name them (LongDWM, appendix B, Table 9)."""

import re
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

Weather = Literal["clear", "fog", "rain"]
TimeOfDay = Literal["day", "dusk", "night"]
WEATHERS: tuple[Weather, ...] = get_args(Weather)
TIMES_OF_DAY: tuple[TimeOfDay, ...] = get_args(TimeOfDay)


Name = TypeVar("Name", Weather, TimeOfDay)

_WEATHER_WORDS: dict[Weather, str] = {
    "rain": r"rain\w*|wet|drizzl\w*|shower\w*|storm\w*|downpour|pouring",
    "fog": r"fog\w*|mist\w*|haz[ey]\w*|smog\w*",
    "clear": r"clear|sun|sunny|sunshine|fair|dry|cloud\w*|overcast|fine|bright",
}
_TIME_WORDS: dict[TimeOfDay, str] = {
    "dusk": r"dusk|dawn|sunset|sunrise|twilight|evening|golden hour",
    "night": r"night\w*|midnight|dark|darkness",
    "day": r"day|daytime|daylight|noon|midday|morning|afternoon",
}
_WEATHER_CAPTIONS: dict[Weather, str] = {"clear": "Clear", "fog": "Foggy", "rain": "Rainy"}
_TIME_CAPTIONS: dict[TimeOfDay, str] = {"day": "Daytime", "dusk": "Dusk", "night": "Nighttime"}

_HEADINGS = r"weather|time(?: of day)?|road environment|road|critical objects|objects"


@dataclass(frozen=True)
class Conditions:
    """What the sky is like."""

    weather: Weather = "clear"
    time_of_day: TimeOfDay = "day"

    def __post_init__(self) -> None:
        if self.weather not in WEATHERS or self.time_of_day not in TIMES_OF_DAY:
            raise ValueError(f"weather is one of {WEATHERS} and time of day one of {TIMES_OF_DAY}, got {self}")


def caption(conditions: Conditions, road_environment: str, critical_objects: str) -> str:
    """The caption in the paper's four-line form."""
    return (
        f"Weather: {_WEATHER_CAPTIONS[conditions.weather]}.\n"
        f"Time: {_TIME_CAPTIONS[conditions.time_of_day]}.\n"
        f"Road environment: {road_environment.rstrip('.')}.\n"
        f"Critical objects: {critical_objects.rstrip('.')}."
    )


def parts_from_prompt(prompt: str) -> tuple[Weather | None, TimeOfDay | None]:
    """What a prompt says of weather and time of day; None for what it does not say, or not in words known here.

    The prompt may be in the four-line form, on one line, or free text. Where it has headings, weather is looked for
    under "Weather:" and the time under "Time:" only, so that "dry grass" beside the road means nothing.
    """
    sections = re.split(rf"\b({_HEADINGS})\s*[:=]", prompt.lower())
    said = dict(zip(sections[1::2], sections[2::2], strict=True))
    free = sections[0] if not said else None
    weather_text = said.get("weather", free)
    time_text = said.get("time", said.get("time of day", free))
    return _first_match(weather_text, _WEATHER_WORDS), _first_match(time_text, _TIME_WORDS)


def _first_match(text: str | None, words: dict[Name, str]) -> Name | None:
    if text is None:
        return None
    for name, pattern in words.items():
        if re.search(rf"(?<!no )(?<!not )\b(?:{pattern})\b", text):
            return name
    return None


def conditions_from_prompt(prompt: str, own: Conditions | None = None) -> Conditions | None:
    """The conditions that a prompt asks for.

    Args:
        prompt: see ``parts_from_prompt``.
        own: the scene's conditions, which hold for what the prompt leaves open.

    Returns:
        None if something is left open and there are no conditions to fall back on.
    """
    weather, time_of_day = parts_from_prompt(prompt)
    if own is not None:
        return Conditions(weather or own.weather, time_of_day or own.time_of_day)
    return Conditions(weather, time_of_day) if weather and time_of_day else None
