"""JSON values, arrays and damage by chance, for the tests that try what strangers may send.

``LONGDWM_FUZZ_CASES=20000`` in the environment tries as many of each (CONTRIBUTING.md).
"""

import os
import random

import numpy as np

CASES = int(os.environ.get("LONGDWM_FUZZ_CASES", "200"))
WORDS = ("", "idm", "x", "caf\udce9", "\ud800", "\x00", "../..", "a" * 5000, "NaN", "1e999", "$x$", "ws://", "frames")
WORDS += ("9" * 30,)
NUMBERS = (0, -1, 1, 2, 3.5, 1 << 31, 1 << 63, 10**400, -(10**400), 1e308, -0.0, float("inf"), float("nan"), True, None)


def anything(chance: random.Random, depth: int = 3):
    """A JSON value, or what Python's reader makes of one."""
    kind = chance.randrange(8 if depth else 5)
    if kind < 3:
        return chance.choice(NUMBERS)
    if kind < 5:
        return chance.choice(WORDS)
    if kind < 7:
        return [anything(chance, depth - 1) for _ in range(chance.randrange(4))]
    return {chance.choice(WORDS + KEYS): anything(chance, depth - 1) for _ in range(chance.randrange(4))}


KEYS = ("box", "shape", "dtype", "dict", "discrete", "action", "camera", "info", "intrinsics", "width_px", "seed")
KEYS += ("numbers",)


def changed(chance: random.Random, value):
    """A JSON value with something in it replaced, left out or doubled."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(list(value))
        if chance.random() < 0.15:
            return {name: part for name, part in value.items() if name != key}
        return {**value, key: changed(chance, value[key])}
    if isinstance(value, list) and value and chance.random() < 0.85:
        place = chance.randrange(len(value))
        return [*value[:place], changed(chance, value[place]), *value[place + chance.randrange(2) :]]
    return anything(chance)


def array(chance: random.Random):
    shape = chance.choice([(), (0,), (1,), (4, 2), (5,), (12, 3), (2, 24, 36, 3), (12, 24, 36, 3), (24, 36, 3)])
    kind = chance.choice([np.uint8, np.int64, np.float32, np.float64])
    values = np.full(shape, chance.choice([0, 1, 7]), kind)
    if values.size and kind in (np.float32, np.float64) and chance.random() < 0.4:
        values.flat[chance.randrange(values.size)] = chance.choice([np.nan, np.inf, 1e30, -1e30])
    return values


def cases():
    return (random.Random(seed) for seed in range(CASES))
