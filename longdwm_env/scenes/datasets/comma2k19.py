"""comma2k19: one-minute segments of a highway, each a folder with ``video.hevc`` and ``global_pose``."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from longdwm_env.errors import InvalidScene
from longdwm_env.scenes.datasets.imported_drives import ForeignDrive
from longdwm_env.scenes.media.video_frames import numbered_frames
from longdwm_env.types import FORWARD_WXYZ, Camera, FloatArray, Intrinsics, Mounting

FOCAL_PX, SIZE = 910.0, (874, 1164)
"""Of the EON's road camera."""
_MOUNTING = Mounting((1.7, 0.0, 1.22), FORWARD_WXYZ)


def comma_drives(path: Path, camera: str | None) -> Iterator[Callable[[], ForeignDrive]]:
    """Every folder at or below a folder that holds ``video.hevc``."""
    videos = sorted(path.rglob("video.hevc"))
    if not videos:
        raise InvalidScene(f"{path} holds no comma2k19 segment (a folder with video.hevc and global_pose)")
    for video in videos:
        yield partial(_segment, video, path)


def _segment(video: Path, root: Path) -> ForeignDrive:
    folder = video.parent / "global_pose"
    times = _array(folder / "frame_times", 1)
    positions, turns = _array(folder / "frame_positions", 2), _array(folder / "frame_orientations", 2)
    if not len(times) == len(positions) == len(turns) >= 2 or positions.shape[1] != 3 or turns.shape[1] != 4:
        raise InvalidScene(
            f"{folder}: times, positions and orientations are {len(times)}, {positions.shape}, {turns.shape}"
        )
    inside = video.parent.relative_to(root).parts or (video.parent.name,)
    height, width = SIZE
    return ForeignDrive(
        "comma2k19-" + "-".join(part.replace("|", "_").replace(" ", "_") for part in inside),
        times - times[0],
        lambda wanted: numbered_frames(video, wanted),
        _level_poses(positions, turns),
        Camera(Intrinsics(FOCAL_PX, FOCAL_PX, (width - 1) / 2, (height - 1) / 2, width, height), _MOUNTING),
        source={"kind": "comma2k19"},
    )


def _level_poses(positions: FloatArray, turns: FloatArray) -> FloatArray:
    """Poses (T, 3) of the rear axle from ECEF positions (T, 3) of the camera and quaternions wxyz of the device.

    The device's axes are forward, right, down; those of the first frame are the plane that the drive is laid into.
    """
    w, x, y, z = turns.T / np.linalg.norm(turns, axis=1)
    ahead = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)], axis=1)
    right = np.stack([2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)], axis=1)
    heading = np.unwrap(np.arctan2(-(ahead @ right[0]), ahead @ ahead[0]))
    moved = positions - positions[0]
    seat = np.stack([moved @ ahead[0], -(moved @ right[0])], axis=1)
    axle = seat - _MOUNTING.translation_m[0] * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    return np.column_stack([axle, heading])


def _array(path: Path, dimensions: int) -> NDArray[np.float64]:
    try:
        # Plain .npy files without the suffix; pickled ones are rejected. Mapped, a file gives no more than it holds.
        values = np.array(np.load(path, mmap_mode="r", allow_pickle=False), np.float64)
    except (OSError, ValueError, EOFError, TypeError, BadZipFile) as error:
        raise InvalidScene(f"{path} cannot be read: {error}") from error
    if values.ndim != dimensions:
        raise InvalidScene(f"{path} has {values.ndim} dimensions, not {dimensions}")
    return values
