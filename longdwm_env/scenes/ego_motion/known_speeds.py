"""Speeds that were measured: one number, a csv, or what a camera wrote into the file as subtitles."""

import csv
import math
import re
from pathlib import Path

import av
import numpy as np

from longdwm_env.errors import InvalidConfig, InvalidScene
from longdwm_env.scenes.media.video_frames import NOTHING_ELSE
from longdwm_env.types import FloatArray

_UNITS = {"speed_mps": 1.0, "speed_kmh": 1 / 3.6, "speed_mph": 0.44704}
# Nothing in these repeats without a bound: the text must not decide how long it is searched.
_WRITTEN = re.compile(r"(?<![\d.])(-?\d{1,6}(?:[.,]\d{1,15})?)\s{0,3}(km/?h|kph|mph|m/s)\b", re.IGNORECASE)
_DEGREES = r"(-?\d{1,3}\.\d{3,15})[\s°]{0,3}([NSEW]?)"
_PLACE = re.compile(rf"(?<!\d){_DEGREES}[,\s;][^\d-]{{0,40}}{_DEGREES}")
# NMEA 0183, recommended minimum: time, A for a valid fix, latitude, N or S, longitude, E or W, speed in knots.
_NMEA = re.compile(r"\$[A-Z]{2}RMC,[\d.]{0,12},A,[\d.]{0,16},[NS]?,[\d.]{0,16},[EW]?,(\d{1,4}(?:\.\d{0,6})?),")
_KNOT_MPS = 0.514444
_SRT_TIME = re.compile(r"(?<!\d)(\d{1,4}):(\d\d):(\d\d)[,.](\d{1,3})\s{0,3}-->")
LONGEST_LINE = 500
MAX_TEXT_BYTES = 16 * 2**20
FASTEST_MPS = 150.0
"""What is faster was misread."""

_EARTH_M = 6_371_000.0
_FIX_S, _STANDING_S = 0.9, 1.9
"""From one place to the next that a speed is taken from, at least; and after how long the same place means standing:
cameras write the last place that their receiver told beside every frame."""


def read_speeds(given: str | None, video: Path | None) -> tuple[FloatArray, FloatArray] | None:
    """(times in seconds after the first frame, speeds in m/s): from what is given, else from the video's subtitles.

    Args:
        given: a number in m/s, or the path of a csv with the columns ``time_s`` and ``speed_mps``, ``speed_kmh`` or
            ``speed_mph``; None looks for subtitles in the video, and for an .srt file beside it.
        video: the video; None looks nowhere.

    Returns:
        One time of NaN with one number: the mean speed of the drive. None where nothing is known.

    Raises:
        InvalidConfig: what is given is neither.
        InvalidScene: subtitles, or the video, cannot be read.
    """
    if given is not None:
        try:
            mean = float(given)
        except ValueError:
            return _from_csv(Path(given))
        if not 0 < mean < 70:
            raise InvalidConfig(f"a speed of {mean:g} m/s is given; allowed are above 0 and below 70")
        return np.array([math.nan]), np.array([mean])
    if video is None:
        return None
    beside = video.with_suffix(".srt")
    lines = _srt_lines(beside) if beside.is_file() else _subtitles(video)
    return speeds_in_text(lines)


def speeds_in_text(lines: list[tuple[float, str]]) -> tuple[FloatArray, FloatArray] | None:
    """Speeds in timed lines of text: as written with their unit, or in NMEA; else from places; None if none.

    Places are latitudes and longitudes in degrees.

    Lines at times that do not ascend, and speeds that no car has, are left out.
    """
    lines = [(time, text[:LONGEST_LINE]) for time, text in lines]
    written = [
        (time, float(match[1].replace(",", ".")) * _unit(match[2]))
        for time, text in lines
        if (match := _WRITTEN.search(text))
    ] or [(time, float(match[1]) * _KNOT_MPS) for time, text in lines if (match := _NMEA.search(text))]
    if len(written) >= 2:
        times, speeds = np.array(written).T
        return _plausible(times, np.abs(speeds))
    places: list[tuple[float, float, float]] = []
    for time, text in lines:
        match = _PLACE.search(text)
        if not match:
            continue
        place, since = _degrees(match), time - places[-1][0] if places else math.inf
        if since >= _FIX_S and (since >= _STANDING_S or place != places[-1][1:]):
            places.append((time, *place))
    if len(places) < 3:
        return None
    times, latitudes, longitudes = np.array(places).T
    north = np.radians(latitudes) * _EARTH_M
    east = np.radians(longitudes) * _EARTH_M * np.cos(np.radians(latitudes.mean()))
    return _plausible((times[1:] + times[:-1]) / 2, np.hypot(np.diff(north), np.diff(east)) / np.diff(times))


def _plausible(times: FloatArray, speeds: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    times, speeds = times[speeds <= FASTEST_MPS], speeds[speeds <= FASTEST_MPS]
    later = times > np.append(-np.inf, np.maximum.accumulate(times)[:-1])
    return (times[later], speeds[later]) if later.sum() >= 2 else None


def _unit(name: str) -> float:
    name = name.lower()
    return 1.0 if name == "m/s" else 0.44704 if name == "mph" else 1 / 3.6


def _degrees(match: re.Match[str]) -> tuple[float, float]:
    signs = [-1 if match[group].upper() in ("S", "W") and match[group] else 1 for group in (2, 4)]
    return float(match[1]) * signs[0], float(match[3]) * signs[1]


def _from_csv(path: Path) -> tuple[FloatArray, FloatArray]:
    try:
        _check_size(path)
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        column = next((name for name in _UNITS if rows and name in rows[0]), None)
        if column is None or "time_s" not in rows[0]:
            raise ValueError(f"needs the columns time_s and one of {', '.join(_UNITS)}")
        times = np.array([float(row["time_s"]) for row in rows])
        speeds = np.array([float(row[column]) for row in rows]) * _UNITS[column]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise InvalidConfig(f"speeds {str(path)!r} are neither a number in m/s nor a csv of them: {error}") from error
    numbers = np.isfinite(times).all() and np.isfinite(speeds).all()
    if len(times) < 2 or not numbers or (np.diff(times) <= 0).any() or (speeds < 0).any():
        raise InvalidConfig(f"{path}: needs two or more rows with ascending times and speeds of 0 or more")
    return times, speeds


def _check_size(path: Path) -> None:
    size = path.stat().st_size
    if size > MAX_TEXT_BYTES:
        raise ValueError(f"it has {size:,} bytes, and at most {MAX_TEXT_BYTES:,} are read")


def _srt_lines(path: Path) -> list[tuple[float, str]]:
    try:
        _check_size(path)
        text = path.read_text(errors="replace")
    except (OSError, ValueError) as error:
        raise InvalidScene(f"{path} cannot be read as subtitles: {error}") from error
    lines, time = [], 0.0
    for line in text.splitlines():
        match = _SRT_TIME.search(line)
        if match:
            hours, minutes, seconds, milliseconds = match.groups()
            time = int(hours) * 3600 + int(minutes) * 60 + int(seconds) + int(milliseconds.ljust(3, "0")) / 1000
        elif line.strip() and not line.strip().isdigit():
            lines.append((time, line))
    return lines


def _subtitles(video: Path) -> list[tuple[float, str]]:
    try:
        with av.open(f"file:{video}", container_options=NOTHING_ELSE) as container:
            if not container.streams.subtitles:
                return []
            stream = container.streams.subtitles[0]
            # In mp4 two bytes before the text say how long it is, and may read as a digit of it.
            before = 2 if stream.codec_context.name == "mov_text" else 0
            return [
                (float(packet.pts * packet.time_base), bytes(packet)[before:].decode("utf-8", "replace"))
                for packet in container.demux(stream)
                if packet.size and packet.pts is not None and packet.time_base is not None
            ]
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InvalidScene(f"{video} cannot be read: {error}") from error
