"""Gymnasium's own wrappers: actions from -1 to 1, small grey pictures in a stack, a time limit, statistics."""

import gymnasium as gym
import numpy as np
import tyro
from gymnasium.wrappers import (
    FrameStackObservation,
    GrayscaleObservation,
    RecordEpisodeStatistics,
    RescaleAction,
    ResizeObservation,
    TimeLimit,
)

import longdwm_env  # noqa: F401 - registers LongDWM-v0


def main(world: str = "simulator", steps: int = 5, seed: int = 7) -> dict[str, float]:
    """Drive one episode without steering; returns its statistics."""
    env = gym.make("LongDWM-v0", world=world, action_mode="control", obs_mode="frame")
    env = RescaleAction(env, np.float32(-1), np.float32(1))
    env = FrameStackObservation(GrayscaleObservation(ResizeObservation(env, (48, 72))), stack_size=4)
    env = RecordEpisodeStatistics(TimeLimit(env, max_episode_steps=steps))
    observation, _ = env.reset(seed=seed)
    over = False
    while not over:
        # Acceleration reaches from -8 to 4 m/s2, so no acceleration is a third of the way from 0 to 1.
        observation, _, terminated, truncated, info = env.step(np.array([0.0, 1 / 3], np.float32))
        over = terminated or truncated
    env.close()
    statistics = {"return": float(info["episode"]["r"]), "steps": float(info["episode"]["l"])}
    print(f"observations {observation.shape}: {statistics}")
    return statistics


if __name__ == "__main__":
    tyro.cli(main)
