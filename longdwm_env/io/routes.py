"""Long paths to drive without an agent: named presets, and pose files in three formats."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from longdwm_env.clock import FPS, FRAMES_PER_HORIZON
from longdwm_env.errors import InvalidConfig
from longdwm_env.io.names import is_there
from longdwm_env.types import FloatArray, frozen_array, wrap_angle

KITTI_FPS = 10.0
MAX_FILE_BYTES = 64 * 2**20
MAX_FILE_S = 24 * 3600.0


@dataclass(frozen=True)
class Route:
    """A path of the rear axle at the frame times.

    Attributes:
        poses: (N, 3) x m, y m, heading rad; the first is now. In the ego frame of the start.
    """

    name: str
    poses: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "poses", frozen_array(self.poses))
        if self.poses.ndim != 2 or self.poses.shape[1] != 3 or len(self.poses) < 2 or not np.isfinite(self.poses).all():
            raise InvalidConfig(f"a route is two or more finite poses (N, 3), got shape {self.poses.shape}")

    def poses_at(self, frames: NDArray[np.int64]) -> FloatArray:
        """Poses (N, 3) at frames (N,), each at least 0; after its end the route goes straight on at its last speed."""
        last = len(self.poses) - 1
        beyond = np.maximum(frames - last, 0)[:, None]
        ending = np.append(self.poses[last, :2] - self.poses[last - 1, :2], 0.0)
        return self.poses[np.minimum(frames, last)] + beyond * ending


def _drive(
    seconds: float, speed_mps: Callable[[float], float], curvature_per_m: Callable[[float], float]
) -> FloatArray:
    """Integrate speed and curvature over time; (N, 3) poses, one horizon longer than asked."""
    poses = [np.zeros(3)]
    substeps = 4
    step_s = 1 / (FPS * substeps)
    for frame in range(round(seconds * FPS) + FRAMES_PER_HORIZON):
        x, y, heading = poses[-1]
        for substep in range(substeps):
            time = frame / FPS + (substep + 0.5) * step_s
            distance = speed_mps(time) * step_s
            turn = curvature_per_m(time) * distance
            x += distance * math.cos(heading + turn / 2)
            y += distance * math.sin(heading + turn / 2)
            heading += turn
        poses.append(np.array([x, y, heading]))
    return np.array(poses)


def _ease(time: float, begin: float, end: float) -> float:
    """0 before ``begin``, 1 after ``end``, smooth between."""
    fraction = min(1.0, max(0.0, (time - begin) / (end - begin)))
    return fraction * fraction * (3 - 2 * fraction)


def _from_speed(start_mps: float, cruise: Callable[[float], float]) -> Callable[[float], float]:
    def speed(time: float) -> float:
        change = PRESET_ACCELERATION_MPS2 * time
        return min(max(cruise(time), start_mps - change), start_mps + change)

    return speed


PRESETS: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "straight": (lambda t: 8.0, lambda t: 0.0),
    "left": (lambda t: 7.0, lambda t: 0.03 * _ease(t, 1, 2) * (1 - _ease(t, 7, 8))),
    "right": (lambda t: 7.0, lambda t: -0.03 * _ease(t, 1, 2) * (1 - _ease(t, 7, 8))),
    "slalom": (lambda t: 7.0, lambda t: 0.02 * math.sin(2 * math.pi * t / 6) * _ease(t, 0, 1)),
    "stop": (lambda t: 8.0 * (1 - _ease(t, 3, 7)), lambda t: 0.0),
}
"""Speed (m/s) and curvature (1/m) over time (s)."""

PRESET_ACCELERATION_MPS2 = 2.5


def open_route(name_or_path: str | Path, seconds: float, start_speed_mps: float | None = None) -> Route:
    """A preset by name, or a pose file.

    Args:
        name_or_path: one of ``PRESETS``, or a file that ``read_poses`` understands.
        seconds: length of a preset; a file is as long as it is.
        start_speed_mps: a preset starts at this speed and changes to its own at 2.5 m/s2; None starts at its own.

    Raises:
        InvalidConfig: neither a preset nor a readable pose file; the message lists the presets and formats.
    """
    if str(name_or_path) in PRESETS:
        cruise, curvature = PRESETS[str(name_or_path)]
        speed = cruise if start_speed_mps is None else _from_speed(start_speed_mps, cruise)
        return Route(str(name_or_path), _drive(seconds, speed, curvature))
    path = Path(name_or_path)
    if not is_there(path) or not path.is_file():
        raise InvalidConfig(f"no trajectory {str(path)!r}: give a pose file, or one of {', '.join(PRESETS)}")
    return Route(path.stem, read_poses(path))


def read_poses(path: str | Path) -> FloatArray:
    """Poses of a drive, resampled to the frame times, (N, 3) in the ego frame of the first.

    Formats, recognised by content:
        JSON ``{"times_s": [...], "poses": [[x m, y m, heading rad], ...]}``; without times, one pose a frame.
        KITTI odometry: 12 numbers a row, the camera's 3x4 pose, 10 rows a second.
        TUM: ``time tx ty tz qx qy qz qw`` of the camera, ``#`` starts a comment.

    Raises:
        InvalidConfig: the file is none of these; the message names the row.
    """
    path = Path(path)
    if path.stat().st_size > MAX_FILE_BYTES:
        raise InvalidConfig(f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB, which no pose file is")
    try:
        text = path.read_text()
    except UnicodeDecodeError as error:
        raise InvalidConfig(f"{path}: not a text file ({error})") from error
    times, poses = _parse_json(path, text) if text.lstrip().startswith(("{", "[")) else _parse_rows(path, text)
    if len(poses) < 2 or not np.isfinite(poses).all() or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise InvalidConfig(f"{path}: needs two or more finite poses at increasing times")
    if not 1 / FPS <= times[-1] - times[0] <= MAX_FILE_S:
        raise InvalidConfig(f"{path}: poses over {times[-1] - times[0]:g} s; from one frame to a day is allowed")
    return _resample(times - times[0], poses)


def _parse_json(path: Path, text: str) -> tuple[FloatArray, FloatArray]:
    try:
        content = json.loads(text)
        poses = np.array(content["poses"] if isinstance(content, dict) else content, dtype=np.float64)
        given = content.get("times_s") if isinstance(content, dict) else None
        times = np.arange(len(poses)) / FPS if given is None else np.array(given, dtype=np.float64)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidConfig(f"{path}: not a pose file in JSON ({type(error).__name__}: {error})") from error
    if poses.ndim != 2 or poses.shape[1] != 3 or times.shape != (len(poses),):
        raise InvalidConfig(
            f"{path}: poses are rows of x, y, heading and as many times, got {poses.shape}, {times.shape}"
        )
    return times, poses


def _parse_rows(path: Path, text: str) -> tuple[FloatArray, FloatArray]:
    rows: list[list[float]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            rows.append([float(word) for word in line.replace(",", " ").split()])
        except ValueError as error:
            raise InvalidConfig(f"{path}, line {number}: {error}") from error
        if len(rows[-1]) not in (8, 12) or len(rows[-1]) != len(rows[0]):
            raise InvalidConfig(f"{path}, line {number}: {len(rows[-1])} numbers; KITTI has 12 and TUM 8 in every row")
    if not rows:
        raise InvalidConfig(f"{path}: no poses in it")
    table = np.array(rows, dtype=np.float64)
    if table.shape[1] == 12:
        matrices = table.reshape(-1, 3, 4)
        return np.arange(len(table)) / KITTI_FPS, _planar(matrices[:, :, 3], matrices[:, :, 2])
    x, y, z, w = table[:, 4:].T
    forward = np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], axis=1)
    return table[:, 0], _planar(table[:, 1:4], forward)


def _planar(positions: FloatArray, forward: FloatArray) -> FloatArray:
    """Camera positions and viewing directions (OpenCV) as poses on the ground (x forward, y left)."""
    heading = np.arctan2(-forward[:, 0], forward[:, 2])
    poses = np.stack([positions[:, 2], -positions[:, 0], heading], axis=1)
    offsets = poses[:, :2] - poses[0, :2]
    cosine, sine = math.cos(heading[0]), math.sin(heading[0])
    poses[:, :2] = offsets @ np.array([[cosine, -sine], [sine, cosine]])
    poses[:, 2] = wrap_angle(heading - heading[0])
    return poses


def _resample(times: FloatArray, poses: FloatArray) -> FloatArray:
    frame_times = np.arange(int(times[-1] * FPS + 1e-9) + 1) / FPS
    columns = (poses[:, 0], poses[:, 1], np.unwrap(poses[:, 2]))
    return np.stack([np.interp(frame_times, times, column) for column in columns], axis=1)
