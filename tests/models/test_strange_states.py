"""States of generated worlds from strangers: our own errors come of them, or pictures; nothing else.

``LONGDWM_FUZZ_CASES=20000`` in the environment tries as many (CONTRIBUTING.md), from case ``LONGDWM_FUZZ_FIRST`` on.
"""

import os
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch

from longdwm_env.env import LongDWMEnv
from longdwm_env.errors import LongDWMError
from longdwm_env.models.compositor import Compositor
from longdwm_env.models.world import DiffusionWorld
from longdwm_env.types import ActorTracks, WorldState

CASES = int(os.environ.get("LONGDWM_FUZZ_CASES", "40"))
FIRST = int(os.environ.get("LONGDWM_FUZZ_FIRST", "0"))
AHEAD = np.array([[3.0, 0], [6, 0], [9, 0], [12, 0]])
ODD = (None, True, -1, 0, 1, 3, 10**30, 0.5, float("nan"), float("inf"), "", "x", "\ud800", b"x", [], [1], [None], {})
ODD += ({"a": 1}, 10**400, "x" * 5000, 2**63, 2**64, object(), np.nan, np.array(3), np.full((4, 2), np.nan), 1j)
FLOATS = (np.nan, np.inf, -np.inf, 1e300, -1e300, 1e9, 1e-300, 0.0)
WHOLE = (0, 1, 255, -1, 2**31, -(2**62))
SHAPES = ((), (0,), (3,), (0, 3), (2, 3), (1, 4, 2), (5, 4, 2), (1, 32, 48, 3))


def pick(random, values):
    return values[random.integers(len(values))]


def damaged(random, array):
    """Other numbers in an array, or another shape, kind or number of things."""
    way = random.integers(6)
    if way == 0:
        return np.zeros(pick(random, SHAPES), pick(random, (np.float64, np.uint8, np.int64, "U3")))
    if way == 1:
        return array[: random.integers(max(1, len(array)))] if array.ndim else array.astype(np.float64)
    if way == 2 and array.ndim and len(array):
        return np.repeat(array, 3, axis=0)
    changed = array.copy()
    if changed.size:
        with np.errstate(all="ignore"):
            value = np.array(pick(random, FLOATS if array.dtype.kind == "f" else WHOLE)).astype(array.dtype)
        changed.flat[slice(None) if random.random() < 0.3 else random.integers(changed.size)] = value
    return changed


def changed_state(random, state):
    arrays, values, actors = dict(state.arrays), dict(state.values), state.actors
    for _ in range(random.integers(1, 4)):
        way = random.integers(5)
        if way < 2:
            name = pick(random, sorted(arrays) or ["frames"])
            arrays[name] = damaged(random, arrays.get(name, np.zeros(3)))
        elif way == 2:
            name = pick(random, sorted(values))
            values[name] = changed_value(random, values[name])
        elif way == 3:
            (arrays if random.random() < 0.5 else values).pop(pick(random, sorted((*arrays, *values))), None)
        elif actors is not None:
            parts = {name: getattr(actors, name) for name in ("poses", "sizes_m", "speeds_mps")}
            name = pick(random, sorted(parts))
            parts[name] = damaged(random, parts[name])
            # Tracks that disagree with each other cannot be made.
            with suppress(ValueError):
                actors = ActorTracks(**parts, ids=actors.ids)
    return WorldState(arrays, values, actors)


def changed_value(random, value):
    if isinstance(value, dict) and value and random.random() < 0.8:
        name = pick(random, sorted(value))
        return {**value, name: changed_value(random, value[name])}
    if isinstance(value, list | tuple) and value and random.random() < 0.7:
        place = random.integers(len(value))
        return [*value[:place], changed_value(random, value[place]), *value[place + 1 :]]
    return pick(random, (*ODD, *FLOATS, *WHOLE))


@pytest.fixture(scope="module")
def worlds(pipeline, built):
    """Without a compositor and with one, each with a state in the middle of a drive."""
    composing = built("debug")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        compositor = Compositor(text_dim=80, widths=(8, 8, 8), depths=(1, 1, 1)).eval()
    composing.register_modules(compositor=compositor)
    made = []
    for each in (pipeline, composing):
        # Scenes of the simulator have a map and traffic, so that a state holds all that it may.
        world = DiffusionWorld(each, "tiny", coarse_steps=1, fine_steps=1)
        env = LongDWMEnv(world, obs_mode="frame", control_period_s=1 / 12)
        env.reset(seed=3)
        env.step(AHEAD)
        made.append((env, env.get_state()))
    return made


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_strange_states_are_gone_on_from_or_refused(worlds):
    refused = 0
    for number in range(FIRST, FIRST + CASES):
        random = np.random.default_rng((4, number))
        env, good = worlds[number % 2]
        try:
            env.set_state(replace(good, world_state=changed_state(random, good.world_state)))
            frame, *_ = env.step(AHEAD)
        except LongDWMError as error:
            str(error).encode("utf-8")
            refused += 1
        else:
            assert frame.shape == (32, 48, 3)
        env.set_state(good)
    assert 0 < refused < CASES
    for env, _ in worlds:
        env.step(AHEAD)
