"""Reading frames of a video file at given times, by seeking: never more than a few decoded frames in memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from longdwm_env.clock import FRAME_S
from longdwm_env.errors import InvalidScene
from longdwm_env.scenes.pictures import refuse_huge
from longdwm_env.types import ImageSize

MAX_VIDEO_BYTES = 8 * 1024**3
MAX_VIDEO_S = 2 * 3600.0

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".wmv"})

# Everything that libav's wrapper raises on damaged files; its own errors derive from several of Python's.
_DAMAGED = (av.FFmpegError, OSError, ValueError, IndexError, EOFError, ArithmeticError, UnicodeError, MemoryError)


@dataclass(frozen=True)
class VideoFacts:
    """What has to be known of a video before its frames are read.

    Attributes:
        first_s: presentation time of the first frame on the file's own clock.
        last_s: time of the last frame after the first.
        image_size: (height, width) of the upright frames.
        timed: the file says when its frames are shown; if not, they are counted from the first.
    """

    first_s: float
    last_s: float
    image_size: ImageSize
    timed: bool


def video_facts(path: Path) -> VideoFacts:
    """Open a video, decode its first frame and find its length.

    Raises:
        InvalidScene: missing, unreadable, too large or too long, without a video stream or without frames.
    """
    with _opened(path) as (container, stream):
        first = next(_frames(path, container, stream), None)
        if first is None:
            raise InvalidScene(f"{path} is a video without frames")
        frame_s = _frame_s(stream)
        timed = stream.duration is not None or container.duration is not None
        if stream.duration is not None:
            last_s = float(stream.duration * stream.time_base) - frame_s
        elif container.duration is not None:
            last_s = container.duration / av.time_base - frame_s
    if not timed:
        # Browsers record WebM without a length: look at every packet.
        with _opened(path) as (container, stream):
            stamps = [packet.pts for packet in container.demux(stream) if packet.size]
            timed = None not in stamps
            last_s = float(max(stamps) * stream.time_base) - first[0] if timed else (len(stamps) - 1) * frame_s
    if not last_s <= MAX_VIDEO_S:
        raise InvalidScene(f"{path} lasts {last_s:,.0f} s; at most {MAX_VIDEO_S:,.0f} s are allowed: cut it first")
    return VideoFacts(first[0], max(0.0, last_s), (first[1].shape[0], first[1].shape[1]), timed)


def frames_at(path: Path, facts: VideoFacts, times_s: Sequence[float]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield (index, image (h, w, 3)) for each of the times after the first frame, which ascend: the nearest frame each.

    Raises:
        InvalidScene: the file cannot be decoded, or ends before a time.
    """
    wanted = [facts.first_s + time for time in times_s]
    with _opened(path) as (container, stream):
        frames = _seeked(path, container, stream, wanted[0]) if facts.timed else _frames(path, container, stream)
        before = next(frames, None)
        if before is None or before[0] > wanted[0] + FRAME_S / 2:
            # Some formats cannot seek, or seek too far: read from the beginning.
            with _opened(path) as (again, stream_again):
                yield from _nearest(path, _frames(path, again, stream_again), wanted)
            return
        yield from _nearest(path, _with_first(before, frames), wanted)


def grey_frames(path: Path, size: ImageSize, keyframes: bool = False) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Yield (time on the file's clock, upright grey image (h, w)) of every frame, reduced while it is decoded.

    Args:
        path: of the video.
        size: (height, width) of the upright images.
        keyframes: only the frames that decode by themselves, which is many times faster.

    Raises:
        InvalidScene: the file cannot be decoded.
    """
    with _opened(path) as (container, stream):
        if keyframes:
            stream.codec_context.skip_frame = "NONKEY"
        frame_s = _frame_s(stream)
        clock_s = -frame_s
        for frame in container.decode(stream):
            refuse_huge(str(path), frame.width, frame.height)
            clock_s = clock_s + frame_s if frame.time is None else float(frame.time)
            turns = round(frame.rotation / 90)
            height, width = size if turns % 2 == 0 else size[::-1]
            grey = frame.reformat(width=width, height=height, format="gray", interpolation="AREA").to_ndarray()
            yield clock_s, np.ascontiguousarray(np.rot90(grey, turns))


def numbered_frames(path: Path, wanted: Sequence[int], first_s: float = 0.0) -> Iterator[NDArray[np.uint8]]:
    """Yield the images (h, w, 3) with some numbers, which ascend, counted from a time after the first frame on.

    Raises:
        InvalidScene: the file cannot be decoded, or ends before a number.
    """
    number, place, start_s = 0, 0, None
    with _opened(path) as (container, stream):
        half = _frame_s(stream) / 2
        for time, image in _frames(path, container, stream):
            start_s = time if start_s is None else start_s
            if time - start_s < first_s - half:
                continue
            if number == wanted[place]:
                yield image
                place += 1
                if place == len(wanted):
                    return
            number += 1
    raise InvalidScene(f"{path} has {number} frames; number {wanted[place]} is wanted")


def _with_first(first: tuple[float, Any], rest: Iterator[tuple[float, Any]]) -> Iterator[tuple[float, Any]]:
    yield first
    yield from rest


def _nearest(
    path: Path, frames: Iterator[tuple[float, NDArray[np.uint8]]], wanted: Sequence[float]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Match ascending wanted times with frames in presentation order."""
    before: tuple[float, NDArray[np.uint8]] | None = None
    index = 0
    for after in frames:
        while index < len(wanted) and after[0] >= wanted[index]:
            nearer = after if before is None or after[0] - wanted[index] <= wanted[index] - before[0] else before
            yield index, nearer[1]
            index += 1
        if index == len(wanted):
            return
        before = after
    while index < len(wanted):
        # The header's length may overstate the last frame's time by a frame or two of slow video.
        if before is None or wanted[index] - before[0] > 0.25:
            end = "has no frames" if before is None else f"ends at {before[0]:.2f} s"
            raise InvalidScene(f"{path} {end}; its header promises a frame at {wanted[index]:.2f} s: it is truncated")
        yield index, before[1]
        index += 1


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container and its first video stream; whatever goes wrong inside becomes ``InvalidScene``."""
    try:
        size = path.stat().st_size
        if size > MAX_VIDEO_BYTES:
            raise InvalidScene(f"{path} has {size:,} bytes; a video may have at most {MAX_VIDEO_BYTES:,}: cut it first")
        # "file:" keeps names such as "concat:..." from being read as libav protocols.
        with av.open(f"file:{path}") as container:
            if not container.streams.video:
                raise InvalidScene(f"{path} has no video stream")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise InvalidScene(f"{path} has a video stream in a format that nothing here decodes")
            refuse_huge(str(path), stream.codec_context.width, stream.codec_context.height)
            stream.thread_type = "AUTO"
            yield container, stream
    except InvalidScene:
        raise
    except _DAMAGED as error:
        raise InvalidScene(f"{path} cannot be read as a video: {error}") from error


def _seeked(path: Path, container: Any, stream: Any, time_s: float) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    try:
        container.seek(max(0, round(time_s / stream.time_base)), stream=stream, backward=True, any_frame=False)
    except _DAMAGED:
        return iter(())
    return _frames(path, container, stream, from_s=time_s - 1.0)


def _frames(
    path: Path, container: Any, stream: Any, from_s: float = float("-inf")
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """(time on the file's clock, upright RGB image) of every frame from a time on, in presentation order."""
    frame_s = _frame_s(stream)
    clock_s = -frame_s
    for frame in container.decode(stream):
        refuse_huge(str(path), frame.width, frame.height)
        clock_s = clock_s + frame_s if frame.time is None else float(frame.time)
        if clock_s >= from_s:
            # Phones store portrait video as turned landscape: ``rotation`` is counter-clockwise, in quarter turns.
            image = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
            yield clock_s, np.ascontiguousarray(image)


def _frame_s(stream: Any) -> float:
    """Seconds per frame as the file says; those of our clock if it does not."""
    return float(1 / stream.average_rate) if stream.average_rate else FRAME_S
