"""PPO with stable-baselines3 on one batched world: learn to drive from two small pictures and the speed."""

import csv
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
import tyro
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecMonitor

import longdwm_env  # noqa: F401 - registers LongDWM-v0
from longdwm_env.agents.sb3 import save_policy
from longdwm_env.agents.sb3_vector import Sb3Vector

BOUNDS = (np.float32([-0.12, -4.0]), np.float32([0.12, 2.5]))
"""Steering in rad and acceleration in m/s2 that the agent may use: a narrower choice is learned faster."""


class Curve(BaseCallback):
    """Writes the mean return of the last episodes while training."""

    def __init__(self, path: Path, minutes: float) -> None:
        super().__init__()
        self.path, self.minutes, self.begun = path, minutes, time.monotonic()
        self.rows: list[tuple[int, float, float, float]] = []

    def _on_step(self) -> bool:
        return time.monotonic() - self.begun < 60 * self.minutes

    def _on_rollout_end(self) -> None:
        episodes = list(self.model.ep_info_buffer or [])[-40:]
        if not episodes:
            return
        returns, lengths = ([episode[key] for episode in episodes] for key in ("r", "l"))
        passed = (time.monotonic() - self.begun) / 60
        self.rows.append((self.num_timesteps, passed, float(np.mean(returns)), float(np.mean(lengths))))
        print("steps {:6d}  {:5.1f} min  return {:7.2f}  length {:5.1f}".format(*self.rows[-1]), flush=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("w", newline="") as file:
            csv.writer(file).writerows([("steps", "minutes", "return", "length"), *self.rows])


def main(
    world: str = "simulator",
    steps: int = 60_000,
    minutes: float = 60.0,
    num_envs: int = 8,
    rollout: int = 64,
    seconds: float = 15.0,
    control_period_s: float = 0.5,
    seed: int = 0,
    out: Path = Path("outputs/ppo"),
) -> list[tuple[int, float, float, float]]:
    """Train, save the policy and its curve; returns rows of steps, minutes, mean return and mean length."""
    torch.set_num_threads(1)
    env = gym.make_vec(
        "LongDWM-v0",
        num_envs=num_envs,
        autoreset_mode="SameStep",
        world=world,
        action_mode="control",
        control_period_s=control_period_s,
        max_episode_s=seconds,
        image_size=None if world not in ("simulator", "warp") else (48, 72),
    )
    vector = VecMonitor(Sb3Vector(env, BOUNDS))
    model = PPO(
        "MultiInputPolicy",
        vector,
        n_steps=rollout,
        batch_size=min(128, num_envs * rollout),
        n_epochs=6,
        learning_rate=3e-4,
        gamma=0.97,
        gae_lambda=0.92,
        ent_coef=0.002,
        policy_kwargs={"log_std_init": -0.7},
        seed=seed,
        device="cpu",
    )
    curve = Curve(out / "curve.csv", minutes)
    model.learn(steps, callback=curve)
    save_policy(model, out / "ppo.safetensors", action_mode="control", action_bounds=BOUNDS)
    vector.close()
    print(f"saved {out / 'ppo.safetensors'}; try: longdwm evaluate --policy {out / 'ppo.safetensors'}")
    return curve.rows


if __name__ == "__main__":
    tyro.cli(main)
