"""Reactive traffic of the built-in scenes: the reference simulator's own drivers, step for step."""

import numpy as np

from longdwm_env.simulator.roads import road_plan
from longdwm_env.simulator.scene import episode, seed_of_key
from longdwm_env.simulator.stepping import step
from longdwm_env.simulator.traffic import traffic_from_arrays
from longdwm_env.traffic.record import Arrays, Begun, Meanwhile
from longdwm_env.types import FloatArray, Scene, WorldState
from longdwm_env.worlds.simulator import actor_tracks

PREFIX = "traffic."
SEED = f"{PREFIX}seed"


def begin(scene: Scene) -> Begun:
    """The traffic at the start of a built-in scene."""
    seed = seed_of_key(scene.key)
    one = episode(seed)
    arrays = _named(one.past[-1].arrays) | {SEED: np.array(seed, np.int64)}
    return Begun(arrays, {}, actor_tracks(one.past[-1:], one.road.table, 0))


def react(state: WorldState, frame: int, poses: FloatArray, speeds_mps: FloatArray) -> Meanwhile:
    """The traffic while the ego drives; see ``meanwhile.react``."""
    seed = int(state.arrays[SEED])
    road = road_plan(seed)
    now = {name.removeprefix(PREFIX): array for name, array in state.arrays.items() if name.startswith(PREFIX)}
    steps = [traffic_from_arrays(now)]
    for number, (pose, speed) in enumerate(zip(poses, speeds_mps, strict=True), frame + 1):
        steps.append(step(road, steps[-1], seed, number, (pose, float(speed))))
    return Meanwhile(actor_tracks(steps, road.table, frame), lambda count: _named(steps[count].arrays))


def _named(arrays: Arrays) -> dict[str, np.ndarray]:
    return {f"{PREFIX}{name}": array for name, array in arrays.items()}
