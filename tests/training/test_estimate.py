"""The estimate before a run: sizes follow from the configuration, and what cannot fit is refused with advice."""

from dataclasses import replace

import pytest

from longdwm_env.models.presets import build, debug, parameter_counts
from longdwm_env.training import estimate as module
from longdwm_env.training.estimate import (
    DoesNotFit,
    advice,
    check_fits,
    counted_bytes,
    estimate_stage,
    parameter_count,
    tokens_of,
)
from longdwm_env.training.recipes import recipe


def test_parameters_are_counted_without_making_them() -> None:
    counts = parameter_counts(build(debug()))
    assert parameter_count(debug().coarse) == counts["coarse"]
    assert parameter_count(debug().fine) == counts["fine"]


def test_tokens_are_text_and_patches_over_time() -> None:
    # Latents of 4 x 6 in patches of 2: 6 a frame; 5 of text; the fine model folds 3 frames into one.
    assert tokens_of(debug().coarse, 13) == 5 + 13 * 6
    assert tokens_of(debug().fine, 13) == 5 + 5 * 6


def test_optimizer_and_gradients_are_counted_by_parameter() -> None:
    made = estimate_stage(recipe("cogvideox-2b-nuscenes"), "coarse")
    assert 1.6e9 < made.parameters < 2.0e9
    assert made.optimizer == 8 * made.parameters
    assert made.gradients == 4 * made.parameters
    shared = estimate_stage(recipe("cogvideox-2b-nuscenes"), "coarse", processes=4)
    assert shared.optimizer == made.optimizer / 4
    assert shared.total_bytes < made.total_bytes


def test_checkpointing_trades_memory_for_time() -> None:
    full = recipe("cogvideox-2b-nuscenes")
    config = full.stage("coarse")
    without = replace(config, loop=replace(config.loop, gradient_checkpointing=False))
    with_it, plain = estimate_stage(full, "coarse", config), estimate_stage(full, "coarse", without)
    assert with_it.activations < plain.activations / 5
    assert with_it.flops_per_step > plain.flops_per_step


def test_distillation_holds_the_teacher_too() -> None:
    made = estimate_stage(recipe("cogvideox-2b-nuscenes"), "distill")
    assert made.frozen > 4e9
    assert "80 GB" in made.report((80.0,))


def test_what_cannot_fit_is_refused_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "free_bytes", lambda on_gpu: 2e9)
    full = recipe("cogvideox-2b-nuscenes")
    with pytest.raises(DoesNotFit, match="a smaller recipe"):
        check_fits(full, "coarse", full.stage("coarse"), "cpu")
    mini = recipe("mini-simulator")
    assert check_fits(mini, "coarse", mini.stage("coarse"), "cpu") is not None


def test_what_is_counted_is_refused_where_the_estimate_would_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    made = recipe("cogvideox-2b-nuscenes", "debug")
    config = made.stage("few-steps-coarse")
    estimated, counted = (
        estimate_stage(made, "few-steps-coarse", config).total_bytes,
        counted_bytes(made, "few-steps-coarse", config),
    )
    assert counted > estimated
    monkeypatch.setattr(module.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(module, "matmul_flops", lambda on_gpu, precision: 1e12)
    monkeypatch.setattr(module, "free_bytes", lambda on_gpu: (counted + estimated) / 2)
    with pytest.raises(DoesNotFit, match="counted on tensors without data"):
        check_fits(made, "few-steps-coarse", config)
    monkeypatch.setattr(module, "free_bytes", lambda on_gpu: 1.01 * counted)
    assert check_fits(made, "few-steps-coarse", config) is not None
    assert counted_bytes(recipe("mini-simulator"), "coarse", config) == 0


def test_advice_names_the_switches_that_help() -> None:
    full = recipe("mini-simulator")
    config = full.stage("coarse")
    text = advice(estimate_stage(full, "coarse", config), config, 1e6, on_gpu=True)
    assert "loop.gradient_checkpointing=true" in text
    assert "loop.micro_batch_size=1" in text
    assert "FSDP" in text
