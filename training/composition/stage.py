"""The stage ``compose``: drives in processes of their own, and beside them the compositor's training."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from longdwm_env.io.files import atomic_write_json, one_writer
from longdwm_env.io.processes import on_sigterm
from longdwm_env.models.compositor import Compositor
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.training.composition.choice import chosen_street
from longdwm_env.training.composition.config import ComposeConfig
from longdwm_env.training.composition.drives import OwnDrive
from longdwm_env.training.composition.store import MomentRing
from longdwm_env.training.composition.train import CompositorTrainer, train
from longdwm_env.training.data.workers import worker_pool
from longdwm_env.training.workspace import Workspace
from longdwm_env.types import ImageSize

OFTEN_KEPT_S = 8
"""Of a drive's later seconds ever fewer are kept."""

ENDED = "ended"
"""A file whose presence tells drives to end."""


def compose(
    workspace: Workspace,
    config: ComposeConfig,
    workers: int = 1,
    max_seconds: float | None = None,
    seed: int = 0,
) -> tuple[int, bool]:
    """Train a pipeline's compositor on drives of its own, from where an earlier call stopped.

    Args:
        workspace: whose pipeline has a trained codec and Coarse model.
        config: of the stage.
        workers: processes that drive.
        max_seconds: stop with a checkpoint after about this long.
        seed: of weights and draws.

    Returns:
        Steps done in all, and whether these are all.
    """
    with one_writer(workspace.stage("compose"), wait=True):
        return _compose(workspace, config, workers, max_seconds, seed)


def _compose(
    workspace: Workspace, config: ComposeConfig, workers: int, max_seconds: float | None, seed: int
) -> tuple[int, bool]:
    folder = workspace.stage("compose")
    pipeline = workspace.load()
    shape = _text_shape(pipeline)
    trainer = CompositorTrainer(_compositor_of(pipeline, config, shape, seed), config.training, folder, seed)
    ring = MomentRing.open(folder / "ring", config.ring, pipeline.settings.image_size, shape)
    trainer.save()
    begun, ended = time.monotonic(), folder / ENDED
    ended.unlink(missing_ok=True)
    stopped = [False]

    def over() -> bool:
        late = max_seconds is not None and time.monotonic() - begun > max_seconds
        return late or stopped[0]

    def stop() -> None:
        stopped[0] = True

    with on_sigterm(stop), worker_pool(workers) as pool:
        tasks = [pool.submit(drive_until_ended, workspace, config, number) for number in range(workers)]

        def watched() -> bool:
            for task in tasks:
                if task.done():
                    task.result()
            return over()

        try:
            train(ring, trainer, config.steps, folder / "log.jsonl", seed, watched)
        finally:
            trainer.save()
            ended.touch()
    finished = trainer.step >= config.steps
    put_into_pipeline(workspace, trainer.averaged)
    if finished:
        workspace.mark_done("compose", {"steps": trainer.step, "moments": int(ring.counts[0])})
    return trainer.step, finished


def put_into_pipeline(workspace: Workspace, compositor: Compositor) -> None:
    """The trained compositor as a component of the pipeline, which may have had none."""
    workspace.save_component("compositor", compositor)
    path = workspace.pipeline / "model_index.json"
    index = json.loads(path.read_text())
    index["compositor"] = [Compositor.__module__, Compositor.__name__]
    atomic_write_json(path, index)


def _text_shape(pipeline: LongDWMPipeline) -> tuple[int, int]:
    """(S, D) of a prompt's embedding."""
    return int(pipeline.coarse.config.max_text_seq_length), int(pipeline.coarse.config.text_embed_dim)


def _compositor_of(
    pipeline: LongDWMPipeline, config: ComposeConfig, text_shape: tuple[int, int], seed: int
) -> Compositor:
    if pipeline.compositor is not None:
        return pipeline.compositor
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Compositor(text_shape[0] * text_shape[1], config.widths, config.depths)


def drive_until_ended(workspace: Workspace, config: ComposeConfig, number: int) -> int:
    """Drive with the newest averaged weights and keep moments, until training ends; returns how many were kept."""
    folder, kept = workspace.stage("compose"), 0
    pipeline = workspace.load()
    size = pipeline.settings.image_size
    text_shape = _text_shape(pipeline)
    compositor = _compositor_of(pipeline, config, text_shape, 0).eval()
    pipeline.register_modules(compositor=compositor)
    generation, ring = pipeline.generation(), MomentRing.open(folder / "ring", config.ring, size, text_shape)
    newest = _newest_weights(folder / "average.safetensors", compositor)
    rng = np.random.default_rng((number, int(ring.counts[0])))
    sizes: tuple[ImageSize, ImageSize] = (size, (2 * size[0], 2 * size[1]))
    while not (folder / ENDED).exists():
        step = newest()
        chosen = chosen_street(rng, config.shares, config.last_seed, sizes)
        drive = OwnDrive(pipeline, generation, chosen.street, rng, chosen.restyled, chosen.from_one_picture)
        tiles = 2 if chosen.street.camera.intrinsics.image_size != size else 1
        # As many drives of 2 to 4 s as of 20 to 40 s, and of long ones ever fewer seconds: the first are not forgotten.
        seconds = round(float(np.exp(rng.uniform(np.log(2), np.log(config.longest_at(step))))))
        for second in range(seconds):
            if chosen.street.ended or (folder / ENDED).exists():
                break
            drawn = rng.random() < OFTEN_KEPT_S / (second + 1)
            # The middle frame is what the next matched sweep looks back at.
            frames = sorted({6, int(rng.integers(1, 12))})
            for moment in drive.advance(frames, drawn):
                for _ in range(tiles):
                    ring.add(moment.columns(rng, size))
                    kept += 1
    return kept


def _newest_weights(path: Path, compositor: Compositor) -> Callable[[], int]:
    """A function that loads weights where the file is newer than last time, and says at which step they were kept."""
    seen = [0.0, 0]

    def newest() -> int:
        changed = path.stat().st_mtime
        if changed != seen[0]:
            try:
                tensors = load_file(path)
            except SafetensorError:
                return int(seen[1])
            seen[0], seen[1] = changed, int(tensors.pop("step"))
            compositor.load_state_dict(tensors)
        return int(seen[1])

    return newest
