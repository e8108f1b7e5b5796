import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from longdwm_env.clock import FPS
from longdwm_env.scenes.footage_chunks import Clip, FootageChunk
from longdwm_env.scenes.nuscenes.export import export_nuscenes
from longdwm_env.types import ActorTracks, Camera, Intrinsics, LaneFit, Mounting

SIZE = (48, 72)


@dataclass(frozen=True)
class Bend:
    """A road 8 m wide along a circle of 100 m about (0, 100)."""

    def drivable(self, points_m):
        return np.abs(np.hypot(points_m[:, 0], points_m[:, 1] - 100.0) - 100.0) <= 4.0

    def fit_lanes(self, poses):
        unknown = np.full(len(poses), np.nan)
        return LaneFit(unknown, unknown, unknown)


def bend_pose(time_s: float, speed_mps: float, start_m: float = 0.0) -> tuple[float, float, float]:
    angle = (start_m + speed_mps * time_s) / 100.0
    return 100.0 * math.sin(angle), 100.0 - 100.0 * math.cos(angle), angle


def frame_picture(frame: int) -> np.ndarray:
    """Grey says which frame it is; the coloured corners say which way up."""
    image = np.full((*SIZE, 3), 20 + 2 * frame, np.uint8)
    image[:8, :8] = (255, 0, 0)
    image[-8:, -8:] = (0, 0, 255)
    return image


def truth(num_frames: int) -> tuple[np.ndarray, ActorTracks]:
    """Ego at 10 m/s; a car ahead at 12 m/s, a parked truck, and a car that is there for a second only."""
    times = np.arange(num_frames) / FPS
    ego = np.array([bend_pose(t, 10.0) for t in times])
    poses = np.full((num_frames, 3, 3), np.nan)
    poses[:, 0] = [bend_pose(t, 12.0, 15.0) for t in times]
    poses[:, 1] = bend_pose(0, 0, 40.0)
    poses[12:25, 2] = [bend_pose(t, 8.0, 30.0) for t in times[12:25]]
    speeds = np.tile([12.0, 0.0, 8.0], (num_frames, 1))
    return ego, ActorTracks(
        poses, [[4.6, 1.9, 1.5], [7.5, 2.5, 3.1], [4.2, 1.8, 1.4]], speeds, ("car", "truck", "brief")
    )


def fake_clip(number: int = 7, num_frames: int = 49) -> Clip:
    camera = Camera(Intrinsics.from_fov(1.2, SIZE), Mounting((1.6, 0.1, 1.4)))

    def chunks() -> Iterator[FootageChunk]:
        ego, actors = truth(num_frames)
        for first in range(0, num_frames, 12):
            part = slice(first, min(first + 12, num_frames))
            images = np.stack([frame_picture(i) for i in range(part.start, part.stop)])
            tracks = ActorTracks(actors.poses[part], actors.sizes_m, actors.speeds_mps[part], actors.ids)
            yield FootageChunk(images, ego[part], tracks)

    return Clip(number, camera, "Weather: sunny.\nTime: daytime.", Bend(), chunks())


@pytest.fixture(scope="session")
def _exported(tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "dataset"
    export_nuscenes([fake_clip(7), fake_clip(8, num_frames=37)], out)
    return out


@pytest.fixture
def dataset(_exported, tmp_path):
    """A dataroot of one's own to read and to break."""
    return Path(shutil.copytree(_exported, tmp_path / "dataset"))


@pytest.fixture(scope="session")
def shared_dataset(_exported):
    """A dataroot that is only read."""
    return _exported


def write_video(path: Path, num_frames: int = 75, fps: int = 30, size: tuple[int, int] = (48, 64)) -> Path:
    """A video whose grey level is 20 + 2 * frame, for the first 110 frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "4", "g": "25"}
        for frame in range(num_frames):
            image = np.full((*size, 3), 20 + 2 * (frame % 110), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def make_video(tmp_path):
    def make(name: str = "drive.mp4", **options: int) -> Path:
        return write_video(tmp_path / name, **options)

    return make


@pytest.fixture
def photo(tmp_path):
    """120 x 90: left half red, right half blue."""
    image = np.zeros((90, 120, 3), np.uint8)
    image[:, :60], image[:, 60:] = (0, 0, 255), (255, 0, 0)
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), image)
    return path


@pytest.fixture
def camera():
    return Camera(Intrinsics.from_fov(1.1, (30, 40)))


@pytest.fixture(scope="session")
def scene_truth():
    return truth


@pytest.fixture(scope="session")
def make_clip():
    return fake_clip
