"""What all checks share: the error, equality of values with arrays in them, and disturbed random numbers."""

import dataclasses
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from longdwm_env.errors import LongDWMError
from longdwm_env.types import AnyArray


class BrokenPromise(LongDWMError, AssertionError):
    """A promise of a protocol is not kept; the message says which, and how that showed."""


def promise(is_kept: object, message: str) -> None:
    """Raise unless a promise is kept.

    Raises:
        BrokenPromise: it is not kept.
    """
    if not is_kept:
        raise BrokenPromise(message)


def same(one: object, other: object) -> bool:
    """Whether two values are equal in every part: arrays by kind, shape and content, NaN where the other is NaN."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        is_float = one.dtype.kind in "fc"
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=is_float)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if dataclasses.is_dataclass(one) and not isinstance(one, type) and type(one) is type(other):
        names = [each.name for each in dataclasses.fields(one)]
        return all(same(getattr(one, name), getattr(other, name)) for name in names)
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (one != one and other != other)
    # A tensor of torch, which is not imported for it, says itself whether another one is equal.
    equal = getattr(one, "equal", None)
    if callable(equal) and type(one) is type(other):
        return bool(equal(other))
    return bool(one == other)


def most_different(one: AnyArray, other: AnyArray) -> float:
    """The largest difference between two arrays of numbers; infinity where their shapes differ."""
    if one.shape != other.shape:
        return float("inf")
    return float(np.abs(one.astype(np.float64) - other).max(initial=0.0))


@contextmanager
def disturbed(seed: int) -> Iterator[None]:
    """Other random numbers in the process's own generators, which nothing may draw from; afterwards as before."""
    torch = sys.modules.get("torch")
    before = random.getstate(), np.random.get_state()  # noqa: NPY002 - the generator that must not be used
    before_torch = None if torch is None else torch.random.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    if torch is not None:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        if torch is not None:
            torch.random.set_rng_state(before_torch)
