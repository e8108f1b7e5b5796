"""longdwm-mini from nothing: every part in order, each resumed where it stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import NotRequired, TypedDict

from longdwm_env.errors import LongDWMError
from longdwm_env.io.files import atomic_write_json
from longdwm_env.io.processes import child_of_this, on_sigterm
from longdwm_env.models.machine import describe
from longdwm_env.training.config import Recipe
from longdwm_env.training.stage_list import STAGES
from longdwm_env.training.workspace import Workspace

SAMPLES_A_PROCESS = 4
"""At least; smaller parts of a batch are hardly faster than a larger one."""

SPIN_COUNT = 5000
"""How often threads of GNU OpenMP look whether others are done before they sleep. Its own choice is sixty times that: a
small model trained by two threads on two cores is then a quarter faster, and beside another program six times slower.
"""


class StageFailed(LongDWMError):
    """A part of the rebuild ended with an error; its own output says which."""


class Noted(TypedDict):
    """Parts that one call ran side by side, and how long; an earlier version did not say the minutes."""

    parts: list[str]
    minutes: NotRequired[float]
    machine: str


Command = Callable[[str, int | None, float | None, int], Sequence[str]]
"""(part, threads of each process, minutes, processes) -> the command line that runs a part."""


def processes_of(recipe: Recipe, part: str, cores: int) -> int:
    """How many processes of a CPU's cores train a part: each takes the same share of every batch."""
    if part not in STAGES or STAGES[part].rebuilt != "processes":
        return 1
    batch = recipe.stage(part).loop.batch_size
    most = min(cores, batch // SAMPLES_A_PROCESS)
    return max((number for number in range(1, most + 1) if batch % number == 0), default=1)


def rebuild(
    recipe: Recipe,
    workspace: Workspace,
    command: Command,
    device: str | None = None,
    threads: int | None = None,
    minutes: float | None = None,
) -> int:
    """Run every stage of a recipe that is not done, in separate processes.

    On a CPU the Coarse and the Fine model train side by side, each on its own cores: two processes of one core beat one
    of two; for the same reason processes share the batches of the stages after them. With an accelerator there is one
    process at a time.

    Args:
        recipe: of the mini model.
        workspace: to build in.
        command: how a part is run.
        device: "cpu" keeps off an accelerator that is there.
        threads: CPU threads of each part; None shares the cores evenly.
        minutes: stop after about this long.

    Returns:
        0 when everything is done, 3 when the time ran out before.

    Raises:
        StageFailed: a part ended with an error.
    """
    import torch

    begun = time.monotonic()
    on_gpu = device != "cpu" and torch.cuda.is_available()
    cores = os.cpu_count() or 1
    for parts in _plan(recipe, on_gpu):
        todo = _todo(parts, workspace)
        if not todo:
            continue
        left = None if minutes is None else minutes - (time.monotonic() - begun) / 60
        if left is not None and left <= 0:
            _say(workspace, f"stopped before {' and '.join(parts)}; run the command again to go on")
            return 3
        start = time.monotonic()
        running: list[subprocess.Popen[bytes]] = []
        try:
            with on_sigterm(lambda: sys.exit(128 + signal.SIGTERM)):
                for part in todo:
                    available = threads or (None if on_gpu else max(1, cores // len(todo)))
                    processes = 1 if on_gpu or available is None else processes_of(recipe, part, available)
                    own_threads = None if available is None else max(1, available // processes)
                    running.append(_start(command(part, own_threads, left, processes), own_threads))
                codes = [process.wait() for process in running]
        finally:
            # Ending this ends the parts, which then keep a checkpoint; and what they took is noted.
            for process in running:
                process.terminate()
                process.wait()
            _note(workspace, todo, time.monotonic() - start, device)
        for part, code in zip(todo, codes, strict=True):
            if code != 0:
                raise StageFailed(f"{part} ended with exit status {code}; run the command again to go on from there")
        if any(part not in ("footage", "latents") and not workspace.done(part) for part in todo):
            _say(workspace, f"stopped during {' and '.join(todo)}; run the command again to go on")
            return 3
    _say(workspace, f"done: {workspace.pipeline}")
    return 0


def parts_left(recipe: Recipe, workspace: Workspace) -> list[str]:
    """Parts of a rebuild that are not done."""
    return [part for parts in _plan(recipe, False) for part in _todo(parts, workspace)]


def _plan(recipe: Recipe, on_gpu: bool) -> list[tuple[str, ...]]:
    """Parts in their order; those of one entry run side by side."""
    known = {*recipe.stages, *(["compose"] if recipe.compose is not None else [])}
    stages = [stage for stage in STAGES.values() if stage.rebuilt is not None and stage.name in known]
    beside = tuple(stage.name for stage in stages if stage.rebuilt == "beside")
    plan: list[tuple[str, ...]] = [("footage",)]
    for stage in stages:
        if stage.learns_from != "footage" and ("latents",) not in plan:
            plan.append(("latents",))
        if on_gpu or stage.rebuilt != "beside":
            plan.append((stage.name,))
        elif beside not in plan:
            plan.append(beside)
    return [*plan, ("evaluation",)]


def _todo(parts: Sequence[str], workspace: Workspace) -> list[str]:
    return [part for part in parts if part in ("footage", "latents") or not workspace.done(part)]


def _start(command: Sequence[str], threads: int | None) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, **child_of_this()}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
        environment.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))
    return subprocess.Popen(command, env=environment)


def _say(workspace: Workspace, how_it_ended: str) -> None:
    print(*filter(None, (hours(workspace), how_it_ended)), sep="\n")


def hours(workspace: Workspace) -> str | None:
    """How long the parts of a rebuild have taken so far, all calls together, and on which machines; None of no rebuild.

    A call that was killed (SIGKILL) did not note its last part.
    """
    minutes: dict[str, float] = {}
    machines: dict[str, None] = {}
    for entry in _noted(workspace):
        # What an earlier version noted says nothing of a part's own minutes.
        if "minutes" not in entry:
            continue
        name = " and ".join(entry["parts"])
        minutes[name] = minutes.get(name, 0) + entry["minutes"]
        machines[entry["machine"]] = None
    if not minutes:
        return None
    each = ", ".join(f"{name} {spent / 60:.2f}" for name, spent in minutes.items())
    return f"{sum(minutes.values()) / 60:.2f} h ({each}) on {'; '.join(machines)}"


def _noted(workspace: Workspace) -> list[Noted]:
    path = workspace.root / "hours.json"
    found: list[Noted] = json.loads(path.read_text()) if path.is_file() else []
    return found


def _note(workspace: Workspace, parts: list[str], seconds: float, device: str | None) -> None:
    entry: Noted = {"parts": parts, "minutes": round(seconds / 60, 2), "machine": describe(device)}
    atomic_write_json(workspace.root / "hours.json", [*_noted(workspace), entry])
