"""Packages of an extra that a command needs: looked for before it does anything."""

import importlib.util

from longdwm_env.errors import MissingDependency


def need(what: str, extra: str, *packages: str) -> None:
    """Reject a command whose packages are not installed.

    Args:
        what: that needs them.
        extra: of this package, which brings them.
        packages: as they are imported.

    Raises:
        MissingDependency: some are missing; the message says which, and how to get them.
    """
    if missing := [name for name in packages if not is_installed(name)]:
        raise MissingDependency(f"{what} needs {' and '.join(missing)}: pip install 'longdwm[{extra}]'")


def is_installed(package: str) -> bool:
    """Whether it could be imported; it is not."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False
