"""One clip as files and records of the nuScenes schema."""

import hashlib
import math
from pathlib import Path

import cv2
import numpy as np

from longdwm_env.clock import FPS
from longdwm_env.errors import InvalidConfig
from longdwm_env.io.files import atomic_write_bytes
from longdwm_env.scenes.footage_chunks import Clip, FootageChunk
from longdwm_env.scenes.nuscenes.lidar import LIDAR_MOUNT_M, cast_rays
from longdwm_env.scenes.nuscenes.map_mask import MARGIN_M, draw_mask
from longdwm_env.scenes.nuscenes.nuscenes_record import CAMERA_CHANNEL
from longdwm_env.scenes.nuscenes.schema_tables import Record, Tables
from longdwm_env.types import ActorTracks, FloatArray

FRAMES_PER_SAMPLE = 6
"""nuScenes annotates at 2 Hz."""

LIDAR_CHANNEL = "LIDAR_TOP"
CATEGORIES = ("vehicle.car", "vehicle.truck", "vehicle.bus.rigid", "vehicle.motorcycle", "human.pedestrian.adult")
ATTRIBUTES = ("vehicle.moving", "vehicle.stopped")
VISIBILITIES = ("v0-40", "v40-60", "v60-80", "v80-100")

JPEG_QUALITY = 95
MAX_ANNOTATED_M = 120.0
STOPPED_MPS = 0.5
_FIRST_TIME_US = 1_600_000_000_000_000
_SCENE_SPACING_US = 1_000_000_000


def token_of(*names: object) -> str:
    """32 hexadecimal digits that depend on the names only."""
    return hashlib.md5("/".join(map(str, names)).encode(), usedforsecurity=False).hexdigest()


class ClipWriter:
    """Files and records of one clip. Poses and boxes are kept, images are not."""

    def __init__(self, root: Path, clip: Clip) -> None:
        self._root, self._clip = root, clip
        self._poses: list[FloatArray] = []
        self._boxes: list[dict[str, tuple[FloatArray, FloatArray, float]]] = []

    def _token(self, *names: object) -> str:
        return token_of(self._clip.name, *names)

    def _time_us(self, frame: int) -> int:
        return _FIRST_TIME_US + self._clip.number * _SCENE_SPACING_US + round(frame * 1e6 / FPS)

    def _filename(self, frame: int, channel: str, suffix: str) -> str:
        folder = "sweeps" if frame % FRAMES_PER_SAMPLE else "samples"
        return f"{folder}/{channel}/{self._clip.name}__{channel}__{self._time_us(frame)}.{suffix}"

    def write(self, chunk: FootageChunk) -> None:
        """Write the chunk's images; remember its poses, and its boxes at keyframes."""
        expected = (len(chunk.ego_poses), *self._clip.camera.intrinsics.image_size, 3)
        if chunk.images.shape != expected or len(chunk.actors.poses) != len(chunk.ego_poses):
            raise InvalidConfig(
                f"a chunk has images {chunk.images.shape}, expected {expected}, and as many actor frames"
            )
        for index, image in enumerate(chunk.images):
            frame = len(self._poses)
            done, data = cv2.imencode(
                ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
            )
            if not done:
                raise InvalidConfig(f"a frame of {image.shape} cannot be written as JPEG")
            atomic_write_bytes(self._root / self._filename(frame, CAMERA_CHANNEL, "jpg"), data.tobytes())
            self._poses.append(np.array(chunk.ego_poses[index], np.float64))
            if frame % FRAMES_PER_SAMPLE == 0:
                self._boxes.append(_boxes_near(chunk.actors, index, self._poses[-1]))

    def tables(self) -> Tables:
        """The clip's records, after its last chunk; writes the map mask and the lidar."""
        last_sample = (len(self._poses) - 1) // FRAMES_PER_SAMPLE
        if last_sample < 0:
            raise InvalidConfig(f"{self._clip.name} has no frames")
        # A sweep belongs to the sample that follows it; there is none for what comes after the last one.
        for frame in range(last_sample * FRAMES_PER_SAMPLE + 1, len(self._poses)):
            (self._root / self._filename(frame, CAMERA_CHANNEL, "jpg")).unlink()
        del self._poses[last_sample * FRAMES_PER_SAMPLE + 1 :]
        poses = np.array(self._poses)
        offset = np.ceil(MARGIN_M - poses[:, :2].min(axis=0))
        mask = draw_mask(self._clip.road_map, poses[:, :2], offset)
        # Encoded first: OpenCV opens no file whose name is not UTF-8.
        atomic_write_bytes(self._root / "maps" / f"{self._clip.name}.png", cv2.imencode(".png", mask)[1].tobytes())
        log, scene = self._token("log"), self._token("scene")
        tables: Tables = {
            "log": [
                {
                    "token": log,
                    "logfile": self._clip.name,
                    "vehicle": "simulator",
                    "date_captured": "2020-09-13",
                    "location": "simulator",
                    "world_offset_m": offset.tolist(),
                }
            ],
            "map": [
                {
                    "token": self._token("map"),
                    "category": "semantic_prior",
                    "filename": f"maps/{self._clip.name}.png",
                    "log_tokens": [log],
                }
            ],
            "scene": [
                {
                    "token": scene,
                    "log_token": log,
                    "nbr_samples": last_sample + 1,
                    "first_sample_token": self._token("sample", 0),
                    "last_sample_token": self._token("sample", last_sample),
                    "name": self._clip.name,
                    "description": " ".join(self._clip.prompt.split()),
                }
            ],
            "sample": [
                {
                    "token": self._token("sample", i),
                    "timestamp": self._time_us(i * FRAMES_PER_SAMPLE),
                    **self._neighbours("sample", i, last_sample),
                    "scene_token": scene,
                }
                for i in range(last_sample + 1)
            ],
            "calibrated_sensor": self._calibrations(),
        }
        poses[:, :2] += offset
        tables["ego_pose"], tables["sample_data"] = self._sensor_records(poses)
        tables["instance"], tables["sample_annotation"] = self._annotations(poses, offset)
        return tables

    def _neighbours(self, kind: str, index: int, last: int) -> dict[str, str]:
        return {
            "prev": self._token(kind, index - 1) if index > 0 else "",
            "next": self._token(kind, index + 1) if index < last else "",
        }

    def _calibrations(self) -> list[Record]:
        camera = self._clip.camera
        return [
            {
                "token": self._token("calibrated", CAMERA_CHANNEL),
                "sensor_token": token_of("sensor", CAMERA_CHANNEL),
                "translation": list(camera.mounting.translation_m),
                "rotation": list(camera.mounting.rotation_wxyz),
                "camera_intrinsic": camera.intrinsics.matrix.tolist(),
            },
            {
                "token": self._token("calibrated", LIDAR_CHANNEL),
                "sensor_token": token_of("sensor", LIDAR_CHANNEL),
                "translation": list(LIDAR_MOUNT_M),
                "rotation": [1.0, 0.0, 0.0, 0.0],
                "camera_intrinsic": [],
            },
        ]

    def _sensor_records(self, poses: FloatArray) -> tuple[list[Record], list[Record]]:
        ego_poses, data = [], []
        height, width = self._clip.camera.intrinsics.image_size
        last = len(poses) - 1
        for channel, step, suffix in ((CAMERA_CHANNEL, 1, "jpg"), (LIDAR_CHANNEL, FRAMES_PER_SAMPLE, "pcd.bin")):
            is_camera = channel == CAMERA_CHANNEL
            for frame in range(0, last + 1, step):
                token = self._token(channel, frame // step)
                x, y, heading = (float(v) for v in poses[frame])
                ego_poses.append(
                    {
                        "token": token,
                        "timestamp": self._time_us(frame),
                        "translation": [x, y, 0.0],
                        "rotation": _quaternion(heading),
                    }
                )
                data.append(
                    {
                        "token": token,
                        "sample_token": self._token("sample", math.ceil(frame / FRAMES_PER_SAMPLE)),
                        "ego_pose_token": token,
                        "calibrated_sensor_token": self._token("calibrated", channel),
                        "timestamp": self._time_us(frame),
                        "fileformat": "jpg" if is_camera else "pcd",
                        "is_key_frame": frame % FRAMES_PER_SAMPLE == 0,
                        "height": height if is_camera else 0,
                        "width": width if is_camera else 0,
                        "filename": self._filename(frame, channel, suffix),
                        **self._neighbours(channel, frame // step, last // step),
                    }
                )
        return ego_poses, data

    def _annotations(self, poses: FloatArray, offset: FloatArray) -> tuple[list[Record], list[Record]]:
        """Instances and annotations; casts the lidar's rays on the way."""
        of_instance: dict[str, list[Record]] = {}
        for sample, boxes in enumerate(self._boxes):
            frame = sample * FRAMES_PER_SAMPLE
            ids = list(boxes)
            box_poses = np.array([boxes[i][0] for i in ids]).reshape(-1, 3) + np.array([*offset, 0.0])
            sizes = np.array([boxes[i][1] for i in ids]).reshape(-1, 3)
            scan = cast_rays(poses[frame], box_poses, sizes)
            atomic_write_bytes(self._root / self._filename(frame, LIDAR_CHANNEL, "pcd.bin"), scan.points.tobytes())
            for index, name in enumerate(ids):
                moving = abs(boxes[name][2]) > STOPPED_MPS
                length, width, height = (float(v) for v in sizes[index])
                x, y, heading = (float(v) for v in box_poses[index])
                of_instance.setdefault(name, []).append(
                    {
                        "token": self._token("annotation", name, sample),
                        "sample_token": self._token("sample", sample),
                        "instance_token": self._token("instance", name),
                        "visibility_token": str(1 + int(np.digitize(scan.visible[index], (0.4, 0.6, 0.8)))),
                        "attribute_tokens": [token_of("attribute", ATTRIBUTES[0 if moving else 1])],
                        "translation": [x, y, height / 2],
                        "size": [width, length, height],
                        "rotation": _quaternion(heading),
                        "num_lidar_pts": int(scan.hits[index]),
                        "num_radar_pts": 0,
                    }
                )
        instances, annotations = [], []
        for name, records in of_instance.items():
            for index, record in enumerate(records):
                record["prev"] = records[index - 1]["token"] if index else ""
                record["next"] = records[index + 1]["token"] if index + 1 < len(records) else ""
            length = records[0]["size"][1]
            instances.append(
                {
                    "token": self._token("instance", name),
                    "category_token": token_of("category", _category(length)),
                    "nbr_annotations": len(records),
                    "first_annotation_token": records[0]["token"],
                    "last_annotation_token": records[-1]["token"],
                }
            )
            annotations += records
        return instances, annotations


def _boxes_near(actors: ActorTracks, index: int, ego: FloatArray) -> dict[str, tuple[FloatArray, FloatArray, float]]:
    """(pose, size, speed) by actor, of those that are there and not too far to annotate."""
    distances = np.linalg.norm(actors.poses[index, :, :2] - ego[:2], axis=1)
    return {
        actors.ids[a]: (actors.poses[index, a], actors.sizes_m[a], float(actors.speeds_mps[index, a]))
        for a in np.flatnonzero(distances <= MAX_ANNOTATED_M)
    }


def _category(length_m: float) -> str:
    """Tracks say how large an object is, not what it is."""
    car, truck, bus, motorcycle, pedestrian = CATEGORIES
    for shortest_m, name in ((9.0, bus), (6.0, truck), (3.0, car), (1.2, motorcycle)):
        if length_m >= shortest_m:
            return name
    return pedestrian


def _quaternion(heading_rad: float) -> list[float]:
    return [math.cos(heading_rad / 2), 0.0, 0.0, math.sin(heading_rad / 2)]
