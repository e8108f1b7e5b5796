"""Bounds of what settings may ask for, looked at before any memory is taken for them.

They lie far above what has been trained: beyond them a damaged file or a typing error is likelier than an intention.
"""

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, SupportsFloat, SupportsIndex

from longdwm_env import clock
from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.sweep import SweepSettings
from longdwm_env.types import MAX_SIDE_PX, ImageSize

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Bounds = Mapping[str, tuple[float, float]]

MOST_PARAMETERS = 20_000_000_000
"""Of one network: four times what CogVideoX's largest has."""

MOST_STEPS = 1000
"""CogVideoX's schedule has no more."""

SETTINGS: Bounds = {
    "keyframes": (2, 1024),
    "history_keyframes": (1, 1023),
    "coarse_steps": (1, MOST_STEPS),
    "fine_steps": (1, MOST_STEPS),
    "guidance_scale": (0, 1000),
    "warp_depth_m": (1e-3, 1e6),
    "coarse_warp_horizon_s": (0, 3600),
}
MOST_PLANES = 64
_SWEEP_REAL = {
    "blur_px": (1e-3, MAX_SIDE_PX),
    "sharpness": (1e-6, 1e6),
    "road_bonus": (-255, 255),
    "unseen": (0, 255),
    "relative": (0, 1),
}

TRANSFORMER: Bounds = {
    "num_attention_heads": (1, 1024),
    "attention_head_dim": (1, 1024),
    "in_channels": (1, 4096),
    "out_channels": (1, 4096),
    "time_embed_dim": (1, 65536),
    "text_embed_dim": (1, 65536),
    "num_layers": (1, 1024),
    "sample_width": (1, MAX_SIDE_PX),
    "sample_height": (1, MAX_SIDE_PX),
    "sample_frames": (1, 100_000),
    "patch_size": (1, 64),
    "temporal_compression_ratio": (1, 64),
    "max_text_seq_length": (1, 65536),
    "warp_views": (0, 2 * MOST_PLANES),
    "stem_channels": (0, 16384),
    "stem_blocks": (0, 256),
    "head_blocks": (0, 256),
    "frames_per_token": (1, 1024),
    "spatial_interpolation_scale": (1e-3, 1e3),
    "temporal_interpolation_scale": (1e-3, 1e3),
}


def whole(name: str, value: object, low: float, high: float) -> int:
    """The value as an int.

    Raises:
        InvalidConfig: it is no whole number, or none from ``low`` to ``high``.
    """
    try:
        number = operator.index(value) if isinstance(value, SupportsIndex) and not isinstance(value, bool) else None
    except TypeError:
        number = None
    if number is None or not low <= number <= high:
        raise InvalidConfig(f"{name} is a whole number from {low:g} to {high:g}, got {_short(value)}")
    return number


def real(name: str, value: object, low: float, high: float) -> float:
    """The value as a float.

    Raises:
        InvalidConfig: it is no number, or none from ``low`` to ``high``.
    """
    try:
        if isinstance(value, SupportsFloat | SupportsIndex) and not isinstance(value, bool):
            number = float(value)
        else:
            number = math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not low <= number <= high:
        raise InvalidConfig(f"{name} is a finite number from {low:g} to {high:g}, got {_short(value)}")
    return number


def reals(name: str, value: object, low: float, high: float, count: int) -> tuple[float, ...]:
    """The value as ``count`` floats.

    Raises:
        InvalidConfig: it is no sequence of so many numbers from ``low`` to ``high``.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Sequence) or len(value) != count:
        raise InvalidConfig(f"{name} are {count} numbers, got {_short(value)}")
    return tuple(real(f"{name}[{index}]", each, low, high) for index, each in enumerate(value))


def check(settings: "DataclassInstance", bounds: Bounds) -> None:
    """Reject numbers and switches of a dataclass that are of another kind than their fields, or out of bounds.

    Raises:
        InvalidConfig: the first that is not as it should be; the message says what is allowed.
    """
    for field in fields(settings):
        value = getattr(settings, field.name)
        if field.type is bool and type(value) is not bool:
            raise InvalidConfig(f"{field.name} is true or false, got {_short(value)}")
        if field.name in bounds:
            (whole if field.type is int else real)(field.name, value, *bounds[field.name])


def image_size(value: object) -> ImageSize:
    """(height, width) of a picture.

    Raises:
        InvalidConfig: it is no pair of whole numbers up to ``MAX_SIDE_PX``.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Sequence) or len(value) != 2:
        raise InvalidConfig(f"image_size is (height, width) in pixels, got {value!r}")
    height, width = (whole("each side of image_size", side, 1, MAX_SIDE_PX) for side in value)
    return height, width


def planes(name: str, value: object) -> tuple[tuple[float, float], ...]:
    """Pairs of a depth in metres and a zoom.

    Raises:
        InvalidConfig: they are none, or too many.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Sequence) or len(value) > MOST_PLANES:
        raise InvalidConfig(f"{name} are at most {MOST_PLANES} pairs of a depth in m and a zoom, got {value!r}")
    for pair in value:
        depth, zoom = reals(f"a plane of {name}", pair, 0, 1e6, 2)
        if depth <= 0 or zoom <= 1:
            raise InvalidConfig(f"{name} has pairs of a depth above 0 m and a zoom above 1, got {pair!r}")
    return tuple((float(depth), float(zoom)) for depth, zoom in value)


def sweep(value: object) -> SweepSettings | None:
    """Settings of the sweep, also from JSON, which has lists for tuples.

    Raises:
        InvalidConfig: a field is unknown or out of range.
    """
    if value is None:
        return None
    if isinstance(value, SweepSettings):
        value = asdict(value)
    known = [field.name for field in fields(SweepSettings)]
    if not isinstance(value, Mapping) or not all(name in known for name in value):
        raise InvalidConfig(f"matched_sweep is null or a table with {known}, got {value!r}")
    given = dict(value)
    if "planes" in given:
        given["planes"] = planes("matched_sweep's planes", given["planes"])
    if "baseline_frames" in given:
        whole("matched_sweep's baseline_frames", given["baseline_frames"], 1, clock.FPS * 60)
    for name, (low, high) in _SWEEP_REAL.items():
        if name in given:
            real(f"matched_sweep's {name}", given[name], low, high)
    try:
        return SweepSettings(**given)
    except ValueError as error:
        raise InvalidConfig(f"matched_sweep: {error}") from error


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
