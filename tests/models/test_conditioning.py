import torch

from longdwm_env.models.conditioning.denoiser_inputs import coarse_conditioning, fine_conditioning, noised_history

TEXT = torch.zeros(2, 5, 8)


def latents(frames, seed=0):
    return torch.randn(2, frames, 4, 4, 6, generator=torch.Generator().manual_seed(seed))


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


def test_without_warps_there_are_no_held_ends_that_would_take_the_place_of_warps():
    first, last = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    text, warps = torch.zeros(2, 1, 1), torch.randn(2, 5, 4, 3, 3)
    assert fine_conditioning(first, last, 5, text, held_ends=True).warp.shape[2] == 1
    told = fine_conditioning(first, None, 5, text, warps, held_ends=True)
    assert told.warp.shape[2] == 4
    assert torch.equal(told.warp[:, :, 2], first[:, None].expand(2, 5, -1, -1, -1))
    assert (told.warp_mask[:, :, [1, 3]] == 0).all()
