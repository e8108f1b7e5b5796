"""Against real footage: worlds are driven as a recorded car was, from every second of it, and held against its camera.

Beside them stand the ground's warp of the first picture, and that picture kept as it is.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from longdwm_env.clock import FPS
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.frechet import frechet_interval
from longdwm_env.evaluation.image_quality import psnr_db
from longdwm_env.evaluation.own_road import POSE_SUFFIXES, along_poses
from longdwm_env.evaluation.report import Cell, Row, Table, bar
from longdwm_env.evaluation.statistics import Interval, mean_interval
from longdwm_env.evaluation.worlds.detail import PARTS, around, picture_detail
from longdwm_env.evaluation.worlds.truth import KEPT, TIMES_S, end_features
from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.geometry.pose import relative_to
from longdwm_env.geometry.warp import WarpSettings, warp_images
from longdwm_env.io.routes import read_poses
from longdwm_env.models.readers.scorer import DrivingEncoder
from longdwm_env.scenes import open_scenes
from longdwm_env.scenes.made_roads import on_road
from longdwm_env.scenes.media.media_scenes import VideoLog, is_video, media_files
from longdwm_env.scenes.media.sidecar import read_sidecar
from longdwm_env.scenes.media.video_frames import video_facts
from longdwm_env.scenes.nuscenes.schema_tables import is_nuscenes
from longdwm_env.scenes.recorded_log import RecordedLog
from longdwm_env.scenes.strip_road import Road
from longdwm_env.types import Camera, EgoState, FloatArray, Images, ImageSize, Scene
from longdwm_env.world import WorldModel

TRUTH, WARP = "footage", "ground's warp"
LEAST_DETAIL, MOST_FDS_SHARE = 0.5, 0.5
"""The bars."""

LONGEST_FRAMES = TIMES_S[-1] * FPS
_SPEED_FRAMES = 3
_WARP_M = 35.0


@dataclass(frozen=True)
class Recording:
    """Footage with poses.

    Attributes:
        log: whatever moment it is about.
        camera: that took it, at any size.
        poses: (N, 3) at the clock's frames from its first picture on.
    """

    name: str
    log: RecordedLog
    camera: Camera
    poses: FloatArray

    @property
    def starts(self) -> range:
        """Every whole second with 4 s after it; the first is left out, since what moves is seen in two pictures."""
        return range(FPS, len(self.poses) - LONGEST_FRAMES, FPS)

    def scene(self, start: int, image_size: ImageSize, road: Road | None = None) -> Scene:
        """The scene at a frame, in a world frame of its own, as fast as the car was; with a road that is said."""
        poses = relative_to(self.poses, np.broadcast_to(self.poses[start], self.poses.shape))
        log = copy.copy(self.log)
        log._cache = {}
        log.num_past, log.num_future, log.ego_poses = start, len(poses) - 1 - start, poses
        if isinstance(log, VideoLog):
            log.start_s = start / FPS
        back = -poses[start - _SPEED_FRAMES] * FPS / _SPEED_FRAMES
        moving = EgoState(speed_mps=float(np.hypot(back[0], back[1])), yaw_rate_radps=float(back[2]))
        scene = Scene(f"{self.name}@{start / FPS:g}", log, self.camera, moving)
        scene = scene if road is None else on_road(scene, road)
        assert scene.camera is not None
        return replace(scene, camera=scene.camera.fitted(image_size))


def recordings(path: Path) -> list[Recording]:
    """Of a nuScenes dataroot, a video with poses beside it, or a folder of such videos.

    Raises:
        InvalidConfig: none has poses, and 5 s.
    """
    found = list(_of_nuscenes(path) if path.is_dir() and is_nuscenes(path) else _of_videos(path))
    long = [one for one in found if len(one.starts)]
    if not long:
        raise InvalidConfig(
            f"{path} has no footage of {1 + TIMES_S[-1]} s or more with poses; a nuScenes dataroot has them, and "
            "videos with NAME.poses.json beside them (longdwm data poses, longdwm data import)"
        )
    return long


def _of_nuscenes(path: Path) -> Iterator[Recording]:
    from longdwm_env.scenes.nuscenes.dataroot import NuScenesScenes

    source = open_scenes(path)
    assert isinstance(source, NuScenesScenes)
    for index in range(source.recordings):
        scene = source.scene(index)
        log, camera = scene.log, scene.camera
        assert isinstance(log, RecordedLog)
        assert camera is not None
        if log.ego_poses is not None:
            yield Recording(scene.key, log, camera, np.asarray(log.ego_poses, np.float64))


def _of_videos(path: Path) -> Iterator[Recording]:
    for file in media_files(path.absolute()):
        poses = next((beside for s in POSE_SUFFIXES if (beside := file.with_suffix(s)).is_file()), None)
        if poses is None or not is_video(file):
            continue
        facts = video_facts(file)
        camera = read_sidecar(file, facts.image_size).camera or assumed_camera(facts.image_size)
        log = VideoLog(file, facts, 0.0)
        track = np.asarray(read_poses(poses), np.float64)[: log.num_future + 1]
        yield Recording(file.name, log, camera, track)


@dataclass(frozen=True)
class Shown:
    """What a world showed of one start at S times: PSNR in dB, detail by part over the footage's, features."""

    psnr_db: FloatArray
    detail: FloatArray
    features: tuple[FloatArray, ...]


@dataclass
class FootageScores:
    """Scores of worlds over starts, gathered one at a time.

    Args:
        encoder: for FDS; None leaves it out.
    """

    encoder: DrivingEncoder | None = None
    names: list[str] = field(default_factory=list)
    truth: list[tuple[FloatArray, ...]] = field(default_factory=list)
    worlds: dict[str, list[Shown]] = field(default_factory=dict)

    def add(self, name: str, footage: Images, made: Mapping[str, Images]) -> None:
        """One start: 4 s of footage (49, H, W, 3), and of each world."""
        self.names.append(name)
        self.truth.append(end_features(self.encoder, footage))
        real = picture_detail(footage)
        exact = [time * FPS for time in TIMES_S]
        for world, frames in made.items():
            own = picture_detail(frames)
            parts = [around(time, len(footage)) for time in TIMES_S]
            detail = np.stack([own[part].mean(0) / np.maximum(real[part].mean(0), 1e-9) for part in parts])
            shown = Shown(psnr_db(frames[exact], footage[exact]), detail, end_features(self.encoder, frames))
            self.worlds.setdefault(world, []).append(shown)

    def table(self, world: str, facts: Mapping[str, object]) -> Table:
        """Every world; the bars are of the first."""
        rows: list[Row] = [(name, self._cells(shown)) for name, shown in self.worlds.items()]
        columns = ("world", "starts", *(f"PSNR at {time} s (dB)" for time in TIMES_S))
        columns += tuple(f"detail, {part}, at {time} s" for part in PARTS for time in TIMES_S)
        columns += tuple(f"FDS at {time} s" for time in TIMES_S)
        how = (
            "Driven as the recorded car was, from every second of it. PSNR: mean over starts, of the frame at that "
            "instant. Detail: variance of the Laplacian of the luma, of the second around it over the footage's own; "
            "median over starts. FDS: Frechet distance of the features of the package's scorer (models/weights/scorer, "
            "trained on the simulator alone), of the second that ends there. Starts of one clip are alike: intervals "
            "are too narrow.",
        )
        bars = self._bars(world, dict(rows))
        return Table("footage", f"{world} on real roads", columns, tuple(rows), len(self.names), facts, (*bars, *how))

    def _cells(self, shown: list[Shown]) -> tuple[Cell, ...]:
        psnr = np.stack([one.psnr_db for one in shown])
        detail = np.stack([one.detail for one in shown])
        cells: list[Cell] = [len(shown), *(mean_interval(column) for column in psnr.T)]
        cells += [mean_interval(column, np.median) for part in detail.T for column in part]
        for place in range(len(TIMES_S)):
            if self.encoder is None or len(shown) < 2:
                cells.append(None)
            else:
                real, made = [one[place] for one in self.truth], [one.features[place] for one in shown]
                cells.append(frechet_interval(real, made))
        return tuple(cells)

    @staticmethod
    def _bars(world: str, cells: Mapping[str, tuple[Cell, ...]]) -> list[str]:
        own, said, count = cells[world], [], len(TIMES_S)
        for other in (WARP, KEPT):
            for place, time in enumerate(TIMES_S, 1):
                mine, theirs = own[place], cells[other][place]
                if isinstance(mine, Interval) and isinstance(theirs, Interval):
                    wanted = f"PSNR at {time} s above that of the {other}, {theirs.value:.2f}"
                    said.append(bar(wanted, mine, mine.value > theirs.value))
        for number, (part, time) in enumerate((part, time) for part in PARTS for time in TIMES_S):
            found = own[1 + count + number]
            if isinstance(found, Interval):
                wanted = f"detail, {part}, at {time} s at least {LEAST_DETAIL:g}"
                said.append(bar(wanted, found, found.value >= LEAST_DETAIL))
        mine, theirs = own[-1], cells[WARP][-1]
        if isinstance(mine, Interval) and isinstance(theirs, Interval):
            wanted = f"FDS at {TIMES_S[-1]} s at most half the {WARP}, {theirs.value:.1f}"
            said.append(bar(wanted, mine, mine.value <= MOST_FDS_SHARE * theirs.value))
        return said


def shown_from(worlds: Mapping[str, WorldModel], scene: Scene) -> tuple[Images, dict[str, Images]]:
    """Four seconds of footage from a scene's start, and what worlds, the warp and the first frame make of it."""
    camera, poses = scene.camera, scene.log.ego_poses
    assert camera is not None
    assert poses is not None
    footage = scene.log.images(0, LONGEST_FRAMES + 1, camera)
    ahead = np.asarray(poses, np.float64)[scene.log.num_past :]
    made = {name: along_poses(world, scene, ahead, TIMES_S[-1]) for name, world in worlds.items()}
    first = footage[0]
    warped = warp_images(first, camera, ahead[1 : LONGEST_FRAMES + 1], WarpSettings("ground", _WARP_M))
    made[WARP] = np.concatenate([first[None], warped])
    made[KEPT] = np.repeat(first[None], len(footage), axis=0)
    return footage, made


__all__ = ["FootageScores", "Recording", "Shown", "recordings", "shown_from"]
