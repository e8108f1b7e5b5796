"""The one training loop: every stage runs through it.

accelerate moves, wraps and synchronises; this file decides the order of things. Everything random is a function of the
step, so a run that was killed and resumed goes on exactly as it would have, and several processes train on the same
samples as one would.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedDataParallelKwargs
from tqdm import tqdm

from longdwm_env.io.processes import on_sigterm
from longdwm_env.models.machine import faster_in_bfloat16
from longdwm_env.training.config import LoopConfig, OptimizerConfig, Precision
from longdwm_env.training.data.batches import Batch
from longdwm_env.training.data.shares import Share, batches_ahead
from longdwm_env.training.losses.objective import Objective
from longdwm_env.training.run import Run

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """How a call of ``train`` ended.

    Attributes:
        step: optimizer steps done in all.
        finished: whether those are all of them; otherwise the call stopped early, with a checkpoint.
        loss: mean loss of the last logged steps, of whichever call; None where nothing was logged.
        processor_s: processor time of this call, of all threads of this process.
    """

    step: int
    finished: bool
    loss: float | None
    samples_per_s: float
    processor_s: float = 0.0


def train(
    objective: Objective,
    draw: Callable[[int, Sequence[int]], Batch],
    loop: LoopConfig,
    optimizer_config: OptimizerConfig,
    folder: Path,
    facts: Mapping[str, object] | None = None,
    on_sample: Callable[[int], None] | None = None,
    validation: Callable[[int, Sequence[int]], Batch] | None = None,
    max_seconds: float | None = None,
    cpu: bool = False,
) -> Progress:
    """Train to the last step, or until the time is up or SIGTERM arrives; continues from the newest checkpoint.

    Args:
        objective: the module to train, with its loss.
        draw: (step, sample numbers) -> micro-batch.
        loop: of the run.
        optimizer_config: AdamW, its schedule, moving average.
        folder: of checkpoints, log and trackers.
        facts: JSON values that must be the same when a run is resumed (stage, data), but for "config", whose change is
            reported and accepted.
        on_sample: called now and then with the step, while the averaged weights are in place; writes pictures.
        validation: like ``draw``, of clips that are not trained on; its loss is logged with each sample.
        max_seconds: stop with a checkpoint after about this long.
        cpu: do not use an accelerator that is there.

    Raises:
        TrainingDiverged: the loss is not finite.
        InvalidState: the folder's checkpoints are of another run, or damaged.
    """
    accelerator = Accelerator(
        cpu=cpu,
        mixed_precision=computed_precision(loop.precision, PartialState(cpu=cpu).device.type),
        log_with=None if loop.tracker == "none" else loop.tracker,
        project_dir=str(folder / "tracker"),
        kwargs_handlers=_handlers(objective),
    )
    run = Run(accelerator, objective, loop, optimizer_config, folder, facts or {})
    run.resume()
    share = Share(loop.batch_size, loop.micro_batch_size, accelerator.process_index, accelerator.num_processes)
    batches = batches_ahead(draw, share, run.step)
    begun, begun_processor, first_step = time.perf_counter(), time.process_time(), run.step
    bar = tqdm(
        total=loop.steps,
        initial=run.step,
        unit="step",
        desc=folder.name,
        mininterval=1.0,
        disable=not accelerator.is_main_process,
    )
    stopped = threading.Event()
    with bar, on_sigterm(stopped.set), contextlib.closing(batches):
        if run.step == 0 and loop.sample_every:
            run.sample(None, validation)
        while run.step < loop.steps:
            run.advance(batches, share.accumulation)
            elapsed = time.perf_counter() - begun
            rate = (run.step - first_step) * loop.batch_size / elapsed
            bar.update()
            bar.set_postfix(
                loss=f"{run.recent[-1]['loss']:.4f}" if run.recent else "", samples_per_s=f"{rate:.1f}", refresh=False
            )
            if run.step % loop.log_every == 0 or run.step == loop.steps:
                run.log(rate)
            late = max_seconds is not None and elapsed > max_seconds
            over = run.agree(late or stopped.is_set())
            if loop.sample_every and (run.step % loop.sample_every == 0 or run.step == loop.steps):
                run.sample(on_sample, validation)
            # Last: what a checkpoint stands for is on disk, and what comes after it is done again.
            if run.step % loop.checkpoint_every == 0 or run.step == loop.steps or over:
                run.save()
            if over:
                break
    accelerator.end_training()
    elapsed = max(time.perf_counter() - begun, 1e-9)
    return Progress(
        run.step,
        run.step >= loop.steps,
        run.last_loss,
        (run.step - first_step) * loop.batch_size / elapsed,
        time.process_time() - begun_processor,
    )


def _handlers(objective: Objective) -> list[DistributedDataParallelKwargs]:
    """What several processes have to know: whether to wait for gradients of every parameter."""
    return [] if objective.uses_all_parameters else [DistributedDataParallelKwargs(find_unused_parameters=True)]


def computed_precision(asked: Precision, device: str) -> Precision:
    """bf16 is asked for because it is faster; on a processor that is slower in it float32 is computed.

    Args:
        asked: ``LoopConfig.precision``.
        device: "cpu", or another type of device.
    """
    if asked == "no" or device != "cpu" or faster_in_bfloat16():
        return asked
    log.info("computing in float32: this processor is slower in bfloat16")
    return "no"
