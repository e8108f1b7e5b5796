"""A folder of driving videos as footage: of any dashcam, with ego poses where a file of them lies beside the video.

Beside ``drive.mp4`` may lie ``drive.json`` or ``drive.txt`` with poses (``routes.read_poses``: JSON, TUM or KITTI
rows), and what scenes read too: ``drive.camera.json`` or ``camera.json`` (``scenes.sidecar``). Videos are cut into
clips one after another; each frame belongs to one clip. What ``longdwm data poses`` wrote says where the video was cut
and which frames can be trusted: no clip crosses a cut, and clips of which too little can be trusted are left out.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from longdwm_env.clock import FPS, FRAMES_PER_INTERVAL
from longdwm_env.errors import InvalidConfig, InvalidScene
from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.io.files import content_hash
from longdwm_env.io.names import printable
from longdwm_env.io.routes import read_poses
from longdwm_env.scenes.ego_motion.poses_file import Trust, read_trust
from longdwm_env.scenes.media.media_scenes import VideoLog
from longdwm_env.scenes.media.sidecar import FILE_SUFFIX, FOLDER_SIDECAR, read_sidecar
from longdwm_env.scenes.media.video_frames import VIDEO_SUFFIXES, VideoFacts, video_facts
from longdwm_env.training.data.clip import BadClip, Clip
from longdwm_env.types import FloatArray, ImageSize

log = logging.getLogger(__name__)

FEWEST_TRUSTED = 0.5
"""Share of a clip's frames whose poses must be trusted."""


@dataclass(frozen=True)
class _Part:
    video: Path
    name: str
    facts: VideoFacts | None
    first: int
    frames: int


class VideoClips:
    """Clips cut from the videos of a folder.

    Args:
        folder: of the videos; or one video.
        image_size: (height, width) that frames are fitted to.
        frames: most frames of a clip; a video's rest becomes a shorter one of whole intervals.
        until_s: by name of a file: nothing of it is used from this time on.

    Raises:
        InvalidConfig: there is no video, or none long enough.
    """

    def __init__(
        self, folder: Path, image_size: ImageSize, frames: int = 145, until_s: Mapping[str, float] | None = None
    ) -> None:
        files = (
            [folder]
            if folder.is_file()
            else sorted(
                p
                for p in folder.rglob("*")
                # Hidden ones are what systems leave beside files, such as "._drive.mp4".
                if p.suffix.lower() in VIDEO_SUFFIXES and not p.name.startswith(".") and p.is_file()
            )
        )
        self.name, self.image_size, self.frames = printable(folder), image_size, frames
        self._root = folder if folder.is_dir() else folder.parent
        self.until_s = dict(until_s or {})
        self._parts: list[_Part] = []
        posed = []
        for file in files:
            name = printable(file.relative_to(self._root))
            facts: VideoFacts | None = None
            try:
                facts = video_facts(file)
                if facts.damage:
                    log.warning("%s", printable(facts.damage))
                length = int(facts.last_s * FPS + 0.5) + 1
            except InvalidScene as error:
                # Reported again as a bad clip when it is asked for, so that it counts against the limit.
                log.warning("%s", error)
                length = frames
            length = min(length, int(self.until_s.get(file.name, length / FPS) * FPS + 1e-6))
            trust = _trust(file)
            bounds = [0, *(cut for cut in trust.cuts if 0 < cut < length), length]
            for begin, end in pairwise(bounds):
                self._add_parts(_Part(file, name, facts, begin, end - begin), trust)
            posed.append(_pose_file(file) is not None)
        if not self._parts:
            raise InvalidConfig(
                f"{folder} holds no usable video of at least {FRAMES_PER_INTERVAL + 1} frames at {FPS} frames/s"
            )
        self.has_poses, self.has_labels = all(posed), False
        if any(posed) and not self.has_poses:
            log.warning(
                "%d of %d videos have poses; a model needs them for all, so none are used", sum(posed), len(posed)
            )

    @property
    def longest(self) -> int:
        """Frames of its longest clip."""
        return max(part.frames for part in self._parts)

    def _add_parts(self, whole: _Part, trust: Trust) -> None:
        """Cut clips out of the frames from one cut to the next."""
        for offset in range(0, whole.frames - FRAMES_PER_INTERVAL, self.frames):
            usable = (min(self.frames, whole.frames - offset) - 1) // FRAMES_PER_INTERVAL * FRAMES_PER_INTERVAL + 1
            first = whole.first + offset
            share = trust.share(first, usable)
            if usable <= FRAMES_PER_INTERVAL:
                continue
            if share < FEWEST_TRUSTED:
                log.warning(
                    "%s: the clip from %.1f s is left out; %.0f %% of its frames have poses that cannot be trusted",
                    whole.name,
                    first / FPS,
                    100 * (1 - share),
                )
                continue
            self._parts.append(replace(whole, first=first, frames=usable))

    def description(self) -> dict[str, object]:
        """What decides the clips' contents: of every video, and of what lies beside it, a hash."""
        return {
            "source": "videos",
            "image_size": list(self.image_size),
            "frames": self.frames,
            "videos": self._hashes,
            "poses": self.has_poses,
        } | ({"until_s": self.until_s} if self.until_s else {})

    @cached_property
    def _hashes(self) -> dict[str, str]:
        hashes = {}
        for video in sorted({part.video for part in self._parts}):
            beside = [_pose_file(video), video.with_suffix(FILE_SUFFIX), video.parent / FOLDER_SIDECAR]
            files = [video, *(path for path in beside if path is not None and path.is_file())]
            hashes[printable(video.relative_to(self._root).as_posix())] = " ".join(content_hash(path) for path in files)
        return hashes

    def __len__(self) -> int:
        return len(self._parts)

    def clip(self, index: int) -> Clip:
        """One clip.

        Raises:
            BadClip: the video or its poses cannot be read.
        """
        part = self._parts[index]
        try:
            facts = part.facts or video_facts(part.video)
            sidecar = read_sidecar(part.video, facts.image_size)
            camera = (sidecar.camera or assumed_camera(facts.image_size)).fitted(self.image_size)
            images = VideoLog(part.video, facts, 0.0).images(part.first, part.frames, camera)
            poses = self._poses(part)
        except (InvalidScene, InvalidConfig, ValueError, OSError) as error:
            raise BadClip(str(error)) from error
        return Clip(f"{part.name}@{part.first}", np.ascontiguousarray(images), camera, poses, sidecar.prompt)

    def _poses(self, part: _Part) -> FloatArray | None:
        path = _pose_file(part.video)
        if not self.has_poses or path is None:
            return None
        poses = read_poses(path)
        last = part.first + part.frames
        if len(poses) < last:
            raise BadClip(f"{path} has {len(poses)} poses at {FPS} per second; frame {last - 1} needs one")
        return poses[part.first : last]


def _trust(video: Path) -> Trust:
    path = _pose_file(video)
    try:
        return read_trust(Path() if path is None else path)
    except InvalidConfig as error:
        # Reported again with the clip that asks for its poses.
        log.warning("%s", error)
        return read_trust(Path())


def _pose_file(video: Path) -> Path | None:
    for suffix in (".poses.json", ".json", ".txt", ".tum"):
        candidate = video.with_suffix(suffix)
        if candidate.is_file():
            return candidate
    return None
