"""Noise, the forward process and the reverse loop, over any diffusers scheduler with ``alphas_cumprod``."""

import copy
import zlib
from collections.abc import Callable, Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

Purpose = Literal["coarse", "fine", "compose", "history", "redraw", "uncertainty"]


class ScheduleConfig(Protocol):
    """How a scheduler was configured."""

    num_train_timesteps: int
    prediction_type: str


@runtime_checkable
class Scheduler(Protocol):
    """What is used of diffusers' deterministic schedulers: CogVideoXDDIMScheduler, DDIMScheduler, DPM without SDE."""

    config: ScheduleConfig
    timesteps: Tensor
    alphas_cumprod: Tensor
    init_noise_sigma: float

    def set_timesteps(self, num_inference_steps: int, device: torch.device | str | None = None) -> None:
        """Choose the timesteps of a sampler with so many steps."""
        ...

    def scale_model_input(self, sample: Tensor, timestep: Tensor) -> Tensor:
        """What the network is given of a noisy sample."""
        ...

    def step(self, model_output: Tensor, timestep: Tensor, sample: Tensor, *, return_dict: bool) -> tuple[Tensor, ...]:
        """The sample one step later comes first."""
        ...


@runtime_checkable
class DdimScheduler(Scheduler, Protocol):
    """A scheduler that says how much signal there is at the clean end."""

    final_alpha_cumprod: Tensor


def counted_noise(
    seeds: Sequence[int],
    counters: Sequence[int],
    purpose: Purpose,
    shape: Sequence[int],
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Gaussian noise that depends on (seed, counter, purpose) alone: not on the batch, the device or earlier calls.

    Args:
        seeds: B episode seeds.
        counters: B counts, the frames driven before this draw.
        purpose: what the noise is for, so that two uses at one instant differ.
        shape: shape of one sample.
        device: where the result goes; the numbers are drawn on the CPU.
        dtype: type of the result; the numbers are drawn as float32.

    Returns:
        (B, *shape).
    """
    tag = zlib.crc32(purpose.encode())
    drawn = [
        np.random.default_rng([int(seed), int(counter), tag]).standard_normal(tuple(shape), dtype=np.float32)
        for seed, counter in zip(seeds, counters, strict=True)
    ]
    return torch.from_numpy(np.stack(drawn)).to(device=device, dtype=dtype)


def _signal_and_noise(scheduler: Scheduler, timesteps: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """sqrt(abar_t) and sqrt(1 - abar_t), each (B, 1, ...) to broadcast against ``like``."""
    alphas = scheduler.alphas_cumprod.to(device=like.device, dtype=torch.float32)
    signal = alphas[timesteps.to(like.device)].reshape(-1, *[1] * (like.ndim - 1))
    return signal.sqrt().to(like.dtype), (1 - signal).sqrt().to(like.dtype)


def add_noise(
    scheduler: Scheduler,
    clean: Float[Tensor, "b *latent"],
    noise: Float[Tensor, "b *latent"],
    timesteps: Int[Tensor, "b"],
) -> Float[Tensor, "b *latent"]:
    """x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps (LongDWM, Eq. 1-2).

    Deviation: the paper prints (1 - abar_t) without the root, which does not preserve the variance; this is DDPM's.
    """
    signal, sigma = _signal_and_noise(scheduler, timesteps, clean)
    return signal * clean + sigma * noise


def clean_from_output(
    scheduler: Scheduler,
    output: Float[Tensor, "b *latent"],
    noisy: Float[Tensor, "b *latent"],
    timesteps: Int[Tensor, "b"],
) -> Float[Tensor, "b *latent"]:
    """The clean latent that a network output stands for, D(x_t, t, ...) of LongDWM, Eq. 3 and 6.

    Raises:
        ValueError: the scheduler's prediction type is none of v_prediction, epsilon and sample.
    """
    kind = scheduler.config.prediction_type
    if kind == "sample":
        return output
    signal, sigma = _signal_and_noise(scheduler, timesteps, noisy)
    if kind == "v_prediction":
        return signal * noisy - sigma * output
    if kind == "epsilon":
        return (noisy - sigma * output) / signal
    raise ValueError(f"prediction_type {kind!r} is none of 'v_prediction', 'epsilon' and 'sample'")


def output_from_clean(
    scheduler: Scheduler,
    clean: Float[Tensor, "b *latent"],
    noise: Float[Tensor, "b *latent"],
    timesteps: Int[Tensor, "b"],
) -> Float[Tensor, "b *latent"]:
    """What the network should say for a clean latent and the noise on it: the inverse of ``clean_from_output``."""
    kind = scheduler.config.prediction_type
    if kind == "sample":
        return clean
    if kind == "epsilon":
        return noise
    if kind == "v_prediction":
        signal, sigma = _signal_and_noise(scheduler, timesteps, clean)
        return signal * noise - sigma * clean
    raise ValueError(f"prediction_type {kind!r} is none of 'v_prediction', 'epsilon' and 'sample'")


def jump(
    scheduler: DdimScheduler,
    noisy: Float[Tensor, "b *latent"],
    clean: Float[Tensor, "b *latent"],
    begin: Int[Tensor, "b"],
    end: Int[Tensor, "b"],
) -> Float[Tensor, "b *latent"]:
    """One deterministic step from timestep ``begin`` to ``end`` (DDIM, Song et al. 2021, Eq. 12 with eta = 0).

    The noise that ``noisy`` and ``clean`` imply is kept; a sampler of few steps takes a few such jumps.

    Args:
        scheduler: whose noise schedule it is.
        noisy: (B, ...) x at ``begin``.
        clean: (B, ...) the clean latent that is believed in.
        begin: (B,) timesteps.
        end: (B,) timesteps below, -1 for the clean end.
    """
    signal, sigma = _signal_and_noise(scheduler, begin, noisy)
    signal_end, sigma_end = _signal_and_noise(scheduler, end.clamp(min=0), noisy)
    final = float(scheduler.final_alpha_cumprod)
    at_end = (end < 0).to(noisy.device).reshape(signal.shape)
    signal_end = torch.where(at_end, signal_end.new_tensor(final**0.5), signal_end)
    sigma_end = torch.where(at_end, sigma_end.new_tensor((1 - final) ** 0.5), sigma_end)
    return signal_end * clean + sigma_end * (noisy - signal * clean) / sigma


def denoise(
    scheduler: Scheduler,
    predict: Callable[[Tensor, Tensor], Tensor],
    noise: Tensor,
    num_steps: int,
    on_step: Callable[[int, int, Tensor], Tensor | None] | None = None,
) -> Tensor:
    """Run the reverse process from pure noise.

    Args:
        scheduler: a deterministic diffusers scheduler (CogVideoXDDIMScheduler, DDIMScheduler, DPM solvers without SDE).
        predict: (x_t (B, ...), timesteps (B,)) -> network output, in the scheduler's own parametrization.
        noise: (B, ...) start.
        num_steps: denoising steps.
        on_step: called after each step with (step, timestep, latents); a tensor it returns replaces the latents.

    Returns:
        (B, ...) clean latents.
    """
    scheduler = _stepped(scheduler, num_steps, noise.device)
    latents = noise * scheduler.init_noise_sigma
    for step, timestep in enumerate(scheduler.timesteps):
        batch = torch.full((len(latents),), int(timestep), device=latents.device, dtype=torch.long)
        output = predict(scheduler.scale_model_input(latents, timestep), batch)
        latents = scheduler.step(output, timestep, latents, return_dict=False)[0].to(noise.dtype)
        if on_step is not None:
            replaced = on_step(step, int(timestep), latents)
            latents = latents if replaced is None else replaced
    return latents


def steps_of(scheduler: Scheduler, num_steps: int) -> int:
    """How many steps ``denoise`` takes when it is asked for ``num_steps``: some schedulers take more."""
    return len(_stepped(scheduler, num_steps, "cpu").timesteps)


def _stepped(scheduler: Scheduler, num_steps: int, device: torch.device | str) -> Scheduler:
    # A scheduler remembers where it is; samples that are made side by side each need their own.
    own = copy.copy(scheduler)
    own.set_timesteps(num_steps, device=device)
    return own
