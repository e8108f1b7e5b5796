"""A sample's error over its picture's contrast."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.presets import build, debug
from longdwm_env.models.settings import OpenChoices
from longdwm_env.training.data.batches import FineBatch
from longdwm_env.training.data.encoded.encoding import encode_latents
from longdwm_env.training.data.samplers import FineSampler
from longdwm_env.training.losses.fine_objective import FineObjective
from longdwm_env.training.losses.objective import contrast

from .scenery import PaintedRoad, fine_objective, shaken


def test_a_power_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="contrast_power"):
        OpenChoices(contrast_power=-1.0)


@pytest.fixture(scope="module")
def pipeline() -> LongDWMPipeline:
    return shaken(build(debug()))


@pytest.fixture(scope="module")
def batch(pipeline: LongDWMPipeline, tmp_path_factory: pytest.TempPathFactory) -> FineBatch:
    folder: Path = tmp_path_factory.mktemp("latents")
    store = encode_latents(PaintedRoad(clips=2, frames=37), folder, pipeline)
    return FineSampler(store, pipeline.codec.last_frames(13), seed=0).at([(0, 0), (1, 1)], [0, 1])


def predicting(objective: FineObjective, change: Callable[[torch.Tensor], torch.Tensor], batch: FineBatch) -> None:
    """Let the model of an objective predict the recorded clip, changed."""
    objective.model.predict_clean = lambda *_: change(batch.clean)


def test_contrast_weighs_the_frames_of_a_clip(pipeline: LongDWMPipeline, batch: FineBatch) -> None:
    one, by_hand = fine_objective(pipeline, contrast_power=1.0), fine_objective(pipeline)
    predicting(one, lambda clean: clean + 0.1, batch)
    predicting(by_hand, lambda clean: clean + 0.1, batch)
    # The same error in all frames: a weighted mean of equal numbers is that number.
    assert float(one(batch)[0]) == pytest.approx(float(by_hand(batch)[0]), rel=1e-5)
    predicting(one, lambda clean: clean * 1.1, batch)
    between = batch.clean[:, 1:-1]
    weights = 1 / contrast(between)
    errors = (0.1 * between).square().mean(dim=(2, 3, 4))
    assert float(one(batch)[0]) == pytest.approx(float((weights * errors).sum() / weights.sum()), rel=1e-4)
