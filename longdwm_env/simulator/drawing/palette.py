"""Colours and light of every kind of weather and time of day; RGB in 0..255, multipliers about 1."""

from dataclasses import dataclass

import numpy as np

from longdwm_env.simulator.conditions import Conditions, TimeOfDay, Weather
from longdwm_env.types import FloatArray

HAZE_POWER = 1.15
"""Above 1, so that what is near stays crisp."""

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Light:
    """How a scene is lit.

    Attributes:
        zenith, horizon: colours of the sky; distance turns everything into the colour of the horizon.
        ambient: multiplier of every colour.
        sun: how much brighter a face is that looks at the sun than one that looks away.
        visibility_m: distance at which haze has taken 63 per cent.
        clouds: cover, 0 to 1.
        headlights: brightness of the ego's own headlights on the road.
        lamps: vehicles and street lamps are lit.
        wet: how much the road mirrors the sky.
    """

    zenith: Rgb
    horizon: Rgb
    ambient: Rgb
    sun: float
    visibility_m: float
    clouds: float
    headlights: float
    lamps: bool
    wet: float

    @property
    def ambient_array(self) -> FloatArray:
        """(3,)."""
        return np.array(self.ambient)

    @property
    def horizon_array(self) -> FloatArray:
        """(3,)."""
        return np.array(self.horizon)

    @property
    def evening(self) -> bool:
        """Whether it is dark enough for windows and street lamps."""
        return self.lamps and sum(self.ambient) < 2.25

    def haze(self, distance_m: FloatArray) -> FloatArray:
        """Share of the horizon's colour at a distance."""
        return 1.0 - np.exp(-((np.asarray(distance_m) / self.visibility_m) ** HAZE_POWER))


_SKIES: dict[tuple[Weather, TimeOfDay], tuple[Rgb, Rgb]] = {
    ("clear", "day"): ((70, 126, 204), (190, 213, 232)),
    ("clear", "dusk"): ((58, 66, 122), (236, 160, 112)),
    ("clear", "night"): ((7, 10, 24), (24, 30, 50)),
    ("rain", "day"): ((122, 131, 142), (166, 173, 179)),
    ("rain", "dusk"): ((78, 76, 92), (138, 116, 112)),
    ("rain", "night"): ((8, 10, 17), (23, 26, 35)),
    ("fog", "day"): ((184, 190, 196), (203, 207, 210)),
    ("fog", "dusk"): ((124, 118, 128), (164, 146, 140)),
    ("fog", "night"): ((18, 20, 27), (38, 41, 48)),
}
_AMBIENT: dict[TimeOfDay, Rgb] = {"day": (1.0, 1.0, 1.0), "dusk": (0.86, 0.7, 0.64), "night": (0.2, 0.215, 0.28)}
_DULL: dict[Weather, float] = {"clear": 1.0, "fog": 0.86, "rain": 0.76}
_SUN: dict[tuple[Weather, TimeOfDay], float] = {
    ("clear", "day"): 0.38,
    ("clear", "dusk"): 0.5,
    ("clear", "night"): 0.12,
}
_VISIBILITY_M: dict[Weather, float] = {"clear": 620.0, "fog": 62.0, "rain": 210.0}
_CLOUDS: dict[Weather, float] = {"clear": 0.45, "fog": 0.0, "rain": 1.0}


def light_of(conditions: Conditions) -> Light:
    """The light under these conditions."""
    key = conditions.weather, conditions.time_of_day
    zenith, horizon = _SKIES[key]
    dull = _DULL[conditions.weather]
    red, green, blue = _AMBIENT[conditions.time_of_day]
    night = conditions.time_of_day == "night"
    return Light(
        zenith=zenith,
        horizon=horizon,
        ambient=(red * dull, green * dull, blue * dull),
        sun=_SUN.get(key, 0.14),
        visibility_m=_VISIBILITY_M[conditions.weather],
        clouds=_CLOUDS[conditions.weather],
        headlights=1.0 if night else 0.0,
        lamps=night or conditions.time_of_day == "dusk" or conditions.weather != "clear",
        wet=1.0 if conditions.weather == "rain" else 0.0,
    )
