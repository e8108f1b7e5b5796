"""A drive from frames that a test has made, and a world that shows a recording."""

import numpy as np

from longdwm_env.evaluation.drives.recorder import Drive
from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.types import WorldState


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


class Oracle:
    """A world that shows the recording, brighter by an offset, and remembers how it was driven."""

    name = "oracle"

    def __init__(self, image_size=(32, 48), offset=0):
        self.image_size, self.offset, self.trajectories, self.starts = image_size, offset, [], []

    def begin(self, scene, seed):
        self.scene = scene
        self.starts.append(scene.start)
        return WorldState(values={"frame": 0})

    def advance(self, states, trajectories, num_frames):
        (state,) = states
        self.trajectories += trajectories
        frames = self.scene.log.images(state.values["frame"] + 1, num_frames, self.scene.camera)
        shown = np.clip(frames.astype(int) + self.offset, 0, 255).astype(np.uint8)
        return [WorldState(values={"frame": state.values["frame"] + num_frames})], shown[None]
