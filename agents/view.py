"""What small learned policies look at: two small pictures, a control period apart, and the ego's motion."""

from collections.abc import Mapping
from typing import Any

import cv2
import gymnasium as gym
import numpy as np
from gymnasium import spaces

from longdwm_env.errors import InvalidConfig
from longdwm_env.types import ImageSize

VIEW_SIZE: ImageSize = (48, 72)

EGO_SCALE = np.array([15.0, 4.0, 0.5, 0.1], np.float32)
"""Speed, acceleration, yaw rate and curvature are divided by this, to numbers of about one; time is left out."""


def view_space(size: ImageSize = VIEW_SIZE) -> spaces.Dict:
    """Dict(image: uint8 (h, w, 6), the oldest and the newest frame; ego: float32 (4,))."""
    return spaces.Dict(
        {"image": spaces.Box(0, 255, (*size, 6), np.uint8), "ego": spaces.Box(-10.0, 10.0, (4,), np.float32)}
    )


def view_of(observation: Mapping[str, Any], size: ImageSize = VIEW_SIZE) -> dict[str, np.ndarray]:
    """The view of an observation in mode "video"."""
    oldest, newest = (
        cv2.resize(observation["frames"][index], (size[1], size[0]), interpolation=cv2.INTER_AREA) for index in (0, -1)
    )
    ego = np.clip(np.asarray(observation["ego"], np.float32)[:4] / EGO_SCALE, -10.0, 10.0)
    return {"image": np.concatenate([oldest, newest], axis=2), "ego": ego}


class ViewObservation(gym.ObservationWrapper[dict[str, np.ndarray], Any, Any]):
    """An environment whose observations are views.

    Args:
        environment: in observation mode "video".
        size: (height, width) of the pictures.

    Raises:
        InvalidConfig: the environment has another observation mode.
    """

    def __init__(self, environment: gym.Env[Any, Any], size: ImageSize = VIEW_SIZE) -> None:
        super().__init__(environment)
        if not isinstance(environment.observation_space, spaces.Dict):
            raise InvalidConfig("views are made from observations in obs_mode='video'")
        self._size = size
        self.observation_space: spaces.Space[Any] = view_space(size)

    def observation(self, observation: Any) -> dict[str, np.ndarray]:
        """The view of an observation."""
        return view_of(observation, self._size)
