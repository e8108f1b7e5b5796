"""The ground: textures baked from above in windows fixed to the world, and seen through a camera."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from longdwm_env.simulator.conditions import Conditions
from longdwm_env.simulator.counted_random import generator
from longdwm_env.simulator.drawing.palette import Light, light_of
from longdwm_env.simulator.drawing.rays import RESOLUTIONS_M, Band, View
from longdwm_env.simulator.drawing.road_paint import Paint, road_paint
from longdwm_env.simulator.drawing.texture import noise
from longdwm_env.simulator.roads.road_kinds import RoadKind, road_plan
from longdwm_env.types import FloatArray, Images

TILE_PX = 128
"""Side of a baked tile; a divisor of the sizes of all periodic textures, so that few tiles straddle their seams."""
MARGIN_PX = 4
FIXED_POINT_BITS = 4
FAR_LAND = 0.55
"""How much of the verge's colour is left at the horizon on a clear day."""

VERGES = {
    "meadow": ((98, 124, 56), (122, 140, 68)),
    "lush": ((74, 116, 54), (94, 134, 62)),
    "dry": ((158, 142, 92), (180, 160, 108)),
    "autumn": ((128, 116, 62), (150, 126, 68)),
}
"""Colours of grass, darker and lighter, by the name of the landscape."""

SHOULDERS = {"country": (134, 122, 102), "suburb": (142, 136, 124), "city": (150, 149, 146)}


@dataclass(frozen=True)
class Surface:
    """What the ground of a scene is painted with, apart from its light."""

    paint: Paint
    bounds_m: FloatArray
    far_colours: FloatArray


def landscape_of(seed: int) -> str:
    """The name of the landscape of a scene, one of VERGES."""
    return str(generator(seed, "landscape").choice(list(VERGES), p=[0.38, 0.27, 0.2, 0.15]))


@lru_cache(maxsize=24)
def surface_of(seed: int, kind: RoadKind) -> Surface:
    """The ground of a scene."""
    road = road_plan(seed, kind)
    rng = generator(seed, "surface")
    grey = float(rng.uniform(74, 112))
    tint = rng.uniform(-3, 3, 3)

    def asphalt(factor: float) -> tuple[int, int, int]:
        red, green, blue = np.clip((grey + tint) * factor, 0, 255).astype(int).tolist()
        return red, green, blue

    colours = {
        "shoulder": SHOULDERS[road.surroundings],
        "kerb": (186, 186, 182),
        "asphalt": asphalt(1.0),
        "track": asphalt(0.94),
        "patch": asphalt(0.8),
        "tar": asphalt(0.58),
        "white": (232, 232, 226),
        "yellow": (222, 172, 42),
    }
    paint = road_paint(road, seed, colours)
    # From afar a line is narrower than a pixel: it is drawn a pixel wide in a colour between.
    grey_rgb = np.array(colours["asphalt"], float)
    far = np.where(paint.thin[:, None] > 0, 0.55 * paint.colours + 0.45 * grey_rgb, paint.colours)
    bounds = np.ascontiguousarray(np.concatenate([paint.corners_m.min(1), paint.corners_m.max(1)], 1).T)
    return Surface(paint, bounds, far)


@lru_cache(maxsize=1)
def _grain() -> tuple[np.ndarray, ...]:
    """The roughness of all ground for each level of detail, as multipliers times 128, three channels alike."""
    rough = 0.055 * noise("grain", 8, 1) + 0.045 * noise("stains", 256, 32)
    full = np.clip(128 * (1 + rough), 0, 255).astype(np.uint8)
    levels = []
    for resolution in RESOLUTIONS_M:
        size = round(full.shape[0] * RESOLUTIONS_M[0] / resolution)
        levels.append(cv2.merge([cv2.resize(full, (size, size), interpolation=cv2.INTER_AREA)] * 3))
    return tuple(levels)


VERGE_M_PER_PX = 0.2


@lru_cache(maxsize=8)
def _verge(landscape: str) -> tuple[np.ndarray, ...]:
    """The colours of a landscape's grass, at VERGE_M_PER_PX and at the coarsest resolution of the ground."""
    dark, light = (np.array(colour, float) for colour in VERGES[landscape])
    mix = 0.5 + 0.28 * noise("meadow", 128, 4)
    image = np.clip(dark + (light - dark) * np.clip(mix, -0.3, 1.3)[..., None], 0, 255).astype(np.uint8)
    size = round(len(image) * VERGE_M_PER_PX / RESOLUTIONS_M[-1])
    return image, cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)


def _cut(tile: np.ndarray, first_column: int, first_row: int, size_px: int) -> np.ndarray:
    """A square of a periodic image, from any whole pixel; not larger than the image."""
    column, row = first_column % len(tile), first_row % len(tile)
    if max(column, row) + size_px <= len(tile):
        return tile[row : row + size_px, column : column + size_px]
    rows = (row + np.arange(size_px)) % len(tile)
    columns = (column + np.arange(size_px)) % len(tile)
    return np.ascontiguousarray(tile.take(rows, axis=0).take(columns, axis=1))


@lru_cache(maxsize=900)
def _tile(seed: int, kind: RoadKind, level: int, column: int, row: int) -> np.ndarray:
    """A baked square of the ground, (TILE_PX, TILE_PX, 3)."""
    surface = surface_of(seed, kind)
    resolution = RESOLUTIONS_M[level]
    first = column * TILE_PX, row * TILE_PX
    verge = _verge(landscape_of(seed))
    if level == len(RESOLUTIONS_M) - 1:
        image = _cut(verge[1], *first, TILE_PX).copy()
    else:
        grow = round(VERGE_M_PER_PX / resolution)
        # One pixel more on every side, so that neighbouring tiles are smooth across their seam.
        coarse = _cut(verge[0], first[0] // grow - 1, first[1] // grow - 1, TILE_PX // grow + 2)
        size = TILE_PX + 2 * grow
        grown = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_LINEAR)
        image = grown[grow:-grow, grow:-grow].copy()
    low = np.array(first) * resolution
    high = low + TILE_PX * resolution
    left, bottom, right, top = surface.bounds_m
    touching = np.flatnonzero((left <= high[0]) & (right >= low[0]) & (bottom <= high[1]) & (top >= low[1]))
    if len(touching):
        points = np.round((surface.paint.corners_m[touching] - low) * ((1 << FIXED_POINT_BITS) / resolution))
        colours = surface.far_colours if level == len(RESOLUTIONS_M) - 1 else surface.paint.colours
        for quad, colour in zip(points.astype(np.int32), colours[touching].tolist(), strict=True):
            cv2.fillConvexPoly(image, quad, colour, cv2.LINE_AA, FIXED_POINT_BITS)
    return cv2.multiply(image, _cut(_grain()[level], *first, TILE_PX), scale=1 / 128)


@lru_cache(maxsize=24)
def _window(seed: int, kind: RoadKind, level: int, tiles: tuple[int, int, int, int]) -> np.ndarray:
    """Tiles side by side: columns from ``tiles[0]`` to ``tiles[1]``, rows from ``tiles[2]`` to ``tiles[3]``."""
    return np.concatenate(
        [
            np.concatenate([_tile(seed, kind, level, column, row) for column in range(tiles[0], tiles[1] + 1)], 1)
            for row in range(tiles[2], tiles[3] + 1)
        ]
    )


@dataclass(frozen=True)
class _Shade:
    """The light on one band: picture = texture * factor + addition."""

    factor: FloatArray
    addition: np.ndarray


@lru_cache(maxsize=24)
def _shades(view: "_ByIdentity", conditions: Conditions, fade_m: float, landscape: str) -> tuple[_Shade, ...]:
    light = light_of(conditions)
    verge = np.array(VERGES[landscape]).mean(0)
    return tuple(_shade(band, light, fade_m, verge) for band in view.view.bands)


class _ByIdentity:
    """A view that hashes by identity: its arrays do not hash."""

    def __init__(self, view: View) -> None:
        self.view = view

    def __hash__(self) -> int:
        return id(self.view)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and other.view is self.view


def _shade(band: Band, light: Light, fade_m: float, verge: FloatArray) -> _Shade:
    distance = np.minimum(band.distances_m, 1e6).astype(np.float64)
    haze = light.haze(distance)
    fade: FloatArray = np.clip((distance / fade_m - 0.62) / 0.38, 0, 1)
    lit = np.broadcast_to(light.ambient_array, (*distance.shape, 3)).copy()
    if light.headlights:
        lit += light.headlights * headlight(band.points_m.astype(np.float64))[..., None] * np.array([1.0, 0.95, 0.84])
    far = fade * fade * (3 - 2 * fade)
    land = light.horizon_array * (1 - FAR_LAND) + np.minimum(verge * light.ambient_array, 255) * FAR_LAND
    addition = (haze * (1 - far))[..., None] * light.horizon_array
    left = np.maximum(1 - light.haze(np.minimum(distance, fade_m)), 0)[..., None]
    addition += far[..., None] * (land * left + light.horizon_array * (1 - left))
    haze += far * (1 - haze)
    if light.wet:
        # Schlick's approximation: wet asphalt mirrors the sky where it is seen at a grazing angle.
        mirror = (0.05 + 0.5 * (1 - band.grazing.astype(np.float64)) ** 6) * (1 - haze)
        addition += mirror[..., None] * (0.35 * light.horizon_array + 0.65 * np.array(light.zenith)) * 0.9
        lit *= (0.8 - 0.5 * (1 - band.grazing.astype(np.float64)) ** 6)[..., None]
    return _Shade((lit * (1 - haze)[..., None]).astype(np.float32), np.clip(addition, 0, 255).astype(np.uint8))


def headlight(points_m: FloatArray) -> FloatArray:
    """Brightness (...) of the ego's dipped headlights on the ground at points (..., 2) of the ego frame."""
    x = np.maximum(points_m[..., 0] - 3.6, 0.0)
    y = points_m[..., 1]
    across = np.exp(-((y / (1.6 + 0.19 * x)) ** 2))
    along = np.exp(-x / 21.0) * (1 - np.exp(-x / 2.2))
    return 1.05 * across * along


def draw_ground(
    image: Images, view: View, seed: int, kind: RoadKind, ego_pose: FloatArray, conditions: Conditions, fade_m: float
) -> None:
    """Draw the ground into ``image`` (H, W, 3), below the horizon."""
    cosine, sine = float(np.cos(ego_pose[2])), float(np.sin(ego_pose[2]))
    shades = _shades(_ByIdentity(view), conditions, fade_m, landscape_of(seed))
    for band, shade in zip(view.bands, shades, strict=True):
        resolution = RESOLUTIONS_M[band.level]
        x = ego_pose[0] + cosine * band.centre_m[0] - sine * band.centre_m[1]
        y = ego_pose[1] + sine * band.centre_m[0] + cosine * band.centre_m[1]
        reach = band.radius_m / resolution + MARGIN_PX
        tiles = [int(np.floor((v / resolution + side * reach) / TILE_PX)) for v in (x, y) for side in (-1, 1)]
        window = _window(seed, kind, band.level, (tiles[0], tiles[1], tiles[2], tiles[3]))
        left = ego_pose[0] / resolution - tiles[0] * TILE_PX
        top = ego_pose[1] / resolution - tiles[2] * TILE_PX
        along, aside = band.points_m[..., 0], band.points_m[..., 1]
        u = along * np.float32(cosine / resolution)
        u -= aside * np.float32(sine / resolution)
        u += np.float32(left)
        v = along * np.float32(sine / resolution)
        v += aside * np.float32(cosine / resolution)
        v += np.float32(top)
        drawn = cv2.remap(window, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        drawn = cv2.add(cv2.multiply(drawn, shade.factor, dtype=cv2.CV_8U), shade.addition)
        if band.rows_per_row > 1:
            drawn = cv2.resize(drawn, (view.width, band.bottom - band.top), interpolation=cv2.INTER_AREA)
        image[band.top : band.bottom] = drawn
