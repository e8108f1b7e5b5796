"""Worn history: known frames and their views alike, the layout never, and what is asked for stays."""

import pytest
import torch

from longdwm_env.models.conditioning.denoiser_inputs import Conditioning, coarse_conditioning
from longdwm_env.models.settings import OpenChoices
from longdwm_env.training.losses.history_augmentation import augmented_history

COUNTS = tuple(range(40))


def given() -> Conditioning:
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(len(COUNTS), *shape, generator=generator)

    history = drawn(2, 4, 12, 18)
    return coarse_conditioning(
        history, 3, drawn(5, 8), history[:, -1:], motion=drawn(1, 6), further=drawn(1, 1, 4, 12, 18),
        layout=drawn(1, 4, 12, 18),
    )  # fmt: skip


def changed(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    return (before - after).flatten(1).abs().amax(dim=1) > 1e-6


def test_a_share_of_the_samples_is_worn_in_known_frames_and_views_alike() -> None:
    before = given()
    after = augmented_history(before, 3, COUNTS, 0.5, with_layout=True)
    known = changed(before.known, after.known)
    assert 10 < known.sum() < 30
    assert torch.equal(known, changed(before.warp, after.warp))
    # The warp is the last keyframe itself here, so it is worn as that is.
    assert torch.allclose(after.warp[:, 2, 0], after.known[:, 1], atol=1e-6)
    assert torch.equal(after.warp[:, :, -1], before.warp[:, :, -1]), "the layout was worn"
    assert not after.known[:, 2].any(), "a frame to be made became known"
    assert torch.equal(after.text, before.text)
    assert torch.equal(after.motion, before.motion)


def test_what_is_worn_loses_fine_detail_and_moves_in_its_mean() -> None:
    before = given()
    after = augmented_history(before, 0, COUNTS, 1.0, with_layout=True)

    def detail(latents: torch.Tensor) -> torch.Tensor:
        return (latents[..., 1:] - latents[..., :-1]).square().mean(dim=(1, 2, 3, 4))

    lost = detail(after.known[:, :2]) / detail(before.known[:, :2])
    moved = (after.known[:, 0].mean(dim=(-2, -1)) - before.known[:, 0].mean(dim=(-2, -1))).abs().amax(dim=1)
    assert lost.mean() < 0.6
    assert moved.mean() > 0.1


def test_wear_depends_on_seed_and_number_alone() -> None:
    whole = augmented_history(given(), 1, COUNTS, 0.5, with_layout=False)
    part = augmented_history(given()[7:9], 1, COUNTS[7:9], 0.5, with_layout=False)
    assert torch.equal(whole.known[7:9], part.known)
    assert torch.equal(whole.warp[7:9], part.warp)
    other = augmented_history(given(), 2, COUNTS, 0.5, with_layout=False)
    assert not torch.equal(whole.known, other.known)


def test_never_worn_is_unchanged() -> None:
    assert torch.equal(augmented_history(given(), 1, COUNTS, 0.0, with_layout=True).known, given().known)


def test_a_ratio_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match="wear_ratio"):
        OpenChoices(wear_ratio=1.5)
