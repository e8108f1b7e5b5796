"""Footage written as a dataset in the nuScenes schema, which an unmodified nuscenes-devkit opens, lists and renders.

The front camera has a keyframe ("sample") every half second and an image ("sweep") at 12 Hz. Each scene is a log of its
own with a map mask of its own; its coordinates are moved so that the mask's lower left corner is the origin, as the
devkit wants, and the shift stands in ``log.json`` as ``world_offset_m`` (added to the episode's world frame).
``LIDAR_TOP`` holds rays cast against the boxes and the flat ground: devkit functions that look for a lidar find one,
and the annotations' point counts and visibility come from it. Tokens are hashes of what they name, so the same footage
gives the same files.
"""

from collections.abc import Iterable
from pathlib import Path

from longdwm_env.errors import InvalidConfig
from longdwm_env.io.files import atomic_write_json, folder_appearing
from longdwm_env.scenes.captions import CAPTIONS_FILE
from longdwm_env.scenes.footage_chunks import Clip
from longdwm_env.scenes.nuscenes.clip_writer import (
    ATTRIBUTES,
    CATEGORIES,
    LIDAR_CHANNEL,
    VISIBILITIES,
    ClipWriter,
    token_of,
)
from longdwm_env.scenes.nuscenes.nuscenes_record import CAMERA_CHANNEL
from longdwm_env.scenes.nuscenes.schema_tables import TABLES, Tables

VERSION = "v1.0-simulator"


def export_nuscenes(clips: Iterable[Clip], out: Path) -> None:
    """Write clips as a nuScenes dataroot: whole or not at all.

    Args:
        clips: what to write, one scene each.
        out: folder that does not exist yet or is empty. Everything is built in a hidden folder beside it and renamed.

    Raises:
        InvalidConfig: ``out`` has something in it, or cannot be written.
        FolderInUse: another process is making it.
    """
    with folder_appearing(out) as unfinished:
        exporter = _Exporter(unfinished)
        for clip in clips:
            exporter.add(clip)
        exporter.finish()


class _Exporter:
    """The tables so far, and the folder that the files go to."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._tables: Tables = {table: [] for table in TABLES}
        self._captions: dict[str, str] = {}
        fixed = {"category": CATEGORIES, "attribute": ATTRIBUTES}
        for table, names in fixed.items():
            self._tables[table] = [{"token": token_of(table, n), "name": n, "description": n} for n in names]
        self._tables["visibility"] = [
            {"token": str(i + 1), "level": level, "description": f"visibility of whole object, {level}"}
            for i, level in enumerate(VISIBILITIES)
        ]
        self._tables["sensor"] = [
            {"token": token_of("sensor", channel), "channel": channel, "modality": modality}
            for channel, modality in ((CAMERA_CHANNEL, "camera"), (LIDAR_CHANNEL, "lidar"))
        ]
        for channel in ("samples/" + CAMERA_CHANNEL, "samples/" + LIDAR_CHANNEL, "sweeps/" + CAMERA_CHANNEL, "maps"):
            (root / channel).mkdir(parents=True)

    def add(self, clip: Clip) -> None:
        """Write one clip's files and append its records."""
        if any(scene["name"] == clip.name for scene in self._tables["scene"]):
            raise InvalidConfig(f"two clips have the number {clip.number}; numbers must differ")
        frames = ClipWriter(self._root, clip)
        for chunk in clip.chunks:
            frames.write(chunk)
        for table, records in frames.tables().items():
            self._tables[table] += records
        self._captions[clip.name] = clip.prompt

    def finish(self) -> None:
        """Write the tables."""
        if not self._tables["scene"]:
            raise InvalidConfig("there is no clip to export; at least one scene is needed")
        for table in TABLES:
            atomic_write_json(self._root / VERSION / f"{table}.json", self._tables[table])
        atomic_write_json(self._root / VERSION / CAPTIONS_FILE, self._captions)
