"""The two walks of ARCHITECTURE.md, traced: one action from ``step`` to pixels, one sample from footage to loss.

``python -m tests.core.walks`` prints every function of ours that is called on either, by file, and how many there are.
"""

import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = tuple(f"{ROOT / folder}/" for folder in ("longdwm_env", "models", "training"))


class Walk:
    """Functions that were called, and which of them call others of ours."""

    def __init__(self) -> None:
        self.called: dict[tuple[str, str], None] = {}
        self.leads_on: set[tuple[str, str]] = set()
        self.is_on = True

    def seen(self, frame, event, _):
        if not self.is_on or event != "call" or not (name := named(frame)):
            return
        self.called.setdefault(name)
        while frame := frame.f_back:
            if above := named(frame):
                if above != name:
                    self.leads_on.add(above)
                return

    @contextmanager
    def watched(self):
        """What is called inside, in all threads that start there too."""
        threading.setprofile(self.seen)
        sys.setprofile(self.seen)
        try:
            yield self
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def told(self, title: str) -> str:
        """A list by file, in the order in which they are first called; what leads on to others is marked."""
        files: dict[str, list[str]] = {}
        for file, function in self.called:
            files.setdefault(file, []).append(function + ("" if (file, function) in self.leads_on else " ."))
        on_way = [name for name in self.called if name in self.leads_on]
        lines = [
            f"{title}: {len(self.called)} functions in {len(files)} files; "
            f"{len(on_way)} in {len({file for file, _ in on_way})} lead on to others"
        ]
        return "\n".join([*lines, *(f"  {file}: {', '.join(names)}" for file, names in files.items())])


def called(walk: str, *args: object) -> list[tuple[str, str]]:
    """The functions on one of the walks, by the name of its function here."""
    return list(globals()[walk](*args).called)


def named(frame) -> tuple[str, str] | None:
    """File and name of a function of ours; None of others, and of what a reader does not follow: see below."""
    code = frame.f_code
    if not code.co_filename.startswith(OURS):
        return None
    parts = code.co_qualname.split(".")
    # Comprehensions and local functions belong to the function around them; dunder methods are values being made.
    own = [part for part in parts if part != "<locals>" and not part.startswith("<")]
    if "<locals>" in parts:
        own = parts[: parts.index("<locals>")]
    if not own or own[-1].startswith("__") or parts[-1] == "<module>":
        return None
    return str(Path(code.co_filename).relative_to(ROOT)), ".".join(own)


def action_to_pixels() -> Walk:
    """One step of the environment with a tiny generated world that has a compositor and a map."""
    import gymnasium as gym
    import numpy as np
    import torch

    import longdwm_env  # noqa: F401 - registers LongDWM-v0
    from longdwm_env.models import presets
    from longdwm_env.models.compositor import Compositor
    from longdwm_env.models.world import DiffusionWorld

    pipeline = presets.build(presets.debug())
    torch.manual_seed(0)
    pipeline.register_modules(compositor=Compositor(text_dim=80, widths=(8, 8, 8), depths=(1, 1, 1)).eval())
    env = gym.make("LongDWM-v0", world=DiffusionWorld(pipeline, "tiny"), disable_env_checker=True).unwrapped
    action = np.array([[3, 0], [6, 0], [9, 0], [12, 0]], np.float32)
    walk = Walk()
    # Threads are started by the first step; they are watched in the second.
    walk.is_on = False
    threading.setprofile(walk.seen)
    env.reset(seed=0)
    env.step(action)
    walk.is_on = True
    with walk.watched():
        env.step(action)
    return walk


def footage_to_loss(folder: Path) -> Walk:
    """One sample of the Coarse model: a clip is recorded, encoded and read, and its loss computed."""
    from longdwm_env.training.config import LoopConfig
    from longdwm_env.training.data.footage import record_footage
    from longdwm_env.training.data.windows import Window
    from longdwm_env.training.recipes import recipe
    from longdwm_env.training.stages import prepare_latents, run_stage
    from longdwm_env.training.workspace import Workspace
    from tests.training.scenery import PaintedRoad

    made, workspace = recipe("mini-simulator", "debug"), Workspace(folder)
    loop = LoopConfig(steps=1, batch_size=1, micro_batch_size=1, sample_every=0, tracker="none")
    coarse = replace(made.stage("coarse"), loop=loop, windows=(Window(2, 1),))
    made = replace(made, stages={**made.stages, "coarse": coarse})
    workspace.prepare(made)
    clips = PaintedRoad(clips=1, frames=37)
    with Walk().watched() as walk:
        footage = record_footage(clips, workspace.footage)
        prepare_latents(made, workspace, footage)
        run_stage(made, "coarse", workspace, device="cpu")
    return walk


if __name__ == "__main__":
    walks: list[tuple[str, Callable[[], Walk]]] = [("from step to pixels", action_to_pixels)]
    with tempfile.TemporaryDirectory() as folder:
        walks.append(("from footage to loss", lambda: footage_to_loss(Path(folder))))
        for title, walk in walks:
            print(walk().told(title))
