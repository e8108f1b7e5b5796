"""Plan by imagining: try a few futures in the world itself, drive the first action of the best, and look again."""

import gymnasium as gym
import numpy as np
import tyro

import longdwm_env  # noqa: F401 - registers LongDWM-v0

STEERING_RAD = (-0.12, -0.04, 0.0, 0.04, 0.12)
ACCELERATION_MPS2 = (-3.0, 0.0, 1.0)


def main(world: str = "simulator", seconds: float = 10.0, periods: int = 2, seed: int = 7) -> float:
    """Drive an episode; returns the sum of rewards. ``longdwm evaluate --policy mppi`` runs a stronger planner."""
    env = gym.make("LongDWM-v0", world=world, action_mode="control", max_episode_s=seconds)
    env.reset(seed=seed)
    # One future for each pair of controls, held for all periods: (B, N, 2).
    pairs = np.array([(s, a) for s in STEERING_RAD for a in ACCELERATION_MPS2], np.float32)
    plans = np.repeat(pairs[:, None], periods, axis=1)
    total, over = 0.0, False
    while not over:
        futures = env.unwrapped.imagine(plans)
        best = futures.rewards.sum(axis=1).argmax()
        _, reward, terminated, truncated, info = env.step(plans[best, 0])
        total += reward
        over = terminated or truncated
    env.close()
    print(f"return {total:.2f}, ended by {info['termination']}")
    return total


if __name__ == "__main__":
    tyro.cli(main)
