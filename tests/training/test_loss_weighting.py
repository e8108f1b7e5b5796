"""Eq. 3 as it is printed, and as CogVideoX was trained: one is the other over 1 - abar."""

from dataclasses import replace

import pytest
import torch

from longdwm_env.errors import InvalidConfig
from longdwm_env.models.network.sampler import add_noise, output_from_clean
from longdwm_env.models.presets import build, debug_cogvideox
from longdwm_env.models.settings import OpenChoices
from longdwm_env.training.config import LoopConfig, StageConfig, overridden
from longdwm_env.training.data.batches import CoarseBatch, FineBatch
from longdwm_env.training.losses.coarse_objective import CoarseObjective
from longdwm_env.training.losses.fine_objective import FineObjective
from longdwm_env.training.losses.objective import NoiseChoices, draw_noise, draw_timesteps, error_weights

COUNTS = (3, 4)


@pytest.fixture(scope="module")
def pipeline():
    made = build(debug_cogvideox())
    generator = torch.Generator().manual_seed(0)
    for module in (made.coarse, made.fine):
        for parameter in module.parameters():
            parameter.data += 0.02 * torch.randn(parameter.shape, generator=generator)
    return made


def choices(**changed) -> OpenChoices:
    plain = OpenChoices(
        structure_weight=0.0, text_drop_ratio=0.0, warp_drop_ratio=0.0, last_frame_drop_ratio=1.0, history_noise_max=0.0
    )
    return replace(plain, **changed)


def tensors(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def coarse_case(pipeline, weighting: str):
    clean, text = tensors(2, 3, 4, 8, 12), tensors(2, 16, 32)
    batch = CoarseBatch(COUNTS, clean, 1, text, None, None, None, None, ())
    noise = NoiseChoices(weighting=weighting)
    objective = CoarseObjective(pipeline.coarse, pipeline.scheduler, text[0], choices(), noise, 0, use_warp=False)
    return objective, batch


def fine_case(pipeline, weighting: str):
    clean, text = tensors(2, 4, 4, 8, 12), tensors(2, 16, 32)
    batch = FineBatch(COUNTS, clean, clean[:, 0], clean[:, -1], text, None, None)
    noise = NoiseChoices(weighting=weighting)
    objective = FineObjective(
        pipeline.fine, pipeline.scheduler, text[0], choices(), noise, 0, last_is_exact=False, use_warp=False
    )
    return objective, batch


@pytest.mark.parametrize("case", [coarse_case, fine_case])
def test_the_velocity_weighting_is_the_error_of_the_velocity(pipeline, case):
    objective, batch = case(pipeline, "velocity")
    loss, _ = objective(batch)
    noise = draw_noise(0, COUNTS, batch.clean)
    timesteps = draw_timesteps(pipeline.scheduler, NoiseChoices(), 0, COUNTS, "cpu")
    told = objective.conditioning(batch)
    said = objective.model.output(add_noise(pipeline.scheduler, batch.clean, noise, timesteps), timesteps, told)
    wanted = output_from_clean(pipeline.scheduler, batch.clean, noise, timesteps)
    error = ((said - wanted) ** 2)[:, 1:].mean()
    assert loss.item() == pytest.approx(error.item(), rel=1e-3)

    plain, batch = case(pipeline, "x0")
    assert plain(batch)[0].item() != pytest.approx(loss.item(), rel=1e-3)


def test_weights_do_not_cancel_in_a_batch_of_one(pipeline):
    made = {}
    for weighting in ("x0", "velocity"):
        objective, batch = coarse_case(pipeline, weighting)
        alone = replace(batch, counts=COUNTS[:1], clean=batch.clean[:1], text=batch.text[:1])
        made[weighting] = objective(alone)[0].item()
    timesteps = draw_timesteps(pipeline.scheduler, NoiseChoices(), 0, COUNTS[:1], "cpu")
    weight = error_weights(pipeline.scheduler, "velocity", timesteps)
    assert made["velocity"] == pytest.approx(made["x0"] * weight.item(), rel=1e-4)


def test_it_is_a_field_of_the_stage(tmp_path):
    stage = StageConfig(LoopConfig(steps=1))
    assert stage.loss_weighting == "x0"
    assert overridden(stage, {"loss_weighting": "velocity"}).loss_weighting == "velocity"
    with pytest.raises(InvalidConfig, match="allowed are x0, velocity"):
        overridden(stage, {"loss_weighting": "epsilon"})
    with pytest.raises(InvalidConfig, match="loss_weighting is one of"):
        NoiseChoices(weighting="snr")
