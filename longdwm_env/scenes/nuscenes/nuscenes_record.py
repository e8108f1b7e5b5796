"""What nuScenes recorded around a start: front camera frames, ego motion and boxes, on our 12 fps clock."""

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from longdwm_env.clock import FPS, FRAME_S
from longdwm_env.errors import InvalidScene, LongDWMError
from longdwm_env.io.names import inside
from longdwm_env.scenes.media.image_file import read_image
from longdwm_env.scenes.nuscenes.schema_tables import Record, read_table
from longdwm_env.scenes.recorded_log import RecordedLog
from longdwm_env.types import ROAD_USER_CLASSES, ActorTracks, FloatArray, frozen_array, wrap_angle

if TYPE_CHECKING:
    from nuscenes import NuScenes

CAMERA_CHANNEL = "CAM_FRONT"

MAX_GAP_S = 0.3
"""Longest time between two images of one continuous record: three frames at KITTI's 10 Hz."""

MAX_BOX_GAP_S = 1.2
"""Longest time between two annotations of an object over which it is interpolated: one sample left out at 2 Hz."""

MOTION_WINDOW_S = 0.5
"""Poses this far before and after a moment are smoothed for its speed, acceleration and yaw rate."""

# A rack's box is an area that bicycles stand in, not a body to collide with.
_NO_BODY = ("static_object.bicycle_rack",)
_OTHER = ROAD_USER_CLASSES.index("other")


@contextmanager
def reading(folder: Path, scene: str = "") -> Iterator[None]:
    """Turn what broken records run into (absent tokens, wrong types, impossible numbers) into ``InvalidScene``."""
    try:
        yield
    except LongDWMError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, AssertionError, OSError) as error:
        where = f"{folder}, scene {scene}" if scene else str(folder)
        raise InvalidScene(
            f"{where}: a record is broken ({type(error).__name__}: {error}); `longdwm data check` lists what is wrong"
        ) from error


@dataclass(frozen=True)
class Recording:
    """The front camera's frames of one nuScenes scene, as recorded.

    Attributes:
        times_us: (N,) int64, ascending.
        poses: (N, 3) x m, y m, heading rad (unwrapped) of the ego at each image, in the map's frame.
    """

    paths: tuple[Path, ...]
    times_us: NDArray[np.int64]
    poses: FloatArray

    def motion_at(self, frame: int) -> tuple[float, float, float]:
        """(speed m/s, acceleration m/s2, yaw rate rad/s) at a frame, from parabolas fitted to the poses nearby."""
        times = (self.times_us - self.times_us[frame]) * 1e-6
        near = np.abs(times) <= MOTION_WINDOW_S + FRAME_S / 2
        if near.sum() < 2:
            return 0.0, 0.0, 0.0
        degree = 2 if near.sum() >= 4 else 1
        powers = np.vander(times[near], degree + 1, increasing=True)
        coefficients = np.linalg.lstsq(powers, self.poses[near], rcond=None)[0]
        heading = self.poses[frame, 2]
        ahead = np.array([math.cos(heading), math.sin(heading)])
        acceleration = 2 * float(coefficients[2, :2] @ ahead) if degree == 2 else 0.0
        return float(coefficients[1, :2] @ ahead), acceleration, float(coefficients[1, 2])


def read_recording(nusc: "NuScenes", dataroot: Path, frames: Sequence[Record]) -> Recording:
    """The recording of front camera records that are sorted by time."""
    times = np.array([int(frame["timestamp"]) for frame in frames], np.int64)
    ego = [nusc.get("ego_pose", frame["ego_pose_token"]) for frame in frames]
    positions = np.array([pose["translation"][:2] for pose in ego], np.float64).reshape(-1, 2)
    headings = np.unwrap([yaw_from_quaternion(pose["rotation"]) for pose in ego])
    poses = np.column_stack([positions, headings])
    if not np.isfinite(poses).all():
        raise ValueError("an ego pose is not finite")
    paths = tuple(inside(dataroot, frame["filename"]) for frame in frames)
    return Recording(paths, frozen_array(times, np.int64), frozen_array(poses))


def yaw_from_quaternion(rotation_wxyz: Sequence[float]) -> float:
    """Heading about z of a unit quaternion, rad."""
    w, x, y, z = (float(v) for v in rotation_wxyz)
    if not abs(w * w + x * x + y * y + z * z - 1) < 1e-2:
        raise ValueError(f"{list(rotation_wxyz)} is not a unit quaternion")
    return math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


class NuScenesLog(RecordedLog):
    """The recording around one of its frames, resampled to the 12 fps clock.

    Frame i shows the image nearest in time to i / 12 s after the start; the record ends where more than ``MAX_GAP_S``
    is missing. ``ego_poses`` are interpolated at the clock's times, so that they are smooth;
    those at which the images shown were taken differ by up to half a frame of motion.
    """

    def __init__(self, recording: Recording, start: int) -> None:
        """A log about one moment of a recording."""
        gaps = np.flatnonzero(np.diff(recording.times_us) > MAX_GAP_S * 1e6)
        begin = int(gaps[gaps < start].max() + 1) if (gaps < start).any() else 0
        end = int(gaps[gaps >= start].min() + 1) if (gaps >= start).any() else len(recording.times_us)
        times_s = (recording.times_us[begin:end] - recording.times_us[start]) * 1e-6
        num_past, num_future = int(-times_s[0] * FPS + 0.5), int(times_s[-1] * FPS + 0.5)
        clock_s = np.arange(-num_past, num_future + 1) * FRAME_S
        after = np.searchsorted(times_s, clock_s).clip(1, max(1, len(times_s) - 1))
        before = np.minimum(after - 1, len(times_s) - 1)
        after = np.minimum(after, len(times_s) - 1)
        nearest = np.where(clock_s - times_s[before] <= times_s[after] - clock_s, before, after)
        poses = recording.poses[begin:end]
        smooth = np.column_stack([np.interp(clock_s, times_s, column) for column in poses.T])
        smooth[:, 2] = wrap_angle(smooth[:, 2])
        super().__init__(num_past, num_future, smooth)
        self._start_us = int(recording.times_us[start])
        self._paths = recording.paths[begin:end]
        self._nearest = nearest
        self.frames_shown = frozen_array(nearest + begin, np.int64)
        """(num_past + 1 + num_future,) which frame of the recording each frame of the clock shows."""

    def times_us(self) -> FloatArray:
        """(num_past + 1 + num_future,) times of the clock, in the dataset's microseconds."""
        return self._start_us + np.arange(-self.num_past, self.num_future + 1) * (FRAME_S * 1e6)

    def refuse_missing_files(self) -> None:
        """Raise ``InvalidScene`` if an image of the record is not there, before anything starts."""
        missing = [path for path in self._paths if not path.is_file()]
        if missing:
            hint = "; sweeps are a download of their own" if any("sweeps" in path.parts for path in missing) else ""
            raise InvalidScene(f"{missing[0]} is missing, and {len(missing) - 1} more images of its scene{hint}")

    def decode(self, positions: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield the images nearest to the positions' times; an image that serves two is decoded once."""
        path, image = None, None
        for position in positions:
            wanted = self._paths[self._nearest[position]]
            if image is None or wanted != path:
                path, image = wanted, read_image(wanted)
            yield position, image


def actor_tracks(nusc: "NuScenes", scene_token: str, times_us: FloatArray) -> ActorTracks | None:
    """Boxes of one scene at the given times, interpolated between keyframes; None if the dataset has no annotations.

    Args:
        nusc: the devkit's database.
        scene_token: which scene.
        times_us: (T,) microseconds.
    """
    if not nusc.sample_annotation:
        return None
    seen: dict[str, list[tuple[int, Record]]] = {}
    for sample in nusc.sample:
        if sample["scene_token"] == scene_token:
            for token in sample["anns"]:
                annotation = nusc.get("sample_annotation", token)
                if annotation["category_name"] not in _NO_BODY:
                    seen.setdefault(annotation["instance_token"], []).append((int(sample["timestamp"]), annotation))
    tracks = [_track(sorted(seen[token], key=lambda pair: pair[0]), times_us) for token in seen]
    present = [i for i, (poses, _, _) in enumerate(tracks) if np.isfinite(poses).any()]
    tracks, ids = [tracks[i] for i in present], [list(seen)[i] for i in present]
    if not tracks:
        empty = np.zeros((len(times_us), 0))
        return ActorTracks(np.zeros((len(times_us), 0, 3)), np.zeros((0, 3)), empty, ())
    poses, sizes, speeds = zip(*tracks, strict=True)
    classes = np.array([_class_of(seen[token][0][1]["category_name"]) for token in ids], np.uint8)
    return ActorTracks(np.stack(poses, 1), np.stack(sizes), np.stack(speeds, 1), tuple(ids), classes)


def _class_of(category: str) -> int:
    """Index into ``ROAD_USER_CLASSES`` of a category of nuScenes, such as "vehicle.bus.rigid"."""
    parts = category.split(".")
    name = {"human": "pedestrian", "trailer": "truck", "construction": "truck"}
    found = [name.get(part, part) for part in parts]
    return next((ROAD_USER_CLASSES.index(part) for part in found if part in ROAD_USER_CLASSES), _OTHER)


def _track(
    annotations: Sequence[tuple[int, Record]], times_us: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Poses (T, 3), size (3,) and speeds (T,) of one object."""
    times = np.array([time for time, _ in annotations], np.float64)
    positions = np.array([a["translation"][:2] for _, a in annotations], np.float64).reshape(-1, 2)
    headings = np.unwrap([yaw_from_quaternion(a["rotation"]) for _, a in annotations])
    width, length, height = (float(v) for v in annotations[0][1]["size"])
    speeds = np.zeros(len(times))
    if len(times) > 1:
        if (np.diff(times) <= 0).any():
            raise ValueError("an object is annotated twice in one sample")
        velocity = np.gradient(positions, times * 1e-6, axis=0)
        speeds = velocity[:, 0] * np.cos(headings) + velocity[:, 1] * np.sin(headings)
    columns = [positions[:, 0], positions[:, 1], headings, speeds]
    track = np.column_stack([np.interp(times_us, times, column) for column in columns])
    if not np.isfinite(track).all() or not min(width, length, height) > 0:
        raise ValueError("a box is not finite, or has no size")
    half_frame_us = FRAME_S * 0.5e6
    after = np.searchsorted(times, times_us).clip(0, len(times) - 1)
    before = np.maximum(after - 1, 0)
    absent = (times_us < times[0] - half_frame_us) | (times_us > times[-1] + half_frame_us)
    absent |= (times[after] - times[before] > MAX_BOX_GAP_S * 1e6) & (np.abs(times[after] - times_us) > half_frame_us)
    track[:, 2] = wrap_angle(track[:, 2])
    track[absent] = np.nan
    return track[:, :3], np.array([length, width, height]), track[:, 3]


def motion_from_can_bus(dataroot: Path, scene_name: str, time_us: int) -> tuple[float, float, float] | None:
    """(speed, acceleration, yaw rate) that the car measured at a moment, or None where there is no CAN bus record.

    Averaged over 0.1 s before and after.
    """
    messages = can_bus_motion(dataroot, scene_name)
    near = messages[np.abs(messages[:, 0] - time_us) <= 0.1e6]
    if not len(near):
        return None
    speed, acceleration, yaw_rate = near[:, 1:].mean(axis=0)
    return float(speed), float(acceleration), float(yaw_rate)


def can_bus_motion(dataroot: Path, scene_name: str) -> FloatArray:
    """(N, 4) time us, speed m/s, acceleration m/s2 and yaw rate rad/s of a scene; no rows where nothing was recorded.

    The ``pose`` messages of the CAN bus expansion: 50 Hz, in the ego's frame. A file is all right, or not used at all.

    Raises:
        InvalidScene: the file is damaged, or a message in it.
    """
    path = dataroot / "can_bus" / f"{scene_name}_pose.json"
    if not re.fullmatch(r"scene-\d{4}", scene_name) or not path.is_file():
        return np.zeros((0, 4))
    from nuscenes.can_bus.can_bus_api import NuScenesCanBus

    if int(scene_name[-4:]) in NuScenesCanBus(dataroot=str(dataroot)).can_blacklist:
        return np.zeros((0, 4))
    rows = []
    for index, message in enumerate(read_table(path, list)):
        try:
            row = [message["utime"], message["vel"][0], message["accel"][0], message["rotation_rate"][2]]
            rows.append([float(value) for value in row])
            if not all(map(math.isfinite, rows[-1])):
                raise ValueError("a number that is not finite")
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            said = f"{type(error).__name__}: {error}"
            raise InvalidScene(f"{path}: message {index} is damaged ({said}); mend it or remove the file") from error
    return np.array(rows, np.float64).reshape(-1, 4)
