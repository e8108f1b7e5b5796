"""What a stage will need, worked out before it starts: memory of one process, and time of all steps.

Of models of CogVideoX's kind a step is counted on tensors without data (``scaling.step_costs``). Mini's decide shapes
by numbers, so theirs are estimated; the formulas are the usual ones for transformers trained with Adam (Korthikanti et
al. 2022 for activations, with attention that keeps no score matrix; 6 FLOPs per parameter and token, Kaplan et al.
2020), good to about a quarter.
"""

import math
import os
import time
from dataclasses import dataclass, replace

import torch

from longdwm_env.errors import InvalidConfig, LongDWMError
from longdwm_env.models.costs import SMALLEST
from longdwm_env.models.network.dit import LongDWMTransformer3DModel
from longdwm_env.models.presets import PRESETS
from longdwm_env.models.settings import TransformerConfig
from longdwm_env.training.config import Precision, Recipe, StageConfig
from longdwm_env.training.data.encoded.latents import SEGMENT_FRAMES
from longdwm_env.training.loop import computed_precision
from longdwm_env.training.scaling.lora import LoraChoices, add_lora
from longdwm_env.training.scaling.step_costs import COUNTED, step_cost
from longdwm_env.training.stage_list import stage_named

GIB = 2**30
ACTIVATION_BYTES = 34
"""Bytes per token, layer and unit of width that the backward pass of a block needs in 16 bits."""
MOMENT_BYTES = {"32bit": 8.0, "8bit": 2.1}
"""Of AdamW's two moments of a number, with the scales of those of eight bits."""
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
        stage: its name.
        parameters: that are trained.
        weights, gradients, optimizer, average, activations, frozen: bytes in one process.
        flops_per_step: of all processes together; where it is counted, of the dearest kind of step.
        steps: of the stage.
        processes: that share parameters and batch.
        counted: whether a step was counted, or estimated by formulas.
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
    counted: bool = False

    @property
    def total_bytes(self) -> float:
        """Memory of one process; estimated, with a tenth for what the allocator cannot use."""
        parts = self.weights + self.gradients + self.optimizer + self.average + self.activations + self.frozen
        return parts if self.counted else 1.1 * parts

    def hours(self, flops_per_s: float) -> float:
        """Hours of all steps on processes that each reach this speed."""
        return self.steps * self.flops_per_step / (flops_per_s * self.processes) / 3600

    def report(self, gpu_memory_gb: tuple[float, ...] = ()) -> str:
        """The figures as lines of text, and whether they fit accelerators of these sizes."""
        copies = "" if self.counted else ", and bf16 copies"
        rows = {
            f"weights (float32{copies})": self.weights,
            "gradients": self.gradients,
            "AdamW": self.optimizer,
            "moving average": self.average,
            "activations, and bf16 copies" if self.counted else "activations": self.activations,
            "frozen models": self.frozen,
            "total" if self.counted else "total, with a tenth for fragmentation": self.total_bytes,
        }
        how = "counted on tensors without data" if self.counted else "estimated"
        lines = [
            f"{self.stage}, {how}: {self.parameters / 1e6:,.1f} M parameters trained, {self.processes} process(es), "
            f"{self.flops_per_step / 1e12:,.2f} TFLOP a step"
        ]
        lines += [f"  {name:<40}{size / 1e9:9.3g} GB" for name, size in rows.items()]
        for size in gpu_memory_gb:
            verdict = "fits" if self.total_bytes < USABLE * size * 1e9 else "does not fit"
            hours = ""
            if size in KNOWN_FLOPS:
                most = "at most" if self.counted else "about"
                hours = f", {self.steps:,} steps in {most} {self.hours(KNOWN_FLOPS[size] * EFFICIENCY):,.1f} h"
            lines.append(f"  {size:g} GB accelerator: {verdict}{hours}")
        return "\n".join(lines)


def tokens_of(transformer: TransformerConfig, latent_frames: int) -> int:
    """Tokens of one sample: text, and patches of the latent frames."""
    in_time = math.ceil(latent_frames / transformer.frames_per_token)
    patches = (transformer.sample_height // transformer.patch_size) * (
        transformer.sample_width // transformer.patch_size
    )
    return transformer.max_text_seq_length + in_time * patches


def parameter_count(transformer: TransformerConfig) -> int:
    """Parameters of a transformer, counted without making them."""
    with torch.device("meta"):
        built = LongDWMTransformer3DModel(**transformer.to_kwargs())
    return sum(parameter.numel() for parameter in built.parameters())


def lora_count(transformer: TransformerConfig, choices: LoraChoices) -> int:
    """Parameters that are trained with low-rank changes."""
    with torch.device("meta"):
        built = LongDWMTransformer3DModel(**transformer.to_kwargs())
        add_lora(built, choices, seed=0)
    return sum(parameter.numel() for parameter in built.parameters() if parameter.requires_grad)


def estimate_stage(recipe: Recipe, stage: str, config: StageConfig | None = None, processes: int = 1) -> Estimate:
    """What a stage with latents needs; counting takes up to some minutes at full size, and else a second.

    Args:
        recipe: gives the model.
        stage: one with ``is_estimated``.
        config: the stage's configuration; None for the recipe's own.
        processes: that share parameters (FSDP) and batch.

    Raises:
        InvalidConfig: of this model, the stage can neither be counted nor estimated.
    """
    config = config or recipe.stage(stage)
    if recipe.preset in SMALLEST and stage in COUNTED:
        return _counted(recipe, stage, config, processes)
    if not stage_named(stage).is_transformer:
        raise InvalidConfig(
            f"what {stage} needs is counted of models of CogVideoX's kind alone, not of {recipe.preset}"
        )
    return _estimated(recipe, stage, config, processes)


def _counted(recipe: Recipe, stage: str, config: StageConfig, processes: int) -> Estimate:
    """From a step of the dearest kind, on tensors without data."""
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
        counted=True,
    )


def _estimated(recipe: Recipe, stage: str, config: StageConfig, processes: int) -> Estimate:
    """By formulas."""
    model = PRESETS[recipe.preset]()
    counts = {"coarse": parameter_count(model.coarse), "fine": parameter_count(model.fine)}
    known = stage_named(stage)
    is_coarse = known.component == "coarse"
    transformer = model.coarse if is_coarse else model.fine
    parameters = counts["coarse" if is_coarse else "fine"]
    width = transformer.num_attention_heads * transformer.attention_head_dim
    segment = SEGMENT_FRAMES if model.codec == "mini" else (SEGMENT_FRAMES - 1) // 4 + 1
    if known.sample == "whole":
        frames = [(model.settings.keyframes, 1.0)]
    elif known.sample == "windows":
        total = sum(window.weight for window in config.windows)
        frames = [(window.history + window.future, window.weight / total) for window in config.windows]
    else:
        frames = [(segment, 1.0)]

    loop = config.loop
    longest = max(tokens_of(transformer, count) for count, _ in frames)
    layers, micro = transformer.num_layers, loop.micro_batch_size
    per_layer = ACTIVATION_BYTES * width * (1 if loop.precision == "bf16" else 2)
    kept = 4 * width * layers + per_layer if loop.gradient_checkpointing else per_layer * layers
    stem_bytes = 0.0
    if transformer.stem_channels:
        area = transformer.sample_height * transformer.sample_width
        deepest = max(count for count, _ in frames)
        stem_bytes = (
            4
            * 12
            * (transformer.stem_blocks + transformer.head_blocks)
            / 2
            * transformer.stem_channels
            * area
            * deepest
        )
    activations = micro * (longest * kept + stem_bytes)

    flops = 0.0
    for count, share in frames:
        tokens = tokens_of(transformer, count)
        forward = 2 * parameters * tokens + 4 * layers * tokens**2 * width
        flops += share * forward * (4 if loop.gradient_checkpointing else 3) * loop.batch_size
    frozen = 0.0
    if known.sample == "whole":
        teacher = counts["fine"]
        frozen = 4 * teacher + 2 * teacher * (loop.precision == "bf16")
        tokens = tokens_of(model.fine, segment)
        flops += 2 * teacher * tokens * (model.settings.keyframes - 1) * loop.batch_size
    if known.few_steps:
        # Beside the student a critic of its size is trained. The teacher draws twice at each place, guided; and the
        # student, the critic and the student's own samples are passes more.
        frozen = 4 * parameters + 2 * parameters * (loop.precision == "bf16")
        parameters *= 2
        flops *= 3
    shared = parameters / processes
    trained = (lora_count(transformer, config.lora) if config.lora.rank else parameters) / processes
    # Under FSDP one block at a time is whole; it is small beside the rest.
    weights = 4 * shared + (2 * parameters / (layers if processes > 1 else 1)) * (loop.precision == "bf16")
    return Estimate(
        stage,
        parameters,
        weights,
        4 * trained,
        MOMENT_BYTES[config.optimizer.moments] * trained,
        4 * trained * (config.optimizer.ema_decay > 0),
        activations,
        frozen,
        flops,
        loop.steps,
        processes,
    )


def check_fits(recipe: Recipe, stage: str, config: StageConfig, device: str | None = None) -> Estimate | None:
    """Print what a stage needs here; refuse to start what cannot fit.

    Raises:
        DoesNotFit: with advice.
    """
    counted = recipe.preset in SMALLEST and stage in COUNTED
    if not (counted or stage_named(stage).is_transformer):
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
    how, most = ("counted", "at most ") if estimate.counted else ("about", "")
    print(
        f"{stage}: {how} {estimate.total_bytes / 1e9:.3g} GB of {available / 1e9:.3g} GB, "
        f"{most}{estimate.hours(speed):.1f} h for {estimate.steps:,} steps ({samples:,} samples)"
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
