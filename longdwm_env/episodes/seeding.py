"""Where the seeds of episodes come from: given, or drawn from the environment's own generator."""

import operator
from typing import NamedTuple

import numpy as np
from gymnasium.utils import seeding

from longdwm_env.episodes.kept_seeds import FIRST_TEST_SEED
from longdwm_env.errors import InvalidConfig

MAX_SEED = 2**63 - 1
"""As large as an int64 holds: states keep seeds, and files and messages carry them."""


class Seeds(NamedTuple):
    """An environment's random generator, as Gymnasium keeps it. ``next`` gives a new one and leaves this one alone."""

    generator: np.random.Generator | None = None
    seed: int | None = None

    def next(self, seed: int | None = None) -> tuple[int, "Seeds"]:
        """The next episode's seed, and the generator after it.

        Args:
            seed: starts the generator anew and is the episode's seed; None draws one.

        Raises:
            InvalidConfig: the seed is not a whole number from 0.
        """
        if seed is not None:
            try:
                given = operator.index(seed)
            except TypeError as error:
                raise InvalidConfig(f"a seed is a whole number from 0 or None, got {seed!r}") from error
            if not 0 <= given <= MAX_SEED:
                raise InvalidConfig(f"a seed is a whole number from 0 to {MAX_SEED}, got {given}")
            return given, Seeds(*seeding.np_random(given))
        generator, used = self
        if generator is None:
            generator, used = seeding.np_random()
        # Drawn from a copy: a reset that fails afterwards leaves the environment's generator where it was.
        generator = _copied(generator)
        return int(generator.integers(FIRST_TEST_SEED)), Seeds(generator, used)


def _copied(generator: np.random.Generator) -> np.random.Generator:
    bits = type(generator.bit_generator)()
    bits.state = generator.bit_generator.state
    return np.random.Generator(bits)
