"""The shortest program: drive at random and save what the camera saw."""

from pathlib import Path

import gymnasium as gym
import tyro

import longdwm_env  # noqa: F401 - registers LongDWM-v0
from longdwm_env.io.video import write_video


def main(
    world: str = "simulator", seconds: float = 10.0, seed: int = 7, out: Path = Path("outputs/random.mp4")
) -> float:
    """Drive at random until the time is up or the car crashes; returns the sum of rewards."""
    env = gym.make("LongDWM-v0", world=world, action_mode="command", max_episode_s=seconds)
    observation, info = env.reset(seed=seed)
    env.action_space.seed(seed)
    clips, total, over = [observation["frames"]], 0.0, False
    while not over:
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        clips.append(observation["frames"])
        total += reward
        over = terminated or truncated
    env.close()
    write_video(out, clips)
    print(f"{info['scene']}: return {total:.2f}, ended by {info['termination']}; see {out}")
    return total


if __name__ == "__main__":
    tyro.cli(main)
