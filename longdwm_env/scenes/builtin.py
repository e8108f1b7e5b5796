"""The built-in scenes: the simulator's, one for every seed."""

import sys
from dataclasses import replace
from functools import lru_cache

from longdwm_env.errors import UnknownScene
from longdwm_env.types import Scene

KEY_PREFIX = "simulator:"


@lru_cache(maxsize=16)
def _scene_of_seed(seed: int) -> Scene:
    # The simulator is heavy to import, and a program that drives photographs never needs it.
    from longdwm_env.simulator.scene import builtin_scene, episode
    from longdwm_env.worlds.simulator_world import actor_tracks

    one = episode(seed)
    return replace(builtin_scene(seed), actors=actor_tracks(one.past[-1:], one.road.table, 0))


class BuiltinScenes:
    """One simulator scene per seed: the index is the seed, and the key is ``simulator:<seed>``."""

    name = "builtin"

    def __len__(self) -> int:
        return sys.maxsize

    def scene(self, index: int) -> Scene:
        """The scene of a seed."""
        index = int(index)
        if not 0 <= index < len(self):
            raise UnknownScene(f"built-in scene {index} does not exist; the index is a seed from 0 to {len(self) - 1}")
        return _scene_of_seed(index)

    def index_of_key(self, key: str) -> int:
        """The seed in ``simulator:<seed>``."""
        seed = key.removeprefix(KEY_PREFIX)
        if key.startswith(KEY_PREFIX) and seed.isascii() and seed.isdigit() and len(seed) < 20:
            index = int(seed)
            if index < len(self) and str(index) == seed:
                return index
        raise UnknownScene(f"there is no built-in scene {key!r}; their keys are {KEY_PREFIX}0, {KEY_PREFIX}1, ...")

    def index_of_seed(self, seed: int) -> int:
        """The seed itself, so that every world starts the same seed in the same scene."""
        return int(seed) % len(self)
