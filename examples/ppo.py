"""PPO with stable-baselines3 on one batched world: learn to drive from one small picture and the ego's motion.

What makes it cheap: in obs_mode "frame" the simulator draws one picture per action instead of one per 1/12 s, and only
a few scenes are driven at a time, so that their roads and houses stay prepared.
"""

import csv
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
import tyro
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

import longdwm_env  # noqa: F401 - registers LongDWM-v0
from longdwm_env.agents.naming import make_policy
from longdwm_env.agents.policy import PolicyContext
from longdwm_env.agents.sb3 import save_policy
from longdwm_env.agents.sb3_vector import Sb3Vector
from longdwm_env.evaluation.policies.scene_statistics import Estimate, mean_over_scenes, paired_difference
from longdwm_env.factory import make_world
from longdwm_env.rewards import DEFAULT_WEIGHTS
from longdwm_env.scenes.builtin import BuiltinScenes
from longdwm_env.simulator.scene import TEST_SEEDS_START
from longdwm_env.types import JsonObject

BOUNDS = (np.float32([-2.5, -3.0]), np.float32([2.5, 3.0]))
"""Lateral and longitudinal acceleration, m/s2, that the agent may use: a narrower choice is learned faster."""

VIEW = (36, 54)
"""(height, width) of what it sees: the least that stable-baselines3's convolutions take."""

LEARNED_FROM = {**DEFAULT_WEIGHTS, "lane_keeping": 0.6}
"""Three times the default weight of lane keeping: it tells about every step, which shortens the way. Returns are
reported with the default weights all the same."""


class FewScenes(BuiltinScenes):
    """Episodes start in one of a few built-in scenes; which few they are changes slowly."""

    def __init__(self, count: int) -> None:
        self.first, self.count = 0, count

    def index_of_seed(self, seed: int) -> int:
        """One of the present few."""
        return self.first + seed % self.count


class Progress(BaseCallback):
    """Stops in time, moves on to other scenes, and notes how it goes."""

    def __init__(self, scenes: FewScenes, minutes: float) -> None:
        super().__init__()
        self.scenes, self.minutes = scenes, minutes
        self.begun, self.cpu_begun = time.monotonic(), time.process_time()
        self.rows: list[tuple[int, float, float, float, float]] = []

    @property
    def passed_min(self) -> float:
        """Minutes on the clock since the beginning."""
        return (time.monotonic() - self.begun) / 60

    def _on_step(self) -> bool:
        return self.passed_min < self.minutes

    def _on_rollout_end(self) -> None:
        self.scenes.first += 1
        episodes = list(self.model.ep_info_buffer or [])[-40:]
        cpu_min = (time.process_time() - self.cpu_begun) / 60
        means = [float(np.mean([episode[key] for episode in episodes] or np.nan)) for key in ("r", "l")]
        self.rows.append((self.num_timesteps, self.passed_min, cpu_min, *means))
        line = "steps {:6d}  {:5.1f} min ({:5.1f} of CPU)  training return {:7.2f}  length {:5.1f}"
        print(line.format(*self.rows[-1]), flush=True)


def main(
    world: str = "simulator",
    steps: int = 60_000,
    minutes: float = 60.0,
    num_envs: int = 6,
    rollout: int = 64,
    snapshots: int = 4,
    test_scenes: int = 40,
    seconds: float = 15.0,
    control_period_s: float = 0.5,
    prompt: str | None = "Weather: clear. Time: daytime.",
    seed: int = 0,
    out: Path = Path("outputs/ppo"),
) -> dict[str, Estimate]:
    """Train, then drive held-out scenes with the policy as it was at the start, on the way, and at the end.

    Writes ppo.safetensors (for ``longdwm evaluate --policy``), curve.csv, test.csv and curve.png. Returns the mean
    return on the held-out scenes by name of the policy, and of the end minus the start.
    """
    torch.set_num_threads(1)
    scenes = FewScenes(num_envs)
    made = make_world(world, VIEW if world in ("simulator", "warp") else None)
    options: JsonObject = {
        "world": made,
        "action_mode": "control",
        "obs_mode": "frame",
        "control_period_s": control_period_s,
        "max_episode_s": seconds,
        "prompt": prompt,
    }
    env = gym.make_vec(
        "LongDWM-v0", num_envs=num_envs, autoreset_mode="SameStep", scenes=scenes, reward=LEARNED_FROM, **options
    )
    vector = VecNormalize(VecMonitor(Sb3Vector(env, BOUNDS, VIEW, lateral=True)), norm_obs=False, gamma=0.95)
    model = PPO(
        "MultiInputPolicy",
        vector,
        n_steps=rollout,
        batch_size=min(64, num_envs * rollout),
        n_epochs=10,
        learning_rate=1e-3,
        target_kl=0.05,
        gamma=0.95,
        gae_lambda=0.9,
        seed=seed,
        device="cpu",
    )
    progress = Progress(scenes, minutes)
    saved = [_save(model, out, 0)]
    while model.num_timesteps < steps and progress.passed_min < minutes:
        part = max(steps // snapshots, num_envs * rollout)
        model.learn(min(part, steps - model.num_timesteps), callback=progress, reset_num_timesteps=False)
        saved.append(_save(model, out, model.num_timesteps))
    vector.close()
    _save(model, out, None)
    _write(out / "curve.csv", ("steps", "minutes", "cpu_minutes", "training_return", "training_length"), progress.rows)

    found = test(saved, options, range(TEST_SEEDS_START, TEST_SEEDS_START + test_scenes), out)
    for name, estimate in found.items():
        print("{:<28} {:7.2f}  [{}, {}]".format(name, *_rounded(estimate)))
    draw_curve(out / "curve.png", progress.rows, [found[path.stem] for path in saved], [_steps(p) for p in saved])
    print(f"saved {out / 'ppo.safetensors'}; try: longdwm evaluate --policy {out / 'ppo.safetensors'}")
    return found


def test(saved: list[Path], options: JsonObject, seeds: range, out: Path) -> dict[str, Estimate]:
    """Returns on scenes that no policy trained on, the same ones for all."""
    env = gym.make("LongDWM-v0", **options)
    context = PolicyContext.of(env)
    names = {path.stem: str(path) for path in saved}
    for path in (saved[0], saved[-1]):
        names[f"{path.stem} sampled"] = f"{path}:deterministic=false"
    policies = {name: make_policy(spec, context) for name, spec in names.items()}
    returns: dict[str, dict[str, float]] = {name: {} for name in names}
    rows = []
    for seed in seeds:
        for name, policy in policies.items():
            torch.manual_seed(seed)
            observation, info = env.reset(seed=seed)
            policy.reset(observation, info)
            total, length, over = 0.0, 0, False
            while not over:
                observation, reward, terminated, truncated, info = env.step(policy.act(observation, info))
                total, length, over = total + float(reward), length + 1, terminated or truncated
            returns[name][info["scene"]] = total
            rows.append((name, info["scene"], total, length, info["termination"]))
        _write(out / "test.csv", ("policy", "scene", "return", "length", "ended"), rows)
    env.close()
    found = {name: mean_over_scenes(list(values.values()), list(values)) for name, values in returns.items()}
    for kind in ("", " sampled"):
        difference = paired_difference(returns[saved[-1].stem + kind], returns[saved[0].stem + kind])
        assert difference is not None
        found[f"end minus start{kind}"] = difference
    return found


def draw_curve(path: Path, rows: list[tuple[float, ...]], tested: list[Estimate], at: list[int]) -> None:
    """Training returns, and those on the held-out scenes with their 95 % intervals, over the steps."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.8))
    axes.plot([row[0] for row in rows], [row[3] for row in rows], color="tab:grey", label="training scenes, with noise")
    means = np.array([one.mean for one in tested])
    ends = np.array([(one.mean if one.low is None else one.low, one.high or one.mean) for one in tested])
    axes.errorbar(at, means, np.abs(ends.T - means), color="tab:blue", capsize=3, marker="o", label="held-out scenes")
    axes.set(xlabel="environment steps", ylabel="return of an episode")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _save(model: PPO, out: Path, steps: int | None) -> Path:
    path = out / ("ppo.safetensors" if steps is None else f"after-{steps}.safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_policy(model, path, action_mode="control", obs_mode="frame", action_bounds=BOUNDS, lateral=True)
    return path


def _steps(path: Path) -> int:
    return int(path.stem.removeprefix("after-"))


def _rounded(one: Estimate) -> tuple[float, str, str]:
    return one.mean, *("-" if end is None else f"{end:.2f}" for end in (one.low, one.high))


def _write(path: Path, names: tuple[str, ...], rows: list[tuple[float, ...]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])


if __name__ == "__main__":
    tyro.cli(main)
