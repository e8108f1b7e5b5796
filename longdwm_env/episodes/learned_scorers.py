"""Joins learned scorers to a batch of periods: they work when a reward term asks, and once for the whole batch."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TypeVar

import numpy as np

from longdwm_env.clock import FRAMES_PER_INTERVAL
from longdwm_env.episodes.lazy_frames import Frames
from longdwm_env.episodes.transition import Learned, Scores, Unavailable
from longdwm_env.errors import MissingDependency, MissingWeights
from longdwm_env.factory import make_scorer
from longdwm_env.state import EnvState
from longdwm_env.types import Images, Scene, Trajectory
from longdwm_env.world import GenerativeWorld, UncertainWorld, WorldModel

SCORED_FRAMES = FRAMES_PER_INTERVAL
"""Frames that the scorer looks at."""

T = TypeVar("T")


def learned_scorers(
    world: WorldModel,
    scene_of_key: Callable[[str], Scene],
    states: Sequence[EnvState],
    trajectories: Sequence[Trajectory],
    clips: Sequence[Frames],
) -> list[Learned]:
    """What learned scorers say of B periods; nothing is computed before they are called.

    From B ``states`` the trajectories were driven, of which the world showed ``clips``.
    """

    @cache
    def scores() -> list[Scores | Unavailable]:
        windows = [_window(world, scene_of_key, state, clip) for state, clip in zip(states, clips, strict=True)]
        return _scores(world, windows)

    @cache
    def uncertainties() -> list[float | Unavailable]:
        if not isinstance(world, UncertainWorld):
            return [Unavailable(f"world {world.name!r} makes one prediction of an action, which has no spread")] * len(
                states
            )
        return [float(spread) for spread in world.uncertainty([s.world_state for s in states], trajectories)]

    is_generated = isinstance(world, GenerativeWorld)
    return [
        Learned(is_generated, partial(_nth, scores, index), partial(_nth, uncertainties, index))
        for index in range(len(states))
    ]


def _nth(answers: Callable[[], Sequence[T]], index: int) -> T:
    return answers()[index]


def _scores(world: WorldModel, windows: Sequence[Images | Unavailable]) -> list[Scores | Unavailable]:
    shown = [window for window in windows if not isinstance(window, Unavailable)]
    if not shown:
        return [window for window in windows if isinstance(window, Unavailable)]
    try:
        scorer = make_scorer(world.device if isinstance(world, GenerativeWorld) else "cpu")
    except (MissingWeights, MissingDependency) as error:
        return [Unavailable(str(error))] * len(windows)
    said = iter(scorer.judge(np.stack(shown)))
    return [window if isinstance(window, Unavailable) else Scores(*map(float, next(said))) for window in windows]


def _window(
    world: WorldModel, scene_of_key: Callable[[str], Scene], state: EnvState, clip: Frames
) -> Images | Unavailable:
    """The last second of what was really seen, (12, H, W, 3): a shorter period is filled up with frames before it."""
    missing = SCORED_FRAMES - len(clip)
    if missing <= 0:
        return clip.images[-SCORED_FRAMES:]
    earlier = _seen_before(world, scene_of_key, state)[-missing:]
    if len(earlier) < missing:
        return Unavailable(
            f"the scorer looks at {SCORED_FRAMES} frames, and of those before this period of {len(clip)} only "
            f"{len(earlier)} are known"
        )
    return np.concatenate([earlier, clip.images])


def _seen_before(world: WorldModel, scene_of_key: Callable[[str], Scene], state: EnvState) -> Images:
    """The frames up to the moment of acting that the world or the episode remembers, whichever are more."""
    frames = state.frames
    if state.frames_driven == 0:
        # After reset the first recorded frame is repeated where the record is shorter: a car that stood, and did not.
        frames = frames[-(scene_of_key(state.scene).log.num_past + 1) :]
    if not isinstance(world, GenerativeWorld):
        return frames
    return max(world.recent_frames(state.world_state, SCORED_FRAMES), frames, key=len)
