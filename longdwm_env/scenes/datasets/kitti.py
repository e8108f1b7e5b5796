"""KITTI as it is downloaded: raw drives (``DATE_drive_0001_sync``) and the odometry sequences.

Poses are those of the GPS unit, which sits above the rear axle (raw), or of the left camera (odometry), moved back to
the rear axle. The road is taken to be level.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np

from longdwm_env.errors import InvalidScene
from longdwm_env.scenes.datasets.imported_drives import ForeignDrive
from longdwm_env.scenes.datasets.picture_folder import frames_of
from longdwm_env.scenes.media.image_file import read_image
from longdwm_env.types import FORWARD_WXYZ, Camera, FloatArray, Intrinsics, Mounting

CAMERA_AHEAD_M, CAMERA_HEIGHT_M = 1.13, 1.65
"""Of KITTI's left camera, from its setup drawing."""
_EARTH_M = 6_378_137.0
_MOUNTING = Mounting((CAMERA_AHEAD_M, 0.0, CAMERA_HEIGHT_M), FORWARD_WXYZ)


def raw_drives(path: Path, camera: str | None) -> Iterator[Callable[[], ForeignDrive]]:
    """Every ``*_sync`` folder at or below a folder."""
    camera = camera or "image_02"
    folders = [path] if (path / camera).is_dir() else sorted(f for f in path.rglob("*_sync") if f.is_dir())
    if not folders:
        raise InvalidScene(f"{path} holds no KITTI raw drive (a folder such as 2011_09_26_drive_0001_sync)")
    for folder in folders:
        yield partial(_raw, folder, camera)


def odometry_drives(path: Path, camera: str | None) -> Iterator[Callable[[], ForeignDrive]]:
    """Every sequence below ``sequences``."""
    camera = camera or "image_2"
    folders = sorted(f for f in (path / "sequences").glob("*") if f.is_dir())
    if not folders:
        raise InvalidScene(f"{path} holds no KITTI odometry sequence (sequences/00 with image_2, calib.txt, times.txt)")
    for folder in folders:
        # The grey cameras are a download of their own.
        name = camera if (folder / camera).is_dir() else "image_0"
        yield partial(_sequence, folder, name)


def _raw(folder: Path, camera: str) -> ForeignDrive:
    paths = _images(folder / camera / "data")
    stamps = [_seconds(line) for line in _lines(folder / camera / "timestamps.txt")]
    if len(stamps) < len(paths):
        raise InvalidScene(f"{folder}: {len(paths)} images and {len(stamps)} timestamps")
    times = np.array([stamps[int(path.stem)] for path in paths])
    poses = None
    if (folder / "oxts" / "data").is_dir():
        packets = sorted((folder / "oxts" / "data").glob("*.txt"))
        rows = np.array([_numbers(" ".join(_lines(packet)), packet)[:6] for packet in packets])
        oxts_s = np.array([_seconds(line) for line in _lines(folder / "oxts" / "timestamps.txt")])[: len(rows)]
        if len(oxts_s) < 2 or len(oxts_s) != len(rows) or rows.shape[1] != 6:
            raise InvalidScene(f"{folder}/oxts: {len(rows)} packets and {len(oxts_s)} timestamps")
        poses = _at(times, oxts_s, _mercator(rows))
    calibration = folder.parent / "calib_cam_to_cam.txt"
    key = f"P_rect_{camera.removeprefix('image_')}"
    return _drive(folder.name, times, paths, poses, calibration, key, {"kind": "kitti-raw", "camera": camera})


def _sequence(folder: Path, camera: str) -> ForeignDrive:
    paths = _images(folder / camera)
    times = _numbers(" ".join(_lines(folder / "times.txt")), folder / "times.txt")[: len(paths)]
    poses = None
    file = folder.parent.parent / "poses" / f"{folder.name}.txt"
    if file.is_file():
        rows = np.array([_numbers(line, file) for line in _lines(file)])
        if rows.ndim != 2 or rows.shape[1] != 12 or len(rows) < len(paths):
            raise InvalidScene(f"{file}: needs 12 numbers for each of {len(paths)} images, has {rows.shape}")
        cameras = rows[: len(paths)].reshape(-1, 3, 4)
        heading = np.arctan2(-cameras[:, 0, 2], cameras[:, 2, 2])
        seat = np.stack([cameras[:, 2, 3], -cameras[:, 0, 3]], axis=1)
        axle = seat - CAMERA_AHEAD_M * np.stack([np.cos(heading), np.sin(heading)], axis=1)
        poses = np.column_stack([axle, heading])
    key = f"P{camera.removeprefix('image_')}"
    source = {"kind": "kitti-odometry", "camera": camera}
    return _drive(f"kitti-odometry-{folder.name}", times, paths, poses, folder / "calib.txt", key, source)


def _drive(
    name: str,
    times: FloatArray,
    paths: list[Path],
    poses: FloatArray | None,
    calibration: Path,
    key: str,
    source: dict[str, str],
) -> ForeignDrive:
    known = None
    if calibration.is_file():
        for line in _lines(calibration):
            if line.startswith(f"{key}:"):
                matrix = _numbers(line.split(":", 1)[1], calibration)
                if len(matrix) != 12:
                    raise InvalidScene(f"{calibration}: {key} has {len(matrix)} numbers, not 12")
                height, width = read_image(paths[0]).shape[:2]
                known = Camera(Intrinsics.from_matrix(matrix.reshape(3, 4)[:, :3], (height, width)), _MOUNTING)
    return ForeignDrive(name, times - times[0], frames_of(paths), poses, known, source=source)


def _images(folder: Path) -> list[Path]:
    paths = sorted(path for path in folder.glob("*") if path.suffix in (".png", ".jpg") and path.stem.isdigit())
    if len(paths) < 2:
        raise InvalidScene(f"{folder} holds fewer than two numbered images")
    return paths


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidScene(f"{path} cannot be read: {error}") from error


def _numbers(text: str, path: Path) -> FloatArray:
    try:
        return np.array([float(word) for word in text.split()])
    except ValueError as error:
        raise InvalidScene(f"{path}: {error}") from error


def _seconds(line: str) -> float:
    try:
        # Nanoseconds are more than Python's dates hold.
        return datetime.fromisoformat(line[:26]).timestamp()
    except ValueError as error:
        raise InvalidScene(f"a timestamp is {line!r}: {error}") from error


def _mercator(rows: FloatArray) -> FloatArray:
    """Latitude, longitude and yaw (degrees, degrees, rad from east) as poses, by KITTI's own projection."""
    scale = np.cos(np.radians(rows[0, 0])) * _EARTH_M
    east, north = scale * np.radians(rows[:, 1]), scale * np.log(np.tan(np.radians(90 + rows[:, 0]) / 2))
    return np.stack([east - east[0], north - north[0], np.unwrap(rows[:, 5])], axis=1)


def _at(times: FloatArray, known_s: FloatArray, poses: FloatArray) -> FloatArray:
    return np.stack([np.interp(times, known_s, column) for column in poses.T], axis=1)
