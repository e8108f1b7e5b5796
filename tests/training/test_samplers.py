"""Samples of training: what each kind of them holds."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.pose import relative_to
from longdwm_env.models.closed_loop.samples import Present
from longdwm_env.models.conditioning.denoiser_inputs import motion_features
from longdwm_env.training.data.clip import Clip, twin_key
from longdwm_env.training.data.encoded.encoding import encode_latents
from longdwm_env.training.data.encoded.latents import LatentChoices
from longdwm_env.training.data.samplers import CoarseSampler, DistillSampler
from longdwm_env.training.data.windows import Window

from .scenery import PaintedRoad


class Twins(PaintedRoad):
    """Two clips of which the second is the first one's twin."""

    def clip(self, index: int) -> Clip:
        first, other = super().clip(0), super().clip(1)
        return (
            replace(first, key=twin_key(first.key), images=255 - first.images, prompt=other.prompt) if index else first
        )


@pytest.fixture(scope="module")
def store(pipeline, tmp_path_factory):
    folder = tmp_path_factory.mktemp("latents")
    return encode_latents(PaintedRoad(clips=3, frames=61), folder, pipeline, LatentChoices(keyframe_phases=3))


def test_a_sample_does_not_depend_on_its_batch(store):
    sampler = CoarseSampler(store, [Window(2, 1)], seed=4)
    whole, alone = sampler.batch(0, [7, 8, 9]), sampler.batch(0, [8])
    assert torch.equal(whole.clean[1:2], alone.clean)
    assert torch.equal(whole.motion[1:2], alone.motion)


def test_coarse_samples_hold_the_motion_between_their_keyframes(store):
    batch = CoarseSampler(store, [Window(2, 2)], seed=0).at([(0, 2, 1)], Window(2, 2), [0])
    clip = PaintedRoad(clips=3, frames=61).clip(0)
    frames = [8 + 12, 8 + 24, 8 + 36, 8 + 48]
    assert np.allclose(batch.poses[0], clip.poses[frames])
    ahead = relative_to(clip.poses[frames[2:]], clip.poses[frames[1]])
    torch.testing.assert_close(batch.motion[0], torch.from_numpy(motion_features(ahead)))
    assert torch.equal(batch.clean[0], store.rows(0, "keyframes.2", slice(1, 5)))


def test_a_switched_sample_turns_into_what_the_prompt_says(pipeline, tmp_path):
    store = encode_latents(Twins(clips=2, frames=61), tmp_path, pipeline, LatentChoices())
    window = Window(3, 1, prompt_switched=True)
    sampler = CoarseSampler(store, [window], seed=0)
    counts = list(range(24))
    batch = sampler.at([(0, 0, 0)] * len(counts), window, counts)
    own, other = (store.rows(clip, "keyframes.0", slice(0, 4)) for clip in (0, 1))
    old = [sum(torch.equal(row, theirs) for row, theirs in zip(sample, other, strict=True)) for sample in batch.clean]
    assert set(old) == {1, 2, 3}
    for sample, warp, further, count in zip(batch.clean, batch.warp, batch.further, old, strict=True):
        assert torch.equal(sample[count:], own[count:])
        views = store.rows(1 if count == 3 else 0, "keyframe_views.0", 2)[:1]
        assert torch.equal(warp, views[:, 0])
        assert torch.equal(further, views[:, 1:])
    assert torch.equal(batch.text, store.tensor(0, "text").expand_as(batch.text))


def test_a_redrawn_sample_is_told_what_driving_tells_that_redraws(pipeline, tmp_path):
    source = Twins(clips=2, frames=61)
    store = encode_latents(source, tmp_path, pipeline, LatentChoices())
    window = Window(1, 1, restyled=True)
    batch = CoarseSampler(store, [window], seed=0).at([(0, 0, 2), (1, 0, 0)], window, [0, 1])
    keyframes = [store.rows(clip, "keyframes.0", slice(0, 4)) for clip in (0, 1)]
    assert torch.equal(batch.clean[0], torch.stack([keyframes[1][2], keyframes[0][2]]))
    assert torch.equal(batch.clean[1], torch.stack([keyframes[0][0], keyframes[1][0]]))
    assert torch.equal(batch.text[0], store.tensor(0, "text"))
    clip = source.clip(1)
    present = Present(clip.images[[24]], clip.camera, store.tensor(0, "text"), seed=0, counter=0)
    given = pipeline.generation().coarse_inputs([present], [np.zeros((1, 3))]).given
    for told, wanted in (
        (batch.clean[:1, :1], given.known[:, :1]),
        (batch.warp[:1], given.warp[:, 1:, 0]),
        (batch.further[:1], given.warp[:, 1:, 1:-1]),
    ):
        torch.testing.assert_close(told.float(), wanted, atol=0.02, rtol=0)
    assert torch.equal(batch.warp_mask[:1], given.warp_mask[:, 1:, 0])
    torch.testing.assert_close(batch.motion[:1], given.motion[:, 1:])


@pytest.mark.parametrize("special", [Window(3, 1, prompt_switched=True), Window(1, 1, restyled=True)])
def test_switched_and_redrawn_samples_need_twins(store, special):
    with pytest.raises(InvalidConfig, match="twins"):
        CoarseSampler(store, [special], seed=0)
    assert CoarseSampler(store, [Window(3, 1), special], seed=0).windows == (Window(3, 1),)


def test_distillation_segments_meet_at_the_keyframes(pipeline, store):
    sampler = DistillSampler(store, pipeline.codec.last_frames(13), seed=0, keyframes=5)
    batch = sampler.batch(0, [0, 1])
    segments = batch.fine.clean.unflatten(0, (2, 4))
    for k in range(4):
        torch.testing.assert_close(segments[:, k, 0], batch.coarse.clean[:, k], atol=0.02, rtol=2e-3)
        torch.testing.assert_close(segments[:, k, -1], batch.coarse.clean[:, k + 1], atol=0.02, rtol=2e-3)


def test_clips_too_short_for_a_window_are_an_error(store):
    with pytest.raises(InvalidConfig, match="13 keyframes long"):
        CoarseSampler(store, [Window(1, 12)], seed=0)
