import pytest

from longdwm_env.simulator.conditions import (
    TIMES_OF_DAY,
    WEATHERS,
    Conditions,
    caption,
    conditions_from_prompt,
    parts_from_prompt,
)


@pytest.mark.parametrize("weather", WEATHERS)
@pytest.mark.parametrize("time_of_day", TIMES_OF_DAY)
def test_caption_and_back(weather, time_of_day):
    conditions = Conditions(weather, time_of_day)
    text = caption(conditions, "A dry, dark road under a clear sky", "Night bus, rain gutter")
    lines = text.splitlines()
    assert [line.split(":")[0] for line in lines] == ["Weather", "Time", "Road environment", "Critical objects"]
    assert conditions_from_prompt(text) == conditions
    assert conditions_from_prompt(text.replace("\n", " ").upper()) == conditions


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Weather: rainy. Time: nighttime. Road environment: urban.", ("rain", "night")),
        ("weather: Sunny\ntime: daytime", ("clear", "day")),
        ("Weather: overcast. Time of day: dusk", ("clear", "dusk")),
        ("a misty morning", ("fog", "day")),
        ("driving at night", (None, "night")),
        ("heavy rain", ("rain", None)),
        ("Weather: snow. Time: 3 pm", (None, None)),
        ("Weather: no rain, sunny", ("clear", None)),
        ("", (None, None)),
    ],
)
def test_prompts(prompt, expected):
    assert parts_from_prompt(prompt) == expected


def test_what_is_left_open_stays_the_scenes_own():
    own = Conditions("fog", "dusk")
    assert conditions_from_prompt("Time: night", own) == Conditions("fog", "night")
    assert conditions_from_prompt("nothing of the kind", own) == own
    assert conditions_from_prompt("Time: night") is None


def test_unknown_conditions_are_refused():
    with pytest.raises(ValueError, match="weather is one of"):
        Conditions("snow", "day")
