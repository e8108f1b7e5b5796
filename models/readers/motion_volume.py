"""How well a second of video agrees with every motion of the car: the evidence that inverse dynamics are read from.

A plane sweep tries depths (Collins, "A space-sweep approach to true multi-image matching", CVPR 1996); this one tries
speeds and yaw rates. The road is seen from above by its homography, and two frames of a car on a circular arc then
differ by half a turn, a shift along x, and half a turn, so that after the turns one correlation along x answers for
all speeds. Far scenery and sky shift sideways by the turn alone. No part has weights.

Everything is normalised correlation of high-passed pictures, which fog, rain and night hardly change. Several
baselines tell the dashes of a lane marking apart, several regions the road from what drives along on it.
"""

import math
from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor

from longdwm_env import clock
from longdwm_env.geometry.camera import fit_images, project_points
from longdwm_env.types import Camera, FloatArray, Images

WINDOW_FRAMES = clock.FRAMES_PER_INTERVAL
"""Frames of a window: a second."""
WINDOW_SIZE = (96, 144)
"""(height, width) that frames are brought to, with their camera."""

SPEEDS_MPS: FloatArray = 40 * np.expm1(3 * np.linspace(0, 1, 64)) / math.expm1(3)
"""Speeds that are tried, denser near standstill: 0.1 m/s apart there, 2 m/s at the top."""
YAW_RATES_RADPS: FloatArray = 0.05 * np.arange(-24, 25)
"""Yaw rates that are tried."""

_Pairs = tuple[tuple[int, int], ...]
ROAD_PAIRS: dict[int, tuple[_Pairs, int]] = {
    1: (((0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11)), 6),
    3: (((0, 3), (2, 5), (4, 7), (6, 9), (8, 11)), 4),
    6: (((0, 6), (2, 8), (3, 9), (5, 11)), 2),
    11: (((0, 11),), 2),
}
"""By baseline in frames: pairs of frames, and of how many yaw rates one is tried: short baselines hardly tell them."""
FAR_PAIRS: dict[int, tuple[_Pairs, float]] = {
    2: (((0, 2), (2, 4), (4, 6), (5, 7), (7, 9), (9, 11)), 0.7),
    5: (((0, 5), (2, 7), (4, 9), (6, 11)), 1.2),
    11: (((0, 11),), 2.0),
}
"""The same for far scenery, with a blur in cells that leaves a peak about as wide as the yaw rates are apart."""

CELL_M, LENGTH, FIRST_M = 0.16, 128, 5.2
"""The road from above: cells along x, how many, and the first one's place, the nearest that most cameras see."""
ROWS, ROW_M = 28, 0.5
"""Likewise across."""
TEMPLATES = ((0, 30), (28, 64))
"""Cells of the later frame, near and far, that are looked for ahead in the earlier one."""
SIDES = ((0, 11), (11, 17), (17, 28))
"""Rows to the right, of the own lane, and to the left."""
FILTERS = 2
"""High passes: along the road, and across it."""
ROAD_CHANNELS = tuple(len(TEMPLATES) * FILTERS * len(SIDES) for _ in ROAD_PAIRS)

_SOURCE_LENGTH, _SOURCE_ROWS, _FINE, _SOURCE_M = 160, 40, 4, 4.6
"""What is turned: a little more road than is compared; pictures are sampled finer across, and averaged."""

AZIMUTHS, AZIMUTH_RAD = 192, 0.006
_TANGENTS = (np.arange(-46, 2) + 0.5) / 110
BANDS = ((0, 7), (7, 12), (12, 16))
"""Of far scenery, in thirds of lines at a focal length of 110 pixels: sky, above the horizon, about the horizon."""
FAR_CHANNELS = len(BANDS) * len(FAR_PAIRS)

ROAD_VALUES = sum(
    channels * len(SPEEDS_MPS) * len(YAW_RATES_RADPS[::step])
    for channels, (_, step) in zip(ROAD_CHANNELS, ROAD_PAIRS.values(), strict=True)
)
FAR_VALUES = FAR_CHANNELS * len(YAW_RATES_RADPS)
VALUES = ROAD_VALUES + FAR_VALUES
"""Numbers of one window's evidence."""


def evidence(window: Images, camera: Camera) -> np.ndarray:
    """How well every motion explains a window.

    Args:
        window: uint8 (12, H, W, 3).
        camera: that took it.

    Returns:
        int8 (VALUES,): correlations in 127ths, as ``unpacked`` takes them apart. A window has the same wherever and
        with whomever it is read.

    Raises:
        ValueError: the window is not 12 frames of the camera's size.
    """
    expected = (WINDOW_FRAMES, *camera.intrinsics.image_size, 3)
    if window.shape != expected or window.dtype != np.uint8:
        raise ValueError(
            f"a window is uint8 {expected} for a camera of {camera.intrinsics.image_size}, got {window.dtype} "
            f"{window.shape}"
        )
    camera = camera.fitted(WINDOW_SIZE)
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in fit_images(window, WINDOW_SIZE)])
    grey = grey.astype(np.float32)
    with torch.no_grad():
        found = torch.cat([part.flatten() for part in (*_road(grey, camera), _far(grey, camera))])
        return (found * 127).round().clamp(-127, 127).to(torch.int8).numpy()


def unpacked(packed: Tensor) -> tuple[Tensor, Tensor]:
    """int8 (B, VALUES) -> the road's evidence (B, C, speeds, yaw rates) and that of far scenery (B, C', yaw rates)."""
    values = packed.float() / 127
    rates, parts, first = len(YAW_RATES_RADPS), [], 0
    for channels, (_, step) in zip(ROAD_CHANNELS, ROAD_PAIRS.values(), strict=True):
        tried = len(YAW_RATES_RADPS[::step])
        count = channels * len(SPEEDS_MPS) * tried
        part = values[:, first : first + count].reshape(-1, channels * len(SPEEDS_MPS), tried)
        if step > 1:
            part = torch.nn.functional.interpolate(part, size=rates, mode="linear", align_corners=True)
        parts.append(part.unflatten(1, (channels, len(SPEEDS_MPS))))
        first += count
    return torch.cat(parts, dim=1), values[:, first:].unflatten(1, (FAR_CHANNELS, rates))


def mirrored(road: Tensor, far: Tensor) -> tuple[Tensor, Tensor]:
    """The evidence of the mirrored windows: left is right, and turns are reversed."""
    sides = (len(ROAD_PAIRS) * len(TEMPLATES) * FILTERS, len(SIDES))
    return road.unflatten(1, sides).flip(2, -1).flatten(1, 2), far.flip(-1)


def _road(grey: np.ndarray, camera: Camera) -> list[Tensor]:
    """By baseline, (templates * filters * sides, speeds, yaw rates tried)."""
    above = _from_above(grey, camera)
    return [_road_pairs(above, camera, baseline) for baseline in ROAD_PAIRS]


def _road_pairs(above: Tensor, camera: Camera, baseline: int) -> Tensor:
    """Evidence of one baseline, summed over its pairs: earlier frames turned one way, later ones the other."""
    pairs, _ = ROAD_PAIRS[baseline]
    reach = TEMPLATES[-1][1]
    seen, wanted = _seen(camera, baseline, False), _seen(camera, baseline, True)[..., :reach]
    # (turns, filters, pairs, ROWS, LENGTH)
    earlier = _turned(above[[first for first, _ in pairs]], baseline, False).permute(1, 2, 0, 3, 4)
    later = _turned(above[[last for _, last in pairs]], baseline, True)[..., :reach].permute(1, 2, 0, 3, 4)
    earlier, later = earlier * seen[:, None, None], later * wanted[:, None, None]
    energy = (earlier * earlier).sum(dim=2)
    own = (later * later).sum(dim=2)
    cells = SPEEDS_MPS * baseline * clock.FRAME_S / CELL_M
    found = []
    for low, high in SIDES:
        a = earlier[..., low:high, :].flatten(2, 3)
        b = later[..., low:high, :].flatten(2, 3)
        products = b.transpose(-1, -2) @ a
        energies = wanted[:, None, low:high].transpose(-1, -2) @ energy[:, :, low:high]
        for first, last in TEMPLATES:
            lags = LENGTH - last + 1
            template = own[:, :, low:high, first:last].sum(dim=(-1, -2))[..., None]
            matched = _diagonals(products, first, last, lags)
            matched = matched / ((_diagonals(energies, first, last, lags) + 2) * (template + 2)).sqrt()
            found.append(_at(matched, cells))
    # (sides, templates, yaw rates, filters, speeds) -> (templates, filters, sides, speeds, yaw rates)
    stacked = torch.stack(found).unflatten(0, (len(SIDES), len(TEMPLATES)))
    return stacked.permute(1, 3, 0, 4, 2).flatten(0, 2)


def _diagonals(products: Tensor, first: int, last: int, lags: int) -> Tensor:
    """Sums (..., lags) over x in [first, last) of ``products[..., x, x + lag]``."""
    products = products.contiguous()
    width = products.shape[-1]
    shape = (*products.shape[:-2], last - first, lags)
    strides = (*products.stride()[:-2], width + 1, 1)
    return products.as_strided(shape, strides, first * (width + 1)).sum(dim=-2)


def _at(values: Tensor, places: FloatArray) -> Tensor:
    """Values (..., N) between whole places, (..., P); 0 beyond the last."""
    last = values.shape[-1] - 1
    below = np.clip(np.floor(places), 0, last - 1).astype(np.int64)
    share = torch.from_numpy((places - below).astype(np.float32))
    known = torch.from_numpy((places <= last).astype(np.float32))
    return known * (values[..., below] * (1 - share) + values[..., below + 1] * share)


def _from_above(grey: np.ndarray, camera: Camera) -> Tensor:
    """(T, filters, rows, length) of the road, high-passed and brought to one contrast, before any turn."""
    columns, lines, visible, near = _road_maps(camera)
    above = np.empty((len(grey), FILTERS, _SOURCE_ROWS, _SOURCE_LENGTH), np.float32)
    for frame, picture in enumerate(grey):
        road = cv2.remap(picture, columns, lines, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for number, size in enumerate(((19, 1), (1, 13))):
            passed = (road - cv2.blur(road, size, borderType=cv2.BORDER_REPLICATE)) * visible
            contrast = np.sqrt(np.maximum(_spread(passed * passed), 0) / near)
            even = np.clip(passed / (contrast + 1), -3, 3)
            above[frame, number] = cv2.resize(even, (_SOURCE_LENGTH, _SOURCE_ROWS), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(above)


def _spread(values: np.ndarray) -> np.ndarray:
    return cv2.blur(values, (41, 41), borderType=cv2.BORDER_REPLICATE)


@lru_cache(maxsize=64)
def _road_maps(camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Columns and lines where the camera sees the road's cells, whether it does, and how much of their surroundings."""
    x = _SOURCE_M + CELL_M * np.arange(_SOURCE_LENGTH)
    rows = _SOURCE_ROWS * _FINE
    y = (np.arange(rows) - (rows - 1) / 2) * ROW_M / _FINE
    points = np.stack([*(grid.ravel() for grid in np.meshgrid(x, y)), np.zeros(rows * len(x))], axis=-1)
    pixels, _ = project_points(camera, points)
    columns, lines, visible = _pixels(pixels.reshape(rows, len(x), 2), camera)
    return columns, lines, visible, _spread(visible) + 1e-3


def _pixels(pixels: FloatArray, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    height, width = camera.intrinsics.image_size
    with np.errstate(invalid="ignore"):
        inside = ((pixels >= 0) & (pixels <= (width - 1, height - 1))).all(axis=-1)
    places = np.nan_to_num(pixels, nan=-1e4).clip(-1e4, 1e4).astype(np.float32)
    return places[..., 0].copy(), places[..., 1].copy(), inside.astype(np.float32)


@lru_cache(maxsize=64)
def _seen(camera: Camera, baseline: int, later: bool) -> Tensor:
    """(turns, ROWS, LENGTH), 1 where the turned road is wholly visible."""
    visible = cv2.resize(_road_maps(camera)[2], (_SOURCE_LENGTH, _SOURCE_ROWS), interpolation=cv2.INTER_AREA)
    whole = torch.from_numpy((visible > 0.999).astype(np.float32))
    return (_turned(whole[None, None], baseline, later)[0, :, 0] > 0.999).float()


def _turned(above: Tensor, baseline: int, later: bool) -> Tensor:
    """Roads (B, C, rows, length) about the rear axle by half of every turn, (B, turns, C, ROWS, LENGTH).

    What lies at q in the result lay at R(angle) q; the later frame of a pair is turned the other way.
    """
    grid = _turn_grid(baseline, later)
    turned = torch.nn.functional.grid_sample(above, grid.expand(len(above), -1, -1, -1), align_corners=True)
    return turned.unflatten(2, (-1, ROWS)).transpose(1, 2)


@lru_cache(maxsize=16)
def _turn_grid(baseline: int, later: bool) -> Tensor:
    """(1, turns * ROWS, LENGTH, 2) places in the roads that are turned, from -1 to 1."""
    step = ROAD_PAIRS[baseline][1]
    angles = YAW_RATES_RADPS[::step] * baseline * clock.FRAME_S / (-2 if later else 2)
    cos, sin = np.cos(angles)[:, None, None], np.sin(angles)[:, None, None]
    x, y = np.meshgrid(FIRST_M + CELL_M * np.arange(LENGTH), (np.arange(ROWS) - (ROWS - 1) / 2) * ROW_M)
    along = (cos * x - sin * y - _SOURCE_M) / (CELL_M * (_SOURCE_LENGTH - 1))
    across = (sin * x + cos * y) / (ROW_M * (_SOURCE_ROWS - 1))
    grid = np.stack([2 * along - 1, 2 * across], axis=-1)
    return torch.from_numpy(grid.reshape(1, -1, LENGTH, 2).astype(np.float32))


def _far(grey: np.ndarray, camera: Camera) -> Tensor:
    """(bands * baselines, yaw rates): how well far scenery and sky agree after turning back."""
    columns, lines, visible = _far_maps(camera)
    pictures = [cv2.remap(p, columns, lines, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for p in grey]
    thirds = np.stack([p.reshape(-1, 3, AZIMUTHS).mean(axis=1) for p in pictures])
    known = visible.reshape(-1, 3, AZIMUTHS).min(axis=1)
    found = []
    for baseline, (pairs, blur) in FAR_PAIRS.items():
        even = torch.from_numpy(np.stack([_even(third, known, blur) for third in thirds]))
        earlier, later = even[[first for first, _ in pairs]], even[[last for _, last in pairs]]
        # Turning left shifts scenery to the right, to higher azimuths.
        cells = YAW_RATES_RADPS * baseline * clock.FRAME_S / AZIMUTH_RAD + AZIMUTHS
        mask = torch.from_numpy(known)
        for low, high in BANDS:
            a, b, m = earlier[:, low:high].flatten(0, 1), later[:, low:high].flatten(0, 1), mask[low:high]
            energy_a, energy_b = (earlier * earlier).sum(0)[low:high], (later * later).sum(0)[low:high]
            matched, of_a, of_b = (
                _diagonals(torch.nn.functional.pad(left.T @ right, (AZIMUTHS, AZIMUTHS)), 0, AZIMUTHS, 2 * AZIMUTHS)
                for left, right in ((a, b), (energy_a, m), (m, energy_b))
            )
            found.append(_at(matched / ((of_a + 3) * (of_b + 3)).sqrt(), cells))
    return torch.stack(found)


def _even(picture: np.ndarray, known: np.ndarray, blur: float) -> np.ndarray:
    """Far scenery, high-passed along its lines and brought to one contrast."""
    smooth = cv2.GaussianBlur(picture, (0, 0), sigmaX=blur, sigmaY=0.3)
    width = 2 * round(6 * blur) + 1
    passed = (smooth - cv2.blur(smooth, (width, 1), borderType=cv2.BORDER_REPLICATE)) * known
    contrast = np.sqrt(np.maximum(cv2.blur(passed * passed, (45, 3), borderType=cv2.BORDER_REPLICATE), 0))
    even: np.ndarray = passed / (contrast + 0.7)
    return even


@lru_cache(maxsize=64)
def _far_maps(camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns and lines where the camera sees directions of equal steps of azimuth, and whether it does."""
    azimuth = (np.arange(AZIMUTHS) - (AZIMUTHS - 1) / 2) * AZIMUTH_RAD
    ahead, down = np.meshgrid(azimuth, _TANGENTS)
    # Points a kilometre off, as seen from the camera itself.
    points = 1000 * np.stack([np.cos(ahead), -np.sin(ahead), -down], axis=-1) + camera.mounting.translation_m
    pixels, _ = project_points(camera, points.reshape(-1, 3))
    return _pixels(pixels.reshape(*ahead.shape, 2), camera)
