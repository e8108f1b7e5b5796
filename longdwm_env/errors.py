"""Errors that a caller may want to catch. Each says what was wrong, what was expected and what to do."""

import re

# To terminals: what ASCII has beside text, but for line ends and tabs.
_COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class LongDWMError(Exception):
    """Base of every error that this package raises on purpose."""

    def __str__(self) -> str:
        # A file's name may hold bytes that are not UTF-8, and commands to terminals: neither may hide what was wrong.
        said = super().__str__().encode("utf-8", "backslashreplace").decode()
        return _COMMANDS.sub(lambda found: f"\\x{ord(found[0]):02x}", said)


class InvalidAction(LongDWMError, ValueError):
    """An action with the wrong shape, a number that is not finite, or one outside the action space."""


class InvalidConfig(LongDWMError, ValueError):
    """A keyword of the environment or an option that does not exist or does not fit the others."""


class UnknownWorld(InvalidConfig):
    """A world name that is neither built in nor a saved pipeline."""


class UnknownScene(LongDWMError, LookupError):
    """A scene that its source does not have."""


class InvalidScene(LongDWMError, ValueError):
    """A file or folder that scenes cannot be read from: missing, truncated, no image, a broken table."""


class InvalidState(LongDWMError, ValueError):
    """A saved state that is damaged, or that belongs to another world, scene source or version."""


class LifecycleError(LongDWMError, RuntimeError):
    """A call at the wrong time: step before reset, after the episode's end, or anything after close."""


class FolderInUse(LongDWMError, RuntimeError):
    """Another process writes to a folder that has one writer at a time; the message says which."""


class NotFinite(LongDWMError, ArithmeticError):
    """A network said something that is no finite number: no picture, and no judgement of one, can be made of it."""


class MissingDependency(LongDWMError, ImportError):
    """An optional package is not installed; the message says which extra brings it."""


class MissingWeights(LongDWMError, FileNotFoundError):
    """Model weights that are not on this machine; the message says what to put where."""
