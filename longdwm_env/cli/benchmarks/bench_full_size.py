"""``longdwm bench full-size``: what the architecture costs, with random weights, by stage."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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


def bench_full_size(
    preset: str = "cogvideox-2b",
    device: str | None = None,
    steps: tuple[int, ...] = (50, 4, 2),
    guidance_scale: float = 6.0,
    micro_batch: int | None = None,
    repeats: int = 1,
    out: Path | None = None,
) -> int:
    """Time 145 frames end to end and one closed-loop second, beside the arithmetic floor.

    Weights are random: what is measured is speed and memory, never quality. On a CPU use the preset debug-cogvideox.

    Args:
        preset: cogvideox-2b, mini, debug or debug-cogvideox.
        device: Where to run; default a GPU where there is one.
        steps: Denoising steps to try, of both models. The first is run with guidance, the others without.
        guidance_scale: Of the first.
        micro_batch: Gaps filled at once; default one on a CPU, eight on a GPU.
        repeats: Runs of each; the fastest counts.
        out: JSON file to write the results to.
    """
    import torch

    from longdwm_env.errors import InvalidConfig
    from longdwm_env.models.presets import PRESETS, build, parameter_counts

    if preset not in PRESETS:
        raise InvalidConfig(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    dtype = torch.bfloat16 if chosen.type == "cuda" else torch.float32
    # T5's embedding of a prompt is computed once in a drive; its 4.8 billion parameters would only be in the way.
    pipeline = build(PRESETS[preset](), dtype=dtype, device=chosen, text_encoder=False)
    pipeline.set_progress_bar_config(disable=True)
    print(f"{preset} on {chosen}, {dtype}: parameters {parameter_counts(pipeline)}")
    tflops = matrix_tflops(chosen, dtype)
    results = []
    for index, count in enumerate(steps):
        scale = guidance_scale if index == 0 else 1.0
        for what, seconds, at_once in (("145 frames", 12.0, None), ("one closed-loop second", 1.0, 1)):
            timed = _measure(pipeline, what, seconds, at_once, count, scale, micro_batch, repeats, tflops)
            results.append(timed)
            print(_line(timed))
    if out is not None:
        from longdwm_env.io.files import atomic_write_json

        atomic_write_json(out, {"preset": preset, "device": str(chosen), "results": [asdict(r) for r in results]})
        print(f"written: {out}")
    return 0


def _measure(
    pipeline: "LongDWMPipeline",
    what: str,
    seconds: float,
    at_once: int | None,
    steps: int,
    guidance_scale: float,
    micro_batch: int | None,
    repeats: int,
    tflops: float | None,
) -> Timed:
    import numpy as np
    import torch

    from longdwm_env import timing

    height, width = pipeline.settings.image_size
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    config = pipeline.coarse.config
    text = torch.zeros(1, config.max_text_seq_length, config.text_embed_dim)
    cuda = pipeline.device.type == "cuda"
    best: dict[str, float] = {}
    frames = 0
    for _ in range(repeats):
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        with timing.stopwatch() as spent:
            clips = list(
                pipeline.stream(
                    image,
                    "straight",
                    seconds,
                    num_inference_steps=steps,
                    guidance_scale=guidance_scale,
                    generator=0,
                    keyframes_per_rollout=at_once,
                    prompt_embeds=text,
                    negative_prompt_embeds=text,
                    micro_batch=micro_batch,
                )
            )
        frames = sum(len(clip) for clip in clips)
        if not best or spent["total"] < best["total"]:
            best = dict(spent)
    rounds = 1 if guidance_scale == 1 else 2
    operations = steps * rounds * rollout_operations(pipeline, seconds, at_once)
    return Timed(
        what,
        frames + 1,
        {name: round(value, 3) for name, value in best.items()},
        steps,
        steps,
        guidance_scale,
        round(torch.cuda.max_memory_allocated() / 2**30, 2) if cuda else None,
        None if tflops is None else round(operations / tflops / 1e12, 3),
        None if tflops is None else round(tflops, 1),
    )


def rollout_operations(pipeline: "LongDWMPipeline", seconds: float, at_once: int | None) -> float:
    """Floating-point operations of one denoising step of every pass that a drive needs, without guidance."""
    from longdwm_env.models.closed_loop.generation import CLIP_FRAMES

    intervals = round(seconds)
    settings = pipeline.settings
    new = (settings.keyframes - 1) if at_once is None else at_once
    rollouts = -(-intervals // new)
    per_rollout = min(intervals, new)
    coarse = pass_operations(pipeline.coarse, 1 + per_rollout, settings.image_size, pipeline.codec.spatial_factor)
    latents = pipeline.codec.latent_frames(CLIP_FRAMES)
    fine = pass_operations(pipeline.fine, latents, settings.image_size, pipeline.codec.spatial_factor)
    return rollouts * coarse + intervals * fine


def pass_operations(transformer: Any, frames: int, image_size: tuple[int, int], factor: int) -> float:
    """Operations of one forward pass: two for each weight and token, and attention's two products.

    Args:
        transformer: whose blocks to count; the convolutions of a stem are left out.
        frames: latent frames.
        image_size: (height, width) in pixels.
        factor: pixels per latent.
    """
    config = transformer.config
    dim = config.num_attention_heads * config.attention_head_dim
    in_time = -(-frames // config.frames_per_token)
    per_frame = (image_size[0] // factor // config.patch_size) * (image_size[1] // factor // config.patch_size)
    image_tokens = in_time * per_frame
    tokens = image_tokens + config.max_text_seq_length
    linear = 2 * 12 * dim * dim * tokens
    attention = 4 * tokens * tokens * dim
    warp = 2 * dim * dim * image_tokens if config.warp_views else 0
    return float(config.num_layers * (linear + attention + warp))


def matrix_tflops(device: Any, dtype: Any) -> float | None:
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
