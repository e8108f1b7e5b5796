"""``longdwm bench gpu``: everything about the full size that only an accelerator can show, within a few minutes."""

import importlib.util
import multiprocessing
import platform
import queue
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from longdwm_env.cli.benchmarks.bench_on_paper import one_sample, recipe_of
from longdwm_env.cli.destination import holding_its
from longdwm_env.types import JsonObject

if TYPE_CHECKING:
    import torch

    from longdwm_env.training.config import Recipe, StageConfig

GUESSED_UTILISATION = 0.25
"""Of the measured matrix product: by which what no longer fits into the time is foreseen."""

TESTS = "tests/models/test_gpu.py"


@dataclass
class Check:
    """What has been found so far; kept on disk after each part, so that a run that is broken off leaves it.

    Attributes:
        out: file of the results.
        until: when the time is up, by ``time.monotonic``.
        facts: of machine and call.
        drives: timed ones.
        training: timed steps.
        tests: how the GPU's tests ended.
        left_out: what there was no time for, or what failed, and why.
    """

    out: Path
    until: float
    facts: JsonObject
    drives: list[JsonObject] = field(default_factory=list)
    training: list[JsonObject] = field(default_factory=list)
    tests: JsonObject = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def attempt(self, what: str, seconds: float | None, part: Callable[[], None]) -> None:
        """Do a part if there is time for it; one that fails is noted and stops no other.

        Args:
            what: in words.
            seconds: that it is expected to take; None where nothing is known.
            part: does it.
        """
        left = self.until - time.monotonic()
        if left <= 0 or (seconds is not None and seconds > left):
            self.left_out.append(f"{what}: {max(left, 0):.0f} s are left, and it takes about {seconds or 0:.0f}")
            print(f"left out: {self.left_out[-1]}")
        else:
            try:
                part()
            except Exception as error:
                message = str(error).partition("\n")[0]
                self.left_out.append(f"{what}: {type(error).__name__}: {message}")
                print(f"failed: {self.left_out[-1]}")
        self.keep()

    def keep(self) -> None:
        """Write what was found so far."""
        from longdwm_env.io.files import atomic_write_json

        atomic_write_json(self.out, self.as_json())

    def as_json(self) -> dict[str, object]:
        """Everything as JSON values."""
        kept = ("facts", "drives", "training", "tests", "left_out")
        return {name: value for name, value in vars(self).items() if name in kept}


@holding_its("file")
def bench_gpu(
    preset: str = "cogvideox-2b",
    device: str = "cuda",
    minutes: float = 9.5,
    steps: tuple[int, ...] = (4, 50),
    guidance_scale: float = 6.0,
    out: Path = Path("gpu-check.json"),
    docs: Path | None = None,
) -> int:
    """Time drives and training steps of the full size with random weights on one GPU, and run the GPU's own tests.

    Parts for which no time is left, or that fail, are named; a call never takes much longer than ``minutes``.

    Args:
        preset: cogvideox-2b, or debug-cogvideox to try the command out.
        device: cuda, or cpu to try it out.
        minutes: for everything.
        steps: denoising steps of both models; the first without guidance, the others with it.
        guidance_scale: of the others.
        out: JSON file of the results.
        docs: A document in which the table is put between its marks; default docs/benchmarks.md on a GPU, none on a
            CPU.
    """
    import torch

    from longdwm_env.cli.benchmarks.bench_full_size import matrix_tflops
    from longdwm_env.cli.benchmarks.bench_gpu_table import as_markdown, put_between_marks
    from longdwm_env.errors import InvalidConfig
    from longdwm_env.io.files import check_output_file
    from longdwm_env.models.costs import SMALLEST

    if preset not in SMALLEST:
        raise InvalidConfig(f"no full-size preset {preset!r}; there are {', '.join(SMALLEST)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise InvalidConfig("there is no GPU here; --device cpu --preset debug-cogvideox tries the command out")
    chosen = torch.device(device)
    if docs is None and device == "cuda":
        docs = Path("docs/benchmarks.md")
    if docs is not None:
        check_output_file(docs)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    tflops = matrix_tflops(chosen, dtype)
    facts = {
        "preset": preset,
        "device": torch.cuda.get_device_name() if device == "cuda" else platform.processor() or "CPU",
        "memory_gb": round(torch.cuda.mem_get_info()[1] / 1e9, 1) if device == "cuda" else None,
        "torch": torch.__version__,
        "dtype": str(dtype),
        "matrix_product_tflops": None if tflops is None else round(tflops, 1),
    }
    check = Check(out, time.monotonic() + 60 * minutes, facts)
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    with _counting(preset) as (counted, is_counting):
        # What matters most comes first; fifty steps take as long as everything else together.
        _drives(check, preset, chosen, steps[:1], 1.0, tflops, compiled=False)
        _training(check, preset, chosen, tflops)
        check.attempt("tests", None, lambda: _tests(check))
        _drives(check, preset, chosen, steps[:1], 1.0, tflops, compiled=True)
        for compiled in (False, True):
            _drives(check, preset, chosen, steps[1:], guidance_scale, tflops, compiled=compiled)
        _put_counts(check, counted, is_counting, tflops)
    table = as_markdown(check.as_json())
    print(table)
    if docs is not None:
        put_between_marks(docs, table)
    print(f"written: {', '.join(str(path) for path in (out, docs) if path is not None)}")
    return 1 if check.tests.get("failed") else 0


def _drives(
    check: Check,
    preset: str,
    device: "torch.device",
    steps: Sequence[int],
    guidance_scale: float,
    tflops: float | None,
    *,
    compiled: bool,
) -> None:
    import torch

    from longdwm_env.cli.benchmarks.bench_full_size import denoiser_operations, measure
    from longdwm_env.cli.benchmarks.bench_on_paper import DRIVES
    from longdwm_env.models.presets import PRESETS, build
    from longdwm_env.models.speed import speed_up

    if not steps:
        return
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    pipeline = build(PRESETS[preset](), dtype=dtype, device=device, text_encoder=False)
    pipeline.set_progress_bar_config(disable=True)
    how = "compiled" if compiled else "as it is"

    def switch() -> None:
        for model in (pipeline.coarse, pipeline.fine):
            speed_up(model, compile_blocks=True)

    def timed(drive: tuple[Any, ...]) -> None:
        found = measure(pipeline, *drive)
        check.drives.append({"how": how, **asdict(found)})
        print(f"{found.what}, {found.coarse_steps} steps, {how}: {found.seconds['total']:.2f} s")

    if compiled:
        before = len(check.left_out)
        check.attempt("compiling", None, switch)
        if len(check.left_out) > before:
            return
    for count in steps:
        passes = count * (1 if guidance_scale == 1 else 2)
        # The first run of a kind warms up, compiling where that was asked for; the faster one counts.
        repeats = 2 if guidance_scale == 1 else 1
        for what in reversed(tuple(DRIVES)):
            seconds, at_once = DRIVES[what]
            operations = denoiser_operations(preset, seconds, at_once)

            expected = None
            if tflops is not None and operations is not None:
                # A closed loop has driven a second before the one that is timed.
                seconds_driven = repeats * (1 if at_once is None else 2)
                expected = seconds_driven * passes * operations / tflops / 1e12 / GUESSED_UTILISATION
            drive = (what, seconds, at_once, count, guidance_scale, None, repeats, tflops, operations)
            check.attempt(f"{what}, {count} steps, {how}", expected, partial(timed, drive))
    del pipeline
    _freed(device)


def _freed(device: "torch.device") -> None:
    import gc

    import torch

    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


Counts: TypeAlias = "queue.Queue[tuple[str, float, float]]"
"""Of stages: name, operations of a training step, bytes that it needs."""


@contextmanager
def _counting(preset: str) -> "Iterator[tuple[Counts, Callable[[], bool]]]":
    """Steps counted without data by another process, which takes minutes at full size, while the GPU works."""
    context = multiprocessing.get_context("spawn")
    found = context.Queue()
    process = context.Process(target=_count, args=(preset, found), daemon=True)
    process.start()
    try:
        yield found, process.is_alive  # type: ignore[misc]
    finally:
        process.terminate()
        process.join()


def _count(preset: str, found: "Counts") -> None:
    from longdwm_env.training.scaling.step_costs import COUNTED, step_cost

    chosen = recipe_of(preset)
    for stage in COUNTED:
        counted = step_cost(chosen, stage, one_sample(chosen, stage))
        found.put((stage, counted.cost.flops, counted.bytes_in_all()))


def _put_counts(check: Check, counted: "Counts", is_counting: Callable[[], bool], tflops: float | None) -> None:
    """Put beside the timed steps what they compute and need; those that are not counted in time go without."""
    steps = {str(step["stage"]): step for step in check.training}
    waiting = set(steps)
    while waiting:
        left = check.until - time.monotonic()
        try:
            stage, flops, held = counted.get(timeout=min(5.0, max(0.1, left)))
        except queue.Empty:
            if left > 0 and is_counting():
                continue
            why = "it failed" if left > 0 else "no time was left"
            check.left_out.append(f"counting steps of {', '.join(sorted(waiting))}: {why}")
            break
        waiting.discard(stage)
        if stage in steps:
            step = steps[stage]
            step |= {"tflop": flops / 1e12, "memory_on_paper_gb": held / 1e9}
            step["utilisation"] = None if tflops is None else flops / step["seconds"] / tflops / 1e12
    check.keep()


def _training(check: Check, preset: str, device: "torch.device", tflops: float | None) -> None:
    from longdwm_env.training.scaling.step_costs import COUNTED

    chosen = recipe_of(preset)
    for stage in COUNTED:
        step = partial(_training_step, check, chosen, stage, one_sample(chosen, stage), device)
        check.attempt(f"training step of {stage}", None if tflops is None else 30.0, step)


def _training_step(check: Check, chosen: "Recipe", stage: str, config: "StageConfig", device: "torch.device") -> None:
    import torch

    from longdwm_env.training.scaling.optimizers import adamw
    from longdwm_env.training.scaling.step_costs import in_precision, made

    is_gpu = device.type == "cuda"
    objective, batch = made(chosen, stage, config, device=str(device))
    optimizer = adamw([p for p in objective.parameters() if p.requires_grad], config.optimizer)
    if is_gpu:
        torch.cuda.reset_peak_memory_stats()
    taken = []
    for _ in range(3):
        begun = time.perf_counter()
        with in_precision(config, device.type):
            loss = objective(batch)[0]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(objective.parameters(), config.optimizer.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if is_gpu:
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - begun)
    seconds = min(taken[1:])
    check.training.append(
        {
            "stage": stage,
            "seconds": seconds,
            "tflop": None,
            "utilisation": None,
            "peak_memory_gb": torch.cuda.max_memory_allocated() / 1e9 if is_gpu else None,
            "memory_on_paper_gb": None,
            "loss_is_finite": bool(torch.isfinite(loss)),
        }
    )
    print(f"training step of {stage}: {seconds:.2f} s")
    del objective, batch, optimizer, loss
    _freed(device)


def _tests(check: Check) -> None:
    if importlib.util.find_spec("pytest") is None or not Path(TESTS).is_file():
        raise FileNotFoundError(f"pytest is not installed, or {TESTS} is not here")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", TESTS]
    left = max(30.0, check.until - time.monotonic())
    done = subprocess.run(command, capture_output=True, text=True, timeout=left, check=False)
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr.strip()[-300:]
    counts = {kind: int(number) for number, kind in re.findall(r"(\d+) (passed|failed|skipped|error)", last)}
    check.tests = {**counts, "summary": last, "status": done.returncode}
    if done.returncode not in (0, 5):
        check.tests["failed"] = counts.get("failed", 0) + counts.get("error", 0) or 1
        print(done.stdout[-2000:])
    print(f"tests: {last}")
