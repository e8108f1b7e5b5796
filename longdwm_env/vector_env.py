"""The batched environment: ``gym.make_vec("LongDWM-v0", num_envs=8)`` steps one world for all sub-environments."""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from longdwm_env.actions import Action, action_space, as_arrays, is_sequence
from longdwm_env.clock import FPS
from longdwm_env.env_options import Reopened, VectorEnvOptions, made_with, open_episodes
from longdwm_env.episodes.observation import Info, Observation, Timing, info_from, observation_space
from longdwm_env.episodes.seeding import Seeds
from longdwm_env.episodes.starts import checked_options
from longdwm_env.errors import InvalidAction, InvalidConfig, LifecycleError
from longdwm_env.state import EnvState
from longdwm_env.timing import stopwatch
from longdwm_env.types import Images
from longdwm_env.world import WorldModel

Step = tuple[Observation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Info]


class LongDWMVectorEnv(Reopened, VectorEnv[Observation, object, NDArray[np.generic]]):
    """B episodes in one batch of the world. Each gives what ``LongDWMEnv`` gives for the same seed, bit for bit.

    Args:
        options: as keywords: ``num_envs`` and ``autoreset_mode`` (see ``BatchOptions``), then those of ``EnvOptions``.

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
        options: Mapping[str, object] | None = None,
    ) -> tuple[Observation, Info]:
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
        wanted = dict(checked_options(options))
        chosen = self._masked(wanted.pop("reset_mask", None))
        given = self._seeds_from(seed)
        with stopwatch() as seconds:
            begun = {index: self._begun(index, given[index], wanted) for index in chosen}
        # Only now, so that a reset that fails changes nothing.
        states = [begun[i][0] if i in begun else state for i, state in enumerate(self._states or [])] or [
            begun[i][0] for i in range(self.num_envs)
        ]
        self._seeds = [begun[i][1] if i in begun else seeds for i, seeds in enumerate(self._seeds)]
        self._states = states
        infos: Info = {}
        for index in chosen:
            infos = self._with_info(infos, info_from(states[index], Timing(seconds, 0.0)), index)
        return self._observations(states), infos

    def step(self, actions: object) -> Step:
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
        infos: Info = {}
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

    def render(self) -> tuple[Images, ...] | None:
        """The newest frame of each sub-environment, uint8 (H, W, 3), in mode "rgb_array"; None otherwise."""
        states = self._present()
        return tuple(state.newest_frame.copy() for state in states) if self.render_mode == "rgb_array" else None

    def close_extras(self, **kwargs: object) -> None:
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

    def _begun(self, index: int, seed: int | None, options: Mapping[str, object]) -> tuple[EnvState, Seeds]:
        chosen, seeds = self._seeds[index].next(seed)
        return self.episodes.begin(chosen, options), seeds

    def _checked(self, actions: object, going: list[int]) -> list[Action]:
        actions = as_arrays(actions, "actions")
        if not is_sequence(actions) or len(actions) != self.num_envs:
            count = len(actions) if is_sequence(actions) else type(actions).__name__
            raise InvalidAction(f"{self.num_envs} environments take as many actions, got {count}")
        return self.episodes.check_actions([actions[i] for i in going], [f"actions[{i}]" for i in going])

    def _seeds_from(self, seed: object) -> Sequence[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            return [int(seed) + index for index in range(self.num_envs)]
        if not is_sequence(seed) or len(seed) != self.num_envs:
            raise InvalidConfig(f"reset takes None, a seed, or one for each of {self.num_envs}, got {seed!r}")
        # Each is looked at where it is used.
        return cast(Sequence[int | None], seed)

    def _masked(self, mask: object) -> list[int]:
        if mask is None:
            return list(range(self.num_envs))
        if (
            not isinstance(mask, np.ndarray)
            or mask.dtype != np.bool_
            or mask.shape != (self.num_envs,)
            or not mask.any()
            or (self._states is None and not mask.all())
        ):
            raise InvalidConfig(
                f"reset_mask is a bool array of shape ({self.num_envs},), true for at least one environment and, "
                f"at the first reset, for all; got {mask!r}"
            )
        return [int(index) for index in np.flatnonzero(mask)]

    def _observations(self, states: Sequence[EnvState]) -> Observation:
        single = [self.episodes.observation(state) for state in states]
        pictures = [observation for observation in single if isinstance(observation, np.ndarray)]
        if pictures:
            return np.stack(pictures)
        parts = [observation for observation in single if isinstance(observation, Mapping)]
        return {key: np.stack([part[key] for part in parts]) for key in parts[0]}

    def _with_info(self, infos: Info, info: Info, index: int) -> Info:
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
