"""``longdwm bench full-size``: what the architecture costs, with random weights, by stage."""

from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from longdwm_env.cli.destination import holding_its

if TYPE_CHECKING:
    import torch

    from longdwm_env.models.pipeline import LongDWMPipeline


@dataclass(frozen=True)
class Timed:
    """One measurement.

    Attributes:
        what: in words.
        frames: made.
        seconds: by stage, and in all.
        coarse_steps: denoising steps of the Coarse model.
        fine_steps: denoising steps of the Fine model.
        guidance_scale: 1 is off.
        peak_memory_gib: most accelerator memory in use; None on a CPU.
        floor_s: the denoisers' arithmetic at ``tflops``, None where that was not measured.
        tflops: of a large matrix product on this device, in the weights' type.
    """

    what: str
    frames: int
    seconds: dict[str, float]
    coarse_steps: int
    fine_steps: int
    guidance_scale: float
    peak_memory_gib: float | None
    floor_s: float | None
    tflops: float | None


@holding_its("file")
def bench_full_size(
    preset: str = "cogvideox-2b",
    device: str | None = None,
    steps: tuple[int, ...] = (50, 4, 2),
    guidance_scale: float = 6.0,
    micro_batch: int | None = None,
    repeats: int = 1,
    out: Path | None = None,
    on_paper: bool = False,
    utilisation: float = 0.4,
    training: bool = True,
    compile: bool = False,
    attention: Literal["any", "flash", "efficient", "cudnn", "math"] = "any",
    weights: Literal["as-they-are", "int8", "float8", "int8-dynamic", "float8-dynamic"] = "as-they-are",
    history_keyframes: int | None = None,
) -> int:
    """Time 145 frames end to end and one closed-loop second, beside the arithmetic floor; or count them on paper.

    Weights are random: what is measured is speed and memory, never quality. On a CPU use the preset debug-cogvideox.

    Args:
        preset: cogvideox-2b, mini, debug or debug-cogvideox.
        device: Where to run; default a GPU where there is one.
        steps: Denoising steps to try, of both models. The first is run with guidance, the others without.
        guidance_scale: Of the first.
        micro_batch: Gaps filled at once; default one on a CPU, eight on a GPU.
        repeats: Runs of each; the fastest counts.
        out: JSON file to write the results to.
        on_paper: Run nothing: count arithmetic, bytes and memory of every stage, also of training, from the modules on
            tensors without data, with seconds on three accelerators and the settings that fit 24, 48 and 80 GB.
        utilisation: On paper, the share of the stated speed that is reached.
        training: On paper, count training steps as well.
        compile: Compile the repeated block of both models.
        attention: Kernel of attention; "any" leaves the choice to PyTorch.
        weights: Of the blocks' linear layers, through torchao.
        history_keyframes: That a closed loop shows the Coarse model; default the preset's. On paper, a table has all
            numbers up to it.
    """
    if on_paper:
        from longdwm_env.cli.benchmarks import bench_on_paper

        return bench_on_paper.on_paper(preset, steps, guidance_scale, utilisation, training, out, history_keyframes)
    import torch

    from longdwm_env.cli.benchmarks.bench_on_paper import configured
    from longdwm_env.models.presets import build, parameter_counts
    from longdwm_env.models.speed import speed_up

    config = configured(preset, history_keyframes)
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    dtype = torch.bfloat16 if chosen.type == "cuda" else torch.float32
    # T5's embedding of a prompt is computed once in a drive; its 4.8 billion parameters would only be in the way.
    pipeline = build(config, dtype=dtype, device=chosen, text_encoder=False)
    pipeline.set_progress_bar_config(disable=True)
    for model in (pipeline.coarse, pipeline.fine):
        speed_up(
            model,
            compile_blocks=compile,
            attention=None if attention == "any" else attention,
            weights=None if weights == "as-they-are" else weights,
        )
    print(f"{preset} on {chosen}, {dtype}: parameters {parameter_counts(pipeline)}")
    tflops = matrix_tflops(chosen, dtype)
    results = []
    for index, count in enumerate(steps):
        scale = guidance_scale if index == 0 else 1.0
        for what, seconds, at_once in (("145 frames", 12.0, None), ("one closed-loop second", 1.0, 1)):
            operations = denoiser_operations(preset, seconds, at_once, history_keyframes) if tflops else None
            timed = measure(pipeline, what, seconds, at_once, count, scale, micro_batch, repeats, tflops, operations)
            results.append(timed)
            print(_line(timed))
    if out is not None:
        from longdwm_env.io.files import atomic_write_json

        atomic_write_json(out, {"preset": preset, "device": str(chosen), "results": [asdict(r) for r in results]})
        print(f"written: {out}")
    return 0


def measure(
    pipeline: "LongDWMPipeline",
    what: str,
    seconds: float,
    at_once: int | None,
    steps: int,
    guidance_scale: float,
    micro_batch: int | None,
    repeats: int,
    tflops: float | None,
    operations: float | None,
) -> Timed:
    """Time one drive with random pictures.

    Args:
        pipeline: with random weights.
        what: in words.
        seconds: of the drive.
        at_once: keyframes made at once; None for the paper's twelve, 1 for a closed loop with its full history, which
            has driven a second before.
        steps: of both models.
        guidance_scale: 1 is off.
        micro_batch: see ``bench_full_size``.
        repeats: runs; the fastest counts.
        tflops: of a large matrix product here, None where that was not measured.
        operations: of the denoisers in the drive in one step without guidance, None where they were not counted.
    """
    import torch

    from longdwm_env import timing
    from longdwm_env.models.costs import drive_from_nothing

    cuda = pipeline.device.type == "cuda"
    best: dict[str, float] = {}
    frames = 0
    for _ in range(repeats):
        drive = drive_from_nothing(
            pipeline,
            seconds,
            at_once,
            num_inference_steps=steps,
            guidance_scale=guidance_scale,
            micro_batch=micro_batch,
        )
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        with timing.stopwatch() as spent:
            clips = list(drive)
        frames = sum(len(clip) for clip in clips)
        if not best or spent["total"] < best["total"]:
            best = dict(spent)
    passes = steps * (1 if guidance_scale == 1 else 2)
    return Timed(
        what,
        frames + 1,
        {name: round(value, 3) for name, value in best.items()},
        steps,
        steps,
        guidance_scale,
        round(torch.cuda.max_memory_allocated() / 2**30, 2) if cuda else None,
        None if tflops is None or operations is None else round(passes * operations / tflops / 1e12, 3),
        None if tflops is None else round(tflops, 1),
    )


@cache
def denoiser_operations(
    preset: str, seconds: float, at_once: int | None, history_keyframes: int | None = None
) -> float | None:
    """Floating-point operations of the denoisers in a drive of one step without guidance, counted.

    None where this preset can only be timed.
    """
    from longdwm_env.cli.benchmarks.bench_on_paper import configured
    from longdwm_env.models.costs import SMALLEST, Ledger, drive_passes

    if preset not in SMALLEST:
        return None
    config = configured(preset, history_keyframes)
    ledger = Ledger(config)
    passes = drive_passes(config, seconds, at_once)
    return sum(ledger.cost(done).flops * count for done, count in passes if done.part in ("coarse", "fine"))


def matrix_tflops(device: "torch.device", dtype: "torch.dtype") -> float | None:
    """Trillions of operations per second of a large matrix product; None on a CPU, where it says little."""
    import time

    import torch

    if device.type != "cuda":
        return None
    a = torch.randn(8192, 8192, device=device, dtype=dtype)
    for _ in range(3):
        a @ a
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(20):
        a @ a
    torch.cuda.synchronize()
    return 20 * 2 * 8192**3 / (time.perf_counter() - start) / 1e12


def _line(timed: Timed) -> str:
    stages = ", ".join(f"{name} {value:.2f}" for name, value in timed.seconds.items())
    memory = "" if timed.peak_memory_gib is None else f", {timed.peak_memory_gib:.1f} GiB"
    floor = "" if timed.floor_s is None else f", floor {timed.floor_s:.2f} s at {timed.tflops:.0f} TFLOP/s"
    guidance = "no guidance" if timed.guidance_scale == 1 else f"guidance {timed.guidance_scale:g}"
    return f"{timed.what}, {timed.coarse_steps} steps, {guidance}: {stages} s{memory}{floor}"
