"""What comes from outside, on seeds: nothing but errors of our own, and the environment is as it was.

``LONGDWM_FUZZ_CASES=20000`` in the environment tries as many of each (CONTRIBUTING.md).
"""

import copy
import json
import os
from dataclasses import fields, replace

import numpy as np
import pytest
from safetensors.numpy import save

from longdwm_env import EnvState, InvalidState, LongDWMError, WorldState
from longdwm_env.state import FORMAT, VERSION, _digest

CASES = int(os.environ.get("LONGDWM_FUZZ_CASES", "0"))


class Hostile:
    def __array__(self, *args, **kwargs):
        raise KeyError("numbers")

    def __float__(self):
        raise LookupError("a number")


ODD = (None, True, -1, 0, 1, 3, 10**30, 0.5, float("nan"), float("inf"), "", "x", "\ud800", b"x", [], [1], [None])
ODD += ((), (40, 60), (0, 0), (1e9, 1e9), {}, {"a": 1}, {1: 2}, {"scene": -1}, {"scene": 10**30}, {"prompt": 7})
ODD += (10**400, "\0", "x" * 5000, "a/" + "x" * 5000, -(2**63), 2**64, 1e308)
ODD += (object(), Hostile(), np.int64(3), np.nan, np.array(3), np.zeros(2), np.full((4, 2), np.nan), np.array(["a"]))
ODD += (np.zeros((0, 3)), np.zeros((2, 4, 2)), np.ones((4, 2), complex), set(), range(3), int, 1j, Ellipsis, slice(2))
JSON = (None, True, 0, 1, -1, 10**30, 0.5, {"$float": "nan"}, {"$float": "x"}, "", "a", [], [1], {}, {"a": 1}, 1e308)


def pick(random, values=ODD):
    return values[random.integers(len(values))]


def attempt(call):
    """Whether it was refused, in our own words."""
    try:
        call()
    except LongDWMError:
        return True
    return False


def test_calls(make, kit):
    env, vector, commands = (make().unwrapped, make(vector=2).unwrapped, make(action_mode="command").unwrapped)
    random, refused = np.random.default_rng(1), 0
    for each in (env, vector, commands):
        each.reset(seed=0)
    states = env.get_state(), vector.get_state(), commands.get_state()
    calls = (
        lambda: env.reset(seed=pick(random)),
        lambda: env.reset(seed=0, options=pick(random)),
        lambda: env.step(pick(random)),
        lambda: env.step([pick(random) for _ in range(4)]),
        lambda: env.imagine(pick(random) if random.random() < 0.5 else [[pick(random)]]),
        lambda: env.set_state(pick(random)),
        lambda: vector.step(pick(random) if random.random() < 0.5 else [pick(random), pick(random)]),
        lambda: vector.reset(seed=pick(random) if random.random() < 0.5 else [pick(random), pick(random)]),
        lambda: vector.reset(seed=0, options={"reset_mask": pick(random)}),
        lambda: vector.set_state(pick(random)),
        lambda: commands.step(pick(random)),
    )
    cases = CASES or 100
    for _ in range(cases):
        before = env.get_state(), vector.get_state(), commands.get_state()
        if attempt(pick(random, calls)):
            refused += 1
            assert (env.get_state(), vector.get_state(), commands.get_state()) == before
        for each, state in zip((env, vector, commands), states, strict=True):
            each.set_state(state)
    assert refused > 0.6 * cases


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("world", ["warp", "simulator"])
def test_states(make, kit, world, tmp_path):
    """Built by hand, or read from a file with another record: the file's checksum is right in each."""
    # One small frame a period: a case costs little, so that many can be tried.
    env = make(world, obs_mode="frame", image_size=(16, 24), control_period_s=1 / 12).unwrapped
    env.reset(seed=0)
    good = env.get_state()
    record, tensors = good._record(), good._tensors()
    names = [field.name for field in fields(EnvState)]
    random, refused = np.random.default_rng(2), 0
    cases = CASES or 60
    for number in range(cases):
        if number % 4 == 0:
            changed = {pick(random, names): pick(random) for _ in range(random.integers(1, 3))}
            made = lambda c=changed: replace(good, **c)  # noqa: E731
        elif number % 4 == 1:
            made = lambda: replace(good, world_state=WorldState(pick(random), {"a": pick(random)}))  # noqa: E731
        elif number % 4 == 2:
            changed = changed_world_state(random, good.world_state)
            made = lambda c=changed: replace(good, world_state=c)  # noqa: E731
        else:
            data = changed_file(random, record, tensors)
            (tmp_path / "state.safetensors").write_bytes(data)
            made = lambda: EnvState.load(tmp_path / "state.safetensors")  # noqa: E731

        def go_on(made=made):
            env.set_state(made())
            futures = env.imagine([[kit.ahead()]])
            if random.random() < 0.5:
                assert futures.frames.shape == (1, 1, 1, 16, 24, 3)
            else:
                assert env.step(kit.ahead())[0].shape == (16, 24, 3)

        refused += attempt(go_on)
        env.set_state(good)
    assert refused > 0.5 * cases
    env.step(kit.ahead())


def changed_world_state(random, state):
    """One with numbers that are no numbers, or none of this world's, in arrays of the right kind and shape."""
    arrays, values = dict(state.arrays), dict(state.values)
    for _ in range(random.integers(1, 3)):
        name = pick(random, list(arrays))
        array = arrays[name].copy()
        odd = (np.nan, np.inf, 1e300, -1e300, 1e9) if array.dtype.kind == "f" else (0, 255, -1, 2**31, -(2**62))
        with np.errstate(all="ignore"):
            value = np.array(pick(random, odd)).astype(array.dtype)
        array.flat[slice(None) if random.random() < 0.3 else random.integers(array.size)] = value
        arrays[name] = array
    if random.random() < 0.5:
        name = pick(random, list(values))
        values[name] = pick(random, (*ODD, 10**5, str(values[name]).replace("24", "40000").replace("16", "30000")))
    return WorldState(arrays, values, state.actors)


def changed_file(random, record, tensors):
    record, tensors = copy.deepcopy(record), dict(tensors)
    part = record
    while True:
        key = pick(random, list(part)) if isinstance(part, dict) else int(random.integers(len(part)))
        if not isinstance(part[key], dict | list) or not part[key] or random.random() < 0.2:
            part[key] = pick(random, JSON)
            break
        part = part[key]
    if random.random() < 0.3:
        name = pick(random, list(tensors))
        array = tensors[name]
        tensors[name] = pick(random, (array.astype(np.float64), array[:0], array.reshape(-1), np.zeros((3, 3))))
    text = json.dumps(record)
    tensors = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    metadata = {"format": FORMAT, "version": str(VERSION), "state": text, "sha256": _digest(text, tensors)}
    return save(tensors, metadata)


def test_a_world_s_own_mistakes_stay_what_they_are(make, kit):
    """Only states from outside are suspected: an error of a world that went on from its own is shown as it is."""
    world = kit.NoiseWorld()
    env = make(world).unwrapped
    env.reset(seed=0)
    state = env.get_state()
    world.advance = lambda *args: {}["mistake"]
    with pytest.raises(KeyError, match="mistake"):
        env.step(kit.ahead())
    env.set_state(replace(state))
    with pytest.raises(InvalidState, match="KeyError: 'mistake'"):
        env.step(kit.ahead())


def test_pictures_of_a_state_from_outside_that_fail_when_they_are_looked_at(make, kit, monkeypatch):
    """Futures are drawn later than they are driven; what is raised then is told in the same words."""
    env = make("simulator", obs_mode="frame", image_size=(16, 24), control_period_s=1 / 12).unwrapped
    env.reset(seed=0)
    ours = env.get_state()

    def cannot(*args):
        raise KeyError("paint")

    monkeypatch.setattr("longdwm_env.worlds.simulator_world.draw_frame", cannot)
    for state, error in ((ours, KeyError), (replace(ours), InvalidState)):
        env.set_state(state)
        futures = env.imagine([[kit.ahead()]])
        with pytest.raises(error, match="paint"):
            _ = futures.frames
        with pytest.raises(error, match="paint"):
            _ = futures.states[0].newest_frame


def test_a_state_s_camera_may_not_be_for_larger_pictures(make, kit):
    """It would be drawn so, whatever memory that took, and be observed so."""
    env = make("simulator", obs_mode="frame", image_size=(16, 24), control_period_s=1 / 12).unwrapped
    env.reset(seed=0)
    state = env.get_state()
    values = dict(state.world_state.values)
    camera = json.loads(values["camera"])
    camera["intrinsics"][4:] = [40_000, 40_000]
    values["camera"] = json.dumps(camera)
    env.set_state(replace(state, world_state=replace(state.world_state, values=values)))
    with pytest.raises(InvalidState, match="40000"):
        env.step(kit.ahead())
