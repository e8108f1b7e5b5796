"""What is wrong with a dataset: every problem names its file, and a dataset without problems says what it holds.

A nuScenes dataset in which nothing was found is opened, and every scene begun, as an environment would; so whatever
opening or resetting would stumble over is found here.
"""

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from longdwm_env.clock import FRAME_S
from longdwm_env.errors import InvalidScene, MissingDependency
from longdwm_env.io.names import inside, is_there, printable
from longdwm_env.scenes.media.image_file import read_image
from longdwm_env.scenes.media.media_scenes import MediaScenes, is_video, media_files
from longdwm_env.scenes.media.video_frames import frames_at, video_facts
from longdwm_env.scenes.nuscenes.nuscenes_record import CAMERA_CHANNEL, MAX_GAP_S, can_bus_motion
from longdwm_env.scenes.nuscenes.schema_tables import (
    Record,
    Tables,
    find_version,
    is_nuscenes,
    load_tables,
    table_problems,
)
from longdwm_env.types import Intrinsics, Mounting

MAX_KEYFRAME_GAP_S = 1.0
"""nuScenes' samples are half a second apart; twice that means that one is missing."""


@dataclass(frozen=True)
class Report:
    """The result of a check.

    Attributes:
        problems: one line each, naming the file; empty if all is well.
    """

    problems: tuple[str, ...]
    summary: str


def check_data(path: Path) -> Report:
    """Read everything under a path that scenes could be read from, and report what is wrong.

    Args:
        path: a nuScenes dataroot or version folder, an image, a video, or a folder of them.

    Raises:
        InvalidScene: there is nothing to check.
    """
    if not is_there(path):
        raise InvalidScene(f"{path} does not exist")
    if path.is_dir() and is_nuscenes(path):
        return _check_nuscenes(path)
    return _check_media(path)


def _check_media(path: Path) -> Report:
    problems = []
    files = media_files(path)
    for file in tqdm(files, "files", disable=None):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                scenes = MediaScenes(file)
            for index in range(len(scenes)):
                scenes.scene(index)
            if is_video(file):
                facts = video_facts(file)
                if facts.damage:
                    problems.append(facts.damage)
                # Every frame is decoded on the way to the last: twelve times a second, as scenes would show them.
                times = [i * FRAME_S for i in range(math.floor(facts.last_s / FRAME_S) + 1)]
                for _ in frames_at(file, facts, times):
                    pass
        except InvalidScene as error:
            problems.append(str(error))
    return Report(tuple(map(printable, problems)), f"{len(files)} images and videos")


def _check_nuscenes(path: Path) -> Report:
    dataroot, version = find_version(path)
    folder = dataroot / version
    problems = list(table_problems(dataroot, folder))
    tables = load_tables(folder, [])
    indexed = {table: {record["token"]: record for record in records} for table, records in tables.items()}
    problems += _calibration_problems(folder, tables, indexed)
    problems += _pose_problems(folder, tables)
    problems += _box_problems(folder, tables)
    problems += _time_problems(folder, tables, indexed)
    problems += _map_problems(dataroot, tables)
    problems += _can_bus_problems(dataroot, tables)
    problems += _file_problems(dataroot, folder, tables, indexed)
    if not problems:
        problems += _opening_problems(path)
    counts = (
        f"{len(records)} {table}" for table, records in tables.items() if table in ("scene", "sample", "sample_data")
    )
    return Report(tuple(map(printable, problems)), f"nuScenes schema, version {version}: {', '.join(counts)}")


def _of(record: Record, field: str, indexed: Mapping[str, Mapping[str, Record]], table: str) -> Record:
    return indexed.get(table, {}).get(record[field], {})


def _modality(data: Record, indexed: Mapping[str, Mapping[str, Record]]) -> tuple[str, str]:
    """(modality, channel) of a sample_data record; empty where its calibration or sensor is missing."""
    calibrated = _of(data, "calibrated_sensor_token", indexed, "calibrated_sensor")
    sensor = _of(calibrated, "sensor_token", indexed, "sensor") if calibrated else {}
    return sensor.get("modality", ""), sensor.get("channel", "")


def _calibration_problems(folder: Path, tables: Tables, indexed: Mapping[str, Mapping[str, Record]]) -> Iterator[str]:
    for record in tables.get("calibrated_sensor", ()):
        where = f"{folder / 'calibrated_sensor.json'}: {record['token']}"
        if _of(record, "sensor_token", indexed, "sensor").get("modality") != "camera":
            continue
        if not record["camera_intrinsic"]:
            yield f"{where} is a camera without camera_intrinsic"
            continue
        try:
            Intrinsics.from_matrix(record["camera_intrinsic"], (1, 1))
            Mounting(record["translation"], record["rotation"])
        except (ValueError, TypeError, OverflowError) as error:
            yield f"{where}: {error}"


def _pose_problems(folder: Path, tables: Tables) -> Iterator[str]:
    for record in tables.get("ego_pose", ()):
        if not _is_vector(record["translation"], 3) or not _is_rotation(record["rotation"]):
            yield f"{folder / 'ego_pose.json'}: {record['token']} has no finite translation and unit quaternion"


def _box_problems(folder: Path, tables: Tables) -> Iterator[str]:
    for record in tables.get("sample_annotation", ()):
        sized = _is_vector(record["size"], 3) and min(record["size"]) > 0
        if not sized or not _is_vector(record["translation"], 3) or not _is_rotation(record["rotation"]):
            where = f"{folder / 'sample_annotation.json'}: {record['token']}"
            yield f"{where} is no box: its size, place or rotation is broken"


def _is_vector(values: list[float], length: int) -> bool:
    numbers = len(values) == length and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    return numbers and all(abs(v) < 1e9 for v in values)


def _is_rotation(values: list[float]) -> bool:
    return _is_vector(values, 4) and abs(sum(v * v for v in values) - 1) < 1e-2


def _time_problems(folder: Path, tables: Tables, indexed: Mapping[str, Mapping[str, Record]]) -> Iterator[str]:
    """Timestamps that go back along a chain, or leave a hole."""
    for table in ("sample", "sample_data"):
        records = indexed.get(table, {})
        for record in records.values():
            following = records.get(record["next"])
            if following is None:
                continue
            where = f"{folder / table}.json: {record['token']}"
            step_s = (following["timestamp"] - record["timestamp"]) * 1e-6
            channel = _modality(record, indexed)[1] if table == "sample_data" else ""
            limit_s = MAX_GAP_S if channel == CAMERA_CHANNEL else MAX_KEYFRAME_GAP_S
            if step_s <= 0:
                yield f"{where}: the next record is {-step_s:.3f} s earlier, times must increase"
            elif step_s > limit_s:
                yield f"{where}: {step_s:.3f} s to the next record, over {limit_s:g} s: something is missing between"
            if following["prev"] != record["token"]:
                yield f"{where}: the next record's prev is not this one"
    poses = indexed.get("ego_pose", {})
    for record in tables.get("sample_data", ()):
        pose = poses.get(record["ego_pose_token"])
        if pose is not None and abs(pose["timestamp"] - record["timestamp"]) * 1e-6 > FRAME_S:
            yield f"{folder / 'sample_data.json'}: {record['token']} and its ego pose are more than a frame apart"
    if "sample" in tables and "sample_data" in tables:
        pictured = {
            record["sample_token"]
            for record in tables["sample_data"]
            if record["is_key_frame"] and _modality(record, indexed)[1] == CAMERA_CHANNEL
        }
        for record in tables["sample"]:
            if record["token"] not in pictured:
                yield f"{folder / 'sample.json'}: {record['token']} has no {CAMERA_CHANNEL} keyframe"


def _map_problems(dataroot: Path, tables: Tables) -> Iterator[str]:
    """Masks and expansions that cannot be read, and expansions in which there is no road."""
    from longdwm_env.scenes.nuscenes.nuscenes_map import EXPANSION, MaskMap, expansion_map

    for filename in sorted({record["filename"] for record in tables.get("map", ())}):
        # Names that leave the folder and files that are not there have been reported with their table.
        with suppress(InvalidScene, OSError):
            path = inside(dataroot, filename)
            if path.is_file():
                try:
                    MaskMap(path)
                except InvalidScene as error:
                    yield str(error)
    for location in sorted({record["location"] for record in tables.get("log", ())}):
        try:
            expansion = expansion_map(dataroot, location)
            if expansion is not None and not len(expansion.layout(np.zeros(2), math.inf).kinds):
                yield f"{dataroot / EXPANSION / location}.json is empty: there is no drivable area in it"
        except (InvalidScene, OSError) as error:
            yield str(error)
        except ImportError:
            return


def _can_bus_problems(dataroot: Path, tables: Tables) -> Iterator[str]:
    for record in tables.get("scene", ()):
        try:
            can_bus_motion(dataroot, record["name"])
        except InvalidScene as error:
            yield str(error)
        except ImportError:
            return


def _opening_problems(path: Path) -> Iterator[str]:
    """What opening the dataset and beginning each of its scenes runs into."""
    from longdwm_env.scenes.nuscenes.dataroot import NuScenesScenes

    try:
        scenes = NuScenesScenes(path)
    except InvalidScene as error:
        yield str(error)
        return
    except MissingDependency:
        return
    for index in tqdm(range(scenes.recordings), "scenes", disable=None):
        try:
            scenes.scene(index)
        except InvalidScene as error:
            yield str(error)


def _file_problems(
    dataroot: Path, folder: Path, tables: Tables, indexed: Mapping[str, Mapping[str, Record]]
) -> Iterator[str]:
    """Files that are missing, empty, or images that cannot be decoded or have another size than their record says."""
    owners: set[str] = set()
    for record in tqdm(tables.get("sample_data", []), "images", disable=None):
        filename = record["filename"]
        if filename in owners:
            yield f"{folder / 'sample_data.json'}: {record['token']} shares the file {filename} with another record"
        owners.add(filename)
        try:
            path = inside(dataroot, filename)
        except InvalidScene as error:
            yield f"{folder / 'sample_data.json'}: {record['token']}: {error}"
            continue
        try:
            size = path.stat().st_size
        except OSError as error:
            yield f"{path}: {error.strerror or error}"
            continue
        if _modality(record, indexed)[0] != "camera":
            if size == 0:
                yield f"{path} is empty"
            continue
        try:
            height, width = read_image(path).shape[:2]
        except InvalidScene as error:
            yield str(error)
            continue
        if (height, width) != (record["height"], record["width"]):
            yield f"{path} has {width} x {height} pixels; its record says {record['width']} x {record['height']}"


def grouped(problems: Iterable[str], most: int) -> list[str]:
    """At most ``most`` lines, and one that says how many more there are."""
    lines = list(problems)
    return lines[:most] + ([f"... and {len(lines) - most} more"] if len(lines) > most else [])
