"""The batched environment as TorchRL's wrapper of vector environments takes it."""

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from longdwm_env.episodes.observation import Info, Observation


class LastObservations(gym.vector.VectorWrapper):
    """Infos as TorchRL reads them: the last observations of episodes that ended in this step, and nothing else.

    TorchRL makes a tensor of every entry, which texts, and None for all, cannot be; and it looks for the parts of a
    last observation in ``final_info``. Needed where episodes begin anew in the step that ends them; with
    ``autoreset_mode="Disabled"``, which TorchRL prefers, the environment is wrapped as it is. Up to 0.14 TorchRL shows
    an old first observation in a whole reset that follows a step in which some episodes ended and others did not.

    Example:
        ``GymWrapper(LastObservations(gym.make_vec("LongDWM-v0", num_envs=8, autoreset_mode="SameStep")))``
    """

    @property
    def autoreset_mode(self) -> AutoresetMode:
        """The environment's; TorchRL asks the wrapper for it."""
        return self.env.unwrapped.autoreset_mode  # type: ignore[attr-defined]

    def reset(self, *, seed: int | None = None, options: dict[str, object] | None = None) -> tuple[Observation, Info]:
        """As of the environment."""
        return self.env.reset(seed=seed, options=options)[0], {}

    def step(self, actions: object) -> tuple[Observation, np.ndarray, np.ndarray, np.ndarray, Info]:
        """As of the environment."""
        *moved, infos = self.env.step(actions)
        last = infos.get("final_obs")
        if last is None:
            return (*moved, {})
        # Pictures alone are called pixels there.
        rows = [row if row is None or isinstance(row, dict) else {"pixels": row} for row in last]
        one = next(row for row in rows if row is not None)
        parts = {
            name: np.stack([np.zeros_like(one[name]) if row is None else row[name] for row in rows]) for name in one
        }
        return (*moved, {"final_info": parts})
