"""A drive from frames that a test has made."""

import numpy as np

from longdwm_env.evaluation.drives.recorder import Drive
from longdwm_env.geometry.camera import assumed_camera


def given(frames, *, seed=0, kind="log", mode="trajectory", speeds=None, turns=None, seconds=None, memory=None):
    """A drive of frames (T, H, W, 3); what is not given is zero."""
    still, periods = np.zeros(len(frames)), len(frames) // 12
    return Drive(
        seed=seed,
        world="given",
        kind=kind,
        action_mode=mode,
        prompt="Weather: Clear.",
        camera=assumed_camera(frames.shape[1:3]),
        actions=(),
        frames=frames,
        poses=np.zeros((len(frames), 3)),
        speeds_mps=still if speeds is None else speeds,
        yaw_rates_radps=still if turns is None else turns,
        actors=None,
        seconds=np.zeros(periods) if seconds is None else seconds,
        memory_mb=np.ones(periods) if memory is None else memory,
    )
