"""How long each part is trained: processor minutes, turned into steps by a measurement made once."""

import json
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from longdwm_env.evaluation.studies.study_folder import StudyFolder
from longdwm_env.evaluation.studies.variants import DEFAULT_SNAPSHOT, SNAPSHOTS, Part, PartKind
from longdwm_env.io.files import atomic_write_json
from longdwm_env.models.presets import PRESETS, LongDWMConfig
from longdwm_env.models.settings import OpenChoices, TransformerConfig
from longdwm_env.training.config import LoopConfig, OptimizerConfig, StageConfig
from longdwm_env.training.data.windows import Window
from longdwm_env.training.estimate import parameter_count

FRAME, CLIP = "frame", "clip"
"""What a budget calls the making of a frame of video, and the encoding of a clip."""

FIFTY = 50
"""Distillation steps between two looks at the student."""

STAGES: dict[PartKind, str] = {
    "coarse": "coarse",
    "longer": "coarse",
    "fine": "fine",
    "autoregressive": "ar-baseline",
    "distill": "distill",
}

WINDOWS = (Window(1, 12, 1.0), Window(1, 1, 1.0), Window(4, 1, 1.0))
"""The paper's twelve keyframes from one, and the next one from the present or the last few as in a closed loop."""


@dataclass(frozen=True)
class Budget:
    """Optimizer steps of each kind of part.

    Attributes:
        processor_s: processor seconds of a step, by kind, of a ``FRAME`` of video and of encoding a ``CLIP``; empty
            where steps were given instead of minutes.
        fifty: optimizer steps that stand for fifty of distillation; fewer only to try things out.
    """

    steps: dict[str, int]
    processor_s: dict[str, float]
    fifty: int = FIFTY

    def minutes(self, part: Part) -> float:
        """Processor minutes that a part will take."""
        return self.steps[part.kind] * self.processor_s.get(part.kind, 0.0) / 60

    def snapshot_step(self, snapshot: int) -> int:
        """The optimizer step of a number of distillation steps."""
        return snapshot // FIFTY * self.fifty


def study_model(folder: StudyFolder) -> LongDWMConfig:
    """The transformers that a study compares: small ones that fit the source's codec."""
    preset = folder.facts["recipe"]["preset"]
    return PRESETS["study" if preset == "mini" else preset]()


def larger(config: LongDWMConfig) -> TransformerConfig:
    """The autoregressive model: the Fine one, grown until it has at least the parameters of both models together.

    It gets one more head and as many layers as that takes: a baseline may not lose by being smaller.
    """
    wanted = parameter_count(config.coarse) + parameter_count(config.fine)
    made = replace(config.fine, num_attention_heads=config.fine.num_attention_heads + 1)
    while parameter_count(made) < wanted:
        made = replace(made, num_layers=made.num_layers + 1)
    return made


def stage_config(part: Part, budget: Budget, seed: int, is_small: bool) -> StageConfig:
    """How a part is trained.

    What is small is of the debug size, in float32, so that it runs beside anything.
    """
    steps = budget.steps[part.kind]
    loop = LoopConfig(
        steps=steps,
        batch_size=8,
        micro_batch_size=8,
        precision="no" if is_small else "bf16",
        seed=seed,
        checkpoint_every=250,
        sample_every=0,
        tracker="none",
    )
    optimizer = OptimizerConfig(learning_rate=6e-4, warmup_steps=max(1, min(100, steps // 10)), ema_decay=0.998)
    gentle = OptimizerConfig(learning_rate=5e-5, warmup_steps=10, schedule="constant", ema_decay=0.9)
    choices = OpenChoices(
        structure_weight=0.1 if part.has_structure_loss else 0.0,
        text_drop_ratio=0.05,
        warp_drop_ratio=0.0,
        history_noise_max=0.05,
        last_frame_drop_ratio=0.3,
    )
    config = StageConfig(
        loop,
        optimizer,
        choices,
        windows=WINDOWS,
        use_warp=part.views != "none",
        sampler_ratio=0.7,
        channel_weight_power=1.0,
    )
    if part.kind in ("coarse", "longer"):
        config = replace(config, loop=replace(loop, batch_size=16, micro_batch_size=16))
    if part.kind in ("distill", "longer"):
        config = replace(config, optimizer=gentle)
    if part.kind == "distill":
        own = replace(loop, batch_size=4, micro_batch_size=4, checkpoint_every=budget.fifty, keep_checkpoints=8)
        config = replace(config, loop=own)
    return config


def planned(folder: StudyFolder, costs: Callable[[Path], dict[str, float]]) -> Budget:
    """The study's budget; made when it is first asked for and kept.

    Args:
        folder: of the study.
        costs: (scratch folder) -> processor seconds of what a budget counts.
    """
    path = folder.root / "budget.json"
    if path.is_file():
        found = json.loads(path.read_text())
        return Budget(found["steps"], found["processor_s"], found["fifty"])
    if folder.options.steps:
        made = _counted(folder.options.steps)
    else:
        with tempfile.TemporaryDirectory(dir=folder.root) as scratch:
            made = budgeted(60 * folder.options.minutes, costs(Path(scratch)))
    atomic_write_json(path, {"steps": made.steps, "processor_s": made.processor_s, "fifty": made.fifty})
    return made


def budgeted(seconds: float, cost: dict[str, float]) -> Budget:
    """Steps of each kind for ``seconds`` of a system's training, half of it for each of Coarse and Fine model.

    Args:
        seconds: processor seconds.
        cost: processor seconds of a step, by kind.
    """
    steps = {kind: max(1, math.floor(seconds / 2 / cost[kind])) for kind in ("coarse", "fine")}
    steps["autoregressive"] = max(1, math.floor(seconds / cost["autoregressive"]))
    steps["distill"] = max(SNAPSHOTS)
    steps["longer"] = max(1, round(DEFAULT_SNAPSHOT * cost["distill"] / cost["coarse"]))
    return Budget(steps, {**cost, "longer": cost["coarse"]})


def _counted(steps: int) -> Budget:
    shorter = {"coarse": steps, "fine": steps, "autoregressive": 2 * steps, "longer": 2}
    return Budget({**shorter, "distill": max(SNAPSHOTS) // FIFTY}, {}, fifty=1)
