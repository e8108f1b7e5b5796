"""Few steps without guidance: a student that draws in 1 to 4 steps what its teacher draws in fifty, twice each.

First *consistency*: the sampler's few steps cut the noise schedule into as many phases, and from anywhere in a phase
the student is to reach the place at its end that the teacher's own path leads to (consistency models, Song et al. 2023;
cut into phases, so that the few steps stay a deterministic sampler, Wang et al. 2024). Then *distribution matching*:
the student draws samples of its own, and a critic that is kept in step with them says, against the teacher, which way
they would become likelier (DMD, Yin et al. 2024; DMD2: samples as they are drawn when sampling, several updates of the
critic for one of the student; Self-Forcing, Huang et al. 2025: gradient through one step of the drawing, drawn at
random). Neither needs the recorded future beyond the noisy latents of the first part.

Deviation: not in the paper, whose models draw in the scheduler's own many steps.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from longdwm_env.errors import InvalidConfig
from longdwm_env.models.conditioning.denoiser_inputs import Conditioning
from longdwm_env.models.network.denoiser import Denoiser
from longdwm_env.models.network.dit import LongDWMTransformer3DModel
from longdwm_env.models.network.module_costs import with_data
from longdwm_env.models.network.sampler import DdimScheduler, add_noise, clean_from_output, jump, output_from_clean
from longdwm_env.training.data.batches import Batch, CoarseBatch, FineBatch
from longdwm_env.training.draws import numbers, uniform
from longdwm_env.training.losses.coarse_objective import CoarseObjective
from longdwm_env.training.losses.fine_objective import FineObjective
from longdwm_env.training.losses.objective import Objective, draw_noise, squared_error

LEAST_SHARE, MOST_SHARE = 0.02, 0.98
"""Of the noise schedule: where distributions are compared. At its very ends they differ by nothing, or by all."""

LEAST_SIZE = 0.1
"""In standard deviations of latents: a student that is nearer to its teacher than this is not pulled more strongly."""


@dataclass(frozen=True)
class FewStepChoices:
    """How few steps are taught.

    Attributes:
        steps: denoising steps of the student, 1 to 4.
        teacher_steps: steps of the teacher's path, shared evenly among the phases; about fifty.
        guidance_scale: of the teacher; 0 for that of the pipeline when the stage begins.
        consistency_steps: optimizer steps of the first part; all later ones match distributions.
        critic_updates: updates of the critic for each of the student in the second part.
        anchor_weight: of the first part's loss in the second: keeps a student that is small, or has little to learn
            from, near its teacher's paths.
    """

    steps: int = 4
    teacher_steps: int = 48
    guidance_scale: float = 0.0
    consistency_steps: int = 3000
    critic_updates: int = 5
    anchor_weight: float = 0.25

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= 4:
            raise InvalidConfig(f"few_steps.steps is 1 to 4, got {self.steps}")
        if self.teacher_steps < self.steps or self.consistency_steps < 0 or self.critic_updates < 1:
            raise InvalidConfig(
                f"few_steps needs teacher_steps of at least steps={self.steps}, consistency_steps of at least 0 and "
                f"critic_updates of at least 1; got {self.teacher_steps}, {self.consistency_steps} and "
                f"{self.critic_updates}"
            )
        if self.guidance_scale < 0 or self.anchor_weight < 0:
            raise InvalidConfig("few_steps.guidance_scale and few_steps.anchor_weight are at least 0")


@dataclass(frozen=True)
class FewStepBatch(Batch):
    """B samples of either model, and the optimizer step that they are drawn for."""

    step: int
    sample: CoarseBatch | FineBatch

    def to(self, device: torch.device | str) -> "FewStepBatch":
        """Every tensor on a device."""
        return replace(self, sample=self.sample.to(device))


def phases_of(scheduler: DdimScheduler, steps: int, teacher_steps: int) -> list[list[int]]:
    """Timesteps of the teacher's path through each phase.

    The first is where a step of the sampler begins, the last where it ends, -1 for the clean end.

    Args:
        scheduler: of the pipeline.
        steps: S, of the sampler.
        teacher_steps: of all phases together.

    Returns:
        S lists.
    """
    scheduler = copy.copy(scheduler)
    stride = scheduler.config.num_train_timesteps // steps
    parts = max(1, teacher_steps // steps)
    made = []
    with with_data():
        scheduler.set_timesteps(steps)
        begins = [int(timestep) for timestep in scheduler.timesteps]
        ends = [max(-1, begin - stride) for begin in begins]
        paths = [torch.linspace(*phase, parts + 1).round().long().tolist() for phase in zip(begins, ends, strict=True)]
    for times in paths:
        # Where a phase has fewer timesteps than parts, some would be one and the same.
        made.append([time for index, time in enumerate(times) if index == 0 or time != times[index - 1]])
    return made


def twin_of(model: LongDWMTransformer3DModel) -> LongDWMTransformer3DModel:
    """Another model of the same configuration, weights and buffers.

    Not by deepcopy: of tensors without data (``module_costs``) it copies the mode that they belong to as well, which
    then frees memory twice.
    """
    with torch.device("meta"):
        twin: LongDWMTransformer3DModel = type(model).from_config(model.config)
    for own, other in zip(model.modules(), twin.modules(), strict=True):
        for name, buffer in own._buffers.items():
            other._buffers[name] = None if buffer is None else buffer.clone()
    weights = {name: weight.detach().clone() for name, weight in model.state_dict().items()}
    twin.load_state_dict(weights, assign=True)
    return twin.train(model.training)


def exit_of(seed: int, step: int, steps: int) -> int:
    """Which of the student's few steps has gradient in an optimizer step, from 0; those before it are drawn as well."""
    return int(numbers(seed, step, "exit").integers(steps))


class FewStepObjective(Objective):
    """Both parts, on batches of either model.

    Args:
        inner: the objective of the model that is taught; its transformer becomes the student, and it says what a batch
            tells the model.
        choices: of this stage; its ``guidance_scale`` is the teacher's.
    """

    uses_all_parameters = False
    """Student and critic are not updated in every step."""

    def __init__(self, inner: CoarseObjective | FineObjective, choices: FewStepChoices) -> None:
        super().__init__(inner.seed)
        self.component = inner.component
        self.transformer = inner.transformer
        self.critic = twin_of(inner.transformer)
        teacher = twin_of(inner.transformer).requires_grad_(False).eval()
        # A tuple hides modules from nn.Module: neither the teacher nor the student a second time is trained or saved.
        self._inner = (inner,)
        scheduler = cast(DdimScheduler, inner.scheduler)
        self.model = Denoiser(self.transformer, scheduler)
        self._teacher = (Denoiser(teacher, scheduler),)
        self._critic = (Denoiser(self.critic, scheduler),)
        self.scheduler, self.choices = scheduler, choices
        self.phases = phases_of(scheduler, choices.steps, choices.teacher_steps)

    def forward(self, batch: FewStepBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of the part that the batch's step belongs to; when validating, how far sample and teacher's are."""
        self._teacher[0].transformer.to(batch.sample.clean.device)
        self._inner[0].empty_text = self._inner[0].empty_text.to(batch.sample.clean.device)
        with torch.no_grad():
            # The objective of a model is given that model's batches.
            given = self._inner[0].conditioning(batch.sample)  # type: ignore[arg-type]
        if not self.training:
            return self._distance(batch, given)
        if batch.step < self.choices.consistency_steps:
            loss = self._consistency(batch, given)
            return loss, {"consistency": loss.detach()}
        return self._matching(batch, given)

    def _consistency(self, batch: FewStepBatch, given: Conditioning) -> Tensor:
        """From anywhere in a phase to where the teacher's path leads, as an error of the clean latent."""
        clean, counts = batch.sample.clean, batch.counts
        begins, nexts, ends = [], [], []
        with with_data():
            drawn = [uniform(self.seed, counts, purpose).tolist() for purpose in ("phase", "place in phase")]
        for which, share in zip(*drawn, strict=True):
            times = self.phases[int(which * len(self.phases))]
            place = int(share * (len(times) - 1))
            begins.append(times[place])
            nexts.append(times[place + 1])
            ends.append(times[-1])
        begin, following, end = (torch.tensor(times, device=clean.device) for times in (begins, nexts, ends))
        noisy = add_noise(self.scheduler, clean, draw_noise(self.seed, counts, clean), begin)
        with torch.no_grad():
            taught = self._guided(noisy, begin, given)
            moved = jump(self.scheduler, noisy, taught, begin, following)
            # Where the next place is the phase's end, nothing is left to guess.
            there = (following == end).reshape(-1, 1, 1, 1, 1)
            ahead = self.model.predict_clean(moved, following.clamp(min=0), given)
            onward = jump(self.scheduler, moved, ahead, following.clamp(min=0), end)
            target = _clean_that_leads(self.scheduler, noisy, onward, begin, end)
            target = torch.where(there, taught, target)
        predicted = self.model.predict_clean(noisy, begin, given)
        return squared_error(predicted, target, 1 - given.exact_mask, self._inner[0].channel_weights)

    def _matching(self, batch: FewStepBatch, given: Conditioning) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The critic's loss on the student's samples and, where it is the student's turn, the student's own."""
        student_turn = (batch.step - self.choices.consistency_steps) % self.choices.critic_updates == 0
        with torch.set_grad_enabled(student_turn):
            drawn = self._drawn(batch, given)
        fixed = drawn.detach()
        times, noise = self._times(batch, "critic"), draw_noise(self.seed, batch.counts, drawn, "critic")
        noisy = add_noise(self.scheduler, fixed, noise, times)
        output = self._critic[0].output(noisy, times, given)
        # In the network's own parametrization, as it was trained.
        wanted = output_from_clean(self.scheduler, fixed, noise, times)
        critic = squared_error(output, wanted, 1 - given.exact_mask)
        parts = {"critic": critic.detach()}
        if not student_turn:
            return critic, parts
        with torch.no_grad():
            times = self._times(batch, "matching")
            noisy = add_noise(self.scheduler, fixed, draw_noise(self.seed, batch.counts, drawn, "matching"), times)
            real = self._guided(noisy, times, given)
            own = self._critic[0].predict_clean(noisy, times, given)
            # So that all timesteps pull alike (DMD, Eq. 8).
            size = (fixed - real).abs().mean(dim=(1, 2, 3, 4), keepdim=True).clamp(min=LEAST_SIZE)
            towards = fixed - (own - real) / size
        matching = 0.5 * squared_error(drawn, towards, 1 - given.exact_mask)
        parts["matching"] = matching.detach()
        total = critic + matching
        if self.choices.anchor_weight > 0:
            anchor = self._consistency(batch, given)
            total, parts["consistency"] = total + self.choices.anchor_weight * anchor, anchor.detach()
        return total, parts

    def _drawn(self, batch: FewStepBatch, given: Conditioning) -> Tensor:
        """Samples of the student, drawn as when sampling up to a random step; that one has gradient."""
        steps = len(self.phases)
        last = exit_of(self.seed, batch.step, steps)
        x = draw_noise(self.seed, batch.counts, batch.sample.clean, "drawn")
        for index in range(last):
            with torch.no_grad():
                x = self._stepped(self.model, x, self.phases[index], given)
        begin = torch.full((len(x),), self.phases[last][0], device=x.device)
        clean = self.model.predict_clean(x, begin, given)
        return torch.where(given.exact_mask[:, :, None, None, None] > 0, given.known.to(clean), clean)

    def _stepped(self, model: Denoiser, x: Tensor, times: Sequence[int], given: Conditioning) -> Tensor:
        begin, end = (torch.full((len(x),), time, device=x.device) for time in (times[0], times[-1]))
        return jump(self.scheduler, x, model.predict_clean(x, begin, given), begin, end)

    def _distance(self, batch: FewStepBatch, given: Conditioning) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Mean squared difference of the student's samples in few steps and the teacher's in many, from one noise."""
        noise = draw_noise(self.seed, batch.counts, batch.sample.clean, "drawn")
        x, taught = noise, noise
        for times in self.phases:
            x = self._stepped(self.model, x, times, given)
            for place in range(len(times) - 1):
                begin, end = (torch.full((len(x),), time, device=x.device) for time in times[place : place + 2])
                taught = jump(self.scheduler, taught, self._guided(taught, begin, given), begin, end)
        distance = squared_error(x, taught, 1 - given.exact_mask, self._inner[0].channel_weights)
        return distance, {"distance": distance}

    def _guided(self, noisy: Tensor, times: Tensor, given: Conditioning) -> Tensor:
        """The teacher's clean latents, guided as it draws."""
        teacher, scale = self._teacher[0], self.choices.guidance_scale
        output = teacher.output(noisy, times, given)
        if scale != 1:
            base = teacher.output(noisy, times, given.with_text(self._inner[0].empty_text[None]))
            output = base + scale * (output - base)
        return clean_from_output(self.scheduler, output, noisy, times)

    def _times(self, batch: FewStepBatch, purpose: str) -> Tensor:
        """(B,) timesteps at which distributions are compared."""
        share = LEAST_SHARE + (MOST_SHARE - LEAST_SHARE) * uniform(self.seed, batch.counts, purpose)
        times = (share * self.scheduler.config.num_train_timesteps).long()
        return times.to(batch.sample.clean.device)


def _clean_that_leads(scheduler: DdimScheduler, noisy: Tensor, there: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    """The clean latent with which one jump from ``noisy`` at ``begin`` arrives ``there`` at ``end``.

    The same as in progressive distillation (Salimans and Ho 2022): errors of different phases then have one scale.
    """
    still = jump(scheduler, noisy, torch.zeros_like(noisy), begin, end)
    one = jump(scheduler, torch.zeros_like(noisy), torch.ones_like(noisy), begin, end)
    return (there - still) / one
