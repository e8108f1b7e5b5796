"""The texture loss: it knows how latents look, and not where."""

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
from longdwm_env.training.losses.texture_loss import contrast, gram_matrices, texture_loss

from .scenery import PaintedRoad, fine_objective, shaken

SHAPE = (4, 5, 12, 18)


def latents(seed: int = 0) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def test_gram_matrices_are_products_of_neighbours_averaged_over_windows() -> None:
    made = gram_matrices(latents()).unflatten(1, (3, 5, 5))
    window = latents()[1, :, 3:9, 6:12].flatten(1)
    right = latents()[1, :, 3:9, 7:13].flatten(1)
    below = latents()[1, :, 4:10, 6:12].flatten(1)
    for place, beside in enumerate((window, right, below)):
        assert torch.allclose(made[1, place, :, :, 1, 2], window @ beside.T / 36, atol=1e-5)


@pytest.mark.parametrize("size", [(13, 11), (2, 9), (7, 6), (12, 18)])
def test_windows_beyond_an_edge_average_what_there_is(size: tuple[int, int]) -> None:
    picture = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    side = min(6, *size)
    products = torch.stack([picture[:, c] * picture[:, d] for c in range(3) for d in range(3)], dim=1)
    pooled = torch.nn.functional.avg_pool2d(products, side, min(3, side), ceil_mode=True, count_include_pad=False)
    assert torch.allclose(gram_matrices(picture)[:, :9], pooled, atol=1e-5)


def test_a_moved_picture_has_the_same_texture_and_a_blurred_one_has_not() -> None:
    recorded = latents()[..., :6].repeat(1, 1, 1, 4)
    moved = recorded.roll(2, dims=-1)
    within = slice(0, 12)
    assert (moved - recorded).square().mean() > 1
    # The last window of each ends at an edge, where a place is its own neighbour.
    same = gram_matrices(moved)[..., within] - gram_matrices(recorded)[..., within]
    assert same[..., :-2].abs().max() < 1e-5
    blurred = torch.nn.functional.avg_pool2d(recorded, 3, 1, 1)
    assert texture_loss(blurred, recorded) > 0.05
    assert texture_loss(0.5 * recorded + 0.5 * blurred, recorded) < texture_loss(blurred, recorded)


def test_shuffled_places_have_another_texture_though_each_place_is_the_same() -> None:
    smooth = torch.nn.functional.avg_pool2d(latents(), 5, 1, 2, count_include_pad=False)
    order = torch.randperm(12 * 18, generator=torch.Generator().manual_seed(2))
    shuffled = smooth.flatten(2)[..., order].unflatten(-1, (12, 18))
    assert texture_loss(shuffled, smooth) > 0.01


def test_a_dark_picture_counts_as_much_as_a_bright_one() -> None:
    recorded = latents()
    assert texture_loss(0.5 * recorded, recorded).item() == pytest.approx(
        texture_loss(0.2 * recorded, 0.4 * recorded).item(), rel=1e-4
    )


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
    assert texture_loss(changed, recorded, heavy) > 5 * texture_loss(changed, recorded, light)


def test_latents_smaller_than_a_window_are_one_window() -> None:
    assert gram_matrices(torch.randn(2, 3, 4, 5)).shape[:2] == (2, 27)


@pytest.mark.parametrize("name", ["texture_weight", "contrast_power"])
def test_a_weight_below_zero_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        OpenChoices(**{name: -1.0})


# Of the Fine model, whose ends are given


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


def test_the_frames_between_are_asked_for_texture_and_the_given_ends_are_not(
    pipeline: LongDWMPipeline, batch: FineBatch
) -> None:
    objective = fine_objective(pipeline, texture_weight=2.0)
    plain = fine_objective(pipeline)

    def flat(where: slice) -> Callable[[torch.Tensor], torch.Tensor]:
        def change(clean: torch.Tensor) -> torch.Tensor:
            made = clean.clone()
            made[:, where] = made[:, where].mean(dim=(-2, -1), keepdim=True)
            return made

        return change

    losses = {}
    for name, where in {"ends": slice(0, None, batch.clean.shape[1] - 1), "between": slice(1, -1)}.items():
        for one in (objective, plain):
            predicting(one, flat(where), batch)
        total, parts = objective(batch)
        losses[name] = float(parts["texture"])
        assert float(total) == pytest.approx(float(plain(batch)[0]) + 2.0 * losses[name], rel=1e-6)
    assert losses["ends"] < 1e-3
    assert losses["between"] > 0.1
    assert "texture" not in plain(batch)[1]


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


def test_texture_teaches_the_fine_model(pipeline: LongDWMPipeline, batch: FineBatch) -> None:
    gradients = []
    for weight in (0.0, 1.0):
        objective = fine_objective(pipeline, texture_weight=weight)
        pipeline.fine.zero_grad()
        objective(batch)[0].backward()
        gradients.append(torch.cat([p.grad.flatten() for p in pipeline.fine.parameters() if p.grad is not None]))
    assert torch.isfinite(gradients[1]).all()
    assert not torch.allclose(gradients[0], gradients[1])
