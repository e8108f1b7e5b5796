"""The moving parts of one training run: model, optimizer, moving average, log, checkpoints."""

import contextlib
import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import nn

from longdwm_env.errors import InvalidState, LongDWMError
from longdwm_env.io.files import atomic_write_bytes, atomic_write_json
from longdwm_env.training.checkpoint import Checkpoint, checkpoints, gather, read_checkpoint, restore, write_checkpoint
from longdwm_env.training.config import LoopConfig, OptimizerConfig
from longdwm_env.training.data.batches import Batch
from longdwm_env.training.draws import counted_seed
from longdwm_env.training.losses.objective import Objective
from longdwm_env.training.scaling.optimizers import adamw, set_learning_rate
from longdwm_env.training.scaling.sharding import add_gradients_up, shard, whole

SAMPLES = "samples"
"""Folder of sample pictures, ``step-00001000.png``, in that of a run."""

VALIDATION_BATCHES = 8
VALIDATION_FIRST = 2**41
"""Numbers of the samples that validation draws: beyond any that a run trains on."""

log = logging.getLogger(__name__)


class TrainingDiverged(LongDWMError):
    """The loss is no longer a number."""


class Run:
    """The moving parts of one run."""

    def __init__(
        self,
        accelerator: Accelerator,
        objective: Objective,
        loop: LoopConfig,
        config: OptimizerConfig,
        folder: Path,
        facts: Mapping[str, object],
    ) -> None:
        self.accelerator, self.loop, self.config, self.folder, self.facts = accelerator, loop, config, folder, facts
        self.seed = objective.seed
        objective.to(accelerator.device)
        if loop.shard:
            in_bf16 = accelerator.mixed_precision == "bf16"
            shard(objective, accelerator.device.type, accelerator.num_processes, in_bf16=in_bf16)
        optimizer = adamw([p for p in objective.parameters() if p.requires_grad], config)
        self.objective: nn.Module = objective
        if loop.shard:
            # Sharded parameters are kept in step by themselves; accelerate would wrap them in DDP.
            self.optimizer = accelerator.prepare(optimizer)
        else:
            self.objective, self.optimizer = accelerator.prepare(objective, optimizer)
        self.objective.train()
        self.parameters = [p for p in self.objective.parameters() if p.requires_grad]
        self.average = (
            EMAModel(self.parameters, decay=config.ema_decay, use_ema_warmup=True) if config.ema_decay else None
        )
        self.step = 0
        self.recent: list[dict[str, float]] = []
        self.last_loss: float | None = None
        self.log_path, self.validation_path = folder / "losses.jsonl", folder / "validation.jsonl"
        if accelerator.is_main_process:
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def _optimizer(self) -> torch.optim.Optimizer:
        inner: torch.optim.Optimizer = self.optimizer.optimizer
        return inner

    def resume(self) -> None:
        """Continue from the newest checkpoint; what was written after it is as if it had never been."""
        found = checkpoints(self.folder / "checkpoints")
        if found:
            self._continue_from(read_checkpoint(found[-1]))
        if self.accelerator.is_main_process:
            if not found:
                atomic_write_json(self.folder / "run.json", self.facts)
            self._forget_later(self.step if found else -1)
        if self.loop.tracker != "none":
            # The trackers' own way to take back what a run that was killed had given them.
            taken_back = {"tensorboard": {"purge_step": self.step + 1 if found else 0}}
            self.accelerator.init_trackers("longdwm", init_kwargs=taken_back)
        self.accelerator.wait_for_everyone()

    def _continue_from(self, checkpoint: Checkpoint) -> None:
        then, now = checkpoint.facts["run"], json.loads(json.dumps(self.facts))
        changed = sorted(key for key in {*then, *now} - {"config"} if then.get(key) != now.get(key))
        if changed:
            raise InvalidState(
                f"{self.folder} holds a run with other {', '.join(changed)}; resume it with the same, or start in "
                "another folder"
            )
        if then.get("config") != now.get("config"):
            # Allowed on purpose: a longer run, a lower learning rate. The curve then no longer equals that of one run.
            log.warning("%s goes on with another configuration from step %d on", self.folder, checkpoint.step)
        if self.average is not None and checkpoint.ema:
            ema = Checkpoint(checkpoint.step, checkpoint.ema, {}, 0, checkpoint.optimizer, {})
            restore(self.objective, self._optimizer, ema)
            for shadow, parameter in zip(self.average.shadow_params, self.parameters, strict=True):
                shadow.copy_(parameter.detach())
            self.average.optimization_step = checkpoint.ema_updates
        restore(self.objective, self._optimizer, checkpoint)
        self.step = checkpoint.step
        self.recent = list(checkpoint.facts["recent"])
        # Checkpoints of earlier versions do not say; the log does.
        self.last_loss = checkpoint.facts.get("loss", _last_loss(self.log_path, self.step))

    def _forget_later(self, step: int) -> None:
        """Cut logs and pictures to a step."""
        for path in (self.log_path, self.validation_path):
            if path.is_file():
                kept = [line for line in path.read_text().splitlines() if _step_of(line) <= step]
                atomic_write_bytes(path, "".join(f"{line}\n" for line in kept).encode())
        for picture in (self.folder / SAMPLES).glob("step-*.png"):
            if int(picture.stem.removeprefix("step-")) > step:
                picture.unlink()

    def advance(self, batches: Iterator[Batch], accumulation: int) -> None:
        """One optimizer step."""
        rate = self.config.learning_rate_at(self.step, self.loop.steps)
        set_learning_rate(self._optimizer, rate)
        # Nothing of ours draws from the global generator; a layer that does still draws the same after a resume.
        torch.manual_seed(counted_seed(self.seed, self.step, "global"))
        totals: dict[str, float] = {}
        for part in range(accumulation):
            batch = next(batches).to(self.accelerator.device)
            last = part == accumulation - 1
            with self._adding_up(last):
                loss, parts = self._loss(batch)
                self.accelerator.backward(loss / accumulation)
            for name, value in {"loss": loss.detach(), **parts}.items():
                mean = self.accelerator.reduce(value.detach().float(), "mean")
                totals[name] = totals.get(name, 0.0) + float(mean) / accumulation
        norm = self.accelerator.clip_grad_norm_(self.parameters, self.config.max_grad_norm)
        totals["grad_norm"] = float(whole(norm)) if norm is not None else math.nan
        if not math.isfinite(totals["loss"]):
            raise TrainingDiverged(
                f"the loss at step {self.step} is {totals['loss']}; resume from the last checkpoint with a lower "
                "learning rate, or with precision=no"
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.step(self.parameters)
        self.step += 1
        self.recent.append(totals)

    def _loss(self, batch: Batch) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        with self._in_precision():
            loss: tuple[torch.Tensor, Mapping[str, torch.Tensor]] = self.objective(batch)
        return loss

    def _in_precision(self) -> contextlib.AbstractContextManager[object]:
        """What accelerate has prepared computes in the run's precision by itself; what is sharded, within this."""
        return self.accelerator.autocast() if self.loop.shard else contextlib.nullcontext()

    def _adding_up(self, last: bool) -> contextlib.AbstractContextManager[object]:
        """Gradients of all processes are added up once a step, after its last micro-batch."""
        if self.loop.shard:
            add_gradients_up(self.objective, last)
            return contextlib.nullcontext()
        return contextlib.nullcontext() if last else self.accelerator.no_sync(self.objective)

    def log(self, samples_per_s: float) -> None:
        """Write the mean of the steps since the last entry."""
        # Some parts are not computed in every step.
        found: dict[str, list[float]] = {}
        for name, value in (part for totals in self.recent for part in totals.items()):
            found.setdefault(name, []).append(value)
        means = {name: sum(values) / len(values) for name, values in found.items()}
        self.last_loss = means["loss"]
        rate = self.config.learning_rate_at(self.step - 1, self.loop.steps)
        self.recent = []
        self.accelerator.log({**means, "learning_rate": rate, "samples_per_s": samples_per_s}, step=self.step)
        if self.accelerator.is_main_process:
            entry = {"step": self.step, **means, "learning_rate": rate, "samples_per_s": round(samples_per_s, 3)}
            with self.log_path.open("a") as file:
                file.write(json.dumps(entry) + "\n")

    def save(self) -> None:
        """Write a checkpoint; every process takes part."""
        weights, moments = gather(self.objective, self._optimizer)
        ema: dict[str, torch.Tensor] = {}
        if self.average is not None:
            with self._averaged():
                ema = {name: tensor.clone() for name, tensor in gather(self.objective, self._optimizer)[0].items()}
        if self.accelerator.is_main_process:
            updates = self.average.optimization_step if self.average is not None else 0
            facts = {"run": self.facts, "recent": self.recent, "loss": self.last_loss}
            write_checkpoint(
                self.folder / "checkpoints",
                Checkpoint(self.step, weights, ema, updates, moments, facts),
                self.loop.keep_checkpoints,
            )
        self.accelerator.wait_for_everyone()

    def sample(
        self,
        on_sample: Callable[[int], None] | None,
        validation: Callable[[int, Sequence[int]], Batch] | None,
    ) -> None:
        """Let the caller draw pictures with the averaged weights, and log their loss on the same unseen samples."""
        self.objective.eval()
        with self._averaged(), torch.no_grad():
            if validation is not None:
                losses = []
                for part in range(VALIDATION_BATCHES):
                    first = VALIDATION_FIRST + part * self.loop.micro_batch_size
                    counts = list(range(first, first + self.loop.micro_batch_size))
                    batch = validation(VALIDATION_FIRST + part, counts).to(self.accelerator.device)
                    losses.append(float(self._loss(batch)[0]))
                mean = sum(losses) / len(losses)
                self.accelerator.log({"validation_loss": mean}, step=self.step)
                if self.accelerator.is_main_process:
                    with self.validation_path.open("a") as file:
                        file.write(json.dumps({"step": self.step, "loss": mean}) + "\n")
            # Sharded, a pass needs all processes; they draw the same, and the first one writes it.
            if on_sample is not None and (self.loop.shard or self.accelerator.is_main_process):
                with self._in_precision():
                    on_sample(self.step)
        self.objective.train()
        self.accelerator.wait_for_everyone()

    def agree(self, stop: bool) -> bool:
        """Whether any process wants to stop."""
        if self.accelerator.num_processes == 1:
            return stop
        flag = torch.tensor([float(stop)], device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, "sum").item() > 0)

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        if self.average is None:
            yield
            return
        kept = [p.detach().clone() for p in self.parameters]
        self.average.copy_to(self.parameters)
        try:
            yield
        finally:
            with torch.no_grad():
                for parameter, value in zip(self.parameters, kept, strict=True):
                    parameter.copy_(value)


def _step_of(line: str) -> int:
    # A process killed in the middle of a line leaves half of one; it is beyond the checkpoint in any case.
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return 2**62


def _last_loss(log_path: Path, step: int) -> float | None:
    """Of the newest entry up to a step."""
    lines = log_path.read_text().splitlines() if log_path.is_file() else []
    known = [json.loads(line)["loss"] for line in lines if _step_of(line) <= step]
    return known[-1] if known else None
