"""Scenes of a nuScenes dataroot, read through nuscenes-devkit: any version folder, the front camera and its sweeps.

The ego frame of nuScenes has its origin on the ground below the middle of the rear axle, as ours has, so poses and
calibration carry over as they are; the episode's world frame is the map's.

Each nuScenes scene can be started at every keyframe of the front camera that has an interval recorded before and after
it. Indices 0 .. S - 1 are the S scenes of the dataset at the first such keyframe (a scene too short to have one starts
at its first keyframe), the further starts follow. Keys are ``scene-0061`` and ``scene-0061@7.500``, the seconds
counting from the scene's first front camera frame; a sample token is understood as well.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from longdwm_env.clock import INTERVAL_S
from longdwm_env.errors import InvalidScene, MissingDependency, UnknownScene
from longdwm_env.io.caching import Kept
from longdwm_env.io.names import inside, printable
from longdwm_env.scenes.captions import captions_of
from longdwm_env.scenes.media.image_file import read_image
from longdwm_env.scenes.nuscenes.nuscenes_map import road_map_of
from longdwm_env.scenes.nuscenes.nuscenes_record import (
    CAMERA_CHANNEL,
    NuScenesLog,
    Recording,
    actor_tracks,
    motion_from_can_bus,
    read_recording,
    reading,
)
from longdwm_env.scenes.nuscenes.schema_tables import TABLES, Record, find_version, table_problems
from longdwm_env.scenes.recording_starts import IndexedScenes, StartIndex
from longdwm_env.types import Camera, EgoState, Intrinsics, Mounting, Scene

if TYPE_CHECKING:
    from nuscenes import NuScenes

# Some cameras fill their files up with zeros.
_END_OF_JPEG, _TAIL_BYTES = b"\xff\xd9", 4096


class NuScenesScenes(IndexedScenes):
    """The scenes of a nuScenes dataroot or version folder."""

    def __init__(self, path: Path, skip_missing: bool = False) -> None:
        """Load the tables.

        Args:
            path: dataroot with one version folder, or a version folder.
            skip_missing: leave out scenes of which any front camera image is missing, empty or cut off, or whose map
                mask is missing, for a dataset downloaded in part; otherwise they are an error.

        Raises:
            InvalidScene: a table is missing or broken, or there is no front camera in it.
            MissingDependency: nuscenes-devkit is not installed.
        """
        self.name = printable(path)
        self._path, self._skip_missing = path.absolute(), skip_missing
        self._dataroot, version = find_version(self._path)
        self._folder = self._dataroot / version
        self._nusc = _load(self._dataroot, version, skip_missing)
        with reading(self._folder):
            self._frames = _front_frames(self._nusc)
            self._records = [r for r in self._nusc.scene if self._frames.get(r["token"]) and self._wanted(r)]
            if not self._records:
                raise InvalidScene(f"{self._folder} has no scene with {CAMERA_CHANNEL} images{self._what_is_missing()}")
            self._starts = [_starts(self._frames[record["token"]]) for record in self._records]
            times_s = [
                [_seconds(frames, i) for i in starts]
                for frames, starts in zip(map(self._frames_of, self._records), self._starts, strict=True)
            ]
            self._index = StartIndex(self.name, [str(record["name"]) for record in self._records], times_s)
            self._captions = captions_of(
                (self._folder, self._dataroot),
                {str(record["name"]) for record in self._nusc.scene},
                {str(sample["token"]) for sample in self._nusc.sample},
            )
        self._scene = Kept(self._make_scene, 8)
        self._recording = Kept(self._make_recording, 8)

    def __reduce__(self) -> tuple[object, ...]:
        return NuScenesScenes, (self._path, self._skip_missing)

    @property
    def recordings(self) -> int:
        """How many nuScenes scenes there are: the first indices, each at its first start."""
        return len(self._records)

    @property
    def names(self) -> frozenset[str]:
        """Of the nuScenes scenes that are there."""
        return frozenset(str(record["name"]) for record in self._records)

    def index_of_key(self, key: str) -> int:
        """The index of ``scene-0061``, ``scene-0061@7.500`` or the token of a sample that episodes can start at."""
        for recording, record in enumerate(self._records):
            frames = self._frames_of(record)
            for moment, frame in enumerate(self._starts[recording]):
                if frames[frame].get("sample_token") == key:
                    return self._index.index_of(recording, moment)
        return self._index.index_of_key(key)

    def _frames_of(self, record: Record) -> list[Record]:
        return self._frames[record["token"]]

    def _wanted(self, record: Record) -> bool:
        return not self._skip_missing or all(
            _is_whole(self._dataroot, str(frame["filename"])) for frame in self._frames_of(record)
        )

    def _what_is_missing(self) -> str:
        """For a dataset of which no scene is whole: how many files are there, and which download brings the others."""
        if not self._skip_missing:
            return ""
        named = [str(frame["filename"]) for frames in self._frames.values() for frame in frames]
        missing = [name for name in named if not _is_whole(self._dataroot, name)]
        said = f" that are all there: {len(missing)} of {len(named)} images are missing"
        said += "".join(f", the first of them {self._dataroot / name}" for name in missing[:1])
        if missing and all(name.startswith("sweeps/") for name in missing):
            said += (
                ". All of them are sweeps, the frames between keyframes: nuScenes' file blobs hold samples and sweeps; "
                f"unpack the sweeps too, so that {self._dataroot / 'sweeps' / CAMERA_CHANNEL} is there"
            )
        return said

    def _make_recording(self, recording: int) -> Recording:
        return read_recording(self._nusc, self._dataroot, self._frames_of(self._records[recording]))

    def keyframes(self, name: str) -> list[int]:
        """Which of the front camera's frames of a nuScenes scene are keyframes (its samples), in the order of time.

        Args:
            name: of the scene, such as ``scene-0061``.

        Raises:
            UnknownScene: there is no such scene, or its pictures are not all there (``skip_missing``).
        """
        return [i for i, frame in enumerate(self._frames_of(self._record(name)[1])) if frame["is_key_frame"]]

    def frame_files(self, name: str) -> list[str]:
        """The front camera's pictures of a nuScenes scene, as its tables name them, in the order of time."""
        return [str(frame["filename"]) for frame in self._frames_of(self._record(name)[1])]

    def picture(self, name: str, frame: int) -> NDArray[np.uint8]:
        """One of the front camera's pictures of a nuScenes scene, (h, w, 3) at its own size.

        Raises:
            UnknownScene: there is no such scene.
            InvalidScene: it cannot be read.
        """
        return read_image(inside(self._dataroot, self.frame_files(name)[frame]))

    def scene_from(self, name: str, frame: int) -> Scene:
        """A nuScenes scene that starts at any of the front camera's frames; episodes start at ``scene`` alone.

        Args:
            name: of the scene.
            frame: index among the front camera's frames.

        Returns:
            Its key is ``name@seconds``, counted from the first frame.

        Raises:
            UnknownScene: there is no such scene or frame.
            InvalidScene: as ``scene``.
        """
        recording, record = self._record(name)
        frames = self._frames_of(record)
        if not 0 <= frame < len(frames):
            raise UnknownScene(f"{self.name}: {name} has front camera frames 0 to {len(frames) - 1}, not {frame}")
        return self._scene_at(recording, frame, f"{name}@{_seconds(frames, frame):.3f}")

    def prompt_at(self, name: str, frame: int) -> str:
        """What is said of a nuScenes scene from one of the front camera's frames on."""
        _, record = self._record(name)
        return self._prompt(record, self._frames_of(record), frame)

    def _record(self, name: str) -> tuple[int, Record]:
        for recording, record in enumerate(self._records):
            if record["name"] == name:
                return recording, record
        raise UnknownScene(f"{self.name} has no scene {name!r} whose pictures are all there")

    def _make_scene(self, index: int) -> Scene:
        start = self._index.start(index)
        return self._scene_at(start.recording, self._starts[start.recording][start.moment], start.key)

    def _scene_at(self, index: int, frame: int, key: str) -> Scene:
        record = self._records[index]
        with reading(self._folder, str(record["name"])):
            recording = self._recording(index)
            log = NuScenesLog(recording, frame)
            log.refuse_missing_files()
            first = self._frames_of(record)[frame]
            motion = motion_from_can_bus(self._dataroot, str(record["name"]), int(first["timestamp"]))
            if motion is None:
                motion = recording.motion_at(frame)
            x, y, heading = recording.poses[frame]
            camera = self._camera(first)
            height, width = read_image(recording.paths[frame]).shape[:2]
            if (height, width) != camera.intrinsics.image_size:
                raise InvalidScene(
                    f"{recording.paths[frame]} has {width} x {height} pixels; its record in sample_data.json says "
                    f"{first['width']} x {first['height']}, which its calibration belongs to"
                )
            location = str(self._nusc.get("log", record["log_token"])["location"])
            return Scene(
                key,
                log,
                camera,
                start=EgoState(float(x), float(y), float(heading), *motion),
                prompt=self._prompt(record, self._frames_of(record), frame),
                road_map=road_map_of(self._nusc, self._dataroot, record, location, recording.poses[:, :2]),
                actors=actor_tracks(self._nusc, record["token"], log.times_us()[log.num_past :]),
            )

    def _camera(self, frame: Record) -> Camera:
        calibrated = self._nusc.get("calibrated_sensor", frame["calibrated_sensor_token"])
        size = (int(frame["height"]), int(frame["width"]))
        intrinsics = Intrinsics.from_matrix(calibrated["camera_intrinsic"], size)
        return Camera(intrinsics, Mounting(calibrated["translation"], calibrated["rotation"]))

    def _prompt(self, record: Record, frames: list[Record], frame: int) -> str:
        name, token = str(record["name"]), str(frames[frame].get("sample_token", ""))
        caption = self._captions.at(name, _seconds(frames, frame), token)
        return prompt_from_description(str(record["description"])) if caption is None else caption


def _seconds(frames: list[Record], frame: int) -> float:
    return float((int(frames[frame]["timestamp"]) - int(frames[0]["timestamp"])) * 1e-6)


def _is_whole(dataroot: Path, filename: str) -> bool:
    """Whether a picture is there to its end, as far as that shows without decoding it."""
    try:
        path = inside(dataroot, filename)
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            tail = file.read().rstrip(b"\0")
    except (OSError, InvalidScene):
        return False
    return size > 0 and (path.suffix.lower() not in (".jpg", ".jpeg") or tail.endswith(_END_OF_JPEG))


def prompt_from_description(description: str) -> str:
    """The four-line prompt as far as a nuScenes scene description tells it.

    nuScenes mentions rain and night where there are any, and lists what is to be seen; nothing is added to that.
    """
    text = description.lower()
    lines = []
    if "rain" in text:
        lines.append("Weather: rainy.")
    if "night" in text:
        lines.append("Time: nighttime.")
    if description.strip():
        lines.append(f"Road environment: {description.strip().rstrip('.')}.")
    return "\n".join(lines)


def _load(dataroot: Path, version: str, skip_missing: bool) -> Any:
    """The devkit's database, or an error that names the table that it fell over."""
    folder = dataroot / version
    missing = [f"{table}.json" for table in TABLES if not (folder / f"{table}.json").is_file()]
    if missing:
        raise InvalidScene(f"{folder} lacks the nuScenes tables {', '.join(missing)}")
    try:
        from nuscenes import NuScenes
    except ImportError as error:
        raise MissingDependency("nuScenes data need nuscenes-devkit: pip install 'longdwm[nuscenes]'") from error
    try:
        kind = _part_of(NuScenes, dataroot) if skip_missing else NuScenes
        nusc = kind(version=version, dataroot=str(dataroot), verbose=False)
    # The devkit asserts, looks keys up and raises plain Exception on tables that it cannot use.
    except Exception as error:
        problem = next(iter(table_problems(dataroot, folder)), f"{type(error).__name__}: {error}")
        raise InvalidScene(f"nuscenes-devkit cannot open {folder}: {problem}") from error
    for table in TABLES:
        if not isinstance(nusc.__dict__[table], list):
            raise InvalidScene(f"{folder / table}.json must hold a JSON array")
    return nusc


def _part_of(kind: Any, dataroot: Path) -> Any:
    """The devkit's database without the scenes whose map mask is missing: it would not open at all with them."""

    class Part(kind):
        def __load_table__(self, table_name: str) -> Any:
            records = super().__load_table__(table_name)
            if table_name not in ("map", "log", "scene"):
                return records
            maps = super().__load_table__("map")
            there = [record for record in maps if inside(dataroot, record["filename"]).is_file()]
            if table_name == "map":
                return there
            mapped = {token for record in there for token in record["log_tokens"]}
            name = "token" if table_name == "log" else "log_token"
            return [record for record in records if record[name] in mapped]

    return Part


def _front_frames(nusc: "NuScenes") -> dict[str, list[Record]]:
    """Front camera records by scene token, in the order of time."""
    scene_of_sample = {sample["token"]: sample["scene_token"] for sample in nusc.sample}
    frames: dict[str, list[Record]] = {}
    for record in nusc.sample_data:
        # Partial datasets keep records of samples that they left out.
        if record["channel"] == CAMERA_CHANNEL and record["sample_token"] in scene_of_sample:
            frames.setdefault(scene_of_sample[record["sample_token"]], []).append(record)
    for records in frames.values():
        records.sort(key=lambda record: record["timestamp"])
    return frames


def _starts(frames: list[Record]) -> list[int]:
    """Which frames episodes can start at: keyframes with an interval on either side; at least one."""
    times_s = np.array([int(frame["timestamp"]) for frame in frames], np.int64) * 1e-6
    # Cameras trigger a few milliseconds early or late.
    slack_s = 0.05
    before, after = times_s - times_s[0] + slack_s, times_s[-1] - times_s + slack_s
    keyframes = [i for i, frame in enumerate(frames) if frame["is_key_frame"]]
    starts = [i for i in keyframes if before[i] >= INTERVAL_S and after[i] >= INTERVAL_S]
    return starts or keyframes[:1] or [0]
