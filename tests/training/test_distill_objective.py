"""Eq. 7 and 8 as the objective computes them, against the same written out."""

import pytest
import torch

from longdwm_env.models.conditioning.denoiser_inputs import coarse_conditioning, fine_conditioning
from longdwm_env.models.conditioning.text import PromptTokenizer
from longdwm_env.models.network.sampler import add_noise
from longdwm_env.models.presets import build, debug, debug_cogvideox
from longdwm_env.training.data.encoded.encoding import encode_latents
from longdwm_env.training.data.encoded.latents import SEGMENT_FRAMES
from longdwm_env.training.data.samplers import DistillSampler
from longdwm_env.training.losses.distilling.distill import DistillChoices, DistillObjective
from longdwm_env.training.losses.objective import NoiseChoices, draw_noise, draw_timesteps

from .scenery import PaintedRoad


@pytest.mark.parametrize("preset", [debug, debug_cogvideox])
def test_equation_8_written_out(preset, tmp_path):
    pipeline = build(preset())
    size = pipeline.settings.image_size
    if preset is debug_cogvideox:
        # The full-size tokenizer comes with a checkpoint; any one will do here.
        pipeline.register_modules(tokenizer=PromptTokenizer(384 - PromptTokenizer.num_special_words))
    # Untrained models agree with the warp; random output layers make them say something.
    generator = torch.Generator().manual_seed(0)
    for module in (pipeline.coarse, pipeline.fine):
        for parameter in module.parameters():
            parameter.data += 0.02 * torch.randn(parameter.shape, generator=generator)
    # The full size's codec is slow: both samples are then of one clip, and differ by their noise.
    clips = 2 if preset is debug else 1
    store = encode_latents(PaintedRoad(clips=clips, image_size=size), tmp_path / "latents", pipeline)
    last_frames = pipeline.codec.last_frames(SEGMENT_FRAMES)
    is_exact = len(last_frames) == SEGMENT_FRAMES
    seed = 3
    batch = DistillSampler(store, last_frames, seed).batch(0, (0, 1))
    assert batch.coarse.clean.shape[1] == 13
    assert batch.fine.clean.shape[0] == 2 * 12
    objective = DistillObjective(
        pipeline.coarse, pipeline.fine, pipeline.scheduler, NoiseChoices(), DistillChoices(), seed, is_exact
    )
    loss, _ = objective(batch)
    loss.backward()
    assert all(parameter.grad is None for parameter in pipeline.fine.parameters()), "the teacher stays as it is"
    assert any(parameter.grad is not None for parameter in pipeline.coarse.parameters())

    timesteps = draw_timesteps(pipeline.scheduler, NoiseChoices(), seed, (0, 1), "cpu")
    noise = draw_noise(seed, (0, 1), batch.fine.clean[:2])
    views = batch.fine.views(with_last=False, with_layout=preset is debug)
    assert torch.equal(views["warp_first"], batch.fine.warps[:, 0])
    assert views["warp_last"] is None
    squares = []
    for clip in range(2):
        t, eps = timesteps[clip : clip + 1], noise[clip : clip + 1]
        wanted = []
        for segment in range(12):
            row = slice(12 * clip + segment, 12 * clip + segment + 1)
            told = fine_conditioning(
                batch.fine.first[row],
                None,
                batch.fine.clean.shape[1],
                batch.fine.text[row],
                motion=batch.fine.motion[row],
                last_is_exact=is_exact,
                held_ends=preset is debug,
                **{name: view if view is None else view[row] for name, view in views.items()},
            )
            noisy = add_noise(pipeline.scheduler, batch.fine.clean[row], eps, t)
            with torch.no_grad():
                clean = pipeline.fine_model.predict_clean(noisy, t, told)
            wanted += [clean[:, 0]] if segment == 0 else []
            wanted.append(clean[:, -1])
        coarse = batch.coarse
        own = slice(clip, clip + 1)
        told = coarse_conditioning(
            coarse.clean[own, :1],
            13,
            coarse.text[own],
            coarse.warp[own],
            coarse.warp_mask[own],
            coarse.motion[own],
            None if coarse.further is None else coarse.further[own],
            # There is no map; a model that knows layouts is told so.
            torch.zeros_like(coarse.warp[own]) if preset is debug else None,
            torch.zeros_like(coarse.warp_mask[own]) if preset is debug else None,
        )
        ends = torch.stack([eps[:, 0]] + 12 * [eps[:, -1]], dim=1)
        noisy = add_noise(pipeline.scheduler, coarse.clean[own], ends, t)
        made = pipeline.coarse_model.predict_clean(noisy, t, told)
        squares.append(((torch.stack(wanted, 1) - made) ** 2).mean())
    assert loss.item() == pytest.approx(torch.stack(squares).mean().item(), rel=1e-4)
