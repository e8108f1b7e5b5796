"""Behaviour cloning: watch a driver who sees the map, and learn to drive like it from the camera."""

from pathlib import Path

import gymnasium as gym
import tyro

import longdwm_env  # noqa: F401 - registers LongDWM-v0
from longdwm_env.agents.cloning.demonstrations import demonstrate
from longdwm_env.agents.cloning.network import ClonedSettings
from longdwm_env.agents.cloning.policy import save
from longdwm_env.agents.cloning.training import CloningSettings, clone


def main(
    world: str = "simulator",
    episodes: int = 60,
    seconds: float = 20.0,
    epochs: int = 30,
    out: Path = Path("outputs/cloned.safetensors"),
) -> float:
    """Train and save a policy for ``longdwm evaluate --policy FILE``; returns its held-out error in metres."""
    env = gym.make("LongDWM-v0", world=world, max_episode_s=seconds)
    data = demonstrate(env, seeds=range(episodes), expert="idm")
    env.close()
    print(f"{len(data)} moments of {episodes} episodes")

    def report(epoch: int, error_m: float) -> None:
        print(f"epoch {epoch:3d}: {error_m:.3f} m from the expert's waypoints")

    result = clone(data, ClonedSettings(), CloningSettings(epochs=epochs), report)
    save(result.network, out)
    print(f"saved {out}; try: longdwm evaluate --policy {out} --policy idm --policy constant-velocity")
    return result.held_out_m[-1]


if __name__ == "__main__":
    tyro.cli(main)
