"""The sky and the land on the horizon, as a panorama that turns with the heading."""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from longdwm_env.simulator.conditions import Conditions
from longdwm_env.simulator.counted_random import generator
from longdwm_env.simulator.drawing.ground import VERGES, landscape_of
from longdwm_env.simulator.drawing.palette import light_of
from longdwm_env.simulator.drawing.rays import View
from longdwm_env.simulator.drawing.texture import noise, periodic_noise
from longdwm_env.types import Images

Floats = NDArray[np.floating[Any]]

PX_PER_RAD = 458.0
WIDTH_PX = round(2 * np.pi * PX_PER_RAD)
BELOW_RAD, ABOVE_RAD = 0.05, 0.75
LAND_RAD = 0.13
"""Nothing on the horizon stands higher."""
HEIGHT_PX = round((BELOW_RAD + ABOVE_RAD) * PX_PER_RAD)


def sun_azimuth(seed: int) -> float:
    """Where the sun, or the moon, stands in the world."""
    return float(generator(seed, "sun").uniform(-np.pi, np.pi))


@lru_cache(maxsize=12)
def panorama(seed: int, conditions: Conditions, surroundings: str) -> np.ndarray:
    """(HEIGHT_PX, 2 WIDTH_PX, 3), twice around; column 0 looks along the world's x axis and columns turn right."""
    light = light_of(conditions)
    rng = generator(seed, "panorama")
    azimuth = (-np.arange(WIDTH_PX) / PX_PER_RAD).astype(np.float32)
    elevation = (ABOVE_RAD - (np.arange(HEIGHT_PX) + 0.5) / PX_PER_RAD).astype(np.float32)[:, None]
    high = np.clip(elevation / 0.62, 0, 1) ** 0.62
    zenith, horizon = np.array(light.zenith, np.float32), light.horizon_array.astype(np.float32)
    sky = horizon + (zenith - horizon) * high[..., None]
    sky = np.broadcast_to(sky, (HEIGHT_PX, WIDTH_PX, 3)).copy()
    sun = sun_azimuth(seed)
    away = np.abs((azimuth - np.float32(sun) + np.float32(np.pi)) % np.float32(2 * np.pi) - np.float32(np.pi))
    if conditions.time_of_day == "dusk" and conditions.weather == "clear":
        cool = np.array([128.0, 112.0, 150.0], np.float32)
        share = np.clip(away / 2.4, 0, 1)[None, :, None] * (1 - high[..., None])
        sky += (cool - sky) * share * 0.75
    if light.clouds and conditions.weather == "clear":
        _add_clouds(sky, rng, elevation, azimuth, conditions)
    elif light.clouds:
        _add_overcast(sky, elevation, azimuth)
    if conditions.weather == "clear":
        _add_sun(sky, elevation, away, conditions, rng)
    if conditions.weather != "fog":
        low = int(np.argmax(elevation[:, 0] < LAND_RAD))
        _add_land(sky[low:], rng, elevation[low:, 0], conditions, seed, surroundings)
    below = elevation[:, 0] < 0
    sky[below] = horizon
    image = np.clip(sky, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.concatenate([image, image], 1))


def _cloud_field(elevation: Floats, azimuth: Floats, name: str) -> Floats:
    """Noise on a plane high above, so that clouds shrink towards the horizon."""
    reach = 1.0 / np.tan(np.maximum(elevation, 0.02) + 0.09)
    tile = noise(name, 128, 4)
    u = ((np.cos(azimuth)[None] * reach) * 105.0).astype(np.float32)
    v = ((np.sin(azimuth)[None] * reach) * 105.0).astype(np.float32)
    return np.asarray(cv2.remap(tile, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP), np.float32)


def _add_clouds(
    sky: Floats, rng: np.random.Generator, elevation: Floats, azimuth: Floats, conditions: Conditions
) -> None:
    field = _cloud_field(elevation, azimuth, "clouds")
    threshold = np.float32(rng.uniform(-0.2, 1.6))
    thick = np.clip((field - threshold) / 0.9, 0, 1) * np.clip((elevation - 0.015) / 0.1, 0, 1)
    thick = thick * thick * (3 - 2 * thick)
    bright = {"day": (250, 250, 250), "dusk": (240, 168, 140), "night": (34, 38, 54)}[conditions.time_of_day]
    dark = {"day": (206, 212, 222), "dusk": (142, 106, 124), "night": (20, 23, 36)}[conditions.time_of_day]
    shaded = np.clip((field - threshold) / 2.4, 0, 1)[..., None]
    colour = np.array(bright, np.float32) * (1 - shaded) + np.array(dark, np.float32) * shaded
    sky += (colour - sky) * (0.86 * thick)[..., None]


def _add_overcast(sky: Floats, elevation: Floats, azimuth: Floats) -> None:
    field = _cloud_field(elevation, azimuth, "overcast")
    sky *= 1 + (0.055 * field * np.clip((elevation - 0.02) / 0.15, 0, 1))[..., None]


def _add_sun(sky: Floats, elevation: Floats, away: Floats, conditions: Conditions, rng: np.random.Generator) -> None:
    height = {"day": 0.55, "dusk": 0.075, "night": 0.42}[conditions.time_of_day]
    # All but the stars is near the sun or the moon.
    near = np.flatnonzero(away < 1.4)
    distance = np.hypot(elevation - np.float32(height), away[None, near] * np.float32(np.cos(height)))
    if conditions.time_of_day == "night":
        count = round(0.0006 * sky.shape[0] * sky.shape[1])
        rows = generator(0, "star rows").integers(0, sky.shape[0], count)
        columns = generator(0, "star columns").integers(0, sky.shape[1], count)
        sky[rows, columns] += np.clip(elevation[rows] * 5, 0, 1) * 120
        disc, glow = (0.013, np.array([214.0, 216.0, 206.0])), (0.09, np.array([36.0, 40.0, 54.0]))
    elif conditions.time_of_day == "dusk":
        disc, glow = (0.028, np.array([255.0, 226.0, 160.0])), (0.34, np.array([96.0, 56.0, 8.0]))
    else:
        disc, glow = (0.03, np.array([255.0, 252.0, 236.0])), (0.2, np.array([60.0, 56.0, 44.0]))
    part = sky[:, near]
    part += np.exp(-((distance / glow[0]) ** 1.2))[..., None] * glow[1].astype(np.float32)
    inside = np.clip((disc[0] - distance) * PX_PER_RAD + 0.5, 0, 1)[..., None]
    part += (disc[1].astype(np.float32) - part) * inside
    sky[:, near] = part


def _add_land(
    sky: Floats,
    rng: np.random.Generator,
    elevation: Floats,
    conditions: Conditions,
    seed: int,
    surroundings: str,
) -> None:
    """Far hills, nearer woods or a skyline, each lighter the further."""
    light = light_of(conditions)
    horizon = light.horizon_array
    verge = np.array(VERGES[landscape_of(seed)][0], float)
    ambient = light.ambient_array
    veil = 0.25 if conditions.weather == "rain" else 0.0
    height = float(rng.uniform(0.25, 1.0))
    layers = [
        (
            0.05 * height * (0.62 + 0.5 * periodic_noise(rng, WIDTH_PX, (2, 3, 5, 9, 17, 33))),
            (96, 112, 138),
            0.5 - veil,
        ),
        (0.026 * (0.6 + 0.5 * periodic_noise(rng, WIDTH_PX, (5, 8, 13, 21, 47, 90))), (84, 104, 104), 0.62 - veil),
    ]
    woods = 0.0125 + 0.0045 * periodic_noise(rng, WIDTH_PX, (11, 29, 61, 131, 233, 401, 613))
    layers.append((woods, tuple(0.62 * verge + 0.38 * np.array([84.0, 100, 84])), 0.72 - veil))
    for ridge, colour, share in layers:
        cover = np.clip((ridge[None] - elevation[:, None]) * PX_PER_RAD + 0.5, 0, 1)[..., None].astype(np.float32)
        shade = ((np.array(colour, float) * ambient) * share + horizon * (1 - share)).astype(np.float32)
        sky += (shade - sky) * cover
    if surroundings == "city":
        _add_skyline(sky, rng, elevation, conditions)


def _add_skyline(sky: Floats, rng: np.random.Generator, elevation: Floats, conditions: Conditions) -> None:
    light = light_of(conditions)
    column = 0
    while column < WIDTH_PX:
        width = int(rng.integers(10, 34))
        top = float(rng.uniform(0.012, 0.05) * (1.6 if rng.random() < 0.15 else 1.0))
        shade = (float(rng.uniform(90, 140)) + np.array([0.0, 4, 12])) * light.ambient_array
        shade = 0.55 * shade + 0.45 * light.horizon_array
        rows = np.flatnonzero((elevation < top) & (elevation > -0.01))
        block = sky[rows[0] : rows[-1], column : column + width]
        block[:] = shade
        if conditions.time_of_day != "day":
            lit = (rng.random(block.shape[:2]) < 0.07)[..., None]
            block += lit * np.array([120.0, 96.0, 50.0])
        column += width + int(rng.integers(0, 14))


def draw_sky(
    image: Images, view: View, seed: int, heading_rad: float, conditions: Conditions, surroundings: str
) -> None:
    """Draw the sky into the upper rows of ``image`` (H, W, 3)."""
    rows = len(view.azimuths_rad)
    if not rows:
        return
    source = panorama(seed, conditions, surroundings)
    start = (-(heading_rad + view.axis_rad) % (2 * np.pi)) * PX_PER_RAD
    # Azimuths are within half a turn of the axis, so the columns stay within the two turns of the panorama.
    start += WIDTH_PX if start < WIDTH_PX / 2 else 0.0
    u = view.azimuths_rad * np.float32(-PX_PER_RAD)
    u += np.float32(start)
    v = (np.float32(ABOVE_RAD) - view.elevations_rad) * np.float32(PX_PER_RAD) - np.float32(0.5)
    image[:rows] = cv2.remap(source, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
