"""Gaps whose later keyframe the Coarse model made: seen from both ends again, and asked for what was recorded.

How frames of a gap are weighed, by such a keyframe and by contrast.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.pose import relative_to
from longdwm_env.models.codec.video_codec import images_from_uint8, uint8_from_images
from longdwm_env.models.conditioning.denoiser_inputs import Conditioning
from longdwm_env.models.conditioning.warped_pictures import clip_views
from longdwm_env.models.network.denoiser import Denoiser
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.presets import build, debug
from longdwm_env.models.settings import OpenChoices
from longdwm_env.training.data.batches import FineBatch
from longdwm_env.training.data.encoded.encoding import encode_latents
from longdwm_env.training.data.encoded.latents import LatentStore
from longdwm_env.training.data.samplers import FineSampler
from longdwm_env.training.losses.fine_objective import FineObjective
from longdwm_env.training.losses.objective import contrast
from longdwm_env.training.losses.own_keyframes import with_own_keyframes
from longdwm_env.training.losses.self_rollout import Rollout

from .scenery import PaintedRoad, fine_objective, shaken

HISTORY = 3
PLACES = [(0, 3), (1, 4)]


@pytest.fixture(scope="module")
def pipeline():
    return shaken(build(debug()))


@pytest.fixture(scope="module")
def source():
    return PaintedRoad(clips=2, frames=73, mapped=(0,))


@pytest.fixture(scope="module")
def store(pipeline, source, tmp_path_factory):
    return encode_latents(source, tmp_path_factory.mktemp("latents"), pipeline)


def sampler(pipeline: LongDWMPipeline, store: LatentStore, ratio: float) -> FineSampler:
    return FineSampler(store, pipeline.codec.last_frames(13), 0, ratio, HISTORY)


@pytest.fixture
def batch(pipeline, store):
    drawing = sampler(pipeline, store, 1.0)
    return drawing.with_keyframes(drawing.at(PLACES, [0, 1]), PLACES)


def objective(pipeline: LongDWMPipeline) -> FineObjective:
    coarse = Denoiser(pipeline.coarse, pipeline.scheduler)
    return fine_objective(pipeline, own_keyframes=(coarse, Rollout(pipeline.codec, pipeline.settings)))


class Recorded(Denoiser):
    """A Coarse model that makes one given keyframe, and keeps what it was told."""

    told: Conditioning

    def __init__(self, pipeline: LongDWMPipeline, keyframe: torch.Tensor) -> None:
        super().__init__(pipeline.coarse, pipeline.scheduler)
        self.keyframe = keyframe

    def sample(self, told: Conditioning, noise: torch.Tensor, *_: object) -> torch.Tensor:  # type: ignore[override]
        self.told = told
        assert noise.shape == told.known.shape
        return torch.cat([told.known[:, :-1], self.keyframe[:, None]], dim=1)


def test_the_coarse_model_is_told_what_it_is_told_in_driving(pipeline, store, batch):
    coarse = Recorded(pipeline, batch.last)
    with_own_keyframes(batch, coarse, Rollout(pipeline.codec, pipeline.settings), 0)
    assert coarse.told.known.shape[1] == HISTORY + 1
    for row, (clip, interval) in enumerate(PLACES):
        known = store.rows(clip, "keyframes.0", slice(interval - HISTORY + 1, interval + 1))
        assert torch.equal(coarse.told.known[row, :-1], known)
        assert torch.equal(coarse.told.known[row, HISTORY - 1], batch.first[row])
        views = store.rows(clip, "keyframe_views.0", interval)[0]
        shown = coarse.told.warp[row, -1]
        assert torch.equal(shown[: len(views)], views)


def test_a_gap_is_seen_from_the_keyframe_that_was_made(pipeline, source, batch):
    made = batch.last.flip(-1)
    seen = with_own_keyframes(batch, Recorded(pipeline, made), Rollout(pipeline.codec, pipeline.settings), 0)
    assert torch.equal(seen.last, made)
    assert torch.equal(seen.clean, batch.clean)
    assert torch.equal(seen.first, batch.first)
    assert seen.keyframes is None
    assert seen.warps is not None
    assert batch.warps is not None
    assert seen.warps.shape == batch.warps.shape
    for row, (clip, interval) in enumerate(PLACES):
        poses = source.clip(clip).poses[12 * interval : 12 * interval + 13]
        with torch.no_grad():
            ends = uint8_from_images(pipeline.codec.decode_keyframes(torch.stack([batch.first[row], made[row]])[None]))
            videos = clip_views(*ends[0], source.clip(clip).camera, relative_to(poses[1:], poses[0]), pipeline.settings)
            wanted = pipeline.codec.encode_clip(images_from_uint8(np.stack(videos)))
        torch.testing.assert_close(seen.warps[row], wanted, atol=1e-4, rtol=1e-4)


def test_how_often_is_drawn_by_number(pipeline, store):
    assert all(sampler(pipeline, store, 1.0).batch(step, [step]).keyframes is not None for step in range(5))
    assert all(sampler(pipeline, store, 0.0).batch(step, [step]).keyframes is None for step in range(5))
    drawn = [sampler(pipeline, store, 0.5).batch(step, [step]).keyframes is not None for step in range(40)]
    assert 8 < sum(drawn) < 32
    again = sampler(pipeline, store, 0.5)
    assert [again.batch(step, [step]).keyframes is not None for step in range(40)] == drawn


def test_clips_without_enough_history_are_refused(pipeline, tmp_path):
    short = encode_latents(PaintedRoad(clips=1, frames=25), tmp_path / "short", pipeline)
    with pytest.raises(InvalidConfig, match=r"no clip .* is 4 keyframes long"):
        sampler(pipeline, short, 0.5)
    unknown = encode_latents(PaintedRoad(clips=1, frames=73, with_poses=False), tmp_path / "unknown", pipeline)
    with pytest.raises(InvalidConfig, match="own keyframes need clips with poses"):
        sampler(pipeline, unknown, 0.5)


def test_frames_near_an_own_keyframe_count_less(pipeline, batch):
    def loss(given: FineBatch, frame: int) -> float:
        one = objective(pipeline)

        def predict(*_: object) -> torch.Tensor:
            wrong = given.clean.clone()
            wrong[:, frame] += 1
            return wrong

        one.model.predict_clean = predict  # type: ignore[method-assign, assignment]
        return float(one(given)[0])

    recorded = replace(batch, keyframes=None)
    assert loss(recorded, 2) == pytest.approx(loss(recorded, 10), rel=1e-5)
    assert loss(batch, 10) == pytest.approx(loss(batch, 2) * (1 - 10 / 12) / (1 - 2 / 12), rel=1e-4)


def test_contrast_weighs_the_frames_of_a_clip(pipeline, store):
    batch = FineSampler(store, pipeline.codec.last_frames(13), seed=0).at([(0, 0), (1, 1)], [0, 1])
    one, by_hand = fine_objective(pipeline, contrast_power=1.0), fine_objective(pipeline)
    for each in (one, by_hand):
        each.model.predict_clean = lambda *_: batch.clean + 0.1
    # The same error in all frames: a weighted mean of equal numbers is that number.
    assert float(one(batch)[0]) == pytest.approx(float(by_hand(batch)[0]), rel=1e-5)
    one.model.predict_clean = lambda *_: batch.clean * 1.1
    between = batch.clean[:, 1:-1]
    weights = 1 / contrast(between)
    errors = (0.1 * between).square().mean(dim=(2, 3, 4))
    assert float(one(batch)[0]) == pytest.approx(float((weights * errors).sum() / weights.sum()), rel=1e-4)
    with pytest.raises(ValueError, match="contrast_power"):
        OpenChoices(contrast_power=-1.0)


def test_the_coarse_model_learns_nothing_from_it(pipeline, batch):
    one = objective(pipeline)
    pipeline.coarse.zero_grad()
    pipeline.fine.zero_grad()
    loss, _ = one(batch)
    loss.backward()
    assert all(parameter.grad is None for parameter in pipeline.coarse.parameters())
    assert any(parameter.grad is not None for parameter in pipeline.fine.parameters())
    assert not any(name.startswith("own") for name, _ in one.named_parameters())
