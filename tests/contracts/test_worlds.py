"""Every world keeps what a world promises; and each broken promise is found."""

import random
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

import longdwm_env
from examples.custom_world import StillWorld
from longdwm_env.contracts import BrokenPromise, check_world
from longdwm_env.episodes.lazy_frames import Frames
from longdwm_env.models.world import DiffusionWorld
from longdwm_env.scenes import BuiltinScenes, open_scenes
from longdwm_env.simulator.roads.road_kinds import ROAD_KINDS, kind_of_seed
from longdwm_env.types import ActorTracks, WorldState
from longdwm_env.worlds.simulator_world import SimulatorWorld
from longdwm_env.worlds.warp_world import WarpWorld

from ..models.conftest import make_built, make_marked, make_scene_with

SIZE = (24, 36)
TINY = (32, 48)
SEEDS = [next(seed for seed in range(400) if kind_of_seed(seed) == kind) for kind in ROAD_KINDS]
PHOTOGRAPHS = open_scenes(Path(longdwm_env.__file__).with_name("assets"))


@pytest.mark.parametrize("make", [StillWorld, WarpWorld])
def test_worlds_that_go_on_from_pictures_keep_their_promises(make):
    check_world(make(SIZE), PHOTOGRAPHS)


@pytest.mark.parametrize("first", range(0, len(SEEDS), 3))
def test_the_simulator_keeps_its_promises_on_roads_of_every_kind(first):
    check_world(SimulatorWorld(SIZE), [BuiltinScenes().scene(seed) for seed in SEEDS[first : first + 3]])


@pytest.mark.parametrize(
    ("device", "micro_batch", "tolerance"),
    [
        ("cpu", 1, 0),
        # A CPU's matrix products treat rows at the end of a batch by other kernels than those before: last bits differ.
        ("cpu", 3, 2),
        pytest.param("cuda", 8, 0, marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")),
    ],
)
def test_generated_worlds_keep_their_promises(device, micro_batch, tolerance):
    scenes = [make_scene_with(TINY, num_past=past, prompt=f"Weather: {past}", seed=past) for past in (0, 12)]
    scenes.append(make_marked(make_scene_with(TINY, num_past=30, seed=3), [12.0, 0, 0], [-12.0, 0, 0]))
    check_world(DiffusionWorld(make_built("debug").to(device), micro_batch=micro_batch), scenes, tolerance)


class Counted:
    """A world that keeps its promises: its frames are random numbers, counted as they should be."""

    name = "counted"
    image_size = (8, 12)

    def begin(self, scene, seed):
        return WorldState({"offset": np.zeros(2)}, {"seed": seed, "driven": 0})

    def drawn(self, state, trajectory, count):
        values = state.values
        random = np.random.default_rng([values["seed"], values["driven"], zlib.crc32(trajectory.poses.tobytes())])
        return random.integers(0, 256, (count, *self.image_size, 3), np.uint8), random.random(2)

    def after(self, state, offset, count):
        return WorldState({"offset": offset}, {**state.values, "driven": state.values["driven"] + count})

    def advance(self, states, trajectories, count):
        made = [self.drawn(*each, count) for each in zip(states, trajectories, strict=True)]
        following = [self.after(state, offset, count) for state, (_, offset) in zip(states, made, strict=True)]
        return following, np.stack([frames for frames, _ in made])


class Optional(Counted):
    """The same, with all optional methods."""

    device = "cpu"

    def drawn(self, state, trajectory, count):
        frames, _ = super().drawn(state, trajectory, count)
        return frames, frames[-1].astype(float)

    def begin(self, scene, seed):
        return WorldState({"offset": np.zeros((*self.image_size, 3))}, {"seed": seed, "driven": 0})

    def advance_undrawn(self, states, trajectories, count):
        following, frames = self.advance(states, trajectories, count)
        return following, [Frames.of(clip) for clip in frames]

    def recent_frames(self, state, count):
        return state.arrays["offset"][None].astype(np.uint8)

    def uncertainty(self, states, trajectories):
        return np.array([float(self.drawn(*each, 1)[0].mean()) for each in zip(states, trajectories, strict=True)])


def test_worlds_that_keep_their_promises_pass():
    check_world(Counted(), PHOTOGRAPHS)
    check_world(Optional(), PHOTOGRAPHS)


class Changes(Counted):
    def drawn(self, state, trajectory, count):
        state.arrays["offset"].flags.writeable = True
        state.arrays["offset"][:] += 1
        return super().drawn(state, trajectory, count)


class Remembers(Counted):
    """Keeps what it needs beside the state."""

    def __init__(self):
        self.known = {}

    def drawn(self, state, trajectory, count):
        frames, offset = super().drawn(state, trajectory, count)
        return frames ^ self.known.setdefault(id(state), len(self.known)), offset

    def begin(self, scene, seed):
        state = super().begin(scene, seed)
        self.kept = [*getattr(self, "kept", ()), state]  # so that no two states have one id
        return state

    def after(self, state, offset, count):
        after = super().after(state, offset, count)
        self.kept.append(after)
        return after


def changed(kind, name, change):
    """A world in which what one method gives is changed: ``change(given, *arguments)``."""
    world = kind()
    own = getattr(world, name)
    setattr(world, name, lambda *arguments: change(own(*arguments), *arguments))
    return world


def nameless():
    world = Counted()
    world.name = ""
    return world


def begins(**values):
    return changed(Counted, "begin", lambda state, *_: WorldState(dict(state.arrays), {**state.values, **values}))


def texts():
    world = changed(Counted, "begin", lambda state, *_: WorldState({"offset": np.array(["a"])}, dict(state.values)))
    after = world.after
    world.after = lambda state, offset, count: after(state, np.array(["a"]), count)
    return world


STREAM = np.random.default_rng(0)
ACTORS = ActorTracks(np.zeros((1, 1, 3)), np.ones((1, 3)), np.zeros((1, 1)), ("car",))
BROKEN = [
    (object, "has not"),
    (nameless, "name is a text"),
    (
        lambda: changed(Counted, "begin", lambda s, *_: WorldState({"offset": STREAM.random(2)}, dict(s.values))),
        "begin is pure",
    ),
    # Draws from one generator for all calls, and from the process's own.
    (
        lambda: changed(Counted, "drawn", lambda made, *_: (made[0] ^ STREAM.integers(256, dtype=np.uint8), made[1])),
        "advance is pure",
    ),
    (
        lambda: changed(Counted, "drawn", lambda made, *_: (made[0] ^ random.getrandbits(8), made[1])),
        "advance is pure",
    ),
    (
        lambda: changed(Counted, "advance", lambda made, *_: (made[0], made[1] ^ made[1][:1])),
        "what its members give alone",
    ),
    (
        lambda: changed(Counted, "after", lambda s, *_: WorldState(dict(s.arrays), dict(s.values), ACTORS)),
        "road users are known at the frame before",
    ),
    (Changes, "is not changed"),
    (Remembers, "all that a world remembers is in its state"),
    (lambda: begins(seen={1}), "values are JSON"),
    (lambda: begins(seen={1: 2}), "others once they were saved"),
    (texts, "arrays hold numbers"),
    (
        lambda: changed(Counted, "advance", lambda made, *_: (made[0], np.repeat(made[1], 2, axis=1))),
        "frames are uint8",
    ),
    (
        lambda: changed(
            Optional, "advance_undrawn", lambda made, *_: (made[0], [Frames.of(255 - clip.images) for clip in made[1]])
        ),
        "drawn later are those of advance",
    ),
    (
        lambda: changed(Optional, "advance_undrawn", lambda made, states, *_: (list(states), made[1])),
        "advance_undrawn gave others",
    ),
    (lambda: changed(Optional, "recent_frames", lambda frames, *_: 255 - frames), "the present one"),
    (lambda: changed(Optional, "uncertainty", lambda spreads, *_: spreads / spreads.sum()), "of its members alone"),
    (lambda: changed(Optional, "uncertainty", lambda spreads, *_: spreads * np.nan), "finite number from 0"),
]


@pytest.mark.parametrize(("broken", "told"), BROKEN, ids=[told for _, told in BROKEN])
def test_a_broken_promise_is_found(broken, told):
    with pytest.raises(BrokenPromise, match=told):
        check_world(broken(), PHOTOGRAPHS)
