"""Reading frames of a video file at given times, by seeking: never more than a few decoded frames in memory.

Times are those of the video stream's own packets. What a container's header says of lengths is only held against them:
sound may outlast the picture, a last frame may be held, a file may be cut off.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from longdwm_env.clock import FRAME_S
from longdwm_env.errors import InvalidScene
from longdwm_env.scenes.media.display import grey_picture, picture, shown_size
from longdwm_env.scenes.media.image_file import HEAD_BYTES, MAX_IMAGE_PIXELS, is_boxed_picture, refuse_huge
from longdwm_env.scenes.media.packets import PacketTimes, packet_times
from longdwm_env.types import ImageSize

MAX_VIDEO_BYTES = 8 * 1024**3
MAX_VIDEO_S = 2 * 3600.0

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".m4v", ".3gp", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv"}
)

_CONTAINERS = "mov,matroska,avi,mpegts,mpeg,asf"
"""libav's names of what is opened: containers that hold their frames themselves. Playlists, and lists of other files
such as ffconcat, are not among them; nor is any protocol but that of files."""

NOTHING_ELSE = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
"""For libav, as ``container_options``: such a container, and no other file or address that stands in it."""

_BARE_STREAMS = "hevc"
"""Streams without a container, as comma2k19 has them: their frames have numbers, but no times to be trusted."""

MOST_TAIL_FRAMES = 600
"""A last group of pictures longer than this is not decoded when a file is opened, but trusted."""

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
        pixel_shape: width over height of a pixel as stored; None for square ones.
        damage: what is missing or broken, naming the file; empty if nothing is known to be. What is there is used.
    """

    first_s: float
    last_s: float
    image_size: ImageSize
    timed: bool
    pixel_shape: Fraction | None = None
    damage: str = ""


def video_facts(path: Path) -> VideoFacts:
    """Read a video's packets, decode its first frame and its last ones; remembered as long as the file stays the same.

    Raises:
        InvalidScene: missing, unreadable, no container that is opened here, too large or too long, without a video
            stream or without frames, or broken at its end.
    """
    try:
        facts = path.stat()
    except OSError as error:
        raise InvalidScene(f"{path} cannot be read: {error.strerror or error}") from error
    return _facts(path, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=1024)
def _facts(path: Path, changed_ns: int, size: int) -> VideoFacts:
    with _opened(path) as (container, stream):
        first = next(_frames(container, stream), None)
        if first is None:
            raise InvalidScene(f"{path} is a video without frames")
        pixel_shape = stream.sample_aspect_ratio
        height, width = picture(str(path), first[1], pixel_shape).shape[:2]
        frame_s = _frame_s(stream)
    with _opened(path) as (container, stream):
        times = packet_times(container, stream, frame_s)
    last_s = times.last_s - first[0] if times.timed else times.last_s
    if not last_s <= MAX_VIDEO_S:
        raise InvalidScene(f"{path} lasts {last_s:,.0f} s; at most {MAX_VIDEO_S:,.0f} s are allowed: cut it first")
    damage = times.damage
    if times.timed and times.tail_frames <= MOST_TAIL_FRAMES:
        decoded_s = _decoded_end_s(path, times) - first[0]
        if decoded_s < last_s - frame_s / 2:
            damage = damage or f"its last frames, from {decoded_s:.2f} s to {last_s:.2f} s, do not decode"
        last_s = decoded_s
    if damage:
        damage = f"{path} is cut off or damaged: {damage}; what is there is used"
    return VideoFacts(first[0], max(0.0, last_s), (height, width), times.timed, pixel_shape, damage)


def _decoded_end_s(path: Path, times: PacketTimes) -> float:
    """Time of the last frame that decodes, on the file's clock."""
    try:
        end = max((time for time, _ in _frames_from(path, times.last_s, True)), default=None)
    except InvalidScene as error:
        raise InvalidScene(f"{error}; its end is damaged: cut it off, or save it anew") from error
    if end is None:
        raise InvalidScene(f"{path} has no frame that can be decoded at its end: cut it off, or save it anew")
    return end


def frames_at(path: Path, facts: VideoFacts, times_s: Sequence[float]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield (index, image (h, w, 3)) for each of the times after the first frame, which ascend: the nearest frame each.

    Raises:
        InvalidScene: the file cannot be decoded, or ends before a time.
    """
    wanted = [facts.first_s + time for time in times_s]
    shape = facts.pixel_shape
    yield from _nearest(path, shape, _frames_from(path, wanted[0], facts.timed, facts.first_s), wanted)


def _frames_from(path: Path, time_s: float, timed: bool, first_s: float = 0.0) -> Iterator[tuple[float, av.VideoFrame]]:
    """(time on the file's clock, frame) from a frame at or before a time on, or from the file's first one."""
    with _opened(path) as (container, stream):
        # Seeking goes by times of decoding, which are earlier, and in some containers by guesses that overshoot.
        for back_s in (0.5, 4.0, 16.0) if timed else ():
            frames = _seeked(container, stream, time_s - back_s)
            try:
                before = next(frames, None)
            except av.FFmpegError:
                continue
            if before is not None and before[0] <= time_s:
                yield before
                yield from frames
                return
    with _opened(path) as (container, stream):
        yield from _frames(container, stream, None if timed else first_s)


def grey_frames(
    path: Path,
    size: ImageSize,
    keyframes: bool = False,
    from_s: float | None = None,
    taken: Callable[[float], bool] = lambda time_s: True,
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Yield (time on the file's clock, upright grey image (h, w)) of frames, reduced while they are decoded.

    Args:
        path: of the video.
        size: (height, width) of the upright images.
        keyframes: only the frames that decode by themselves, which is many times faster.
        from_s: time on the file's clock before which nothing is needed, in a file whose times can be believed.
        taken: of a frame's time, whether it is wanted; the others become no images.

    Raises:
        InvalidScene: the file cannot be decoded.
    """
    for time_s, frame in _decoded(path, keyframes, from_s):
        if taken(time_s):
            refuse_huge(str(path), frame.width, frame.height)
            yield time_s, grey_picture(frame, size)


def _decoded(path: Path, keyframes: bool, from_s: float | None) -> Iterator[tuple[float, av.VideoFrame]]:
    if from_s is not None:
        yield from _frames_from(path, from_s, True)
        return
    with _opened(path) as (container, stream):
        if keyframes:
            stream.codec_context.skip_frame = "NONKEY"
        yield from _frames(container, stream)


def numbered_frames(path: Path, wanted: Sequence[int], first_s: float = 0.0) -> Iterator[NDArray[np.uint8]]:
    """Yield the images (h, w, 3) with some numbers, which ascend, counted from a time after the first frame on.

    Raises:
        InvalidScene: the file cannot be decoded, or ends before a number.
    """
    number, place, start_s = 0, 0, None
    with _opened(path, f"{_CONTAINERS},{_BARE_STREAMS}") as (container, stream):
        half, pixel_shape = _frame_s(stream) / 2, stream.sample_aspect_ratio
        for time, frame in _frames(container, stream):
            start_s = time if start_s is None else start_s
            if time - start_s < first_s - half:
                continue
            if number == wanted[place]:
                yield picture(str(path), frame, pixel_shape)
                place += 1
                if place == len(wanted):
                    return
            number += 1
    raise InvalidScene(f"{path} has {number} frames; number {wanted[place]} is wanted")


def _nearest(
    path: Path, pixel_shape: Fraction | None, frames: Iterator[tuple[float, av.VideoFrame]], wanted: Sequence[float]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Match ascending wanted times with frames in presentation order; only frames that are wanted become pictures."""
    before: tuple[float, av.VideoFrame] | None = None
    shown: tuple[float, NDArray[np.uint8]] | None = None
    index = 0

    def image_of(frame: tuple[float, av.VideoFrame]) -> NDArray[np.uint8]:
        nonlocal shown
        if shown is None or shown[0] != frame[0]:
            shown = frame[0], picture(str(path), frame[1], pixel_shape)
        return shown[1]

    for after in frames:
        while index < len(wanted) and after[0] >= wanted[index]:
            nearer = after if before is None or after[0] - wanted[index] <= wanted[index] - before[0] else before
            yield index, image_of(nearer)
            index += 1
        if index == len(wanted):
            return
        before = after
    while index < len(wanted):
        # The last frame is known from when the file was opened; a frame or two of slow video may be lost to damage.
        if before is None or wanted[index] - before[0] > 0.25:
            end = "has no frames" if before is None else f"ends at {before[0]:.2f} s"
            raise InvalidScene(f"{path} {end}, and a frame at {wanted[index]:.2f} s was there when it was opened")
        yield index, image_of(before)
        index += 1


@contextmanager
def _opened(path: Path, containers: str = _CONTAINERS) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its video stream; whatever goes wrong inside becomes ``InvalidScene``."""
    try:
        size = path.stat().st_size
        if size > MAX_VIDEO_BYTES:
            raise InvalidScene(f"{path} has {size:,} bytes; a video may have at most {MAX_VIDEO_BYTES:,}: cut it first")
        with path.open("rb") as file:
            if is_boxed_picture(file.read(HEAD_BYTES)):
                raise InvalidScene(f"{path} is a picture (HEIC or AVIF), not a video: give it the suffix of its kind")
        # "file:" keeps names such as "concat:..." from being read as libav protocols.
        with av.open(
            f"file:{path}",
            options={"max_pixels": str(MAX_IMAGE_PIXELS)},
            container_options={**NOTHING_ELSE, "format_whitelist": containers},
        ) as container:
            stream = _moving_stream(path, container)
            shown = shown_size(stream.codec_context.width, stream.codec_context.height, stream.sample_aspect_ratio)
            refuse_huge(str(path), *shown)
            stream.thread_type = "AUTO"
            yield container, stream
    except InvalidScene:
        raise
    except av.error.ArgumentError as error:
        raise InvalidScene(f"{path} is no video in a container that is opened here ({containers})") from error
    except _DAMAGED as error:
        raise InvalidScene(f"{path} cannot be read as a video: {_said(error)}") from error


def _said(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error)


def _moving_stream(path: Path, container: InputContainer) -> VideoStream:
    """The first video stream that is marked as the default one, or the first; a cover picture is none."""
    disposition = av.stream.Disposition
    moving = [s for s in container.streams.video if not s.disposition & disposition.attached_pic]
    if not moving:
        raise InvalidScene(f"{path} has no video stream")
    stream = next((s for s in moving if s.disposition & disposition.default), moving[0])
    if stream.codec_context is None:
        raise InvalidScene(f"{path} has a video stream in a format that nothing here decodes")
    return stream


def _seeked(container: InputContainer, stream: VideoStream, time_s: float) -> Iterator[tuple[float, av.VideoFrame]]:
    try:
        container.seek(round(time_s / (stream.time_base or 1)), stream=stream, backward=True, any_frame=False)
    except _DAMAGED:
        return iter(())
    return _frames(container, stream)


def _frames(
    container: InputContainer, stream: VideoStream, counted_from_s: float | None = None
) -> Iterator[tuple[float, av.VideoFrame]]:
    """(time on the file's clock, frame) of every whole frame, in presentation order.

    Args:
        container: of the stream.
        stream: to decode.
        counted_from_s: time of the first frame, where those of the file are of no use: the others are counted.
    """
    frame_s = _frame_s(stream)
    clock_s = None
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            # The last packet of a file that was cut off; what follows a damaged one in the middle would be garbage.
            if not packet.is_corrupt:
                raise
            continue
        for frame in frames:
            if frame.is_corrupt:
                continue
            given = None if counted_from_s is not None or frame.time is None else float(frame.time)
            if given is None:
                given = (counted_from_s or 0.0) if clock_s is None else clock_s + frame_s
            clock_s = given
            yield clock_s, frame


def _frame_s(stream: VideoStream) -> float:
    """Seconds per frame as the file says; those of our clock if it does not."""
    return float(1 / stream.average_rate) if stream.average_rate else FRAME_S
