"""How well a world knows a recorded road: driven as the car was, its pictures are held against those of the camera."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from longdwm_env.clock import FPS, FRAMES_PER_INTERVAL
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation import report
from longdwm_env.evaluation.image_quality import psnr_db
from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.geometry.pose import relative_to
from longdwm_env.geometry.warp import WarpSettings, warp_images
from longdwm_env.io.figures import SheetRow, contact_sheet, save_picture
from longdwm_env.io.files import atomic_write_json
from longdwm_env.io.routes import read_poses
from longdwm_env.io.video import write_video
from longdwm_env.scenes.ego_motion.poses_file import SUFFIX, read_trust
from longdwm_env.scenes.media.media_scenes import VideoLog
from longdwm_env.scenes.media.sidecar import read_sidecar
from longdwm_env.scenes.media.video_frames import video_facts
from longdwm_env.types import EgoState, FloatArray, Images, ImageSize, Scene, Trajectory
from longdwm_env.world import WorldModel

SECONDS = (1, 2)
"""Ahead, at which pictures are measured."""

SHOWN_S = (0, 1, 2, 4, 6, 8, 10)
HISTORY_S = 3
PAGE = "index.html"
POSE_SUFFIXES = (SUFFIX, ".json", ".txt", ".tum")
"""Of poses beside a video, in the order in which they are looked for."""

_AHEAD = 2 * FRAMES_PER_INTERVAL
_FALLBACK_M = 35.0


@dataclass(frozen=True)
class RecordedDrive:
    """A part of a video with poses, to be driven again.

    Attributes:
        video: the file; poses and camera lie beside it.
        moments: frames of the clock at which drives begin; 3 s of the part before each, 2 s after it.
    """

    video: Path
    first_s: float
    moments: tuple[int, ...]

    @classmethod
    def of(cls, video: Path, first_s: float, most: int) -> "RecordedDrive":
        """A part from a time to the video's end, with moments a second or more apart where poses are trusted.

        Raises:
            InvalidConfig: the part is too short, or nowhere trusted.
        """
        last = int(video_facts(video).last_s * FPS)
        first = int(np.ceil(first_s * FPS)) + HISTORY_S * FPS
        trust = read_trust(video.with_suffix(SUFFIX)) if video.with_suffix(SUFFIX).is_file() else None
        moments = [
            frame
            for frame in range(first, last - _AHEAD, FPS)
            if trust is None or trust.share(frame - FPS, FPS + _AHEAD) > 0.9
        ]
        if not moments:
            raise InvalidConfig(
                f"{video.name} from {first_s:.1f} s on has no {HISTORY_S + 2} s with poses that can be trusted"
            )
        step = max(1, -(-len(moments) // most))
        return cls(video, first_s, tuple(moments[::step]))

    def begin(self, moment: int, image_size: ImageSize) -> tuple[Scene, FloatArray]:
        """The scene at a moment, and the poses (T, 3) from there on, the moment's own first."""
        facts = video_facts(self.video)
        camera = read_sidecar(self.video, facts.image_size).camera or assumed_camera(facts.image_size)
        path = next(p for s in POSE_SUFFIXES if (p := self.video.with_suffix(s)).is_file())
        poses = np.asarray(read_poses(path), np.float64)
        log = VideoLog(self.video, facts, moment / FPS)
        log.ego_poses = poses[moment - log.num_past : moment + log.num_future + 1]
        speed = float(np.hypot(*(poses[moment, :2] - poses[moment - 1, :2]))) * FPS
        yaw_rate = float(poses[moment, 2] - poses[moment - 1, 2]) * FPS
        x, y, heading = (float(value) for value in poses[moment])
        start = EgoState(x, y, heading, speed, 0.0, yaw_rate)
        return Scene(f"{self.video.name}@{moment}", log, camera.fitted(image_size), start), poses[moment:]


@dataclass(frozen=True)
class RoadQuality:
    """PSNR in dB at ``SECONDS`` ahead, each (moments, seconds).

    Attributes:
        world: of the world's pictures.
        warp: of the ground's warp of the first picture.
        kept: of the first picture, kept.
    """

    world: FloatArray
    warp: FloatArray
    kept: FloatArray


def driven_again(world: WorldModel, drive: RecordedDrive, moment: int, seconds: int) -> Images:
    """What a world shows on a drive's way, (12 seconds + 1, H, W, 3), the moment's own picture first."""
    scene, poses = drive.begin(moment, world.image_size)
    return along_poses(world, scene, poses, seconds)


def along_poses(world: WorldModel, scene: Scene, poses: FloatArray, seconds: int) -> Images:
    """What a world shows from a scene's start along poses (T, 3), the start's own first; as far as these reach."""
    assert scene.camera is not None
    state = world.begin(scene, 0)
    frames = [scene.log.images(0, 1, scene.camera)]
    for second in range(seconds):
        here = second * FRAMES_PER_INTERVAL
        if here + FRAMES_PER_INTERVAL >= len(poses):
            break
        part = poses[here : here + _AHEAD + 1]
        # The last second of a recording goes on as it ends: a trajectory is as long as a plan.
        part = np.concatenate([part, np.repeat(part[-1:], _AHEAD + 1 - len(part), axis=0)])
        (state,), clip = world.advance([state], [_trajectory(part)], FRAMES_PER_INTERVAL)
        frames.append(clip[0])
    return np.concatenate(frames)


def measured(world: WorldModel, drive: RecordedDrive) -> RoadQuality:
    """PSNR over all moments of a drive."""
    rows: dict[str, list[list[float]]] = {"world": [], "warp": [], "kept": []}
    for moment in drive.moments:
        scene, poses = drive.begin(moment, world.image_size)
        assert scene.camera is not None
        made = driven_again(world, drive, moment, max(SECONDS))
        frames = [second * FRAMES_PER_INTERVAL for second in SECONDS]
        truth = np.concatenate([scene.log.images(frame, 1, scene.camera) for frame in frames])
        ahead = relative_to(poses[frames], np.broadcast_to(poses[0], (len(frames), 3)))
        warped = warp_images(made[0], scene.camera, ahead, WarpSettings(variant="ground", depth_m=_FALLBACK_M))
        kept = np.broadcast_to(made[0], truth.shape)
        for name, shown in (("world", made[frames]), ("warp", warped), ("kept", kept)):
            rows[name].append(psnr_db(np.asarray(shown), truth).tolist())
    return RoadQuality(**{name: np.array(values) for name, values in rows.items()})


def measured_once(path: Path, world: WorldModel, drive: RecordedDrive, of: str) -> RoadQuality:
    """As ``measured``, kept in a file; ``of`` names what was measured, and another name is measured anew."""
    about = {"of": of, "video": drive.video.name, "moments": list(drive.moments)}
    if path.is_file():
        found = json.loads(path.read_text())
        if found["about"] == about:
            return RoadQuality(**{name: np.array(values) for name, values in found["psnr_db"].items()})
    quality = measured(world, drive)
    values = {name: np.round(getattr(quality, name), 3).tolist() for name in ("world", "warp", "kept")}
    atomic_write_json(path, {"about": about, "psnr_db": values})
    return quality


def write_page(
    folder: Path,
    before: RoadQuality,
    after: RoadQuality,
    drive: RecordedDrive,
    worlds: dict[str, WorldModel],
    title: str,
) -> Path:
    """A page with the table, a sheet and a video of what the worlds make of the road beside what was there.

    ``before`` was measured of the world as shipped, ``after`` of the one that was trained: these are the worlds
    "before" and "after". The drive was held out of training.
    """
    shown = [drive.moments[0], drive.moments[len(drive.moments) // 2]]
    rows: list[SheetRow] = []
    clips: list[Images] = []
    for moment in dict.fromkeys(shown):
        parts = {"recorded": _recorded(drive, moment, worlds["after"].image_size)}
        parts |= {name: driven_again(world, drive, moment, max(SHOWN_S)) for name, world in worlds.items()}
        length = min(map(len, parts.values()))
        places = [second * FPS for second in SHOWN_S if second * FPS < length]
        for name, frames in parts.items():
            captions = tuple(f"{place // FPS} s" for place in places)
            rows.append(SheetRow(f"{name}, from {moment / FPS:.0f} s", frames[places], captions))
        clips.append(np.concatenate([frames[:length] for frames in parts.values()], axis=2))
    save_picture(folder / "sheet.png", contact_sheet(rows))
    write_video(folder / "drive.mp4", clips)
    lines = [
        (name, *(f"{value:.1f}" for value in table.mean(axis=0)))
        for name, table in (
            ("after", after.world), ("before: mini as shipped", before.world), ("ground's warp", after.warp),
            ("first picture kept", after.kept),
        )
    ]  # fmt: skip
    gains = (after.world - before.world).mean(axis=0)
    report.write_page(
        folder / PAGE,
        "own_road.html.j2",
        title=title,
        seconds=SECONDS,
        lines=lines,
        gains=[f"{gain:+.1f}" for gain in gains],
        moments=len(drive.moments),
    )
    return folder / PAGE


def _recorded(drive: RecordedDrive, moment: int, image_size: ImageSize) -> Images:
    scene, _ = drive.begin(moment, image_size)
    assert scene.camera is not None
    return scene.log.images(0, min(max(SHOWN_S) * FPS, scene.log.num_future) + 1, scene.camera)


def _trajectory(poses: FloatArray) -> Trajectory:
    """The way along poses (T + 1, 3), the present one first."""
    ahead = relative_to(poses[1:], np.broadcast_to(poses[0], (len(poses) - 1, 3)))
    steps = np.diff(poses, axis=0)
    speeds = np.hypot(steps[:, 0], steps[:, 1]) * float(FPS)
    waypoints = ahead[5::6, :2]
    return Trajectory(
        waypoints_m=waypoints,
        poses=ahead,
        speeds_mps=speeds,
        accelerations_mps2=np.gradient(speeds) * FPS,
        yaw_rates_radps=steps[:, 2] * float(FPS),
        requested_waypoints_m=waypoints,
    )


__all__ = [
    "POSE_SUFFIXES",
    "RecordedDrive",
    "RoadQuality",
    "along_poses",
    "driven_again",
    "measured",
    "measured_once",
    "write_page",
]
