"""The world without learning: the depth-free warp of the last frame is the video.

It is what a learned world must beat. Between two actions every frame is warped from the last frame before them; nothing
that was not in the picture ever comes into it.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from longdwm_env.episodes.lazy_frames import Frames, stack_frames
from longdwm_env.geometry.camera import camera_from_json, camera_to_json
from longdwm_env.geometry.warp import WarpSettings, warp_images
from longdwm_env.timing import stage
from longdwm_env.types import (
    Images,
    ImageSize,
    Scene,
    Trajectory,
    WorldState,
)


class WarpWorld:
    """A ``WorldModel`` and ``UndrawnWorld`` for any image, at any size.

    Its state holds the last frame (array ``frame``), the camera and the number of frames driven (values ``camera`` and
    ``frames_driven``). It knows no road users. Nothing in it is random: the seed is not used.
    """

    def __init__(self, image_size: ImageSize = (96, 144), settings: WarpSettings | None = None) -> None:
        self.name = "warp"
        self.image_size = image_size
        self.settings = WarpSettings() if settings is None else settings

    def begin(self, scene: Scene, seed: int) -> WorldState:
        """The state at a scene's start; see ``WorldModel.begin``.

        Raises:
            ValueError: the scene has no camera, or one for another image size.
        """
        camera = scene.camera
        if camera is None or camera.intrinsics.image_size != self.image_size:
            raise ValueError(
                f"scene {scene.key!r} must come with a camera for images of {self.image_size}, got {camera}"
            )
        frame = np.array(scene.log.images(0, 1, camera)[0])
        return WorldState({"frame": frame}, {"camera": camera_to_json(camera), "frames_driven": 0})

    def advance(
        self, states: Sequence[WorldState], trajectories: Sequence[Trajectory], num_frames: int
    ) -> tuple[list[WorldState], Images]:
        """Warp each state's last frame along its trajectory; see ``WorldModel.advance``."""
        _check_lengths(trajectories, num_frames)
        clips = [
            self._warped(state, trajectory, slice(num_frames))
            for state, trajectory in zip(states, trajectories, strict=True)
        ]
        following = [self._after(state, clip[-1], num_frames) for state, clip in zip(states, clips, strict=True)]
        return following, stack_frames(clips)

    def advance_undrawn(
        self, states: Sequence[WorldState], trajectories: Sequence[Trajectory], num_frames: int
    ) -> tuple[list[WorldState], list[Frames]]:
        """The same, but of each clip only the last frame, from which the next begins, is warped in any case."""
        _check_lengths(trajectories, num_frames)
        clips = [
            Frames(num_frames, self.image_size, partial(self._warped_one, state, trajectory))
            for state, trajectory in zip(states, trajectories, strict=True)
        ]
        following = [self._after(state, clip.newest, num_frames) for state, clip in zip(states, clips, strict=True)]
        return following, clips

    def _warped(self, state: WorldState, trajectory: Trajectory, which: slice) -> Images:
        with stage("geometry"):
            camera = camera_from_json(state.values["camera"])
            return warp_images(state.arrays["frame"], camera, trajectory.poses[which], self.settings)

    def _warped_one(self, state: WorldState, trajectory: Trajectory, index: int) -> Images:
        return self._warped(state, trajectory, slice(index, index + 1))[0]

    def _after(self, state: WorldState, frame: Images, num_frames: int) -> WorldState:
        values = {"camera": state.values["camera"], "frames_driven": state.values["frames_driven"] + num_frames}
        return WorldState({"frame": frame.copy()}, values)


def _check_lengths(trajectories: Sequence[Trajectory], num_frames: int) -> None:
    for trajectory in trajectories:
        if not 1 <= num_frames <= len(trajectory.poses):
            raise ValueError(f"a trajectory of {len(trajectory.poses)} frames cannot be driven for {num_frames}")
