"""Names of files that stand in data: held inside their folder, and made printable."""

from pathlib import Path, PureWindowsPath

from longdwm_env.errors import InvalidScene


def inside(folder: Path, name: object) -> Path:
    """The file that a record of data names, below the folder that the data lie in.

    Names are judged as they are written: relative, downwards, with ``/`` between folders, on every system. Symbolic
    links below the folder are followed: a name in a table cannot make one, and large data sets are commonly put
    together from links to other disks by the person who owns the folder.

    Args:
        folder: that the name belongs to.
        name: as it stands in the data, such as ``samples/CAM_FRONT/1.jpg``.

    Raises:
        InvalidScene: the name is no text, empty, absolute or has ``..``, backslashes or a NUL in it.
    """
    if not isinstance(name, str):
        raise InvalidScene(f"a file's name in the dataroot {folder} is text, got {name!r:.60}")
    windows = PureWindowsPath(name)
    if not name or "\0" in name or windows.anchor or ".." in windows.parts:
        raise InvalidScene(f"the file name {name!r} is outside the dataroot {folder}; names are relative to it")
    if "\\" in name:
        raise InvalidScene(
            f"the file name {name!r} in the dataroot {folder} has backslashes, as made on Windows; nuScenes' names "
            "have '/': replace them"
        )
    return folder / name


def is_there(name: str | Path) -> bool:
    """Whether something has this name; not, where no file can have it."""
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False


def is_folder(name: str | Path) -> bool:
    """Whether a folder has this name; a name that no file can have, such as one that is too long, is none."""
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):
        return False


def is_file(name: str | Path) -> bool:
    """Whether a file has this name; as ``is_folder``."""
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False


def printable(name: object) -> str:
    """A name for messages, keys and JSON: what is not UTF-8 is written out, and so are line ends and other controls."""
    text = str(name).encode("utf-8", "backslashreplace").decode()
    return "".join(f"\\x{ord(letter):02x}" if ord(letter) < 32 or letter == "\x7f" else letter for letter in text)
