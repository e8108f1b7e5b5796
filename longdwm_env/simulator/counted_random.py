"""Random numbers that are counted, not streamed: each draw has an address, so no other draw can disturb it."""

import zlib

import numpy as np

from longdwm_env.io.hashing import fractions, hashed


def generator(seed: int, purpose: str, *counters: int) -> np.random.Generator:
    """A generator that depends on nothing but its arguments.

    Args:
        seed: of the scene or the episode.
        purpose: what the numbers are for, so that two uses of one seed do not share them.
        counters: frame index, vehicle slot and the like.
    """
    words = [number & 0xFFFFFFFFFFFFFFFF for number in (seed, zlib.crc32(purpose.encode()), *counters)]
    key = np.random.SeedSequence(words)
    return np.random.Generator(np.random.Philox(key))


__all__ = ["fractions", "generator", "hashed"]
