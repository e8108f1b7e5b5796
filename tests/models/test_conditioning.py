from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.geometry.pose import compose
from longdwm_env.geometry.warp import zoomed_depth_m
from longdwm_env.models.conditioning import (
    Conditioning,
    backward_clip_sweep,
    backward_clip_warps,
    clip_sweep,
    clip_warps,
    coarse_conditioning,
    fine_conditioning,
    keyframe_sweep,
    keyframe_warps,
    motion_features,
    noised_history,
)
from longdwm_env.models.settings import LongDWMSettings

SIZE = (32, 48)
SETTINGS = LongDWMSettings(image_size=SIZE)
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


def test_batches_are_cut_and_joined():
    told = coarse_conditioning(latents(3), 5, TEXT)
    again = Conditioning.concatenate([told[:1], told[1:]])
    assert len(again) == 2
    assert all(torch.equal(getattr(again, name), getattr(told, name)) for name in told.__dataclass_fields__)
    assert told.with_text(torch.ones(1, 5, 8)).text.min() == 1
    assert told.to(dtype=torch.float64).known.dtype == torch.float64


def test_noised_history_keeps_variance_and_leaves_the_unknown_alone():
    told = coarse_conditioning(latents(3), 5, TEXT)
    noise = latents(5, seed=9)
    noised = noised_history(told, noise, torch.tensor([0.0, 0.6]))
    assert torch.equal(noised.known[0], told.known[0])
    assert torch.allclose(noised.known[1, :3], 0.8 * told.known[1, :3] + 0.6 * noise[1, :3])
    assert not noised.known[:, 3:].any()


def straight(count, step_m):
    return np.stack([np.arange(1, count + 1) * step_m, np.zeros(count), np.zeros(count)], axis=1)


def test_standing_still_warps_to_the_picture_itself(picture):
    image, camera = picture(SIZE), assumed_camera(SIZE)
    still = np.zeros((12, 3))
    forward = clip_warps(image, camera, still, SETTINGS)
    assert (forward == image).all()
    assert (backward_clip_warps(image, camera, still, SETTINGS, forward) == image).all()
    swept = replace(SETTINGS, coarse_sweep=((10, 3), (1000, 1.02)), fine_sweep=((20, 1.7),))
    assert keyframe_sweep(image, camera, still[:3], swept).shape == (3, 2, *SIZE, 3)
    assert (keyframe_sweep(image, camera, still[:3], swept) == image).all()
    assert (clip_sweep(image, camera, still, swept) == image).all()
    assert (backward_clip_sweep(image, camera, still, swept) == image).all()
    warped, mask = keyframe_warps(image, camera, still[:3], SETTINGS)
    assert (warped == image).all()
    assert mask.tolist() == [1, 1, 0]


def test_beyond_the_horizon_the_last_warp_is_repeated_and_masked(picture):
    image, camera = picture(SIZE), assumed_camera(SIZE)
    warped, mask = keyframe_warps(image, camera, straight(4, 3.0), SETTINGS)
    assert mask.tolist() == [1, 1, 0, 0]
    assert (warped[2:] == warped[1]).all()
    assert (warped[0] != warped[1]).any()


def test_the_backward_warp_undoes_the_forward_one(picture):
    image, camera = picture(SIZE), assumed_camera(SIZE)
    poses = straight(12, 0.1)
    there = clip_warps(image, camera, poses, SETTINGS)
    back = backward_clip_warps(there[-1], camera, poses, SETTINGS, there)
    assert (back[-1] == there[-1]).all()
    inside = (slice(6, -6), slice(8, -8))
    assert np.abs(back[0][inside].astype(int) - image[inside]).mean() < 4


def test_what_the_last_frame_does_not_reach_comes_from_the_first(picture):
    image, camera = picture(SIZE), assumed_camera(SIZE)
    poses = straight(12, 1.5)
    forward = clip_warps(image, camera, poses, SETTINGS)
    back = backward_clip_warps(image, camera, poses, SETTINGS, forward)
    assert (back[0, 0] == forward[0, 0]).all()
    assert (back[6, -1, 0] == forward[6, -1, 0]).all()


def test_a_sweep_shows_each_plane_at_its_own_size(picture):
    """What lies far ahead keeps its size; a near plane grows, though never beyond its limit."""
    image, camera = picture(SIZE), assumed_camera(SIZE)
    settings = replace(SETTINGS, coarse_sweep=((10, 3.0), (40, 1.35), (1e5, 1.0001)))
    near, middle, far = keyframe_sweep(image, camera, straight(1, 8.0), settings)[0].astype(int)
    assert np.abs(far - image).mean() < 1
    assert np.abs(near - image).mean() > np.abs(middle - image).mean() > np.abs(far - image).mean()
    assert np.allclose(zoomed_depth_m(np.array([0.0, 5.0, 20.0, -20.0]), 10.0, 3.0), [10, 10, 30, 10])
    assert np.allclose(zoomed_depth_m(np.array([-40.0]), 10.0, 3.0), [20])


def test_views_stand_in_one_order_whether_the_last_frame_is_known_or_not():
    first, last = torch.rand(2, 4, 2, 3), torch.rand(2, 4, 2, 3)
    forward, backward = torch.rand(2, 13, 4, 2, 3), torch.rand(2, 13, 4, 2, 3)
    ahead, behind, text = torch.rand(2, 13, 2, 4, 2, 3), torch.rand(2, 13, 2, 4, 2, 3), torch.zeros(2, 5, 8)
    both = fine_conditioning(first, last, 13, text, forward, backward, sweep_first=ahead, sweep_last=behind)
    assert torch.equal(both.warp, torch.cat([forward[:, :, None], backward[:, :, None], ahead, behind], dim=2))
    alone = fine_conditioning(first, None, 13, text, forward, sweep_first=ahead)
    assert torch.equal(alone.warp[:, :, 2:4], both.warp[:, :, 2:4])
    assert alone.warp_mask[0, 0].tolist() == [1, 0, 1, 1]
    history, warp, sweep = torch.rand(2, 3, 4, 2, 3), torch.rand(2, 2, 4, 2, 3), torch.rand(2, 2, 3, 4, 2, 3)
    told = coarse_conditioning(history, 5, text, warp, torch.tensor([[1.0, 0.0]] * 2), sweep=sweep)
    assert told.warp.shape == (2, 5, 4, 4, 2, 3)
    assert torch.equal(told.warp[:, :3], history[:, :, None].expand(-1, -1, 4, -1, -1, -1))
    assert torch.equal(told.warp[:, 3:, 1:], sweep)
    assert told.warp_mask[0, :, 2].tolist() == [1, 1, 1, 1, 0]


def test_motion_features_say_where_and_how_it_got_there():
    poses = np.array([[1.0, 0.0, 0.1], [2.0, 0.5, 0.2]])
    features = motion_features(poses)
    assert features.dtype == np.float32
    assert np.allclose(features[:, :3], poses / [10, 10, 1])
    assert np.allclose(compose(poses[0], features[1, 3:] * [10, 10, 1]), poses[1], atol=1e-6)
    assert np.allclose(features[0, 3:], features[0, :3])
