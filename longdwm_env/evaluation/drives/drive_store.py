"""Drives on disk, each written whole: measuring again, or going on after a stop, drives nothing twice."""

import json
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from longdwm_env.clock import FRAMES_PER_INTERVAL
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.drives.recorder import Drive
from longdwm_env.geometry.camera import camera_from_json
from longdwm_env.io.files import atomic_write_bytes, atomic_write_json, file_name
from longdwm_env.types import LOOKS, ActorTracks, Images

FORMAT = "longdwm-drive"
FASTEST = [cv2.IMWRITE_PNG_COMPRESSION, 1]
"""Lossless WebP is half as large, but takes longer to write than mini takes to drive."""
_MOTION = ("poses", "speeds_mps", "yaw_rates_radps", "seconds", "memory_mb")
_ACTORS = ("actors.poses", "actors.sizes_m", "actors.speeds_mps")


class DriveStore:
    """A folder of drives: ``<set>/<world>/<key>.safetensors``.

    Args:
        folder: made where it does not exist.
        versions: for the name of each world, what its drives depend on, such as a hash of its weights; drives of
            another version are kept apart.
    """

    def __init__(self, folder: Path, versions: dict[str, str]) -> None:
        self.folder, self.versions = folder, versions

    def path(self, drives: str, world: str, key: str) -> Path:
        """Where a drive is, or would be."""
        return self.folder / drives / f"{file_name(world)}-{self.versions[world]}" / f"{key}.safetensors"

    def read(self, drives: str, world: str, key: str) -> Drive | None:
        """A drive; None where there is none.

        Raises:
            InvalidConfig: the file is damaged.
        """
        path = self.path(drives, world, key)
        return read_drive(path) if path.exists() else None

    def write(self, drives: str, world: str, key: str, drive: Drive) -> None:
        """Keep a drive."""
        write_drive(self.path(drives, world, key), drive)

    def refusal(self, drives: str, world: str, key: str) -> str | None:
        """Why there is no such drive and will be none; None where it was not tried, or there is one."""
        path = self.path(drives, world, key).with_suffix(".json")
        return str(json.loads(path.read_text())["refused"]) if path.exists() else None

    def reject(self, drives: str, world: str, key: str, reason: str) -> None:
        """Keep that there is no such drive."""
        atomic_write_json(self.path(drives, world, key).with_suffix(".json"), {"refused": reason})


def write_drive(path: Path, drive: Drive) -> None:
    """Write a drive to one safetensors file; its frames as PNG, a second at a time."""
    tensors = {name: np.ascontiguousarray(getattr(drive, name), np.float64) for name in _MOTION}
    if drive.actors is not None:
        actors = drive.actors
        tensors |= dict(zip(_ACTORS, (actors.poses, actors.sizes_m, actors.speeds_mps), strict=True))
        tensors |= {f"actors.{name}": array for name, array in actors.looks.items()}
    for number, first in enumerate(range(0, len(drive.frames), FRAMES_PER_INTERVAL)):
        tensors[f"frames.{number:04d}"] = _packed(drive.frames[first : first + FRAMES_PER_INTERVAL])
    record: dict[str, object] = {
        "seed": drive.seed,
        "world": drive.world,
        "kind": drive.kind,
        "action_mode": drive.action_mode,
        "prompt": drive.prompt,
        "camera": asdict(drive.camera),
        "actions": list(drive.actions),
        "actor_ids": None if drive.actors is None else list(drive.actors.ids),
    }
    tensors = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    atomic_write_bytes(path, save(tensors, {"format": FORMAT, "record": json.dumps(record, allow_nan=False)}))


def read_drive(path: Path) -> Drive:
    """Read what ``write_drive`` wrote.

    Raises:
        InvalidConfig: it is damaged or something else.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        record = json.loads(metadata["record"])
        height = record["camera"]["intrinsics"]["height_px"]
        frames = np.concatenate(
            [_unpacked(tensors[name], height) for name in sorted(tensors) if name.startswith("frames.")]
        )
        camera = camera_from_json(record["camera"])
        ids, actions = record.pop("actor_ids"), record.pop("actions")
        del record["camera"]
        poses, sizes_m, speeds_mps = (tensors.get(name, np.empty(0)) for name in _ACTORS)
        looks = {name: tensors[f"actors.{name}"] for name in LOOKS if f"actors.{name}" in tensors}
        actors = None if ids is None else ActorTracks(poses, sizes_m, speeds_mps, tuple(ids), **looks)
        motion = {name: tensors[name] for name in _MOTION}
        return Drive(camera=camera, actions=tuple(actions), frames=frames, actors=actors, **record, **motion)
    except (SafetensorError, OSError, LookupError, TypeError, ValueError) as error:
        raise InvalidConfig(f"{path} is no drive ({error}); delete it, and it is driven again") from error


def _packed(frames: Images) -> np.ndarray:
    """Frames (T, H, W, 3), one above the other, as the bytes of a picture, which is only read back here."""
    # For that, the order of its channels does not matter.
    tall = np.ascontiguousarray(frames).reshape(-1, *frames.shape[2:])
    done, data = cv2.imencode(".png", tall, FASTEST)
    if not done:
        raise OSError("cannot encode frames as PNG")
    return np.asarray(data).reshape(-1)


def _unpacked(data: np.ndarray, height: int) -> Images:
    tall = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if tall is None:
        raise ValueError("its frames cannot be decoded")
    return np.asarray(tall.reshape(-1, height, *tall.shape[1:]), np.uint8)
