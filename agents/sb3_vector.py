"""``gym.make_vec("LongDWM-v0", ...)`` as stable-baselines3 wants it: one batched world under a ``VecEnv``."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from longdwm_env.agents.view import VIEW_SIZE, view_of, view_space
from longdwm_env.errors import InvalidConfig
from longdwm_env.types import ImageSize


class Sb3Vector(VecEnv):
    """A batch of environments with small views as observations and actions from -1 to 1.

    Args:
        environments: made with ``autoreset_mode="SameStep"``, obs_mode="video" and a box of actions.
        action_bounds: what -1 and 1 mean; None for the whole action space.
        size: (height, width) of the views.

    Raises:
        InvalidConfig: environments of another kind.
    """

    def __init__(
        self,
        environments: VectorEnv[Any, Any, Any],
        action_bounds: tuple[Any, Any] | None = None,
        size: ImageSize = VIEW_SIZE,
    ) -> None:
        space = environments.single_action_space
        if environments.metadata["autoreset_mode"] != AutoresetMode.SAME_STEP:
            raise InvalidConfig("stable-baselines3 wants autoreset_mode='SameStep'")
        if not isinstance(space, spaces.Box) or not isinstance(environments.single_observation_space, spaces.Dict):
            raise InvalidConfig("the batch needs obs_mode='video' and an action mode whose space is a box")
        self.environments, self._size = environments, size
        low, high = action_bounds if action_bounds is not None else (space.low, space.high)
        self.action_bounds = np.asarray(low, np.float32), np.asarray(high, np.float32)
        self._actions: NDArray[Any] | None = None
        self._seed: int | None = None
        super().__init__(environments.num_envs, view_space(size), spaces.Box(-1.0, 1.0, space.shape, np.float32))

    def reset(self) -> dict[str, NDArray[Any]]:
        """Begin all episodes."""
        observation, _ = self.environments.reset(seed=self._seed)
        self._seed = None
        return self._views(observation)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions, (B, ...) from -1 to 1."""
        low, high = self.action_bounds
        self._actions = (low + (np.clip(actions, -1, 1) + 1) / 2 * (high - low)).astype(np.float32)

    def step_wait(self) -> tuple[dict[str, NDArray[Any]], NDArray[Any], NDArray[Any], list[dict[str, Any]]]:
        """Drive all sub-environments for one control period."""
        observation, rewards, terminated, truncated, infos = self.environments.step(self._actions)
        over = terminated | truncated
        told: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for index in np.flatnonzero(over):
            last = infos["final_obs"][index]
            told[index]["terminal_observation"] = view_of(last, self._size)
            told[index]["TimeLimit.truncated"] = bool(truncated[index] and not terminated[index])
        return self._views(observation), rewards.astype(np.float32), over, told

    def close(self) -> None:
        """Close the environments."""
        self.environments.close()

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """The next ``reset`` starts in episodes ``seed``, ``seed + 1``, ..."""
        self._seed = seed
        return [None if seed is None else seed + index for index in range(self.num_envs)]

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of the batch, once for each sub-environment."""
        return [getattr(self.environments, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Sub-environments of one batched world share their attributes."""
        raise InvalidConfig("the sub-environments of one batched world cannot be changed one by one")

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Sub-environments of one batched world have no methods of their own."""
        raise InvalidConfig("the sub-environments of one batched world have no methods of their own")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """None is wrapped."""
        return [False] * len(list(self._get_indices(indices)))

    def _views(self, observation: Any) -> dict[str, NDArray[Any]]:
        views = [
            view_of({"frames": observation["frames"][index], "ego": observation["ego"][index]}, self._size)
            for index in range(self.num_envs)
        ]
        return {key: np.stack([view[key] for view in views]) for key in views[0]}
