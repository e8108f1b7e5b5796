"""``longdwm bench env``: how long the environment takes to start, step, fork, restore and imagine."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from longdwm_env.env import LongDWMEnv

IMPORT = "import time; t = time.perf_counter(); import longdwm_env; print(time.perf_counter() - t)"


def bench_env(world: str = "simulator", steps: int = 10, futures: int = 8, repeats: int = 20) -> dict[str, float]:
    """Print seconds for import, make and reset, and for one step, fork, restore and imagined batch.

    Frames that are not looked at need not be drawn: so batches are imagined once with their frames and once for their
    rewards only, and a step is taken in obs_mode "video" and in "frame". The ratios at the end compare with the plain
    step of the same run, so that they mean something on a busy machine.

    Args:
        world: which world; its built-in scene 7.
        steps: steps to take the median of.
        futures: futures to imagine at once.
        repeats: forks and restores to take the median of.
    """
    import gymnasium as gym
    import numpy as np

    results: dict[str, float] = {}
    fresh = [
        float(subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True).stdout)
        for _ in range(3)
    ]
    results["import_s"] = statistics.median(fresh)

    start = time.perf_counter()
    environment = gym.make("longdwm_env:LongDWM-v0", world=world)
    environment.reset(seed=7)
    results["make_and_reset_s"] = time.perf_counter() - start

    base = cast("LongDWMEnv", environment.unwrapped)
    state = base.get_state()
    ahead = (np.array([[0.5, 0], [1.0, 0], [1.5, 0], [2.0, 0]]) * max(state.ego.speed_mps, 5.0)).astype(np.float32)

    def step() -> None:
        base.set_state(state)
        environment.step(ahead)

    results["step_s"] = _median(step, steps)
    results["fork_s"] = _median(base.get_state, repeats)
    results["restore_s"] = _median(lambda: base.set_state(state), repeats)
    batch = np.repeat(ahead[None, None], futures, axis=0)
    results["imagine_s"] = _median(lambda: base.imagine(batch).frames, max(3, steps // 3))
    results["imagine_rewards_s"] = _median(lambda: base.imagine(batch).rewards, max(3, steps // 3))
    environment.close()

    newest = cast("LongDWMEnv", gym.make("longdwm_env:LongDWM-v0", world=world, obs_mode="frame").unwrapped)
    newest.set_state(state)

    def step_newest() -> None:
        newest.set_state(state)
        newest.step(ahead)

    results["frame_step_s"] = _median(step_newest, steps)
    newest.close()
    results["imagine_per_step"] = results["imagine_s"] / results["step_s"]
    results["imagine_rewards_per_step"] = results["imagine_rewards_s"] / results["step_s"]
    results["frame_step_per_step"] = results["frame_step_s"] / results["step_s"]
    for name, value in results.items():
        unit = f"{value * 1e3:10.2f} ms" if name.endswith("_s") else f"{value:10.2f} x"
        print(f"{world:<10} {name:<18}{unit}")
    return results


def _median(call: Callable[[], object], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
