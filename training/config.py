"""Configuration of a training run: frozen, validated, complete."""

import dataclasses
import logging
import math
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from longdwm_env.errors import InvalidConfig
from longdwm_env.models.settings import OpenChoices
from longdwm_env.training.composition.config import ComposeConfig
from longdwm_env.training.data.encoded.latents import LatentChoices
from longdwm_env.training.data.windows import Window
from longdwm_env.training.losses.codec import CodecChoices
from longdwm_env.training.losses.decoder_loss import DecoderChoices
from longdwm_env.training.losses.distilling.distill import DistillChoices, DistillTarget
from longdwm_env.training.losses.distilling.fewer_steps import FewStepChoices
from longdwm_env.training.losses.objective import LossWeighting
from longdwm_env.training.scaling.lora import LoraChoices
from longdwm_env.training.stage_list import STAGES

log = logging.getLogger(__name__)

Size = Literal["full", "debug"]
Precision = Literal["no", "bf16"]

LATENTS = "latents."
"""What settings of the data's latents begin with on the command line; all others are a stage's."""


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise InvalidConfig(message)


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW and its schedule.

    Attributes:
        learning_rate: peak.
        warmup_steps: linear rise from 0.
        schedule: after that: "constant"; or down to ``final_ratio`` of the peak at the last step along a cosine, from
            the end of the warm-up on ("cosine"), or over the last fifth of the steps ("late-decay": how long a run will
            be need not be known when it starts; raise or lower ``loop.steps`` when resuming).
        final_ratio: see ``schedule``.
        betas, weight_decay: of AdamW.
        max_grad_norm: gradients are clipped to this norm.
        ema_decay: of the exponential moving average that is exported; 0 switches it off.
        moments: AdamW's, of 32 bits each or of eight ("8bit", through torchao), which at full size saves 10 GB.
    """

    learning_rate: float = 3e-4
    warmup_steps: int = 100
    schedule: Literal["constant", "cosine", "late-decay"] = "late-decay"
    final_ratio: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    ema_decay: float = 0.999
    moments: Literal["32bit", "8bit"] = "32bit"

    def __post_init__(self) -> None:
        _require(self.learning_rate > 0 and self.max_grad_norm > 0, "learning_rate and max_grad_norm are above 0")
        _require(0 <= self.ema_decay < 1, f"ema_decay lies in [0, 1), got {self.ema_decay}")
        _require(self.warmup_steps >= 0 and 0 <= self.final_ratio <= 1, "warmup_steps >= 0, final_ratio in [0, 1]")

    def learning_rate_at(self, step: int, steps: int) -> float:
        """Learning rate of step ``step`` (from 0) of ``steps``: a function of the step, so nothing has to be saved."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        if self.schedule == "constant":
            return self.learning_rate
        begin = self.warmup_steps if self.schedule == "cosine" else max(self.warmup_steps, steps * 4 // 5)
        progress = min(1.0, max(0.0, (step - begin) / max(1, steps - begin)))
        cosine = 0.5 * (1 + math.cos(math.pi * progress))
        return self.learning_rate * (self.final_ratio + (1 - self.final_ratio) * cosine)


@dataclass(frozen=True)
class LoopConfig:
    """One run of the loop.

    Attributes:
        steps: optimizer steps.
        batch_size: samples of a step, over all processes and accumulated micro-batches.
        micro_batch_size: samples that one process computes at once.
        precision: "no" for float32, "bf16" for autocast, which on processors that are slower in it is float32 as well.
            Deviation: fp16 and its loss scaling are not offered.
        gradient_checkpointing: trade time for memory.
        seed: of every draw.
        checkpoint_every: steps between checkpoints.
        keep_checkpoints: older ones are deleted.
        log_every: steps between entries of the log.
        sample_every: steps between sample pictures; 0 for none.
        tracker: one of accelerate's, or "none".
        compile: compile the transformer's repeated block.
        attention: kernel of attention, see ``models.speed``; "any" leaves the choice to PyTorch.
        shard: share weights, gradients and moments among the processes (FSDP2).
    """

    steps: int
    batch_size: int = 8
    micro_batch_size: int = 8
    precision: Precision = "no"
    gradient_checkpointing: bool = False
    seed: int = 0
    checkpoint_every: int = 500
    keep_checkpoints: int = 2
    log_every: int = 10
    sample_every: int = 500
    tracker: Literal["tensorboard", "wandb", "comet_ml", "aim", "mlflow", "none"] = "tensorboard"
    compile: bool = False
    attention: Literal["any", "flash", "efficient", "cudnn", "math"] = "any"
    shard: bool = False

    def __post_init__(self) -> None:
        positive = ("steps", "batch_size", "micro_batch_size", "checkpoint_every", "keep_checkpoints", "log_every")
        for name in positive:
            _require(vars(self)[name] >= 1, f"{name} is at least 1, got {vars(self)[name]}")
        _require(self.sample_every >= 0, f"sample_every is at least 0, got {self.sample_every}")
        _require(
            self.batch_size % self.micro_batch_size == 0,
            f"batch_size={self.batch_size} is not a multiple of micro_batch_size={self.micro_batch_size}",
        )


@dataclass(frozen=True)
class StageConfig:
    """One stage: its loop, its optimizer, and what its objective is given. Fields of other stages keep their defaults.

    Attributes:
        choices: what the paper leaves open (beta_s, H's cut-off, drop ratios).
        windows: kinds of coarse samples.
        use_warp: whether the model sees warps in this stage.
        guidance_only: train only what section 3.4 adds (stage "warp").
        end_noise_max: noise on the Fine model's given end frames.
        sampler_ratio: share of timesteps drawn from the sampler's own few.
        channel_weight_power: latent channel c counts as its raw standard deviation to this power; 0 for all alike.
        loss_weighting: how much the error at each timestep counts: see ``NoiseChoices.weighting``. "x0", as the paper
            prints Eq. 3 and 6, is the default of every recipe: what is measured is then the paper's method, and mini
            predicts the clean latent itself.
        distill: see ``DistillChoices``.
        distill_target: see ``DistillChoices.target``.
        few_steps: see ``FewStepChoices`` (stages "few-steps-coarse" and "few-steps-fine").
        decoder: see ``DecoderChoices``.
        codec: see ``CodecChoices``.
        pca_images: frames that the codec's linear part is fitted to; 0 leaves it.
        evidence_windows: windows that the inverse-dynamics model is trained on.
        lora: train low-rank changes in place of all weights, see ``LoraChoices``.
        initial: the stage whose result this one starts from, where that is not its own component.
    """

    loop: LoopConfig
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    choices: OpenChoices = field(default_factory=OpenChoices)
    windows: tuple[Window, ...] = (Window(1, 12),)
    use_warp: bool = True
    guidance_only: bool = False
    end_noise_max: float = 0.0
    sampler_ratio: float = 0.0
    channel_weight_power: float = 0.0
    loss_weighting: LossWeighting = "x0"
    distill: DistillChoices = field(default_factory=DistillChoices)
    distill_target: DistillTarget = "latent"
    few_steps: FewStepChoices = field(default_factory=FewStepChoices)
    decoder: DecoderChoices = field(default_factory=DecoderChoices)
    codec: CodecChoices = field(default_factory=CodecChoices)
    pca_images: int = 1024
    evidence_windows: int = 4096
    lora: LoraChoices = field(default_factory=LoraChoices)


@dataclass(frozen=True)
class DataConfig:
    """Where footage comes from.

    Attributes:
        kind: "simulator", "nuscenes" or "videos".
        clips: how many clips are made (simulator), or used at most (the others; 0 for all).
        twin_ratio: share of the simulator's clips that are recorded a second time in other weather or at another time.
        frames: frames of a clip: a whole number of intervals and one, so 145 for the paper's distillation.
        split: of nuScenes: "train", "val", "mini_train", "mini_val", or "all". See ``data.nuscenes`` for datasets
            of one's own.
        record: whether footage is kept on disk between rendering and encoding.
        latents: what is encoded of each clip.
        bad_share: share of damaged clips that is skipped with a report.
    """

    kind: Literal["simulator", "nuscenes", "videos"]
    clips: int = 0
    twin_ratio: float = 0.0
    frames: int = 145
    split: str = "train"
    record: bool = True
    latents: LatentChoices = field(default_factory=LatentChoices)
    bad_share: float = 0.01

    def __post_init__(self) -> None:
        from longdwm_env.clock import FRAMES_PER_INTERVAL

        _require(
            self.frames > FRAMES_PER_INTERVAL and (self.frames - 1) % FRAMES_PER_INTERVAL == 0,
            f"a clip has {FRAMES_PER_INTERVAL} n + 1 frames with n at least 1, got {self.frames}",
        )
        _require(self.clips >= 0 and 0 <= self.bad_share <= 1, "clips >= 0 and bad_share in [0, 1]")
        _require(0 <= self.twin_ratio <= 1, f"twin_ratio lies in [0, 1], got {self.twin_ratio}")


@dataclass(frozen=True)
class Recipe:
    """Everything that a training run needs to know.

    Attributes:
        name: of the recipe.
        size: "full", or "debug" for a run of seconds that shows that the parts work together.
        preset: name of the model's configuration in ``longdwm_env.models.presets``.
        data: where footage comes from.
        stages: configuration of every stage that this recipe has.
        compose: of the compositor's stage; None where the recipe has none.
    """

    name: str
    size: Size
    preset: str
    data: DataConfig
    stages: Mapping[str, StageConfig]
    compose: ComposeConfig | None = None

    def __post_init__(self) -> None:
        known = [name for name, stage in STAGES.items() if stage.assembled_by is not None]
        unknown = sorted(set(self.stages) - set(known))
        _require(not unknown, f"recipe {self.name} has unknown stages {unknown}; there are {', '.join(known)}")

    def stage(self, name: str) -> StageConfig:
        """The configuration of one stage.

        Raises:
            InvalidConfig: this recipe has no such stage.
        """
        if name not in self.stages:
            raise InvalidConfig(f"recipe {self.name} has no stage {name!r}; it has {', '.join(self.stages)}")
        return self.stages[name]


def as_json(value: object) -> object:
    """A configuration as JSON values, for files that say what was run."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_json(vars(value)[f.name]) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): as_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(v) for v in value]
    return value


REMOVED = (
    "choices.distillation_steps", "choices.max_history_keyframes", "choices.min_history_keyframes",
    "choices.texture_weight", "choices.vehicle_copy_weight", "choices.wear_ratio",
)  # fmt: skip
"""Fields of earlier versions, which nothing reads any more."""


def overridden(stage: StageConfig, settings: Mapping[str, str]) -> StageConfig:
    """A stage with some fields replaced, as ``{"loop.steps": "200", "optimizer.learning_rate": "1e-4"}``.

    Fields that an earlier version had are passed over with a warning.

    Raises:
        InvalidConfig: a field does not exist, or its value is of the wrong kind.
    """
    for path in (path for path in settings if path in REMOVED):
        log.warning("%s is no longer there, and changes nothing", path)
    kept = {path: text for path, text in settings.items() if path not in REMOVED}
    return _replaced(stage, {path: text for path, text in kept.items() if not path.startswith(LATENTS)})


def latents_overridden(recipe: Recipe, settings: Mapping[str, str]) -> Recipe:
    """A recipe with some fields of its latents replaced, as ``{"latents.tiling": "true"}``; other fields are left.

    Raises:
        InvalidConfig: a field does not exist, or its value is of the wrong kind.
    """
    latents = {path: text for path, text in settings.items() if path.startswith(LATENTS)}
    return dataclasses.replace(recipe, data=_replaced(recipe.data, latents))


def _replaced(value: Any, settings: Mapping[str, str], within: str = "") -> Any:
    """All at once: what two fields must have in common does not depend on their order."""
    kinds, changed, parts = typing.get_type_hints(type(value)), {}, dict[str, dict[str, str]]()
    for path, text in settings.items():
        name, dot, rest = path.partition(".")
        whole = within + path
        if name not in {f.name for f in dataclasses.fields(value)}:
            raise InvalidConfig(
                f"{whole!r}: {type(value).__name__} has no field {name!r}; it has "
                f"{', '.join(sorted(f.name for f in dataclasses.fields(value)))}"
            )
        if not dot:
            changed[name] = _parsed(kinds[name], text, whole)
        elif not dataclasses.is_dataclass(vars(value)[name]):
            raise InvalidConfig(f"{whole!r}: {name} has no fields of its own")
        else:
            parts.setdefault(name, {})[rest] = text
    changed |= {name: _replaced(vars(value)[name], given, f"{within}{name}.") for name, given in parts.items()}
    return dataclasses.replace(value, **changed)


def _window(text: str, path: str) -> Window:
    """``4+1*5``: 4 known, 1 new keyframe, weight 5; ``4+3r`` self-rollout, ``4+1s`` switched, ``1+1d`` restyled."""
    match = re.fullmatch(r"(\d+)\+(\d+)([rsd]?)(?:\*([\d.]+))?", text.strip())
    if match is None:
        raise InvalidConfig(
            f"{path}: {text!r} is no window; 4+1*5 means 4 known and 1 new keyframe, weight 5; 4+3r is a self-rollout, "
            "4+1s prompt-switched, 1+1d restyled"
        )
    history, future, kind, weight = match.groups()
    kinds = {"r": "self_rollout", "s": "prompt_switched", "d": "restyled"}
    return Window(int(history), int(future), float(weight or 1), **({kinds[kind]: True} if kind else {}))


def _parsed(kind: Any, text: str, path: str) -> Any:
    if typing.get_origin(kind) is Literal:
        if text not in typing.get_args(kind):
            raise InvalidConfig(f"{path}={text!r}: allowed are {', '.join(map(str, typing.get_args(kind)))}")
        return text
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise InvalidConfig(f"{path}={text!r}: true or false")
        return text.lower() == "true"
    if kind == tuple[Window, ...]:
        return tuple(_window(part, path) for part in text.split(","))
    if kind in (int, float, str):
        try:
            return kind(text)
        except ValueError as error:
            raise InvalidConfig(f"{path}={text!r} is no {kind.__name__}") from error
    raise InvalidConfig(f"{path} cannot be given on the command line; change the recipe")
