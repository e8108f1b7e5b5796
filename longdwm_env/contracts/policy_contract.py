"""The promises of a policy (``longdwm_env.agents.policy``)."""

from copy import deepcopy
from typing import Protocol

import gymnasium as gym

from longdwm_env.actions import Action
from longdwm_env.contracts.promises import disturbed, promise, same
from longdwm_env.episodes.observation import Info, Observation


class _Policy(Protocol):
    def reset(self, observation: Observation, info: Info) -> None: ...

    def act(self, observation: Observation, info: Info) -> Action: ...


def check_policy(policy: _Policy, environment: gym.Env[Observation, Action], steps: int = 3) -> None:
    """Let a policy drive a few short episodes and see whether it keeps what ``agents.policy.Policy`` promises.

    Args:
        policy: made for this environment (``PolicyContext.of(environment)``).
        environment: to drive in.
        steps: of each episode, at most.

    Raises:
        BrokenPromise: one is not kept.
    """
    for name in ("reset", "act"):
        promise(
            callable(getattr(policy, name, None)), f"a policy has reset and act; {type(policy).__name__} has no {name}"
        )
    with disturbed(1):
        first = _driven(policy, environment, 0, steps)
    # An episode in another scene, left in the middle: the next one knows nothing of it.
    _driven(policy, environment, 1, 1)
    with disturbed(2):
        again = _driven(policy, environment, 0, steps)
    promise(
        same(first, again),
        "after reset a policy has forgotten the episode before: the same episode has the same actions, but they differ",
    )


def _driven(policy: _Policy, environment: gym.Env[Observation, Action], seed: int, steps: int) -> list[Action]:
    observation, info = environment.reset(seed=seed)
    given = deepcopy((observation, info))
    policy.reset(observation, info)
    promise(same([observation, info], list(given)), "reset leaves the observation and info as they are")
    actions: list[Action] = []
    for _ in range(steps):
        before, state = deepcopy((observation, info)), _state(environment)
        action = policy.act(observation, info)
        promise(same([observation, info], list(before)), "act leaves the observation and info as they are")
        promise(_state(environment) is state, "act leaves the environment where it is, but it has moved on")
        promise(
            environment.action_space.contains(action),
            f"an action lies in the action space {environment.action_space}, got {action!r}",
        )
        actions.append(deepcopy(action))
        observation, _, terminated, truncated, info = environment.step(action)
        if terminated or truncated:
            break
    return actions


def _state(environment: gym.Env[Observation, Action]) -> object:
    """Where the environment is, if it can say so: a value that is the same object as long as nothing happens."""
    get_state = getattr(environment.unwrapped, "get_state", None)
    return get_state() if callable(get_state) else None
