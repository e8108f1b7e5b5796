"""A reward of your own: a function of what was driven, beside the terms that exist."""

import gymnasium as gym
import numpy as np
import tyro

import longdwm_env  # noqa: F401 - registers LongDWM-v0
from longdwm_env.rewards import Driven, RewardTerm


def near_target_speed(driven: Driven) -> float:
    """Minus the mean distance from 30 km/h, in m/s."""
    return -float(np.abs(driven.motion[:, 0] - 30 / 3.6).mean())


def main(world: str = "simulator", steps: int = 5, seed: int = 7) -> list[float]:
    """Drive straight on; returns the rewards."""
    target_speed = RewardTerm("target_speed", unit="m/s", source="our own", value=near_target_speed)
    env = gym.make("LongDWM-v0", world=world, action_mode="command", reward={target_speed: 0.5, "collision": 10.0})
    env.reset(seed=seed)
    rewards = []
    for _ in range(steps):
        _, reward, terminated, truncated, info = env.step(0)
        print(f"{reward:6.2f}  {info['reward_terms']}")
        rewards.append(reward)
        if terminated or truncated:
            break
    env.close()
    return rewards


if __name__ == "__main__":
    tyro.cli(main)
