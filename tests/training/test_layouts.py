"""The road's layout on its way from a source to what the Coarse model is told: the right one at each keyframe."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from longdwm_env.evaluation.paper.continuations import samples_from
from longdwm_env.evaluation.paper.systems import LongDWM
from longdwm_env.geometry.layout import draw_layout
from longdwm_env.models.codec.video_codec import images_from_uint8
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.presets import build, debug
from longdwm_env.training.data.clip import Clip, twin_key
from longdwm_env.training.data.encoded.encoding import encode_latents
from longdwm_env.training.data.encoded.latents import LatentChoices
from longdwm_env.training.data.samplers import CoarseSampler, FineSampler
from longdwm_env.training.data.windows import Window
from longdwm_env.training.losses.coarse_objective import CoarseObjective
from longdwm_env.training.losses.objective import NoiseChoices
from longdwm_env.training.losses.self_rollout import Rollout, roll_history

from .scenery import NO_DROPS, PaintedRoad, fine_objective, shaken

FRAMES = 97


class Source(PaintedRoad):
    """The first clip has a map, the second none, the third is the first one's twin with its map."""

    def clip(self, index: int) -> Clip:
        clip = super().clip(index % 2)
        return clip if index < 2 else replace(clip, key=twin_key(clip.key), images=255 - clip.images)


@pytest.fixture(scope="module")
def pipeline():
    made = shaken(build(debug()))
    assert made.settings.road_layout
    return made


@pytest.fixture(scope="module")
def store(pipeline, tmp_path_factory):
    folder = tmp_path_factory.mktemp("latents")
    source = Source(clips=3, frames=FRAMES, mapped=(0,))
    return encode_latents(source, folder, pipeline, LatentChoices(keyframe_phases=3))


def drawn(pipeline: LongDWMPipeline, clip: Clip, frames: list[int]) -> tuple[torch.Tensor, list[float]]:
    """Latents (K, C, h, w) of a clip's map at some frames, and where it shows a road."""
    assert clip.layout is not None
    poses = clip.poses[frames]
    pictures = np.stack([draw_layout(clip.layout, clip.camera, pose) for pose in poses])
    shows = [float(clip.layout.shows_road(pose)) for pose in poses]
    with torch.no_grad():
        return pipeline.codec.encode_keyframes(images_from_uint8(pictures[:, None]))[:, 0], shows


def objective(pipeline: LongDWMPipeline, use_warp: bool = True, **choices: float) -> CoarseObjective:
    return CoarseObjective(
        pipeline.coarse,
        pipeline.scheduler,
        torch.zeros(5, 16),
        replace(NO_DROPS, **choices),
        NoiseChoices(),
        0,
        use_warp=use_warp,
    )


def test_each_new_keyframe_is_told_the_road_as_it_is_there(pipeline, store):
    clip, window = Source(clips=3, frames=FRAMES, mapped=(0,)).clip(0), Window(2, 2)
    sampler = CoarseSampler(store, [window], seed=0)
    for phase, offset in enumerate((0, 4, 8)):
        batch = sampler.at([(0, phase, 1)], window, [0])
        wanted, shows = drawn(pipeline, clip, [offset + 36, offset + 48])
        assert batch.layout_mask.tolist() == [shows]
        for found, picture, known in zip(batch.layout[0], wanted, shows, strict=True):
            if known:
                torch.testing.assert_close(found, picture, atol=0.02, rtol=2e-3)
    # The car leaves the map's end behind.
    ends = store.tensor(0, "keyframe_layout_mask.0").tolist()
    assert ends == drawn(pipeline, clip, list(range(0, FRAMES, 12)))[1]
    assert ends == sorted(ends, reverse=True)
    assert set(ends) == {0.0, 1.0}


def test_a_rolled_window_is_told_each_keyframe_s_own_road(pipeline, store):
    window = Window(1, 4, self_rollout=True)
    batch = CoarseSampler(store, [window], seed=0).at([(0, 0, 0), (1, 0, 0)], window, [0, 1])
    model, seen = pipeline.coarse_model, []
    sample = model.sample
    model.sample = lambda told, *rest: seen.append(told) or sample(told, *rest)  # type: ignore[method-assign]
    rolled = roll_history(model, batch, Rollout(pipeline.codec, pipeline.settings), seed=0)
    assert len(seen) == 3
    for index, told in enumerate(seen):
        assert torch.equal(told.warp[:, -1, -1], batch.layout[:, index])
        assert torch.equal(told.warp_mask[:, -1, -1], batch.layout_mask[:, index])
        assert told.warp.shape[2] == pipeline.coarse.config.warp_views
    assert torch.equal(rolled.layout, batch.layout[:, 3:])
    assert torch.equal(rolled.layout_mask, batch.layout_mask[:, 3:])
    told = objective(pipeline).conditioning(rolled)
    assert torch.equal(told.warp[:, -1, -1], batch.layout[:, 3])


def test_without_warp_guidance_nothing_tells_the_trajectory(pipeline, store):
    """The layout is seen from the new pose, so it goes with the warp."""
    window = Window(2, 1)
    batch = CoarseSampler(store, [window], seed=0).at([(0, 0, 0)], window, [0])
    other = replace(batch, layout=batch.layout + 1, warp=batch.warp + 1, motion=batch.motion + 1)
    blind = objective(pipeline, use_warp=False, layout_drop_ratio=0.5)
    assert blind(batch)[0] == blind(other)[0]
    guided = objective(pipeline)
    assert guided(batch)[0] != guided(replace(batch, layout=batch.layout + 1))[0]


def test_models_that_know_no_layout_train_on_clips_with_a_map(tmp_path):
    config = debug()
    coarse, fine = (
        replace(model, layout_view=False, warp_views=model.warp_views - 1) for model in (config.coarse, config.fine)
    )
    blind = build(replace(config, coarse=coarse, fine=fine, settings=replace(config.settings, road_layout=False)))
    store = encode_latents(Source(clips=1, frames=37, mapped=(0,)), tmp_path / "latents", blind)
    assert not store.entries[0].facts["has_layout"]
    batch = CoarseSampler(store, [Window(1, 1)], seed=0).batch(0, [0])
    segments = FineSampler(store, blind.codec.last_frames(13), seed=0).batch(0, [0])
    assert batch.layout_mask.max() == segments.layout_mask.max() == 0
    for one, samples in ((objective(blind, layout_drop_ratio=0.5), batch), (fine_objective(blind), segments)):
        assert one.conditioning(samples).warp.shape[2] == one.transformer.config.warp_views
        assert torch.isfinite(one(samples)[0])


def test_segments_are_told_the_road_as_it_passes_by(pipeline, store):
    clip = Source(clips=3, frames=FRAMES, mapped=(0,)).clip(0)
    batch = FineSampler(store, pipeline.codec.last_frames(13), seed=0).at([(0, 2), (1, 2)], [0, 1])
    assert clip.layout is not None
    frames = range(24, 37)
    drawn = np.stack([draw_layout(clip.layout, clip.camera, clip.poses[frame]) for frame in frames])
    with torch.no_grad():
        wanted = pipeline.codec.encode_clip(images_from_uint8(drawn[None]))[0]
    torch.testing.assert_close(batch.layout[0], wanted, atol=0.02, rtol=2e-3)
    assert batch.layout_mask.tolist() == [[1.0] * len(wanted), [0.0] * len(wanted)]
    told = fine_objective(pipeline).conditioning(batch)
    assert told.warp.shape[2] == pipeline.fine.config.warp_views
    assert torch.equal(told.warp[:, :, -1], batch.layout)
    assert torch.equal(told.warp_mask[:, :, -1], batch.layout_mask)
    # Where the map ends within a segment, so does what it means: the last frame of each latent counts.
    shows = [float(clip.layout.shows_road(pose)) for pose in clip.poses]
    for interval in range(FRAMES // 12):
        ends = [12 * interval + end for end in pipeline.codec.last_frames(13)]
        assert store.rows(0, "segment_layout_mask", interval).tolist() == [shows[end] for end in ends]


def test_samples_carry_the_map_in_the_frame_of_their_picture(pipeline):
    source = PaintedRoad(clips=2, frames=37, mapped=(0,))
    clip = source.clip(0)
    mapped, bare = samples_from(source, 2, 24, first=12)
    assert bare.layout is None
    for pose, ahead in zip(clip.poses[13::8], mapped.poses[::8], strict=True):
        found, wanted = (draw_layout(one, clip.camera, at) for one, at in ((mapped.layout, ahead), (clip.layout, pose)))
        assert np.abs(found.astype(int) - wanted).mean() < 0.2
    pipeline.set_progress_bar_config(disable=True)
    system = LongDWM("ours", pipeline, at_once=1)
    told, untold = (system.continued(one, 12) for one in (mapped, replace(mapped, layout=None)))
    assert not np.array_equal(told, untold)
