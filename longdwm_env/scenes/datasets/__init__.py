"""Data sets that people have, brought into the form that training reads: ``longdwm data import``."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from tqdm import tqdm

from longdwm_env.errors import InvalidConfig, InvalidScene, MissingDependency
from longdwm_env.io.files import atomic_write_json, folder_appearing
from longdwm_env.io.words import clean
from longdwm_env.scenes.datasets.imported_drives import ForeignDrive, write_drive

LICENCES = {
    "lerobot": "each data set's own (its README.md says; yaak-ai/L2D is Apache-2.0)",
    "comma2k19": "MIT (comma.ai)",
    "kitti-raw": "CC BY-NC-SA 3.0 (KITTI): not for commercial use; do not ship weights trained on it",
    "kitti-odometry": "CC BY-NC-SA 3.0 (KITTI): not for commercial use; do not ship weights trained on it",
    "nuscenes": "CC BY-NC-SA 4.0 (nuScenes): not for commercial use; do not ship weights trained on it",
    "pictures": "whatever you have agreed with who took them",
}
"""By kind, the licence of its source."""


@dataclass(frozen=True)
class ImportReport:
    """What an import wrote.

    Attributes:
        drives, posed: how many, and how many of them with poses.
        skipped: what was not, with the reason.
    """

    drives: int
    posed: int
    seconds: float
    skipped: tuple[str, ...]
    licence: str


def import_drives(kind: str, path: Path, out: Path, camera: str | None, most: int | None) -> ImportReport:
    """Bring a data set into a folder of videos with poses and cameras beside them, whole or not at all.

    Args:
        kind: one of ``LICENCES``.
        path: folder of the data set.
        out: folder to write.
        camera: which camera, where there are several.
        most: most drives to bring.

    Raises:
        InvalidConfig: ``out`` is occupied; or the kind needs no import.
        InvalidScene: there is no such data set at ``path``, or no drive in it that can be read.
        MissingDependency: LeRobot without pyarrow.
    """
    if kind == "nuscenes":
        raise InvalidConfig(
            f"a nuScenes dataroot is read as it is: train on it with --data {path}, start in it with "
            f"scenes={str(path)!r}"
        )
    if not path.is_dir():
        raise InvalidScene(f"{path} is no folder")
    drives = _opened(_reader(kind)(path, camera))
    written, posed, seconds, skipped = 0, 0, 0.0, []
    with folder_appearing(out) as folder:
        for drive in tqdm(drives, desc=kind, unit="drive", leave=False):
            if most is not None and written >= most:
                break
            if isinstance(drive, InvalidScene):
                skipped.append(str(drive))
                continue
            try:
                seconds += write_drive(drive, folder)
            except InvalidScene as error:
                skipped.append(str(error))
                for left in folder.glob(f"{escape(drive.name)}.*"):
                    left.unlink()
                continue
            written, posed = written + 1, posed + (drive.poses is not None)
        if not written:
            reasons = "; ".join(skipped[:3]) or "there are none"
            raise InvalidScene(f"{path} holds no {kind} drive that can be read: {reasons}")
        atomic_write_json(folder / "SOURCE.json", {"kind": kind, "licence": LICENCES[kind], "drives": written})
    return ImportReport(written, posed, seconds, tuple(skipped), LICENCES[kind])


def _opened(drives: Iterator[Callable[[], ForeignDrive]]) -> Iterator[ForeignDrive | InvalidScene]:
    """Each drive, or why it cannot be read. Whatever a reader stumbles over in a stranger's tables is their fault."""
    while True:
        try:
            opened = next(drives, None)
            if opened is None:
                return
            drive: ForeignDrive | InvalidScene = opened()
        except InvalidScene as error:
            drive = error
        except (MissingDependency, InvalidConfig):
            raise
        except Exception as error:
            drive = InvalidScene(f"a drive cannot be read: {type(error).__name__}: {clean(error, 300)}")
        yield drive


def _reader(kind: str) -> Callable[[Path, str | None], Iterator[Callable[[], ForeignDrive]]]:
    if kind == "lerobot":
        from longdwm_env.scenes.datasets.lerobot import lerobot_drives

        return lerobot_drives
    if kind == "comma2k19":
        from longdwm_env.scenes.datasets.comma2k19 import comma_drives

        return comma_drives
    if kind in ("kitti-raw", "kitti-odometry"):
        from longdwm_env.scenes.datasets.kitti import odometry_drives, raw_drives

        return raw_drives if kind == "kitti-raw" else odometry_drives
    if kind == "pictures":
        from longdwm_env.scenes.datasets.picture_folder import picture_drives

        return picture_drives
    raise InvalidConfig(f"there is no kind {kind!r}; there are {', '.join(LICENCES)}")
