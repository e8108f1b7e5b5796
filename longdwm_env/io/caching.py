"""Functions that remember their last results, and can be sent to another process, where they begin anew."""

from collections.abc import Callable
from functools import lru_cache
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Kept(Generic[Result]):
    """A pure function of hashable arguments, with the results of its last calls.

    Args:
        function: what is called; to be sent to another process it must be one that can be, such as a method.
        size: results that are kept.
    """

    def __init__(self, function: Callable[..., Result], size: int) -> None:
        self._function, self._size = function, size
        self._cached = lru_cache(size)(function)

    def __call__(self, *arguments: object) -> Result:
        """What the function gives, remembered or called."""
        return self._cached(*arguments)

    def __reduce__(self) -> tuple[object, ...]:
        return Kept, (self._function, self._size)
