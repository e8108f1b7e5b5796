"""What only a GPU can show: kernels, types and compilers that a CPU has not. ``scripts/gpu_check.sh`` runs it."""

import importlib.util
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from longdwm_env.models import presets
from longdwm_env.models.costs import denoiser_inputs
from longdwm_env.models.speed import speed_up, use_attention, use_weights
from longdwm_env.training.recipes import recipe
from longdwm_env.training.scaling.optimizers import adamw
from longdwm_env.training.scaling.step_costs import COUNTED, in_precision, made, step_cost

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
SIZE = (8, 12)


@pytest.fixture
def model():
    made_of = presets.build(presets.debug_cogvideox(), dtype=torch.bfloat16).coarse
    generator = torch.Generator().manual_seed(0)
    for parameter in made_of.parameters():
        parameter.data += (0.05 * torch.randn(parameter.shape, generator=generator)).to(parameter)
    return made_of.cuda()


def said(model, frames):
    given = denoiser_inputs(model, 2, frames, SIZE, torch.bfloat16, device="cuda")
    generator = torch.Generator().manual_seed(frames)
    given["hidden_states"] = torch.randn(given["hidden_states"].shape, generator=generator).to("cuda", torch.bfloat16)
    with torch.no_grad():
        return model(**given).sample.float()


@pytest.mark.parametrize("name", ["flash", "efficient", "cudnn"])
def test_every_kernel_of_attention_says_what_plain_arithmetic_says(model, name):
    use_attention(model, "math")
    wanted = said(model, 4)
    use_attention(model, name)
    assert (said(model, 4) - wanted).abs().mean() < 0.02 * wanted.abs().mean()


def test_compiled_blocks_say_the_same_for_4_and_13_latents(model):
    plain = [said(model, frames) for frames in (4, 13)]
    speed_up(model, compile_blocks=True)
    for frames, wanted in zip((4, 13), plain, strict=True):
        assert (said(model, frames) - wanted).abs().mean() < 0.02 * wanted.abs().mean()


@pytest.mark.skipif(importlib.util.find_spec("torchao") is None, reason="torchao is not installed")
@pytest.mark.parametrize("name", ["int8", "float8", "int8-dynamic", "float8-dynamic"])
def test_weights_of_eight_bits_say_nearly_the_same(model, name):
    if name == "float8-dynamic" and torch.cuda.get_device_capability() < (8, 9):
        pytest.skip("this GPU multiplies no float8")
    wanted = said(model, 4)
    use_weights(model, name)
    assert (said(model, 4) - wanted).abs().mean() < 0.1 * wanted.abs().mean()


def test_a_gpu_makes_the_pictures_that_a_cpu_makes():
    videos = []
    for device in ("cpu", "cuda"):
        pipeline = presets.build(presets.debug_cogvideox(), device="cpu").to(device)
        pipeline.set_progress_bar_config(disable=True)
        text = torch.zeros(1, 16, 32)
        given = {"prompt_embeds": text, "negative_prompt_embeds": text, "guidance_scale": 1.0, "generator": 0}
        image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
        videos.append(np.concatenate(list(pipeline.stream(image, "straight", 2.0, keyframes_per_rollout=1, **given))))
    assert np.abs(videos[0].astype(int) - videos[1]).mean() < 1


@pytest.mark.parametrize("stage", COUNTED)
def test_a_training_step_is_finite_and_needs_about_the_memory_that_was_counted(stage):
    chosen = recipe("cogvideox-2b-nuscenes", "debug")
    config = chosen.stage(stage)
    config = replace(config, loop=replace(config.loop, micro_batch_size=1, batch_size=1, precision="bf16"))
    objective, batch = made(chosen, stage, config, device="cuda")
    optimizer = adamw([p for p in objective.parameters() if p.requires_grad], config.optimizer)
    torch.cuda.reset_peak_memory_stats()
    for _ in range(2):
        with in_precision(config, "cuda"):
            loss = objective(batch)[0]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    assert math.isfinite(loss.item())
    # So small a model is outweighed by what kernels put aside; at full size the check's own table compares the two.
    assert torch.cuda.max_memory_allocated() < step_cost(chosen, stage, config).bytes_in_all() + 512e6
