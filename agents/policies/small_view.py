"""What small learned policies look at: one or two small pictures and the ego's motion.

Of an observation in mode "video", the oldest and the newest frame of the control period; in mode "frame", the newest,
with the ego's motion from ``info["ego"]``. The latter costs less where a world draws only frames that are looked at.
"""

from collections.abc import Mapping

import cv2
import gymnasium as gym
import numpy as np
from gymnasium import spaces

from longdwm_env.actions import Action
from longdwm_env.episodes.observation import Observation
from longdwm_env.errors import InvalidConfig
from longdwm_env.types import ImageSize

VIEW_SIZE: ImageSize = (48, 72)

EGO_SCALE = np.array([15.0, 4.0, 0.5, 0.1], np.float32)
"""Speed, acceleration, yaw rate and curvature are divided by this, to numbers of about one; time is left out."""


def view_space(size: ImageSize = VIEW_SIZE, pictures: int = 2) -> spaces.Dict:
    """Dict(image: uint8 (h, w, 3 per picture), the newest last; ego: float32 (4,))."""
    image = spaces.Box(0, 255, (*size, 3 * pictures), np.uint8)
    return spaces.Dict({"image": image, "ego": spaces.Box(-10.0, 10.0, (4,), np.float32)})


def view_of(
    observation: Observation, size: ImageSize = VIEW_SIZE, ego: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """The view of an observation.

    Args:
        observation: of either mode.
        size: (height, width) of the pictures.
        ego: ``info["ego"]``, for an observation in mode "frame".
    """
    if isinstance(observation, Mapping):
        frames, ego = [observation["frames"][0], observation["frames"][-1]], observation["ego"]
    else:
        frames = [observation]
    small = [cv2.resize(frame, (size[1], size[0]), interpolation=cv2.INTER_AREA) for frame in frames]
    motion = np.clip(np.asarray(ego, np.float32)[:4] / EGO_SCALE, -10.0, 10.0)
    return {"image": np.concatenate(small, axis=2), "ego": motion}


class ViewObservation(gym.ObservationWrapper[dict[str, np.ndarray], Action, Observation]):
    """An environment whose observations are views.

    Args:
        environment: in observation mode "video".
        size: (height, width) of the pictures.

    Raises:
        InvalidConfig: the environment has another observation mode.
    """

    def __init__(self, environment: gym.Env[Observation, Action], size: ImageSize = VIEW_SIZE) -> None:
        super().__init__(environment)
        if not isinstance(environment.observation_space, spaces.Dict):
            raise InvalidConfig("views are made from observations in obs_mode='video'")
        self._size: ImageSize = size
        self.observation_space = view_space(size)

    def observation(self, observation: Observation) -> dict[str, np.ndarray]:
        """The view of an observation."""
        return view_of(observation, self._size)
