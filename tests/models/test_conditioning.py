import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longdwm_env.geometry.pose import compose
from longdwm_env.models.conditioning.denoiser_inputs import (
    coarse_conditioning,
    fine_conditioning,
    motion_features,
    noised_history,
)

TEXT = torch.zeros(2, 5, 8)


def latents(frames, seed=0):
    return torch.randn(2, frames, 4, 4, 6, generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 12), st.integers(1, 12))
def test_history_is_known_and_the_rest_is_not(count, new):
    history = latents(count)
    told = coarse_conditioning(history, count + new, TEXT)
    assert torch.equal(told.known[:, :count], history)
    assert not told.known[:, count:].any()
    assert told.known_mask[0].tolist() == [1] * count + [0] * new
    assert torch.equal(told.exact_mask, told.known_mask)
    # Without a trajectory the last keyframe stands in for the warp, masked out.
    assert torch.equal(told.warp[:, :count, 0], history)
    assert torch.equal(told.warp[:, -1, 0], history[:, -1])
    assert told.warp_mask[0, :, 0].tolist() == [1] * count + [0] * new


def test_warps_take_the_places_of_the_new_keyframes():
    warp = latents(2, seed=1)
    told = coarse_conditioning(latents(3), 5, TEXT, warp, torch.tensor([[1.0, 0.0]] * 2), torch.ones(2, 2, 6))
    assert torch.equal(told.warp[:, 3:, 0], warp)
    assert told.warp_mask[0, :, 0].tolist() == [1, 1, 1, 1, 0]
    assert told.motion[0].sum(dim=1).tolist() == [0, 0, 0, 6, 6]


def test_without_history_or_without_work_there_is_no_pass():
    with pytest.raises(ValueError, match="at least one is known"):
        coarse_conditioning(latents(0), 3, TEXT)
    with pytest.raises(ValueError, match="one is made"):
        coarse_conditioning(latents(3), 3, TEXT)


def test_both_ends_of_a_clip_are_known():
    first, last = latents(1)[:, 0], latents(1, seed=2)[:, 0]
    told = fine_conditioning(first, last, 4, TEXT, latents(4, 3), latents(4, 4), last_is_exact=False)
    assert torch.equal(told.known[:, 0], first)
    assert torch.equal(told.known[:, -1], last)
    assert told.known_mask[0].tolist() == [1, 0, 0, 1]
    assert told.exact_mask[0].tolist() == [1, 0, 0, 0]
    assert told.warp.shape == (2, 4, 2, 4, 4, 6)
    assert told.warp_mask.min() == 1


def test_the_last_frame_is_dropped_per_sample_with_its_warp():
    first, last = latents(1)[:, 0], latents(1, seed=2)[:, 0]
    keep = torch.tensor([True, False])
    told = fine_conditioning(first, last, 4, TEXT, latents(4, 3), latents(4, 4), keep_last=keep)
    assert told.known_mask[:, -1].tolist() == [1, 0]
    assert told.exact_mask[:, -1].tolist() == [1, 0]
    assert not told.known[1, -1].any()
    assert told.warp_mask[0, 0].tolist() == [1, 1]
    assert told.warp_mask[1, 0].tolist() == [1, 0]


def test_prediction_knows_the_first_frame_only():
    told = fine_conditioning(latents(1)[:, 0], None, 4, TEXT)
    assert told.known_mask[0].tolist() == [1, 0, 0, 0]
    assert told.warp_mask.max() == 0
    assert torch.equal(told.warp[:, 3, 0], told.known[:, 0])


def test_leaving_out_the_warp_equals_never_having_had_it():
    history = latents(3)
    given_warp = coarse_conditioning(history, 5, TEXT, latents(2, 1), None, torch.ones(2, 2, 6))
    without = coarse_conditioning(history, 5, TEXT)
    dropped = given_warp.without_warp(torch.tensor([True, False]))
    assert torch.equal(dropped.warp[0], given_warp.warp[0])
    assert torch.equal(dropped.warp[1], without.warp[1])
    assert dropped.warp_mask[1].max() == 0
    assert not dropped.motion[1].any()


def test_batches_are_repeated_and_changed():
    told = coarse_conditioning(latents(3), 5, TEXT)
    assert len(told.repeated(2)) == 4
    assert torch.equal(told.repeated(2).known[1], told.known[0])
    assert told.with_text(torch.ones(1, 5, 8)).text.min() == 1
    assert told.to(dtype=torch.float64).known.dtype == torch.float64


def test_noised_history_keeps_variance_and_leaves_the_unknown_alone():
    told = coarse_conditioning(latents(3), 5, TEXT)
    noise = latents(5, seed=9)
    noised = noised_history(told, noise, torch.tensor([0.0, 0.6]))
    assert torch.equal(noised.known[0], told.known[0])
    assert torch.allclose(noised.known[1, :3], 0.8 * told.known[1, :3] + 0.6 * noise[1, :3])
    assert not noised.known[:, 3:].any()


def test_views_stand_in_one_order_whether_the_last_frame_is_known_or_not():
    first, last = torch.rand(2, 4, 2, 3), torch.rand(2, 4, 2, 3)
    forward, backward, between = torch.rand(3, 2, 13, 4, 2, 3)
    text = torch.zeros(2, 5, 8)
    both = fine_conditioning(first, last, 13, text, forward, backward, between=between)
    assert torch.equal(both.warp, torch.stack([between, backward, forward], dim=2))
    assert both.warp_mask.min() == 1
    alone = fine_conditioning(first, None, 13, text, forward, between=forward)
    assert torch.equal(alone.warp, torch.stack([forward, torch.zeros_like(forward), forward], dim=2))
    assert alone.warp_mask[0, 0].tolist() == [1, 0, 1]
    # Where one sample of a batch has no last frame, the warp stands in for what both ends would say.
    mixed = fine_conditioning(
        first, last, 13, text, forward, backward, keep_last=torch.tensor([1.0, 0.0]), between=between
    )
    assert torch.equal(mixed.warp[0], both.warp[0])
    assert torch.equal(mixed.warp[1, :, 0], forward[1])
    assert mixed.warp_mask[1, 0].tolist() == [1, 0, 1]


def test_held_ends_and_layout_stand_behind_the_warps():
    first, last = latents(1)[:, 0], latents(1, seed=2)[:, 0]
    forward, backward, between, layout = (latents(13, seed) for seed in range(3, 7))
    known, keep = torch.ones(2, 13), torch.tensor([1.0, 0.0])
    known[0, 5:] = 0
    views = {"between": between, "held_ends": True, "layout": layout, "layout_mask": known}
    told = fine_conditioning(first, last, 13, TEXT, forward, backward, keep_last=keep, **views)
    ends = [end[:, None].expand_as(forward) for end in (first, last * keep.reshape(-1, 1, 1, 1))]
    assert torch.equal(told.warp[:, :, 1:], torch.stack([backward, forward, *ends, layout], dim=2))
    assert told.warp_mask[:, 0].tolist() == [[1, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 1]]
    assert told.warp_mask[:, 12].tolist() == [[1, 1, 1, 1, 1, 0], [1, 0, 1, 1, 0, 1]]
    alone = fine_conditioning(first, None, 13, TEXT, forward, **{**views, "between": forward})
    assert alone.warp.shape == told.warp.shape
    assert alone.warp_mask[1, 0].tolist() == [1, 0, 1, 1, 0, 1]
    dropped = told.without_layout(torch.tensor([False, True]))
    assert dropped.warp_mask[0, 0].tolist() == [1, 1, 1, 1, 1, 0]
    assert torch.equal(dropped.warp_mask[1], told.warp_mask[1])


def test_keyframes_have_the_warp_then_further_views_then_the_layout():
    history, warp, further = latents(3), latents(2, 1), torch.stack([latents(2, 2), latents(2, 3)], dim=2)
    layout, known = latents(2, 4), torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    reach = torch.tensor([[1.0, 0.0]] * 2)
    told = coarse_conditioning(history, 5, TEXT, warp, reach, None, further, layout, known)
    assert told.warp.shape == (2, 5, 4, 4, 4, 6)
    assert torch.equal(told.warp[:, :3], history[:, :, None].expand(-1, -1, 4, -1, -1, -1))
    assert torch.equal(told.warp[:, 3:], torch.cat([warp[:, :, None], further, layout[:, :, None]], dim=2))
    # Warps mean nothing beyond the horizon; the layout means nothing where there is no map, however far it is.
    assert told.warp_mask[0].tolist() == [[1, 1, 1, 1]] * 4 + [[0, 0, 0, 1]]
    assert told.warp_mask[1].tolist() == [[1, 1, 1, 1]] * 3 + [[1, 1, 1, 0], [0, 0, 0, 0]]
    alone = coarse_conditioning(history, 5, TEXT, warp, reach, None, further)
    assert torch.equal(alone.warp, told.warp[:, :, :3])
    assert torch.equal(alone.warp_mask, told.warp_mask[:, :, :3])


def test_leaving_out_the_layout_leaves_the_other_views():
    told = coarse_conditioning(latents(3), 5, TEXT, latents(2, 1), layout=latents(2, 4))
    dropped = told.without_layout(torch.tensor([True, False]))
    assert torch.equal(dropped.warp_mask[0], told.warp_mask[0])
    assert dropped.warp_mask[1].tolist() == [[1, 0]] * 5
    assert told.warp_mask.min() == 1, "what was told before is left as it is"
    # Without a trajectory it is unknown what the map shows there, too.
    assert told.without_warp(torch.tensor([True, False])).warp_mask[1].max() == 0


def test_motion_features_say_where_and_how_it_got_there():
    poses = np.array([[1.0, 0.0, 0.1], [2.0, 0.5, 0.2]])
    features = motion_features(poses)
    assert features.dtype == np.float32
    assert np.allclose(features[:, :3], poses / [10, 10, 1])
    assert np.allclose(compose(poses[0], features[1, 3:] * [10, 10, 1]), poses[1], atol=1e-6)
    assert np.allclose(features[0, 3:], features[0, :3])


def test_without_warps_there_are_no_held_ends_that_would_take_the_place_of_warps():
    first, last = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    text, warps = torch.zeros(2, 1, 1), torch.randn(2, 5, 4, 3, 3)
    assert fine_conditioning(first, last, 5, text, held_ends=True).warp.shape[2] == 1
    told = fine_conditioning(first, None, 5, text, warps, held_ends=True)
    assert told.warp.shape[2] == 4
    assert torch.equal(told.warp[:, :, 2], first[:, None].expand(2, 5, -1, -1, -1))
    assert (told.warp_mask[:, :, [1, 3]] == 0).all()
