"""Arrays as the whole package writes them, and a value of any JSON object."""

import math
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

ImageSize = tuple[int, int]
"""(height, width) in pixels."""

MAX_SIDE_PX = 4096
"""Longest side of an image: beyond it, a typing error is likelier than an intention."""

JsonObject = dict[str, Any]
"""A JSON object as it comes from outside: of its values nothing is known until they are checked."""
AnyArray = NDArray[Any]
"""An array of any type of numbers."""
FloatArray = NDArray[np.float64]
Images = NDArray[np.uint8]
"""uint8 RGB, (T, H, W, 3)."""

Scalar = TypeVar("Scalar", bound=np.generic)


@overload
def frozen_array(values: object) -> FloatArray: ...


@overload
def frozen_array(values: object, dtype: type[Scalar]) -> NDArray[Scalar]: ...


def frozen_array(values: object, dtype: type[np.generic] = np.float64) -> NDArray[np.generic]:
    """A read-only copy: the caller's own array stays writable."""
    array: NDArray[np.generic] = np.array(values, dtype=dtype)
    array.flags.writeable = False
    return array


def wrap_angle(angle_rad: Any) -> Any:
    """The same angle in [-pi, pi)."""
    return (angle_rad + math.pi) % (2 * math.pi) - math.pi
