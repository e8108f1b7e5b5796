"""``NAME.poses.json`` beside a recording: its poses at the clock's frames, and how far each can be trusted.

    {
      "times_s": [0.0, 0.08333, ...],          one a frame of the 12 Hz clock
      "poses": [[x m, y m, heading rad], ...], the rear axle's, in the ego frame of the first
      "speeds_mps": [...], "yaw_rates_radps": [...],
      "confidence": [...],                     0 to 1; below 0.5 a frame is not trusted
      "cuts_s": [...],                         times of the first frames after cuts
      "from": {...}                            how all this is known
    }

``routes.read_poses`` reads the first two entries; the others may be missing, and then every frame is trusted.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from longdwm_env.clock import FPS
from longdwm_env.errors import InvalidConfig
from longdwm_env.io.files import atomic_write_json
from longdwm_env.io.routes import MAX_FILE_BYTES
from longdwm_env.types import FloatArray

SUFFIX = ".poses.json"
MAX_MOTION = 1000.0
"""In m/s and rad/s: above what any car does, and below what arithmetic cannot bear."""

TRUSTED = 0.5
"""Confidence from which a frame counts."""


@dataclass(frozen=True)
class Trust:
    """How far a recording's poses can be trusted.

    Attributes:
        confidence: (N,) at the clock's frames; empty where the file says nothing, and all are trusted.
        cuts: frames that are the first after a cut.
        speeds_mps, yaw_rates_radps: (N,) or empty.
    """

    confidence: FloatArray
    cuts: tuple[int, ...]
    speeds_mps: FloatArray
    yaw_rates_radps: FloatArray

    def share(self, first: int, count: int) -> float:
        """Share of some frames that can be trusted."""
        part = self.confidence[first : first + count]
        return float((part >= TRUSTED).mean()) if len(part) else 1.0


def read_trust(path: Path) -> Trust:
    """What a pose file says besides poses; of other formats, nothing.

    Raises:
        InvalidConfig: its lists differ in length, or hold something else than numbers.
    """
    nothing = np.zeros(0)
    if path.suffix != ".json":
        return Trust(nothing, (), nothing, nothing)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
        content = json.loads(path.read_bytes())
        entries = content if isinstance(content, dict) else {}
        lists = [
            np.array(entries.get(name, []), np.float64) for name in ("confidence", "speeds_mps", "yaw_rates_radps")
        ]
        cuts = tuple(round(float(time) * FPS) for time in entries.get("cuts_s", []))
        frames = len(entries.get("poses", []))
    except (OSError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise InvalidConfig(f"{path}: not a pose file in JSON ({error})") from error
    if any((np.abs(values) > MAX_MOTION).any() for values in lists[1:]):
        raise InvalidConfig(f"{path}: speeds_mps and yaw_rates_radps are at most {MAX_MOTION:g}")
    if any(values.ndim != 1 or len(values) not in (0, frames) or not np.isfinite(values).all() for values in lists):
        raise InvalidConfig(f"{path}: confidence, speeds_mps and yaw_rates_radps need one number for each of the poses")
    return Trust(lists[0], cuts, lists[1], lists[2])


def integrated(times_s: FloatArray, speeds_mps: FloatArray, yaw_rates_radps: FloatArray) -> FloatArray:
    """Poses (T, 3) of a rear axle that starts at the origin, by arcs from time to time."""
    steps = np.diff(times_s)
    turns = (yaw_rates_radps[1:] + yaw_rates_radps[:-1]) / 2 * steps
    lengths = (speeds_mps[1:] + speeds_mps[:-1]) / 2 * steps
    heading = np.concatenate([[0.0], np.cumsum(turns)])
    middle = heading[:-1] + turns / 2
    x, y = (np.concatenate([[0.0], np.cumsum(lengths * part(middle))]) for part in (np.cos, np.sin))
    return np.stack([x, y, heading], axis=1)


def write_poses(
    path: Path,
    times_s: FloatArray,
    speeds_mps: FloatArray,
    yaw_rates_radps: FloatArray,
    confidence: FloatArray,
    cuts_s: tuple[float, ...],
    last_s: float,
    known_from: dict[str, object],
) -> None:
    """Resample motion to the clock's frames up to ``last_s`` and write it, whole or not at all.

    Args:
        path: ``NAME.poses.json``.
        times_s: (T,) from 0.
        speeds_mps: (T,).
        yaw_rates_radps: (T,), positive to the left.
        confidence: (T,), 0 to 1.
        cuts_s: times of the first frames after cuts.
        last_s: where the recording ends.
        known_from: JSON that says how all this is known.
    """
    count = int(max(last_s, times_s[-1]) * FPS + 0.5) + 1
    frames = np.arange(count) / FPS
    # An interpolated pose is as sure as the less sure of its neighbours.
    after = np.searchsorted(times_s, frames, side="left").clip(0, len(times_s) - 1)
    before = (np.searchsorted(times_s, frames, side="right") - 1).clip(0, len(times_s) - 1)
    speeds = np.interp(frames, times_s, speeds_mps)
    rates = np.interp(frames, times_s, yaw_rates_radps)
    poses = integrated(times_s, speeds_mps, yaw_rates_radps)
    placed = np.stack([np.interp(frames, times_s, column) for column in poses.T], axis=1)
    beyond = np.maximum(frames - times_s[-1], 0)[:, None] * speeds_mps[-1]
    placed[:, :2] += beyond * [np.cos(poses[-1, 2]), np.sin(poses[-1, 2])]
    atomic_write_json(
        path,
        {
            "times_s": frames.tolist(),
            "poses": placed.round(5).tolist(),
            "speeds_mps": speeds.round(4).tolist(),
            "yaw_rates_radps": rates.round(5).tolist(),
            "confidence": np.minimum(confidence[before], confidence[after]).round(3).tolist(),
            "cuts_s": [round(time, 5) for time in cuts_s],
            "from": known_from,
        },
    )
