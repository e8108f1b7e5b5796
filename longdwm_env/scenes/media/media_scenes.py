"""Photographs and videos as scenes.

A file is one recording; a folder is all images and videos directly in it, by name, each a recording of its own (files
of other kinds and hidden files are passed over). One that cannot be read keeps its place, and is an error when its
scene is asked for; a video is named in a warning when the folder is opened. A photograph has one start and no past. A
video has a start every ``clock.HORIZON_S`` seconds from one interval on, so that the frames before each start have been
recorded. Poses, map and traffic are not known. The camera comes from a ``camera.json`` beside the file, see
``sidecar``, else it is None. The speed at a start is that of poses beside a video, or of ``camera.json``, or read from
the video; a photograph's is assumed, and so is that of a video which cannot be read (``start_motion``).
"""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from longdwm_env.clock import FPS, FRAME_S, HORIZON_S, INTERVAL_S
from longdwm_env.errors import InvalidScene
from longdwm_env.io.caching import Kept
from longdwm_env.io.names import printable
from longdwm_env.scenes.media.image_file import HEAD_BYTES, IMAGE_SUFFIXES, read_image, starts_like_an_image
from longdwm_env.scenes.media.sidecar import read_sidecar
from longdwm_env.scenes.media.video_frames import VIDEO_SUFFIXES, VideoFacts, frames_at, video_facts
from longdwm_env.scenes.recorded_log import RecordedLog
from longdwm_env.scenes.recording_starts import IndexedScenes, StartIndex
from longdwm_env.scenes.start_motion import ASSUMED_SPEED_MPS, motion_at
from longdwm_env.types import EgoState, Scene

MEDIA_SUFFIXES = IMAGE_SUFFIXES | VIDEO_SUFFIXES


class PhotoLog(RecordedLog):
    """A photograph: one frame, which is the start."""

    def __init__(self, path: Path) -> None:
        super().__init__(num_past=0, num_future=0)
        self.path = path

    def decode(self, positions: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield the photograph for position 0."""
        for position in positions:
            yield position, read_image(self.path)


class VideoLog(RecordedLog):
    """A video around a start, resampled to the 12 fps clock by the nearest frame in time."""

    def __init__(self, path: Path, facts: VideoFacts, start_s: float) -> None:
        """A log about one moment of a video.

        Args:
            path: of the video.
            facts: from ``videos.video_facts``.
            start_s: seconds after the first frame.
        """
        half_frame = 0.5
        super().__init__(int(start_s * FPS + half_frame), int((facts.last_s - start_s) * FPS + half_frame))
        self.path = path
        self.start_s = start_s
        self.facts = facts

    def decode(self, positions: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield the frames nearest to the positions' times."""
        times = [self.start_s + (position - self.num_past) * FRAME_S for position in positions]
        for index, image in frames_at(self.path, self.facts, times):
            yield positions[index], image


def video_starts_s(last_s: float) -> list[float]:
    """Start times of a video whose last frame is ``last_s`` seconds after its first."""
    if last_s < INTERVAL_S:
        return [0.0]
    return np.arange(INTERVAL_S, last_s + FRAME_S / 2, HORIZON_S).tolist()


class MediaScenes(IndexedScenes):
    """The scenes of an image, a video, or a folder of them. Keys are file names, ``name@seconds`` for later starts."""

    def __init__(self, path: Path) -> None:
        """Find the files, open the videos, and decode an image that stands alone; a folder's images wait.

        Raises:
            InvalidScene: there is nothing to open, or none of it can be opened.
        """
        self.name = printable(path)
        # Files keep their places whatever folder the process goes to.
        self._files = media_files(path.absolute())
        self._facts = [_facts_of(file) for file in self._files]
        faults = [facts for facts in self._facts if isinstance(facts, InvalidScene)]
        if len(faults) == len(self._files):
            raise faults[0]
        for said in (*faults, *(f.damage for f in self._facts if isinstance(f, VideoFacts) and f.damage)):
            warnings.warn(printable(said), stacklevel=3)
        times = [video_starts_s(f.last_s) if isinstance(f, VideoFacts) else [0.0] for f in self._facts]
        self._times_s = times
        self._index = StartIndex(self.name, [printable(file.name) for file in self._files], times)
        self._scene = Kept(self._make_scene, 8)
        if len(self._files) == 1:
            self.scene(0)

    def index_of_key(self, key: str) -> int:
        """The index of ``name`` or ``name@seconds``."""
        return self._index.index_of_key(printable(key))

    def _make_scene(self, index: int) -> Scene:
        start = self._index.start(index)
        file, facts = self._files[start.recording], self._facts[start.recording]
        if isinstance(facts, InvalidScene):
            raise InvalidScene(str(facts)) from facts
        if facts is None:
            # Decoding the whole image here means that a damaged one is an error now, not in the middle of an episode.
            height, width = read_image(file).shape[:2]
            log: RecordedLog = PhotoLog(file)
        else:
            height, width = facts.image_size
            log = VideoLog(file, facts, self._times_s[start.recording][start.moment])
        sidecar = read_sidecar(file, (height, width))
        if isinstance(log, VideoLog):
            moving, assumed = motion_at(file, log.facts, log.start_s, sidecar)
        else:
            assumed = sidecar.speed_mps is None
            moving = EgoState(speed_mps=ASSUMED_SPEED_MPS if sidecar.speed_mps is None else sidecar.speed_mps)
        return Scene(
            start.key,
            log,
            sidecar.camera,
            start=moving,
            prompt=sidecar.prompt,
            assumed_speed=assumed,
        )


def _facts_of(file: Path) -> VideoFacts | InvalidScene | None:
    """Of a video, or why it cannot be read; None for an image."""
    try:
        return video_facts(file) if is_video(file) else None
    except InvalidScene as error:
        return error


def is_video(path: Path) -> bool:
    """Whether a file is to be read as a video: by its suffix; without a known one, unless it starts like an image."""
    suffix = path.suffix.lower()
    return suffix in VIDEO_SUFFIXES or (suffix not in IMAGE_SUFFIXES and not _is_an_image_inside(path))


def _is_an_image_inside(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return starts_like_an_image(file.read(HEAD_BYTES))
    except OSError as error:
        raise InvalidScene(f"{path} cannot be read: {error.strerror or error}") from error


def media_files(path: Path) -> list[Path]:
    """The file itself, or the images and videos directly in a folder, by name.

    Raises:
        InvalidScene: there are none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InvalidScene(f"{path} is neither a file nor a folder")
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise InvalidScene(f"{path} cannot be listed: {error.strerror or error}") from error
    files = [e for e in entries if e.suffix.lower() in MEDIA_SUFFIXES and not e.name.startswith(".") and e.is_file()]
    if not files:
        raise InvalidScene(
            f"{path} holds no images or videos ({', '.join(sorted(MEDIA_SUFFIXES))}) and no nuScenes tables "
            "(a folder such as v1.0-mini with scene.json in it)"
        )
    return files
