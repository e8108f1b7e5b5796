"""The clock: frame rate, keyframe grid and horizon. Every frame count and stride of the project comes from here."""

import numpy as np
from numpy.typing import NDArray

FPS = 12
"""Frames per second, the rate of nuScenes' cameras."""

FRAMES_PER_INTERVAL = 12
"""Frames from one keyframe to the next: the stride of the keyframe grid, counting the later keyframe."""

FRAME_S = 1.0 / FPS
INTERVAL_S = FRAMES_PER_INTERVAL / FPS

WAYPOINT_TIMES_S = (0.5, 1.0, 1.5, 2.0)
"""When the four waypoints of a trajectory action are due, in seconds after the action."""

HORIZON_S = WAYPOINT_TIMES_S[-1]
FRAMES_PER_HORIZON = round(HORIZON_S * FPS)


def frames_in(duration_s: float) -> int:
    """Number of frames in a duration, which must be a whole number of frames (at least one).

    Raises:
        ValueError: the duration is not a positive whole number of frames.
    """
    frames = duration_s * FPS
    if not np.isfinite(frames) or round(frames) < 1 or abs(frames - round(frames)) > 1e-6 * max(1.0, frames):
        raise ValueError(
            f"{duration_s!r} s is {frames:g} frames at {FPS} frames per second; it must be a whole number, at least 1"
        )
    return round(frames)


def control_frames(control_period_s: float) -> int:
    """Frames that are executed between two actions: a whole number, from one frame to one interval.

    Raises:
        ValueError: the period is not a whole number of frames, or is longer than an interval.
    """
    frames = frames_in(control_period_s)
    if frames > FRAMES_PER_INTERVAL:
        raise ValueError(f"control_period_s={control_period_s!r} is longer than one interval ({INTERVAL_S:g} s)")
    return frames


def frame_times_s(num_frames: int) -> NDArray[np.float64]:
    """Times of the next ``num_frames`` frames, (num_frames,), in seconds from now; now itself is not among them."""
    return np.arange(1, num_frames + 1) / FPS
