"""Futures: roll out many actions from one state without touching the environment."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from longdwm_env.actions import Action, as_arrays, is_sequence
from longdwm_env.episode import Episodes
from longdwm_env.episodes.lazy_frames import Frames
from longdwm_env.errors import InvalidAction
from longdwm_env.state import EnvState
from longdwm_env.types import FloatArray, Images


@dataclass(frozen=True, eq=False)
class Futures:
    """B imagined futures of N control periods, T frames each.

    A future that has terminated stays as it ended: its last frame and pose repeat, its reward is 0 and ``terminated``
    stays true. The episode's time limit does not end a future.

    Attributes:
        clips: B times N clips, from which ``frames`` come.
        rewards: (B, N).
        ego_pose: (B, N, T, 3) x m, y m, heading rad of each frame in the episode's world frame.
        terminated: (B, N) whether the future had terminated by the end of the period.
        states: B states at the end, from which to go on.
    """

    clips: tuple[tuple[Frames, ...], ...]
    rewards: FloatArray
    ego_pose: FloatArray
    terminated: NDArray[np.bool_]
    states: tuple[EnvState, ...]

    def __repr__(self) -> str:
        count, periods, frames, _ = self.ego_pose.shape
        ended = int(self.terminated[:, -1].sum())
        best = float(self.rewards.sum(axis=1).max())
        text = f"{periods} periods of {frames} frames, {ended} terminated, best return {best:.3g}"
        return f"Futures({count} futures of {text})"

    @cached_property
    def frames(self) -> Images:
        """(B, N, T, H, W, 3) uint8. A world that can (``world.UndrawnWorld``) draws them when they are asked for."""
        return np.array([[clip.images for clip in future] for future in self.clips])


def imagine(episodes: Episodes, state: EnvState, actions: object) -> Futures:
    """Roll out B sequences of N actions from a state, each period in one batch of the world.

    Args:
        episodes: the rules.
        state: where all futures begin.
        actions: (B, N, ...) actions.

    Raises:
        InvalidAction: not B x N actions, or one that is not allowed; the message says which.
    """
    plans = _checked_plans(episodes, actions)
    futures, periods = len(plans), len(plans[0])
    count = episodes.control_frames
    clips: list[list[Frames]] = [[] for _ in plans]
    rewards = np.zeros((futures, periods))
    ego_pose = np.empty((futures, periods, count, 3))
    terminated = np.zeros((futures, periods), np.bool_)
    states = [state] * futures
    for period in range(periods):
        going = [future for future in range(futures) if not states[future].terminated]
        moving = set(going)
        actions_now = [plans[future][period] for future in going]
        outcomes = episodes.advance([states[f] for f in going], actions_now, look=False) if going else []
        for future, outcome in zip(going, outcomes, strict=True):
            states[future] = outcome.state
            rewards[future, period] = outcome.reward
        for future, after in enumerate(states):
            moved = future in moving
            clips[future].append(after.clip if moved else after.clip.held())
            ego_pose[future, period] = after.ego_poses if moved else after.ego_poses[-1]
            terminated[future, period] = after.terminated
    return Futures(tuple(map(tuple, clips)), rewards, ego_pose, terminated, tuple(states))


def _checked_plans(episodes: Episodes, actions: object) -> list[list[Action]]:
    actions = as_arrays(actions, "actions")
    if not is_sequence(actions) or not len(actions):
        raise InvalidAction(f"actions are (B, N, ...) with at least one future, got {type(actions).__name__}")
    plans: list[list[Action]] = []
    for future, plan in enumerate(actions):
        if not is_sequence(plan):
            raise InvalidAction(f"actions are (B, N, ...): future {future} is {plan!r}, expected a sequence of actions")
        if len(plan) == 0 or (plans and len(plan) != len(plans[0])):
            raise InvalidAction(
                f"all futures have the same number of actions, at least 1; future {future} has {len(plan)}"
            )
        names = [f"actions[{future}, {period}]" for period in range(len(plan))]
        plans.append(episodes.check_actions(list(plan), names))
    return plans
