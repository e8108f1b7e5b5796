"""Reactive traffic of the built-in scenes: the reference simulator's own drivers, step for step."""

from dataclasses import fields, replace

import numpy as np

from longdwm_env.geometry.boxes import body_poses
from longdwm_env.geometry.kinematics import CAR
from longdwm_env.simulator.roads.road_kinds import road_plan
from longdwm_env.simulator.scene import episode, seed_of_key
from longdwm_env.simulator.traffic.stepping import step
from longdwm_env.simulator.traffic.traffic_state import EGO, Traffic, traffic_from_arrays
from longdwm_env.traffic.traffic_record import Arrays, Begun, Meanwhile
from longdwm_env.types import FloatArray, Scene, WorldState
from longdwm_env.worlds.simulator_world import actor_tracks

PREFIX = "traffic."
SEED, FRAME = f"{PREFIX}seed", f"{PREFIX}frame"
"""Which scene's chance events, and the number of the present frame, which says which of them come next."""

AWAY_M = 1e5
_NAMES = tuple(field.name for field in fields(Traffic))


def begin(scene: Scene) -> Begun:
    """The traffic at the start of a built-in scene, or where a drive through it goes on (``Scene.driven``)."""
    seed = seed_of_key(scene.key)
    one = episode(seed)
    now, frame = one.past[-1], 0
    driven = scene.driven
    if driven is not None and f"{PREFIX}routes" in driven.arrays:
        now, frame = _traffic_of(driven), int(driven.arrays[FRAME])
    elif driven is not None and "routes" in driven.arrays:
        now, frame = traffic_from_arrays(driven.arrays), int(driven.values["frame"])
    elif driven is not None:
        now = _nobody_near(now, scene)
    tracks = actor_tracks([now], one.road.table, frame)
    return Begun(_named(now.arrays) | {SEED: np.array(seed), FRAME: np.array(frame)}, {}, tracks)


def react(state: WorldState, poses: FloatArray, speeds_mps: FloatArray) -> Meanwhile:
    """The traffic while the ego drives; see ``meanwhile.react``."""
    seed, frame = int(state.arrays[SEED]), int(state.arrays[FRAME])
    road = road_plan(seed)
    steps = [_traffic_of(state)]
    for number, (pose, speed) in enumerate(zip(poses, speeds_mps, strict=True), frame + 1):
        steps.append(step(road, steps[-1], seed, number, (pose, float(speed))))

    def after(count: int) -> Arrays:
        return _named(steps[count].arrays) | {FRAME: np.array(frame + count)}

    return Meanwhile(actor_tracks(steps, road.table, frame), after)


def _traffic_of(state: WorldState) -> Traffic:
    return traffic_from_arrays({name: state.arrays[f"{PREFIX}{name}"] for name in _NAMES})


def _named(arrays: Arrays) -> dict[str, np.ndarray]:
    return {f"{PREFIX}{name}": array for name, array in arrays.items()}


def _nobody_near(traffic: Traffic, scene: Scene) -> Traffic:
    """The ego where the scene has it, on an empty road: the others are soon replaced by new ones beyond its sight."""
    positions, headings, speeds = traffic.positions_m.copy(), traffic.headings_rad.copy(), traffic.speeds_mps.copy()
    body = body_poses(scene.start.pose, CAR)
    positions[:] = body[:2] + AWAY_M
    positions[EGO], headings[EGO], speeds[EGO] = body[:2], body[2], scene.start.speed_mps
    return replace(traffic, positions_m=positions, headings_rad=headings, speeds_mps=speeds)
