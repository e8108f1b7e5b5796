"""When a video's frames are shown, as its packets say: read without decoding."""

from dataclasses import dataclass

import av
from av.container import InputContainer
from av.video.stream import VideoStream

SET_BACK_S = 10.0
"""Packets come in the order of decoding, so their times go back a little; so far back only where a clock was reset."""

_MISSING_S = 0.5
"""Headers round lengths; less than this does not matter."""


@dataclass(frozen=True)
class PacketTimes:
    """What the packets of a video stream say.

    Attributes:
        last_s: time of the last frame, on the file's own clock if ``timed``, else after the first frame.
        timed: every packet says when its frame is shown, and the times can be believed.
        tail_frames: packets from the last one on that can be decoded by itself.
        damage: what is missing or broken; empty if nothing is known to be.
    """

    last_s: float
    timed: bool
    tail_frames: int
    damage: str


def packet_times(container: InputContainer, stream: VideoStream, frame_s: float) -> PacketTimes:
    """Read all packets of a stream that was just opened.

    Args:
        container: of the stream.
        stream: of video.
        frame_s: seconds between frames, where packets do not say.
    """
    base = float(stream.time_base or 0)
    first, last, end = float("inf"), float("-inf"), float("-inf")
    count = corrupt = tail = 0
    # AVI has no times of showing; libav gives those of decoding, which are others where frames are reordered.
    timed = not (container.format.name == "avi" and stream.codec_context.has_b_frames)
    broken = ""
    try:
        for packet in container.demux(stream):
            if not packet.size or packet.is_discard:
                continue
            if packet.is_corrupt:
                corrupt += 1
                continue
            count += 1
            tail = 1 if packet.is_keyframe else tail + 1
            if packet.pts is None:
                timed = False
                continue
            shown_s = packet.pts * base
            timed = timed and shown_s > last - SET_BACK_S
            first, last = min(first, shown_s), max(last, shown_s)
            end = max(end, shown_s + (packet.duration or 0) * base)
    except (av.FFmpegError, OSError) as error:
        broken = f"reading stops with {error.strerror or error}"
    if corrupt:
        broken = broken or f"{corrupt} of its {count + corrupt} frames are not whole"
    promised = _promised_end_s(container, stream, first)
    if timed and promised is not None and promised - end > _MISSING_S:
        broken = f"its header promises frames until {promised:.2f} s, and they end at {end:.2f} s"
    return PacketTimes(last if timed else max(0, count - 1) * frame_s, timed, tail, broken)


def _promised_end_s(container: InputContainer, stream: VideoStream, first_s: float) -> float | None:
    """When the header says that this stream ends, on the file's own clock; None where it does not say."""
    if container.format.name.startswith("mov"):
        return (
            None
            if stream.duration is None or stream.time_base is None
            else first_s + float(stream.duration * stream.time_base)
        )
    if container.format.name.startswith("matroska"):
        try:
            hours, minutes, seconds = stream.metadata.get("DURATION", "").split(":")
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        except ValueError:
            return None
    return None
