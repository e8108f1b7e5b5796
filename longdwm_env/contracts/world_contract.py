"""The promises of a world (``longdwm_env.world``)."""

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from longdwm_env import clock
from longdwm_env.contracts.promises import disturbed, most_different, promise, same
from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.geometry.spline import plan_trajectory
from longdwm_env.types import EgoState, Images, Scene, SceneSource, Trajectory, WorldState
from longdwm_env.world import GenerativeWorld, UncertainWorld, UndrawnWorld, WorldModel

BATCH = 3
_FEW, _MANY = 5, clock.FRAMES_PER_INTERVAL
Advanced = tuple[list[WorldState], Images]


def check_world(world: WorldModel, scenes: SceneSource | Sequence[Scene], batch_tolerance: float = 0.0) -> None:
    """Drive a world a few times and see whether it keeps what ``world.WorldModel`` promises.

    Its optional methods are checked where it has them: lazy frames, recent frames, uncertainty.

    Args:
        world: the world.
        scenes: to start from; three are used.
        batch_tolerance: of 255, by how much a pixel may differ between a batch and its members alone. 0 is promised;
            batched matrix products of some processors need 2.

    Raises:
        BrokenPromise: one is not kept.
    """
    promise(
        isinstance(world, WorldModel),
        f"a world has name, image_size, begin and advance: {type(world).__name__} has not",
    )
    promise(isinstance(world.name, str) and world.name, f"a world's name is a text, got {world.name!r}")
    size = world.image_size
    are_whole = isinstance(size, tuple) and len(size) == 2 and all(isinstance(n, int) and n > 0 for n in size)
    promise(are_whole, f"image_size is (height, width), got {size!r}")
    starts = _starts(world, scenes)
    begun = [_begun(world, scene, seed) for seed, scene in enumerate(starts)]
    plans = [_plan(scene.start.speed_mps, bend) for scene, bend in zip(starts, (0.0, 1.5, -1.0), strict=True)]

    with disturbed(1):
        first, _ = _advanced(world, begun, plans, _FEW)
    # Drives of other ages side by side, since random numbers are counted from the frames driven.
    states = [first[0], begun[1], first[2]]
    plans = [_plan(float(plan.speeds_mps[_FEW - 1]), bend) for plan, bend in zip(plans, (0.5, 0.0, -0.5), strict=True)]
    with disturbed(2):
        together = _advanced(world, states, plans, _MANY)
    with disturbed(3):
        again = _advanced(world, states, plans, _MANY)
    promise(same(together, again), "advance is pure: the same arguments gave another result the second time")
    for index in range(BATCH):
        _check_alone(world, states, plans, together, index, batch_tolerance)
    turned = _advanced(world, states[::-1], plans[::-1], _MANY)[1][::-1]
    difference = most_different(turned, together[1])
    promise(difference <= batch_tolerance, f"the order of a batch means nothing, but pixels differ by {difference:g}")
    _check_plain(world, states[0], plans[0], together[1][0], batch_tolerance)
    if isinstance(world, UndrawnWorld):
        _check_undrawn(world, states, plans, together)
    if isinstance(world, GenerativeWorld):
        _check_recent(world, together)
    if isinstance(world, UncertainWorld):
        _check_uncertain(world, states, plans)


def _starts(world: WorldModel, scenes: SceneSource | Sequence[Scene]) -> list[Scene]:
    if isinstance(scenes, Sequence):
        chosen = [scenes[index % len(scenes)] for index in range(BATCH)]
    else:
        chosen = [scenes.scene(scenes.index_of_seed(seed)) for seed in range(BATCH)]
    cameras = [scene.camera or assumed_camera(world.image_size) for scene in chosen]
    return [
        replace(scene, camera=camera.fitted(world.image_size)) for scene, camera in zip(chosen, cameras, strict=True)
    ]


def _plan(speed_mps: float, bend_m: float) -> Trajectory:
    """Two seconds at a speed, to one side by so much."""
    times = np.array(clock.WAYPOINT_TIMES_S)
    speed = max(speed_mps, 1.0)
    points = np.stack([speed * times, bend_m * (times / times[-1]) ** 2], axis=1)
    return plan_trajectory(points, EgoState(speed_mps=speed_mps))


def _begun(world: WorldModel, scene: Scene, seed: int) -> WorldState:
    with disturbed(4):
        state = world.begin(scene, seed)
    with disturbed(5):
        again = world.begin(scene, seed)
    promise(isinstance(state, WorldState), f"begin gives a WorldState, got {type(state).__name__}")
    promise(same(_parts(state), _parts(again)), "begin is pure: the same scene and seed gave another state")
    count = 1 if state.actors is None else len(state.actors.poses)
    promise(count == 1, f"after begin, road users are known at the present frame alone; got {count} frames")
    return state


def _parts(state: WorldState) -> tuple[object, ...]:
    return dict(state.arrays), dict(state.values), state.actors


def _copied(state: WorldState) -> tuple[object, ...]:
    actors = state.actors
    poses = None if actors is None else (actors.poses.copy(), actors.speeds_mps.copy())
    return {name: array.copy() for name, array in state.arrays.items()}, repr(dict(state.values)), poses


def _advanced(world: WorldModel, states: list[WorldState], plans: list[Trajectory], count: int) -> Advanced:
    before = [_copied(state) for state in states]
    result = world.advance(states, plans, count)
    promise(
        isinstance(result, tuple) and len(result) == 2, f"advance gives states and frames, got {type(result).__name__}"
    )
    after, frames = list(result[0]), result[1]
    promise(same([_copied(state) for state in states], before), "a state that is handed in is not changed, but it was")
    form = (len(states), count, *world.image_size, 3)
    promise(
        isinstance(frames, np.ndarray) and frames.dtype == np.uint8 and frames.shape == form,
        f"frames are uint8 {form}, got {getattr(frames, 'dtype', '')} {getattr(frames, 'shape', type(frames))}",
    )
    promise(
        len(after) == len(states) and all(isinstance(state, WorldState) for state in after),
        f"{len(states)} states give as many new ones, got {[type(state).__name__ for state in after]}",
    )
    for old, new in zip(states, after, strict=True):
        if new.actors is not None:
            known = len(new.actors.poses)
            promise(
                known == count + 1,
                f"road users are known at the frame before and at each of the {count} just made, got {known} frames",
            )
        promise((old.actors is None) == (new.actors is None), "a world knows road users at all times, or never")
    return after, frames


def _check_alone(
    world: WorldModel,
    states: list[WorldState],
    plans: list[Trajectory],
    together: Advanced,
    index: int,
    tolerance: float,
) -> None:
    (alone,), (frames,) = _advanced(world, states[index : index + 1], plans[index : index + 1], _MANY)
    difference = most_different(frames, together[1][index])
    promise(
        difference <= tolerance,
        f"a batch gives what its members give alone, but pixels of member {index} differ by {difference:g} of 255",
    )
    if not tolerance:
        promise(
            same(_parts(alone), _parts(together[0][index])),
            f"a batch gives what its members give alone, but the state of member {index} is another",
        )


def _check_plain(world: WorldModel, state: WorldState, plan: Trajectory, frames: Images, tolerance: float) -> None:
    """A state is numbers and JSON, and goes on as well after it was saved."""
    for name, array in state.arrays.items():
        promise(array.dtype.kind in "biuf", f"a state's arrays hold numbers; {name!r} is of kind {array.dtype}")
    try:
        values = json.loads(json.dumps(dict(state.values)))
    except (TypeError, ValueError) as error:
        promise(False, f"a state's values are JSON: {error}")
        raise
    promise(
        same(values, dict(state.values)), "a state's values are JSON: they are others once they were saved and read"
    )
    loaded = WorldState({name: array.copy() for name, array in state.arrays.items()}, values, state.actors)
    _, (again,) = _advanced(world, [loaded], [plan], _MANY)
    difference = most_different(again, frames)
    promise(
        difference <= tolerance,
        f"all that a world remembers is in its state, but a saved one goes on otherwise (by {difference:g} of 255)",
    )


def _check_undrawn(world: UndrawnWorld, states: list[WorldState], plans: list[Trajectory], together: Advanced) -> None:
    after, clips = world.advance_undrawn(states, plans, _MANY)
    promise(
        same([_parts(state) for state in after], [_parts(state) for state in together[0]]),
        "states are the same whether frames are drawn or not, but advance_undrawn gave others",
    )
    for clip, frames in zip(clips, together[1], strict=True):
        # The last one first: what is drawn does not depend on what was drawn before.
        are_same = same(np.array(clip.newest), frames[-1]) and same(np.array(clip.images), frames)
        promise(are_same, "frames that are drawn later are those of advance, but they differ")


def _check_recent(world: GenerativeWorld, together: Advanced) -> None:
    promise(isinstance(world.device, str), f"device is a text such as 'cpu', got {world.device!r}")
    for state, frames in zip(*together, strict=True):
        recent = world.recent_frames(state, 3)
        promise(1 <= len(recent) <= 3, f"recent_frames gives as many as asked for or fewer, got {len(recent)} for 3")
        promise(same(recent[-1], frames[-1]), "the last of the recent frames is the present one, but it is another")


def _check_uncertain(world: UncertainWorld, states: list[WorldState], plans: list[Trajectory]) -> None:
    with disturbed(6):
        spreads = world.uncertainty(states, plans)
    with disturbed(7):
        again = world.uncertainty(states, plans)
    is_right = isinstance(spreads, np.ndarray) and spreads.shape == (len(states),) and np.isfinite(spreads).all()
    promise(is_right and (spreads >= 0).all(), f"uncertainty is a finite number from 0 for each state, got {spreads!r}")
    promise(same(spreads, again), "uncertainty is pure: the same arguments gave another result the second time")
    alone = [world.uncertainty([state], [plan])[0] for state, plan in zip(states, plans, strict=True)]
    promise(
        same(spreads, np.array(alone, spreads.dtype)),
        f"the uncertainty of a batch is that of its members alone, got {spreads} and {alone}",
    )
