"""Demonstrations: what a driver would do, and what it saw, also where a bad driver would have brought it."""

from collections.abc import Iterable
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from longdwm_env.actions import Action
from longdwm_env.agents.naming import make_policy
from longdwm_env.agents.policies.degraded import Degradation, Degraded
from longdwm_env.agents.policies.small_view import view_of
from longdwm_env.agents.policy import Policy, PolicyContext
from longdwm_env.episodes.observation import Info, Observation


@dataclass(frozen=True)
class Demonstrations:
    """N moments: views (N, h, w, 6) uint8, ego (N, 4) float32, and the expert's waypoints (N, 4, 2) float32."""

    images: NDArray[np.uint8]
    ego: NDArray[np.float32]
    waypoints_m: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.images)


class _Watched:
    """The expert, whose answers are written down before they are made worse."""

    def __init__(self, expert: Policy) -> None:
        self._expert = expert
        self.last: Action = np.zeros((4, 2), np.float32)

    def reset(self, observation: Observation, info: Info) -> None:
        self._expert.reset(observation, info)

    def act(self, observation: Observation, info: Info) -> Action:
        self.last = self._expert.act(observation, info)
        return self.last


def demonstrate(
    environment: gym.Env[Observation, Action],
    seeds: Iterable[int],
    expert: str = "idm",
    noise: float = 0.4,
) -> Demonstrations:
    """Drive episodes and record what the expert wanted.

    Every other episode is driven with noise that the expert is not blamed for, so that the network also sees how to
    come back (Laskey et al., "DART: Noise injection for robust imitation learning", CoRL 2017).

    Args:
        environment: action mode "trajectory", observation mode "video".
        seeds: of the episodes.
        expert: a policy's name.
        noise: see ``degraded.Degradation``.
    """
    context = PolicyContext.of(environment)
    watched = _Watched(make_policy(expert, context))
    shaken = Degraded(watched, context, Degradation(noise=noise))
    images, ego, waypoints = [], [], []
    for index, seed in enumerate(seeds):
        driver: Policy = shaken if index % 2 else watched
        observation, info = environment.reset(seed=seed)
        info["seed"] = seed
        driver.reset(observation, info)
        over = False
        while not over:
            action = driver.act(observation, info)
            view = view_of(observation)
            images.append(view["image"])
            ego.append(view["ego"])
            waypoints.append(watched.last)
            observation, _, terminated, truncated, info = environment.step(action)
            over = terminated or truncated
    return Demonstrations(np.stack(images), np.stack(ego), np.stack(waypoints).astype(np.float32))
