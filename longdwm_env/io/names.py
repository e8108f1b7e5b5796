"""Names of files that stand in data: held inside their folder, and made printable."""

from pathlib import Path, PureWindowsPath

from longdwm_env.errors import InvalidScene


def inside(folder: Path, name: str) -> Path:
    """The file that a record of data names, below the folder that the data lie in.

    Names are judged as they are written: relative, downwards, with ``/`` between folders, on every system. Symbolic
    links below the folder are followed: a name in a table cannot make one, and large data sets are commonly put
    together from links to other disks by the person who owns the folder.

    Args:
        folder: that the name belongs to.
        name: as it stands in the data, such as ``samples/CAM_FRONT/1.jpg``.

    Raises:
        InvalidScene: the name is empty, absolute or has ``..``, backslashes or a NUL in it.
    """
    windows = PureWindowsPath(name)
    if not name or "\0" in name or windows.anchor or ".." in windows.parts:
        raise InvalidScene(f"the file name {name!r} is outside the dataroot {folder}; names are relative to it")
    if "\\" in name:
        raise InvalidScene(
            f"the file name {name!r} has backslashes, as made on Windows; nuScenes' names have '/': replace them"
        )
    return folder / name


def printable(name: object) -> str:
    """A name for messages, keys and JSON, in which bytes that are not UTF-8 are written out."""
    return str(name).encode("utf-8", "backslashreplace").decode()
