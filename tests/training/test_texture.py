"""The texture loss: it knows how latents look, and not where."""

import pytest
import torch

from longdwm_env.models.settings import OpenChoices
from longdwm_env.training.losses.texture import gram_matrices, texture_loss

SHAPE = (4, 5, 12, 18)


def latents(seed: int = 0) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def test_gram_matrices_are_products_of_channels_averaged_over_windows() -> None:
    made = gram_matrices(latents())
    window = latents()[1, :, 3:9, 6:12].flatten(1)
    assert torch.allclose(made[1, :, 1, 2], (window @ window.T / 36).flatten(), atol=1e-5)


def test_a_mirrored_picture_has_the_same_texture_and_a_blurred_one_has_not() -> None:
    recorded = latents().repeat(1, 1, 1, 1)
    mirrored = torch.cat([recorded[..., :6].flip(-1), recorded[..., 6:12].flip(-1), recorded[..., 12:].flip(-1)], -1)
    one_window = slice(0, 6)
    same = texture_loss(mirrored[:, :, :6, one_window], recorded[:, :, :6, one_window])
    blurred = torch.nn.functional.avg_pool2d(recorded, 3, 1, 1)
    assert same < 1e-10
    assert texture_loss(blurred, recorded) > 0.05
    assert texture_loss(0.5 * recorded + 0.5 * blurred, recorded) < texture_loss(blurred, recorded)


def test_what_is_new_but_as_rich_costs_less_than_a_blur() -> None:
    recorded, elsewhere = latents(0), latents(1)
    blurred = torch.zeros(SHAPE)
    assert (elsewhere - recorded).square().mean() > (blurred - recorded).square().mean()
    assert texture_loss(elsewhere, recorded) < texture_loss(blurred, recorded)


def test_channels_count_by_their_weight() -> None:
    recorded = latents()
    changed = recorded.clone()
    changed[:, 0] = 0
    heavy, light = torch.tensor([4.0, 0.25, 0.25, 0.25, 0.25]), torch.tensor([0.2, 1.2, 1.2, 1.2, 1.2])
    assert texture_loss(changed, recorded, heavy) > 10 * texture_loss(changed, recorded, light)


def test_latents_smaller_than_a_window_are_one_window() -> None:
    assert gram_matrices(torch.randn(2, 3, 4, 5)).shape[:2] == (2, 9)


def test_a_weight_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="texture_weight"):
        OpenChoices(texture_weight=-1.0)
