"""Few steps: the laws of a jump and of phases, both parts of the loss, and a stage that goes on where it stopped."""

import json
from dataclasses import replace

import pytest
import torch

from longdwm_env.errors import InvalidConfig
from longdwm_env.models.network.sampler import denoise, jump
from longdwm_env.models.presets import build, debug_cogvideox
from longdwm_env.models.settings import OpenChoices
from longdwm_env.training.config import Recipe
from longdwm_env.training.data.batches import CoarseBatch
from longdwm_env.training.data.windows import Window
from longdwm_env.training.losses.coarse_objective import CoarseObjective
from longdwm_env.training.losses.distilling.fewer_steps import FewStepBatch, FewStepChoices, FewStepObjective, phases_of
from longdwm_env.training.losses.objective import NoiseChoices
from longdwm_env.training.recipes import recipe
from longdwm_env.training.stages import run_stage
from longdwm_env.training.workspace import Workspace

COUNTS = (5, 6)


def tensors(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def pipeline():
    made = build(debug_cogvideox())
    generator = torch.Generator().manual_seed(0)
    for parameter in made.coarse.parameters():
        parameter.data += 0.02 * torch.randn(parameter.shape, generator=generator)
    return made


@pytest.fixture(scope="module")
def scheduler(pipeline):
    return pipeline.scheduler


def objective_of(pipeline, **changed) -> FewStepObjective:
    choices = OpenChoices(text_drop_ratio=0.0, warp_drop_ratio=0.0, history_noise_max=0.0)
    inner = CoarseObjective(
        pipeline.coarse, pipeline.scheduler, tensors(16, 32), choices, NoiseChoices(), 0, use_warp=False
    )
    given = {"steps": 2, "teacher_steps": 8, "guidance_scale": 3.0, "consistency_steps": 1, "critic_updates": 2}
    return FewStepObjective(inner, FewStepChoices(**{**given, **changed}))


def batch_at(step: int) -> FewStepBatch:
    clean, text = tensors(2, 3, 4, 8, 12, seed=1), tensors(2, 16, 32, seed=2)
    return FewStepBatch(COUNTS, step, CoarseBatch(COUNTS, clean, 1, text, None, None, None, None, ()))


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_a_few_jumps_are_what_the_sampler_does(pipeline, steps):
    """So that what is trained is what driving does."""
    noise = tensors(2, 3, 4, 8, 12)

    def clean_at(x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x) + timesteps.reshape(-1, 1, 1, 1, 1) / 1000

    scheduler = pipeline.scheduler.from_config({**pipeline.scheduler.config, "prediction_type": "sample"})
    sampled = denoise(scheduler, clean_at, noise, steps)
    x = noise
    for times in phases_of(scheduler, steps, 48):
        begin, end = (torch.full((2,), time) for time in (times[0], times[-1]))
        x = jump(scheduler, x, clean_at(x, begin), begin, end)
    assert torch.allclose(x, sampled, atol=1e-4)


def test_phases_meet_and_end_clean(scheduler):
    phases = phases_of(scheduler, 4, 48)
    assert [times[0] for times in phases] == [999, 749, 499, 249]
    assert [times[-1] for times in phases] == [749, 499, 249, -1]
    assert all(len(times) == 13 and times == sorted(times, reverse=True) for times in phases)
    # A teacher that draws in one step is no trouble; more parts than timesteps are as many as there are.
    assert len(phases_of(scheduler, 1, 1)[0]) == 2
    assert len(phases_of(scheduler, 4, 5000)[0]) == 251


def test_a_model_that_is_its_own_perfect_teacher_has_nothing_to_learn(pipeline):
    """One clean latent wherever one stands: the teacher's path is a straight one, and every jump is right."""
    objective = objective_of(pipeline, guidance_scale=1.0)
    constant = tensors(2, 3, 4, 8, 12, seed=7)
    for model in (objective.model, objective._teacher[0]):
        model.predict_clean = lambda noisy, times, told: constant
    objective._guided = lambda noisy, times, told: constant
    batch = batch_at(0)
    told = objective._inner[0].conditioning(batch.sample)
    assert objective._consistency(batch, told).item() < 1e-6
    assert objective._distance(batch, told)[0].item() < 1e-6


def test_consistency_teaches_the_student_alone(pipeline):
    objective = objective_of(pipeline).train()
    loss, parts = objective(batch_at(0))
    loss.backward()
    assert set(parts) == {"consistency"}
    assert any(parameter.grad is not None for parameter in objective.transformer.parameters())
    assert all(parameter.grad is None for parameter in objective.critic.parameters())
    assert all(parameter.grad is None for parameter in objective._teacher[0].transformer.parameters())


def test_the_critic_learns_in_every_step_and_the_student_in_some(pipeline):
    objective = objective_of(pipeline).train()
    turns = []
    for step in (1, 2, 3):
        objective.zero_grad(set_to_none=True)
        loss, parts = objective(batch_at(step))
        loss.backward()
        assert any(parameter.grad is not None for parameter in objective.critic.parameters())
        turns.append(any(parameter.grad is not None for parameter in objective.transformer.parameters()))
        assert ("matching" in parts) == turns[-1]
    assert turns == [True, False, True]
    assert all(parameter.grad is None for parameter in objective._teacher[0].transformer.parameters())


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"steps": 5}, "1 to 4"), ({"teacher_steps": 1}, "teacher_steps"), ({"anchor_weight": -1.0}, "at least 0")],
)
def test_what_cannot_be_meant_is_refused(changed, message):
    with pytest.raises(InvalidConfig, match=message):
        FewStepChoices(**{"steps": 2, **changed})


def few(made: Recipe, stage: str, steps: int, **changed) -> Recipe:
    config = made.stage(stage)
    loop = replace(config.loop, steps=steps, sample_every=steps, checkpoint_every=1, log_every=1, tracker="none")
    choices = replace(config.few_steps, steps=2, teacher_steps=4, consistency_steps=2, critic_updates=2, **changed)
    chosen = replace(config, loop=loop, few_steps=choices, windows=(Window(1, 1),))
    return replace(made, stages={**made.stages, stage: chosen})


def losses(workspace: Workspace, stage: str) -> list[dict]:
    lines = (workspace.stage(stage) / "losses.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "samples_per_s"} for line in lines]


def test_the_stage_goes_on_where_it_was_stopped_and_leaves_a_pipeline_of_few_steps(encoded, tmp_path):
    made, curves, begun = recipe("cogvideox-2b-nuscenes", "debug"), [], Workspace(encoded)
    guided = replace(begun.load().settings, guidance_scale=2.0, coarse_steps=8, fine_steps=8)
    for interrupted in (False, True):
        workspace = Workspace(tmp_path / str(interrupted), shared_latents=begun.latents)
        pipeline = begun.load()
        pipeline.register_to_config(settings=guided.to_json())
        pipeline.save_pretrained(workspace.pipeline)
        before = pipeline.coarse.state_dict()
        chosen = few(made, "few-steps-coarse", 5)
        if interrupted:
            # Before the critic has had a gradient, and after.
            for step in (1, 2, 3):
                assert run_stage(chosen, "few-steps-coarse", workspace, device="cpu", max_seconds=0.0).step == step
        assert run_stage(chosen, "few-steps-coarse", workspace, device="cpu").finished
        curves.append(losses(workspace, "few-steps-coarse"))
        after = workspace.load()
        # Half done: its own steps, and still what guides the other model.
        assert (after.settings.coarse_steps, after.settings.fine_steps, after.settings.guidance_scale) == (2, 8, 2.0)
        assert any(not torch.equal(before[name], value) for name, value in after.coarse.state_dict().items())
    assert curves[0] == curves[1]
    assert "matching" in curves[0][2]
    chosen = few(made, "few-steps-fine", 3)
    assert run_stage(chosen, "few-steps-fine", workspace, device="cpu").finished
    settings = workspace.load().settings
    assert (settings.coarse_steps, settings.fine_steps, settings.guidance_scale) == (2, 2, 1.0)
    distances = [json.loads(line)["loss"] for line in (workspace.stage("few-steps-fine") / "validation.jsonl").open()]
    assert len(distances) == 2
