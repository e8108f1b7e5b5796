"""Random numbers that are counted, not streamed: an address gives a number, so no other draw can disturb it."""

import numpy as np
from numpy.typing import NDArray

_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFT, _LAST_SHIFT = np.uint64(27), np.uint64(31)


def hashed(*values: NDArray[np.int64] | int) -> NDArray[np.uint64]:
    """A well-mixed 64-bit number per element of the broadcast integers (the finaliser of splitmix64)."""
    with np.errstate(over="ignore"):
        mixed: NDArray[np.uint64] = np.array(0x9E3779B97F4A7C15, dtype=np.uint64)
        for value in values:
            # What this makes is its own, so the rest is done in place: most of the time is the calls, not the numbers.
            mixed = np.asarray(mixed ^ np.asarray(value, dtype=np.int64).astype(np.uint64))
            mixed *= _FIRST
            mixed ^= mixed >> _SHIFT
            mixed *= _SECOND
            mixed ^= mixed >> _LAST_SHIFT
    return np.asarray(mixed)


def fractions(*values: NDArray[np.int64] | int) -> NDArray[np.float64]:
    """Numbers in [0, 1), one per element of the broadcast integers."""
    return (hashed(*values) >> np.uint64(11)).astype(np.float64) * 2.0**-53
