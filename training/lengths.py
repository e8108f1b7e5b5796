"""What each stage asks of its clips, their length above all: looked at before anything is made."""

from collections.abc import Mapping
from dataclasses import dataclass

from longdwm_env.clock import FPS, FRAMES_PER_INTERVAL
from longdwm_env.errors import InvalidConfig
from longdwm_env.models.settings import LongDWMSettings
from longdwm_env.training.config import StageConfig
from longdwm_env.training.data.clip import ClipSource
from longdwm_env.training.stage_list import STAGES


@dataclass(frozen=True)
class Offer:
    """What a source's clips have.

    Attributes:
        name: of the source.
        longest: frames of its longest clip.
        has_poses: whether ego poses are known.
        has_labels: whether the simulator's ground truth is.
        has_twins: whether there are the same drives under other conditions.
    """

    name: str
    longest: int
    has_poses: bool
    has_labels: bool
    has_twins: bool

    @classmethod
    def of(cls, source: ClipSource, has_twins: bool) -> "Offer":
        """Of a source that is about to be recorded, or has been."""
        return cls(source.name, source.longest, source.has_poses, source.has_labels, has_twins)

    @property
    def keyframes(self) -> int:
        """Of its longest clip."""
        return (self.longest - 1) // FRAMES_PER_INTERVAL + 1


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


def complaints(stages: Mapping[str, StageConfig], settings: LongDWMSettings, offer: Offer) -> list[str]:
    """What stages need that the clips do not have; a line each."""
    lines = []
    for stage, config in stages.items():
        if STAGES[stage].learns_from == "labels" and not offer.has_labels:
            lines.append(f"{stage} needs ground truth, which only the simulator's footage has")
        needed = keyframes_needed(stage, config, settings, offer.has_poses, offer.has_twins)
        if needed > offer.keyframes:
            lines.append(f"{stage} needs {needed} keyframes in one clip, {_seconds(needed):.1f} s")
    return lines


def check_lengths(stages: Mapping[str, StageConfig], settings: LongDWMSettings, offer: Offer) -> None:
    """Reject clips that a stage cannot be trained on.

    Raises:
        InvalidConfig: they are too short, or have no labels; with what each stage needs.
    """
    if lines := complaints(stages, settings, offer):
        raise InvalidConfig(
            f"the longest clip of {offer.name} has {offer.keyframes} keyframes ({offer.longest / FPS:.1f} s): "
            f"{'; '.join(lines)}. Give longer videos, or kinds of samples that fit, such as --set windows=1+1,4+1, or "
            "train other stages"
        )


def _seconds(keyframes: int) -> float:
    return ((keyframes - 1) * FRAMES_PER_INTERVAL + 1) / FPS
