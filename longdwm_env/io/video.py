"""Video files, through PyAV: streamed out frame by frame, so that memory does not grow with length."""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np

from longdwm_env.clock import FPS
from longdwm_env.io.files import atomic_path
from longdwm_env.types import Images, ImageSize

MIN_PLAYBACK_HEIGHT_PX = 384
"""Smaller frames are enlarged by a whole factor: video codecs smear pictures of a hundred lines."""


def playback_scale(image_size: ImageSize) -> int:
    """Whole factor by which frames of (height, width) are enlarged for people to look at."""
    return max(1, -(-MIN_PLAYBACK_HEIGHT_PX // image_size[0]))


def enlarge(frames: Images, scale: int) -> Images:
    """Enlarge (..., H, W, 3) uint8 frames by a whole factor, smoothly."""
    if scale == 1:
        return frames
    height, width = frames.shape[-3] * scale, frames.shape[-2] * scale
    flat = frames.reshape(-1, *frames.shape[-3:])
    large = np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC) for frame in flat])
    return large.reshape(*frames.shape[:-3], height, width, 3)


class VideoWriter:
    """An mp4 (H.264) that grows frame by frame. The file appears under its name only when it is complete.

    With ``preview=True`` the frames go straight to the named file in fragments of one second, so that a player can
    open it while it is being written; an interrupted file then stays behind and plays up to its last fragment.

    Args:
        path: the file to write.
        image_size: (height, width) of the frames that will come.
        fps: frames per second.
        scale: whole factor by which to enlarge the frames; None makes small ones large enough to watch.
        preview: see above.

    Raises:
        ValueError: a frame of another size or type is written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        image_size: ImageSize,
        fps: int = FPS,
        scale: int | None = None,
        preview: bool = False,
    ) -> None:
        self.path = Path(path)
        self.image_size = image_size
        self.frames_written = 0
        self._scale = playback_scale(image_size) if scale is None else scale
        self._stack = ExitStack()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        target = self.path if preview else self._stack.enter_context(atomic_path(self.path))
        options = (
            {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
            if preview
            else {"movflags": "faststart"}
        )
        self._container = av.open(str(target), "w", format="mp4", options=options)
        self._stream = self._container.add_stream("libx264", rate=fps, options={"crf": "18", "preset": "veryfast"})
        # 4:2:0 chroma needs even sides; the odd row or column is repeated once.
        self._height, self._width = (side * self._scale + side * self._scale % 2 for side in image_size)
        self._stream.width, self._stream.height = self._width, self._height
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, fps)
        self._stream.codec_context.gop_size = fps

    def write(self, frames: Images) -> None:
        """Append one frame (H, W, 3) or several (T, H, W, 3), uint8 RGB."""
        frames = frames[None] if frames.ndim == 3 else frames
        if frames.dtype != np.uint8 or frames.shape[1:] != (*self.image_size, 3):
            raise ValueError(f"frames are {frames.dtype} {frames.shape[1:]}, expected uint8 {(*self.image_size, 3)}")
        for frame in enlarge(frames, self._scale):
            rows, columns = self._height - frame.shape[0], self._width - frame.shape[1]
            even = np.pad(frame, ((0, rows), (0, columns), (0, 0)), mode="edge") if rows or columns else frame
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            picture.pts = self.frames_written
            for packet in self._stream.encode(picture):
                self._container.mux(packet)
            self.frames_written += 1

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self.frames_written == 0:
                raise ValueError(f"no frame was written to {self.path}")
            if self.frames_written:
                for packet in self._stream.encode(None):
                    self._container.mux(packet)
        except BaseException:
            # On a full disk closing fails too; the temporary file goes all the same.
            with suppress(Exception):
                self._container.close()
            self._stack.__exit__(kind or ValueError, error or ValueError("no frame was written"), trace)
            raise
        self._container.close()
        self._stack.__exit__(kind, error, trace)


def unfinished(path: Path) -> Path:
    """Where ``growing_video`` keeps what it has until the video is complete."""
    return path.with_name(f"{path.stem}.part{path.suffix}")


@contextmanager
def growing_video(path: Path, image_size: ImageSize, scale: int | None = None) -> Iterator[VideoWriter]:
    """A video of which nothing but the last second is lost, whatever ends it: a full disk, or a kill.

    It grows as ``NAME.part.mp4``, which plays, and has its own name when it is complete.

    Args:
        path: the mp4.
        image_size: (height, width) of the frames.
        scale: as for ``VideoWriter``.
    """
    part = unfinished(path)
    try:
        with VideoWriter(part, image_size, scale=scale, preview=True) as video:
            yield video
    except BaseException:
        if not video.frames_written:
            part.unlink(missing_ok=True)
        raise
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def write_video(path: str | os.PathLike[str], frames: Iterable[Images], fps: int = FPS) -> None:
    """Write clips (T, H, W, 3), in order, as one mp4."""
    iterator = iter(frames)
    first = next(iterator)
    with VideoWriter(path, (first.shape[-3], first.shape[-2]), fps) as video:
        video.write(first)
        for clip in iterator:
            video.write(clip)
