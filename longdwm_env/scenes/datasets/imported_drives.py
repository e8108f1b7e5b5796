"""A drive of another data set, and how it is written in the form that training reads."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from longdwm_env.clock import FPS
from longdwm_env.errors import InvalidScene
from longdwm_env.io.files import atomic_write_json
from longdwm_env.io.video import VideoWriter
from longdwm_env.scenes.ego_motion.poses_file import SUFFIX
from longdwm_env.scenes.media.sidecar import FILE_SUFFIX
from longdwm_env.scenes.media.video_frames import MAX_VIDEO_S
from longdwm_env.types import Camera, FloatArray

FAR_M = 1e9
"""No car is so far from any origin; differences of larger numbers may be none."""


@dataclass(frozen=True)
class ForeignDrive:
    """One drive as a data set holds it.

    Attributes:
        name: for its files; distinct in its data set.
        times_s: (T,) of its pictures, from 0.
        frames: gives the pictures uint8 (h, w, 3) at some of them, by ascending index.
        poses: (T, 3) of the rear axle at the same times, in any frame; None where they are not known.
        camera: that took the pictures; None where it is not known.
    """

    name: str
    times_s: FloatArray
    frames: Callable[[list[int]], Iterator[NDArray[np.uint8]]]
    poses: FloatArray | None = None
    camera: Camera | None = None
    prompt: str = ""
    source: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        times = np.asarray(self.times_s, np.float64)
        if len(times) < 2 or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            raise InvalidScene(f"{self.name}: needs two or more pictures at ascending times")
        long_s = times[-1] - times[0]
        if long_s > MAX_VIDEO_S:
            raise InvalidScene(f"{self.name}: lasts {long_s:,.0f} s, at most {MAX_VIDEO_S:,.0f} s are allowed: cut it")
        if self.poses is not None and (self.poses.shape != (len(times), 3) or not (np.abs(self.poses) < FAR_M).all()):
            raise InvalidScene(f"{self.name}: needs one pose below {FAR_M:g} for each of its {len(times)} pictures")


def write_drive(drive: ForeignDrive, folder: Path) -> float:
    """Write ``NAME.mp4`` at the clock's rate, ``NAME.poses.json`` and ``NAME.camera.json``; gives its seconds.

    Raises:
        InvalidScene: a picture cannot be read, or has another size than the first.
    """
    times = np.asarray(drive.times_s, np.float64) - drive.times_s[0]
    count = int(times[-1] * FPS + 1e-6) + 1
    ticks = np.arange(count) / FPS
    after = np.searchsorted(times, ticks).clip(1, len(times) - 1)
    nearest = np.where(ticks - times[after - 1] <= times[after] - ticks, after - 1, after)
    video = folder / f"{drive.name}.mp4"
    wanted = sorted(set(nearest.tolist()))
    pictures = iter(zip(wanted, drive.frames(wanted), strict=True))
    index, picture = next(pictures)
    size = (picture.shape[0], picture.shape[1])
    with VideoWriter(video, size, FPS, scale=1) as writer:
        for tick in nearest.tolist():
            while index < tick:
                index, picture = next(pictures)
            if picture.shape[:2] != size:
                raise InvalidScene(f"{drive.name}: picture {index} has another size than the first")
            writer.write(np.ascontiguousarray(picture))
    if drive.poses is not None:
        write_known_poses(video.with_suffix(SUFFIX), times, drive.poses, count, drive.source)
    entries: dict[str, object] = {}
    if drive.camera is not None:
        # Video codecs need even sides: the last row and column are repeated where they are not.
        height, width = (side + side % 2 for side in size)
        entries["intrinsics"] = asdict(replace(drive.camera.intrinsics, width_px=width, height_px=height))
        entries["mounting"] = asdict(drive.camera.mounting)
    if drive.prompt:
        entries["prompt"] = drive.prompt
    if entries:
        atomic_write_json(folder / f"{drive.name}{FILE_SUFFIX}", entries)
    return float(times[-1])


def write_known_poses(
    path: Path, times_s: FloatArray, poses: FloatArray, count: int, source: Mapping[str, object]
) -> None:
    """Resample measured poses to the clock's frames and write them, in the ego frame of the first."""
    ticks = np.arange(count) / FPS
    x, y, heading = (np.interp(ticks, times_s, column) for column in (*poses[:, :2].T, np.unwrap(poses[:, 2])))
    cos, sin = np.cos(heading[0]), np.sin(heading[0])
    ahead, left = cos * (x - x[0]) + sin * (y - y[0]), cos * (y - y[0]) - sin * (x - x[0])
    turned = heading - heading[0]
    rates = [np.gradient(values) * FPS if count > 1 else np.zeros(1) for values in (ahead, left, turned)]
    speeds = rates[0] * np.cos(turned) + rates[1] * np.sin(turned)
    atomic_write_json(
        path,
        {
            "times_s": ticks.tolist(),
            "poses": np.stack([ahead, left, turned], axis=1).round(5).tolist(),
            "speeds_mps": speeds.round(4).tolist(),
            "yaw_rates_radps": rates[2].round(5).tolist(),
            "confidence": [1.0] * count,
            "cuts_s": [],
            "from": {"method": "data set", **source},
        },
    )
