"""The parts of ``longdwm train mine`` that make the world: footage, the road's tones, a start."""

import json
from pathlib import Path

from longdwm_env.clock import FPS, FRAME_S
from longdwm_env.errors import InvalidConfig
from longdwm_env.io.files import atomic_write_bytes, atomic_write_json
from longdwm_env.io.video import VideoWriter
from longdwm_env.models.bundled import bundled_pipeline_folder
from longdwm_env.scenes.ego_motion.poses_file import SUFFIX
from longdwm_env.scenes.media.sidecar import FILE_SUFFIX
from longdwm_env.scenes.media.video_frames import frames_at, video_facts
from longdwm_env.training.config import Recipe
from longdwm_env.training.data.footage import Footage, record_footage
from longdwm_env.training.data.shards import BadLimit
from longdwm_env.training.data.videos import VideoClips
from longdwm_env.training.mine.hour import Hour
from longdwm_env.training.mine.own_videos import MyVideos
from longdwm_env.training.mine.road_tones import Taught, make_pairs, teach
from longdwm_env.training.workspace import Workspace

START = "start"
"""Folder in a pipeline's with the scene that it is driven from when none is named."""

START_S = 12.0
"""Of the held-out part, beside the pipeline."""


def begun(workspace: Workspace, recipe: Recipe, videos: MyVideos) -> None:
    """Begin from the shipped weights, or go on with what was begun from the same videos.

    Raises:
        InvalidConfig: the folder was begun with other videos.
    """
    record = workspace.root / "videos.json"
    asked = {"videos": videos.hashes, "held_out_s": round(videos.held_out_s, 3)}
    if record.is_file() and (found := json.loads(record.read_text())) != asked:
        raise InvalidConfig(f"{workspace.root} was begun with {found}, not with {asked}; name another folder")
    workspace.prepare(recipe, bundled_pipeline_folder())
    atomic_write_json(record, asked)


def make_footage(workspace: Workspace, recipe: Recipe, videos: MyVideos, hour: Hour, workers: int) -> Footage:
    """Record training's part of the videos, as far as that has not been done."""
    source = VideoClips(videos.folder, workspace.settings.image_size, recipe.data.frames, videos.until_s)
    with hour.spending("footage"):
        return record_footage(source, workspace.footage, workers, BadLimit(recipe.data.bad_share))


def teach_road(workspace: Workspace, footage: Footage, hour: Hour) -> Taught:
    """Teach a network the road's tones, as far as that has not been done, and put it into the pipeline.

    The street is carried on from moments of the footage, and held against what was there.
    """
    folder = workspace.stage("tones")
    with hour.spending("streets"):
        pairs = make_pairs(footage, folder / "pairs", hour.reached)
    with hour.spending("tones"):
        taught = teach(pairs, folder, hour.left_s("tones"))
    workspace.save_component("street_tones", taught.network)
    return taught


def put_start(workspace: Workspace, videos: MyVideos) -> Path:
    """Put the beginning of the held-out part beside the pipeline, so that it can be driven from wherever it goes."""
    video, begins_s = videos.held_out
    folder = workspace.pipeline / START
    target = folder / f"{video.stem}-held-out.mp4"
    if target.is_file():
        return target
    facts = video_facts(video)
    first = int(begins_s * FPS + 1)
    count = min(int(START_S * FPS), int(facts.last_s * FPS) - first)
    times = [(first + number) * FRAME_S for number in range(count)]
    folder.mkdir(parents=True, exist_ok=True)
    camera = video.with_suffix(FILE_SUFFIX)
    if camera.is_file():
        atomic_write_bytes(folder / f"{target.stem}{FILE_SUFFIX}", camera.read_bytes())
    _write_part_of_poses(video, folder / f"{target.stem}{SUFFIX}", first, count)
    with VideoWriter(target, facts.image_size, scale=1) as writer:
        for _, image in frames_at(video, facts, times):
            writer.write(image)
    return target


def _write_part_of_poses(video: Path, target: Path, first: int, count: int) -> None:
    source = video.with_suffix(SUFFIX)
    if not source.is_file():
        return
    content = json.loads(source.read_text())
    part = {
        name: values[first : first + count]
        if isinstance(values, list) and name not in ("cuts_s", "times_s")
        else values
        for name, values in content.items()
    }
    part["times_s"] = [number * FRAME_S for number in range(count)]
    part["cuts_s"] = [
        cut - first * FRAME_S for cut in content.get("cuts_s", []) if 0 < cut - first * FRAME_S < count * FRAME_S
    ]
    atomic_write_json(target, part)
