"""``longdwm bench world``: what a second of driving in a learned world costs, what futures cost, and its memory."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from longdwm_env.cli.destination import holding_its
from longdwm_env.types import JsonObject

if TYPE_CHECKING:
    from longdwm_env.env import LongDWMEnv
    from longdwm_env.state import EnvState


@holding_its("file")
def bench_world(
    world: str = "mini",
    steps: int = 10,
    futures: int = 8,
    seconds: int = 90,
    seed: int = 7,
    threads: int | None = None,
    device: str | None = None,
    out: Path | None = None,
    image_size: tuple[int, int] | None = None,
) -> int:
    """Time a closed-loop second by stage, and imagined futures beside it; watch memory over a long drive.

    A second is a whole step of the environment: geometry, both models, decoding and reward. Stages of futures that are
    made side by side are added up, so they may exceed the total. Ratios compare within the run, which a busy machine
    disturbs less.

    Args:
        world: mini, or a saved pipeline.
        steps: Seconds to take medians of, and batches of futures.
        futures: Futures to imagine at once.
        seconds: Length of the drive whose memory is watched; 0 leaves it out.
        seed: The built-in scene.
        threads: CPU threads; default: PyTorch's own number.
        device: Where the world runs, such as cuda.
        out: JSON file to write the results to.
        image_size: Height and width of the pictures; default the world's own.
    """
    import os

    import gymnasium as gym
    import numpy as np
    import torch
    from tqdm import tqdm

    from longdwm_env.errors import InvalidConfig
    from longdwm_env.factory import BUILT_IN_WORLDS
    from longdwm_env.models.machine import processor

    if world in BUILT_IN_WORLDS:
        raise InvalidConfig(f"world {world!r} generates nothing; `longdwm bench env --world {world}` times it")
    if threads is not None:
        torch.set_num_threads(threads)
    start = time.perf_counter()
    environment = gym.make(
        "longdwm_env:LongDWM-v0",
        world=world,
        device=device,
        image_size=image_size,
        max_episode_s=float(max(seconds, 1) + 1),
    )
    environment.reset(seed=seed)
    results: JsonObject = {
        "world": world,
        "image_size": list(environment.unwrapped.world.image_size),  # type: ignore[attr-defined]
        "device": str(environment.unwrapped.world.device),  # type: ignore[attr-defined]
        "cores": os.cpu_count(),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "load_before": round(os.getloadavg()[0], 2),
        "make_and_reset_s": time.perf_counter() - start,
    }
    base = cast("LongDWMEnv", environment.unwrapped)
    state = base.get_state()
    ahead = (np.array([[0.5, 0], [1.0, 0], [1.5, 0], [2.0, 0]]) * max(state.ego.speed_mps, 5.0)).astype(np.float32)

    def step() -> dict[str, float]:
        base.set_state(state)
        return dict(base.step(ahead)[4]["timing"])

    # Different futures, as a planner would ask for; the single ones are these in turn.
    plans = np.stack([ahead * (1 - 0.05 * index) for index in range(futures)])[:, None]

    def imagine(turn: int | None = None) -> float:
        wanted = plans if turn is None else plans[[turn % futures]]
        return _timed(lambda: base.imagine(wanted).frames)

    step()
    single = [step() for _ in tqdm(range(steps), desc="seconds", leave=False)]
    results["second_s"] = {name: statistics.median(each[name] for each in single) for name in single[0]}
    base.set_state(state)
    # One and many by turns, each batch against the single ones before and after it: a clock that wanders meets both.
    imagine()
    one, many = [imagine(0)], []
    for turn in tqdm(range(steps), desc="futures", leave=False):
        many.append(imagine())
        one.append(imagine(turn + 1))
    results["imagine_1_s"], results[f"imagine_{futures}_s"] = statistics.median(one), statistics.median(many)
    in_singles = [2 * batch / (one[turn] + one[turn + 1]) for turn, batch in enumerate(many)]
    results["futures_in_singles"] = statistics.median(in_singles)
    if seconds:
        results |= _memory(base, state, seconds)
    environment.close()
    for line in table(results):
        print(line)
    if out is not None:
        from longdwm_env.io.files import atomic_write_json

        atomic_write_json(out, results)
        print(f"written: {out}")
    return 0


def table(results: JsonObject) -> list[str]:
    """Rows as docs/benchmarks.md prints them."""
    lines = ["| | |", "|---|---|"]
    for name, value in results.items():
        if isinstance(value, dict):
            cells = ", ".join(f"{key} {1000 * part:.0f} ms" for key, part in value.items() if key != "realtime_factor")
            lines.append(f"| {name} | {cells} |")
        elif isinstance(value, float):
            lines.append(f"| {name} | {value:.3g} |")
        else:
            lines.append(f"| {name} | {value} |")
    return lines


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _memory(base: "LongDWMEnv", state: "EnvState", seconds: int) -> JsonObject:
    """Memory of the process during a drive: after a fifth of it, at its most after that, and by how much that is more.

    Positions of the first fifth are left out because caches fill in the beginning.
    """
    import numpy as np
    from tqdm import tqdm

    from longdwm_env.evaluation.drives.recorder import resident_mb

    base.set_state(state)
    straight = np.array([[0.5, 0], [1.0, 0], [1.5, 0], [2.0, 0]], np.float32)
    seen = []
    for _ in tqdm(range(seconds), desc="a long drive", unit="s", leave=False):
        speed = max(base.get_state().ego.speed_mps, 5.0)
        _, _, terminated, truncated, _ = base.step(straight * min(speed, 10.0))
        seen.append(resident_mb())
        if terminated or truncated:
            base.set_state(state)
    early = seen[max(0, seconds // 5 - 1)]
    most = max(seen[seconds // 5 :], default=early)
    return {"drive_s": seconds, "memory_mb": early, "memory_most_mb": most, "memory_growth_share": most / early - 1}
