"""What each stage asks of its clips, their length above all: looked at before anything is made."""

from collections.abc import Mapping

from longdwm_env.clock import FPS, FRAMES_PER_INTERVAL
from longdwm_env.errors import InvalidConfig
from longdwm_env.models.settings import LongDWMSettings
from longdwm_env.training.config import StageConfig
from longdwm_env.training.data.clip import ClipSource
from longdwm_env.training.stage_list import STAGES


def keyframes_needed(
    stage: str, config: StageConfig, settings: LongDWMSettings, has_poses: bool = True, has_twins: bool = True
) -> int:
    """Keyframes that at least one clip must have.

    Args:
        stage: one of ``stage_list.STAGES``.
        config: the stage's.
        settings: the pipeline's.
        has_poses: without, there are no self-rollouts and no keyframes of the Coarse model's own.
        has_twins: without, windows that need them are left out.
    """
    sample = STAGES[stage].sample
    if sample == "windows":
        used = [w for w in config.windows if (has_poses or not w.self_rollout) and (has_twins or not w.needs_twin)]
        return max((window.history + window.future for window in used), default=2)
    if sample == "whole":
        return settings.keyframes
    if sample == "segment" and has_poses and config.choices.own_keyframes_ratio > 0:
        return settings.history_keyframes + 1
    return 2


def complaints(
    stages: Mapping[str, StageConfig], settings: LongDWMSettings, source: ClipSource, has_twins: bool
) -> list[str]:
    """What stages need that clips do not have; a line each.

    Args:
        stages: by name.
        settings: the pipeline's.
        source: of the clips, that is about to be recorded, or has been.
        has_twins: whether there are the same drives under other conditions.
    """
    lines = []
    for stage, config in stages.items():
        if STAGES[stage].learns_from == "labels" and not source.has_labels:
            lines.append(f"{stage} needs ground truth, which only the simulator's footage has")
        needed = keyframes_needed(stage, config, settings, source.has_poses, has_twins)
        if needed > _keyframes(source):
            lines.append(f"{stage} needs {needed} keyframes in one clip, {_seconds(needed):.1f} s")
    return lines


def check_lengths(
    stages: Mapping[str, StageConfig], settings: LongDWMSettings, source: ClipSource, has_twins: bool
) -> None:
    """Reject clips that a stage cannot be trained on; arguments as in ``complaints``.

    Raises:
        InvalidConfig: they are too short, or have no labels; with what each stage needs.
    """
    if lines := complaints(stages, settings, source, has_twins):
        raise InvalidConfig(
            f"the longest clip of {source.name} has {_keyframes(source)} keyframes ({source.longest / FPS:.1f} s): "
            f"{'; '.join(lines)}. Give longer videos, or kinds of samples that fit, such as --set windows=1+1,4+1, or "
            "train other stages"
        )


def _keyframes(source: ClipSource) -> int:
    """Of its longest clip."""
    return (source.longest - 1) // FRAMES_PER_INTERVAL + 1


def _seconds(keyframes: int) -> float:
    return ((keyframes - 1) * FRAMES_PER_INTERVAL + 1) / FPS
