"""What a stage will need, worked out before it starts: memory of one process, and time of all steps.

A step of the dearest kind is counted on tensors without data (``scaling.step_costs``).
"""

import math
import os
import time
from dataclasses import dataclass, replace

import torch

from longdwm_env.errors import LongDWMError
from longdwm_env.models.network.dit import LongDWMTransformer3DModel
from longdwm_env.models.settings import TransformerConfig
from longdwm_env.training.config import Precision, Recipe, StageConfig
from longdwm_env.training.loop import computed_precision
from longdwm_env.training.scaling.step_costs import step_cost
from longdwm_env.training.stage_list import stage_named

GIB = 2**30
EFFICIENCY = 0.4
"""Share of a device's matrix product speed that training reaches."""
USABLE = 0.92
"""Share of an accelerator's memory that tensors can have: the rest is the driver's, and lost between them."""
KNOWN_FLOPS = {80.0: 312e12 * 0.8, 141.0: 790e12}
"""bf16 matrix products per second of an A100 (80 GB; eight tenths of its peak) and an H200 (141 GB; measured)."""


class DoesNotFit(LongDWMError, MemoryError):
    """A stage needs more memory than there is; the message says how much, and what helps."""


@dataclass(frozen=True)
class Estimate:
    """What one stage needs.

    Attributes:
        flops_per_step: of all processes together, of the dearest kind of step. Where a model makes keyframes to learn
            from (self-rollouts), that comes on top.
        processes: that share parameters and batch.
    """

    stage: str
    parameters: int
    weights: float
    gradients: float
    optimizer: float
    average: float
    activations: float
    frozen: float
    flops_per_step: float
    steps: int
    processes: int

    @property
    def total_bytes(self) -> float:
        """Memory of one process."""
        return self.weights + self.gradients + self.optimizer + self.average + self.activations + self.frozen

    def hours(self, flops_per_s: float) -> float:
        """Hours of all steps on processes that each reach this speed."""
        return self.steps * self.flops_per_step / (flops_per_s * self.processes) / 3600

    def report(self, gpu_memory_gb: tuple[float, ...] = ()) -> str:
        """The figures as lines of text, and whether they fit accelerators of these sizes."""
        rows = {
            "weights (float32)": self.weights,
            "gradients": self.gradients,
            "AdamW": self.optimizer,
            "moving average": self.average,
            "activations, and bf16 copies": self.activations,
            "frozen models": self.frozen,
            "total": self.total_bytes,
        }
        lines = [
            f"{self.stage}, counted on tensors without data: {self.parameters / 1e6:,.1f} M parameters trained, "
            f"{self.processes} process(es), {self.flops_per_step / 1e12:,.2f} TFLOP a step"
        ]
        lines += [f"  {name:<40}{size / 1e9:9.3g} GB" for name, size in rows.items()]
        for size in gpu_memory_gb:
            verdict = "fits" if self.total_bytes < USABLE * size * 1e9 else "does not fit"
            hours = ""
            if size in KNOWN_FLOPS:
                hours = f", {self.steps:,} steps in about {self.hours(KNOWN_FLOPS[size] * EFFICIENCY):,.1f} h"
            lines.append(f"  {size:g} GB accelerator: {verdict}{hours}")
        return "\n".join(lines)


def parameter_count(transformer: TransformerConfig) -> int:
    """Parameters of a transformer, counted without making them."""
    with torch.device("meta"):
        built = LongDWMTransformer3DModel(**transformer.to_kwargs())
    return sum(parameter.numel() for parameter in built.parameters())


def estimate_stage(recipe: Recipe, stage: str, config: StageConfig | None = None, processes: int = 1) -> Estimate:
    """What a stage with latents needs; it takes seconds, and up to some minutes at full size.

    Args:
        recipe: gives the model.
        stage: one with ``is_estimated``.
        config: the stage's configuration; None for the recipe's own.
        processes: that share parameters (FSDP) and batch.

    Raises:
        InvalidConfig: the stage is none of these, or does not train such a model.
    """
    config = config or recipe.stage(stage)
    if recipe.size == "full":
        print(f"{stage}: counting a step on tensors without data, which may take some minutes", flush=True)
    step = step_cost(recipe, stage, config)
    return Estimate(
        stage,
        step.trained,
        step.weights / processes,
        step.gradients / processes,
        step.moments / processes,
        step.average / processes,
        step.cost.held - step.gradients,
        step.frozen,
        step.cost.flops * config.loop.batch_size / step.samples,
        config.loop.steps,
        processes,
    )


def check_fits(recipe: Recipe, stage: str, config: StageConfig, device: str | None = None) -> Estimate | None:
    """Print what a stage needs here; refuse to start what cannot fit.

    Raises:
        DoesNotFit: with advice.
    """
    if not stage_named(stage).is_estimated:
        return None
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    on_gpu = device != "cpu" and torch.cuda.is_available()
    precision = computed_precision(config.loop.precision, "cuda" if on_gpu else "cpu")
    config = replace(config, loop=replace(config.loop, precision=precision))
    sharing = processes if config.loop.shard else 1
    estimate = estimate_stage(recipe, stage, config, sharing)
    available = free_bytes(on_gpu) / (1 if on_gpu else processes)
    speed = matmul_flops(on_gpu, precision) * EFFICIENCY * processes / sharing
    samples = estimate.steps * config.loop.batch_size
    print(
        f"{stage}: counted {estimate.total_bytes / 1e9:.3g} GB of {available / 1e9:.3g} GB, "
        f"about {estimate.hours(speed):.1f} h for {estimate.steps:,} steps ({samples:,} samples)"
    )
    if estimate.total_bytes > available:
        raise DoesNotFit(advice(estimate, config, available, on_gpu))
    return estimate


def advice(estimate: Estimate, config: StageConfig, available: float, on_gpu: bool) -> str:
    """What to change so that a stage fits."""
    hints = []
    if not config.loop.gradient_checkpointing and estimate.activations > 0.3 * estimate.total_bytes:
        hints.append("--set loop.gradient_checkpointing=true")
    if config.loop.micro_batch_size > 1:
        hints.append("--set loop.micro_batch_size=1 (same batch, accumulated)")
    if config.optimizer.ema_decay > 0:
        hints.append("--set optimizer.ema_decay=0 (no moving average)")
    if on_gpu:
        hints.append("--set optimizer.moments=8bit; --set lora.rank=64")
        hints.append("several GPUs with FSDP, --set loop.shard=true (docs/training.md)")
    hints.append("a smaller recipe, such as mini-nuscenes")
    return (
        f"{estimate.report()}\n{available / 1e9:.1f} GB are free, so {estimate.stage} cannot run here. What helps: "
        + "; ".join(hints)
        + ". --force starts anyway."
    )


def free_bytes(on_gpu: bool) -> float:
    """Memory that a new process can use."""
    if on_gpu:
        return float(torch.cuda.mem_get_info()[0])
    try:
        with open("/proc/meminfo") as file:  # noqa: PTH123 - a device of the kernel, not a file of ours
            for line in file:
                if line.startswith("MemAvailable:"):
                    return float(line.split()[1]) * 1024
    except OSError:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def matmul_flops(on_gpu: bool, precision: Precision = "bf16") -> float:
    """Operations of matrix products per second here, measured for a fraction of a second."""
    device, side = ("cuda", 8192) if on_gpu else ("cpu", 1024)
    matrix = torch.randn(side, side, device=device, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    best = math.inf
    for _ in range(4):
        if on_gpu:
            torch.cuda.synchronize()
        start = time.perf_counter()
        (matrix @ matrix).sum().item()
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best
