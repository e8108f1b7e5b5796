"""The batched environment: ``gym.make_vec("LongDWM-v0", num_envs=8)`` steps one world for all sub-environments."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from longdwm_env.actions import action_space, as_arrays
from longdwm_env.clock import FPS
from longdwm_env.env_options import Reopened, VectorEnvOptions, made_with, open_episodes
from longdwm_env.episodes.observation import Timing, info_from, observation_space
from longdwm_env.episodes.seeding import Seeds
from longdwm_env.episodes.starts import checked_options
from longdwm_env.errors import InvalidAction, InvalidConfig, LifecycleError
from longdwm_env.state import EnvState
from longdwm_env.timing import stopwatch
from longdwm_env.world import WorldModel

Step = tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]


class LongDWMVectorEnv(Reopened, VectorEnv[Any, Any, NDArray[Any]]):
    """B episodes in one batch of the world. Each gives what ``LongDWMEnv`` gives for the same seed, bit for bit.

    Args:
        options: as keywords: ``num_envs`` and ``autoreset_mode`` (see ``Batch``), then those of ``EnvOptions``.

    Raises:
        InvalidConfig: a keyword is not allowed; ``UnknownWorld`` for a world that does not exist.
        InvalidScene: ``scenes`` cannot be read.
    """

    @made_with(VectorEnvOptions)
    def __init__(self, options: VectorEnvOptions) -> None:
        self.options = options
        self.autoreset_mode = options.autoreset
        self.episodes = open_episodes(options)
        frames = self.episodes.control_frames
        self.num_envs = num_envs = options.num_envs
        self.render_mode = options.render_mode
        self.metadata = {
            "render_modes": ["rgb_array"],
            "render_fps": FPS / frames,
            "autoreset_mode": self.autoreset_mode,
        }
        self.single_action_space = action_space(self.episodes.action_mode)
        self.single_observation_space = observation_space(
            self.episodes.obs_mode, frames, self.episodes.world.image_size
        )
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._seeds = [Seeds()] * num_envs
        self._states: list[EnvState] | None = None

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Begin episodes.

        Args:
            seed: s gives the sub-environments s, s + 1, ...; or one seed, or None, for each.
            options: as for ``LongDWMEnv``, for all of them; and "reset_mask", (B,) bool: which ones begin anew.

        Raises:
            InvalidConfig: an option is not allowed.
            UnknownScene: the source has no such scene.
            LifecycleError: the environment is closed.
        """
        self._check_open()
        options = dict(checked_options(options))
        chosen = self._masked(options.pop("reset_mask", None))
        given = self._seeds_from(seed)
        with stopwatch() as seconds:
            begun = {index: self._begun(index, given[index], options) for index in chosen}
        # Only now, so that a reset that fails changes nothing.
        states = [begun[i][0] if i in begun else state for i, state in enumerate(self._states or [])] or [
            begun[i][0] for i in range(self.num_envs)
        ]
        self._seeds = [begun[i][1] if i in begun else seeds for i, seeds in enumerate(self._seeds)]
        self._states = states
        infos: dict[str, Any] = {}
        for index in chosen:
            infos = self._with_info(infos, info_from(states[index], Timing(seconds, 0.0)), index)
        return self._observations(states), infos

    def step(self, actions: Any) -> Step:
        """Drive every sub-environment by its action for one control period, or begin anew those that are over.

        Raises:
            InvalidAction: not B actions, or one that is not allowed; no sub-environment has moved.
            LifecycleError: before reset or after close; or an episode is over and autoreset is disabled.
        """
        before = self._present()
        over = [index for index, state in enumerate(before) if state.terminated or state.truncated]
        if over and self.autoreset_mode != AutoresetMode.NEXT_STEP:
            raise LifecycleError(f"episodes {over} are over; reset(options={{'reset_mask': ...}}) begins them anew")
        going = [index for index in range(self.num_envs) if index not in over]
        checked = self._checked(actions, going)
        with stopwatch() as reset_seconds:
            begun = {index: self._begun(index, None, {}) for index in over}
        outcomes = self.episodes.advance([before[i] for i in going], checked) if going else []
        moved = dict(zip(going, outcomes, strict=True))

        states = [moved[i].state if i in moved else begun[i][0] for i in range(self.num_envs)]
        rewards = np.array([moved[i].reward if i in moved else 0.0 for i in range(self.num_envs)])
        terminated = np.array([state.terminated for state in states])
        truncated = np.array([state.truncated for state in states])
        infos: dict[str, Any] = {}
        if self.autoreset_mode == AutoresetMode.SAME_STEP:
            with stopwatch() as reset_seconds:
                begun = {int(i): self._begun(int(i), None, {}) for i in np.flatnonzero(terminated | truncated)}
            for index, (state, _) in begun.items():
                last = {"final_obs": self.episodes.observation(states[index]), "final_info": moved[index].info}
                infos = self._with_info(infos, last, index)
                states[index] = state
        for index, state in enumerate(states):
            info = info_from(state, Timing(reset_seconds, 0.0)) if index in begun else moved[index].info
            infos = self._with_info(infos, info, index)
        self._seeds = [begun[i][1] if i in begun else seeds for i, seeds in enumerate(self._seeds)]
        self._states = states
        return self._observations(states), rewards, terminated, truncated, infos

    def render(self) -> tuple[Any, ...] | None:
        """The newest frame of each sub-environment, uint8 (H, W, 3), in mode "rgb_array"; None otherwise."""
        states = self._present()
        return tuple(state.newest_frame.copy() for state in states) if self.render_mode == "rgb_array" else None

    def close_extras(self, **kwargs: Any) -> None:
        """Let go of the episodes."""
        self._states = None

    def get_state(self) -> tuple[EnvState, ...]:
        """The present states, as values that stay as they are.

        Raises:
            LifecycleError: before reset or after close.
        """
        return tuple(self._present())

    def set_state(self, states: Sequence[EnvState]) -> None:
        """Go on from states, one for each sub-environment.

        Raises:
            InvalidConfig: there are not B of them.
            InvalidState: one belongs to another world, image size or scene source; nothing has changed.
            LifecycleError: the environment is closed.
        """
        self._check_open()
        if not isinstance(states, Sequence) or len(states) != self.num_envs:
            count = len(states) if isinstance(states, Sequence) else type(states).__name__
            raise InvalidConfig(f"{self.num_envs} environments take as many states, got {count}")
        for state in states:
            self.episodes.check_state(state)
        self._states = list(states)

    @property
    def world(self) -> WorldModel:
        """The world that answers the actions."""
        return self.episodes.world

    def _begun(self, index: int, seed: int | None, options: dict[str, Any]) -> tuple[EnvState, Seeds]:
        chosen, seeds = self._seeds[index].next(seed)
        return self.episodes.begin(chosen, options), seeds

    def _checked(self, actions: Any, going: list[int]) -> list[Any]:
        actions = as_arrays(actions, "actions")
        several = isinstance(actions, Sequence) or (isinstance(actions, np.ndarray) and actions.ndim > 0)
        if not several or len(actions) != self.num_envs:
            count = len(actions) if several else type(actions).__name__
            raise InvalidAction(f"{self.num_envs} environments take as many actions, got {count}")
        return self.episodes.check_actions([actions[i] for i in going], [f"actions[{i}]" for i in going])

    def _seeds_from(self, seed: Any) -> Sequence[Any]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            return [int(seed) + index for index in range(self.num_envs)]
        several = isinstance(seed, Sequence) or (isinstance(seed, np.ndarray) and seed.ndim > 0)
        if not several or len(seed) != self.num_envs:
            raise InvalidConfig(f"reset takes None, a seed, or one for each of {self.num_envs}, got {seed!r}")
        return seed

    def _masked(self, mask: Any) -> list[int]:
        if mask is None:
            return list(range(self.num_envs))
        right = isinstance(mask, np.ndarray) and mask.dtype == np.bool_ and mask.shape == (self.num_envs,)
        if not right or not mask.any() or (self._states is None and not mask.all()):
            raise InvalidConfig(
                f"reset_mask is a bool array of shape ({self.num_envs},), true for at least one environment and, "
                f"at the first reset, for all; got {mask!r}"
            )
        return [int(index) for index in np.flatnonzero(mask)]

    def _observations(self, states: Sequence[EnvState]) -> Any:
        single = [self.episodes.observation(state) for state in states]
        if isinstance(single[0], dict):
            return {key: np.stack([observation[key] for observation in single]) for key in single[0]}
        return np.stack(single)

    def _with_info(self, infos: dict[str, Any], info: dict[str, Any], index: int) -> dict[str, Any]:
        for key, value in info.items():
            if isinstance(value, Timing):
                info = info | {key: dict(value)}
            elif key == "final_info":
                info = info | {key: value | {"timing": dict(value["timing"])}}
        return self._add_info(infos, info, index)

    def _check_open(self) -> None:
        if self.closed:
            raise LifecycleError("the environment is closed; make a new one")

    def _present(self) -> list[EnvState]:
        self._check_open()
        if self._states is None:
            raise LifecycleError("call reset() first: no episode has begun")
        return self._states
