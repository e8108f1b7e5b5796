"""What a stage is put together from, and what that gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.training.config import Recipe, StageConfig
from longdwm_env.training.data.batches import Batch
from longdwm_env.training.losses.objective import Objective
from longdwm_env.training.stage_list import Stage
from longdwm_env.training.workspace import Workspace

Draw = Callable[[int, Sequence[int]], Batch]
"""(step, running numbers of samples) -> those samples."""


@dataclass(frozen=True)
class Ingredients:
    """What every ``Stage.assembled_by`` is given."""

    stage: Stage
    config: StageConfig
    recipe: Recipe
    workspace: Workspace
    pipeline: LongDWMPipeline


class Assembled(NamedTuple):
    """A stage that is ready for the loop.

    Attributes:
        objective: what is trained, and its loss.
        validation: samples that are kept apart, where there are any.
        made_from: what the data was made from, for the files that say what was run.
    """

    objective: Objective
    draw: Draw
    validation: Draw
    made_from: object
