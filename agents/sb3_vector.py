"""``gym.make_vec("LongDWM-v0", ...)`` as stable-baselines3 wants it: one batched world under a ``VecEnv``."""

from collections.abc import Sequence

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import iterate
from stable_baselines3.common.vec_env import VecEnv

from longdwm_env.agents.policies.control_sampling import steered
from longdwm_env.agents.policies.small_view import VIEW_SIZE, view_of, view_space
from longdwm_env.episodes.observation import Info, Observation
from longdwm_env.errors import InvalidConfig
from longdwm_env.types import ImageSize


class Sb3Vector(VecEnv):
    """A batch of environments with small views as observations and actions from -1 to 1.

    Args:
        environments: made with ``autoreset_mode="SameStep"`` and a box of actions, in either observation mode; "frame"
            is several times cheaper where frames are drawn only when they are looked at.
        action_bounds: what -1 and 1 mean; None for the whole action space.
        size: (height, width) of the views.
        lateral: the first number of an action, in control mode, is a lateral acceleration in m/s2 instead of a steering
            angle: it means the same at any speed, which is learned faster.

    Raises:
        InvalidConfig: environments of another kind.
    """

    def __init__(
        self,
        environments: VectorEnv[Observation, np.ndarray, np.ndarray],
        action_bounds: tuple[np.ndarray, np.ndarray] | None = None,
        size: ImageSize = VIEW_SIZE,
        lateral: bool = False,
    ) -> None:
        space, seen = environments.single_action_space, environments.single_observation_space
        if environments.metadata["autoreset_mode"] != AutoresetMode.SAME_STEP:
            raise InvalidConfig("stable-baselines3 wants autoreset_mode='SameStep'")
        if not isinstance(space, spaces.Box):
            raise InvalidConfig("the batch needs an action mode whose space is a box")
        if lateral and (space.shape != (2,) or action_bounds is None):
            raise InvalidConfig("lateral accelerations need action_mode='control' and action_bounds")
        self.environments, self._size = environments, size
        low, high = action_bounds if action_bounds is not None else (space.low, space.high)
        self.action_bounds = np.asarray(low, np.float32), np.asarray(high, np.float32)
        self._actions: np.ndarray | None = None
        self._seed: int | None = None
        self._lateral = lateral
        self._speeds_mps = np.zeros(environments.num_envs)
        pictures = 2 if isinstance(seen, spaces.Dict) else 1
        super().__init__(
            environments.num_envs, view_space(size, pictures), spaces.Box(-1.0, 1.0, space.shape, np.float32)
        )

    def reset(self) -> dict[str, np.ndarray]:
        """Begin all episodes."""
        observation, infos = self.environments.reset(seed=self._seed)
        self._seed = None
        return self._views(observation, infos)

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions, (B, ...) from -1 to 1."""
        low, high = self.action_bounds
        scaled = low + (np.clip(actions, -1, 1) + 1) / 2 * (high - low)
        if self._lateral:
            scaled = steered(scaled[:, 0], scaled[:, 1], self._speeds_mps)
        self._actions = scaled.astype(np.float32)

    def step_wait(
        self,
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, list[Info]]:
        """Drive all sub-environments for one control period."""
        assert self._actions is not None, "step_async comes first"
        observation, rewards, terminated, truncated, infos = self.environments.step(self._actions)
        over = terminated | truncated
        final_infos: list[Info] = [{} for _ in range(self.num_envs)]
        for index in np.flatnonzero(over):
            last, ego = infos["final_obs"][index], infos["final_info"]["ego"][index]
            final_infos[index]["terminal_observation"] = view_of(last, self._size, ego)
            final_infos[index]["TimeLimit.truncated"] = bool(truncated[index] and not terminated[index])
        return self._views(observation, infos), rewards.astype(np.float32), over, final_infos

    def close(self) -> None:
        """Close the environments."""
        self.environments.close()

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """The next ``reset`` starts in episodes ``seed``, ``seed + 1``, ..."""
        self._seed = seed
        return [None if seed is None else seed + index for index in range(self.num_envs)]

    def get_attr(self, attr_name: str, indices: object = None) -> list[object]:
        """An attribute of the batch, once for each sub-environment."""
        return [getattr(self.environments, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: object, indices: object = None) -> None:
        """Sub-environments of one batched world share their attributes."""
        raise InvalidConfig("the sub-environments of one batched world cannot be changed one by one")

    def env_method(
        self, method_name: str, *method_args: object, indices: object = None, **method_kwargs: object
    ) -> list[object]:
        """Sub-environments of one batched world have no methods of their own."""
        raise InvalidConfig("the sub-environments of one batched world have no methods of their own")

    def env_is_wrapped(self, wrapper_class: type, indices: object = None) -> list[bool]:
        """None is wrapped."""
        return [False] * len(list(self._get_indices(indices)))

    def _views(self, observation: Observation, infos: Info) -> dict[str, np.ndarray]:
        self._speeds_mps = infos["ego"][:, 0].astype(np.float64)
        seen = iterate(self.environments.observation_space, observation)
        views = [view_of(one, self._size, ego) for one, ego in zip(seen, infos["ego"], strict=True)]
        return {key: np.stack([view[key] for view in views]) for key in views[0]}
