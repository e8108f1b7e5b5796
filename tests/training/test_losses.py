"""The paper's equations on small tensors worked out by hand."""

import numpy as np
import pytest
import torch

from longdwm_env.models.codec.mini_codec import MiniAutoencoder
from longdwm_env.models.codec.video_codec import images_from_uint8
from longdwm_env.models.presets import build, debug
from longdwm_env.training.losses.coarse_objective import coarse_loss
from longdwm_env.training.losses.codec import CodecChoices, CodecObjective, ImageBatch, codec_loss
from longdwm_env.training.losses.distilling.distill import distill_loss, gather_ends, shared_noise
from longdwm_env.training.losses.fine_objective import last_frame_kept
from longdwm_env.training.losses.high_pass import high_pass
from longdwm_env.training.losses.objective import draw_noise, squared_error
from longdwm_env.training.losses.warp_loss import GUIDANCE_MODULES, train_guidance_alone


def latents(*values: float) -> torch.Tensor:
    """(1, F, 1, 1, 1) from F numbers."""
    return torch.tensor(values, dtype=torch.float32).reshape(1, -1, 1, 1, 1)


# H of Eq. 4


def test_high_pass_of_a_checkerboard_is_the_checkerboard():
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    torch.testing.assert_close(high_pass(board, 1.0), board)


def test_high_pass_removes_the_mean_and_keeps_the_rest():
    # Two columns, 3 and 1: the mean 2 is frequency 0, the rest (+1, -1) is Nyquist along the columns, radius 1.
    picture = torch.tensor([[3.0, 1.0], [3.0, 1.0]])
    torch.testing.assert_close(high_pass(picture, 0.1), torch.tensor([[1.0, -1.0], [1.0, -1.0]]))


def test_high_pass_with_cutoff_zero_is_the_identity_and_applying_it_twice_changes_nothing():
    picture = torch.randn(2, 3, 6, 9, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(high_pass(picture, 0.0), picture)
    once = high_pass(picture, 0.5)
    torch.testing.assert_close(high_pass(once, 0.5), once, atol=1e-6, rtol=1e-5)


# Eq. 3 to 5


def test_equation_3_is_the_mean_squared_difference():
    # Differences 1 and 3: (1 + 9) / 2 = 5.
    loss = coarse_loss(latents(2, 5), latents(1, 2), structure_weight=0.0, high_pass_cutoff=0.5)
    assert loss.total.item() == loss.diffusion.item() == 5.0


def test_equations_4_and_5_by_hand():
    # One frame, 2 x 2. The difference is columns (3, 1); squared and averaged: (9 + 1) / 2 = 5.
    # H removes its mean 2 and leaves (1, -1); squared and averaged: 1. Eq. 5 with beta_s = 0.5: 5 + 0.5 * 1 = 5.5.
    predicted = torch.tensor([[3.0, 1.0], [3.0, 1.0]]).reshape(1, 1, 1, 2, 2)
    loss = coarse_loss(predicted, torch.zeros_like(predicted), structure_weight=0.5, high_pass_cutoff=0.1)
    assert loss.diffusion.item() == pytest.approx(5.0)
    assert loss.structure.item() == pytest.approx(1.0)
    assert loss.total.item() == pytest.approx(5.5)


def test_frames_that_are_given_do_not_count():
    # Errors 10 (given) and 2 (made): only the second counts.
    mask = torch.tensor([[0.0, 1.0]])
    assert squared_error(latents(10, 2), latents(0, 0), mask).item() == 4.0


# Eq. 6


def test_last_frame_is_dropped_with_the_fixed_ratio():
    counts = tuple(range(4000))
    kept = last_frame_kept(0.3, 7, counts)
    assert 1 - kept.float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert last_frame_kept(0.0, 7, counts).all()
    assert not last_frame_kept(1.0, 7, counts).any()


# Eq. 7 and 8


def test_gathered_ends_are_the_keyframes():
    # Three segments of three frames over keyframes c1 = 0, c2 = 2, c3 = 4, c4 = 6.
    segments = torch.tensor([[[0.0, 1, 2], [2, 3, 4], [4, 5, 6]]])
    assert gather_ends(segments).tolist() == [[0, 2, 4, 6]]


def test_equation_8_by_hand():
    # Keyframes 1, 3 against 2, 6: (1 + 9) / 2 = 5.
    assert distill_loss(latents(1, 3), latents(2, 6)).item() == 5.0


def test_equation_8_teaches_the_student_only():
    teacher, student = latents(1, 3).requires_grad_(), latents(2, 6).requires_grad_()
    distill_loss(teacher, student).backward()
    assert teacher.grad is None
    assert student.grad is not None
    # d/ds of mean((s - t)^2) = (s - t): 1 and 3.
    assert student.grad.reshape(-1).tolist() == [1.0, 3.0]


def test_all_segments_of_a_clip_share_one_noise():
    noise = shared_noise(0, (4, 9), 12, (13, 2, 3, 5))
    assert noise.shape == (2, 12, 13, 2, 3, 5)
    assert all(torch.equal(noise[:, 0], noise[:, k]) for k in range(12))
    assert not torch.equal(noise[0], noise[1])


# Draws


def test_noise_of_a_sample_does_not_depend_on_its_batch():
    like = torch.zeros(3, 2, 4, 3, 3)
    whole = draw_noise(1, (10, 11, 12), like)
    alone = draw_noise(1, (11,), like[:1])
    assert torch.equal(whole[1:2], alone)


# Section 3.4 and the codec


def test_guidance_alone_is_trained_when_asked():
    pipeline = build(debug())
    train_guidance_alone(pipeline.fine)
    trained = {name for name, parameter in pipeline.fine.named_parameters() if parameter.requires_grad}
    assert {name.split(".")[0] for name in trained} == set(GUIDANCE_MODULES)


def test_the_cycle_term_is_nothing_for_a_codec_that_undoes_itself():
    codec = MiniAutoencoder(latent_channels=192, encoder_channels=0, decoder_channels=())
    pictures = np.random.default_rng(0).integers(0, 255, (16, 32, 48, 3)).astype(np.uint8)
    codec.fit_pca(pictures)
    batch = ImageBatch((0, 1), images_from_uint8(pictures[:2]))
    _, parts = CodecObjective(codec, CodecChoices(cycle_weight=1.0), seed=0)(batch)
    assert parts["cycle"].item() < 1e-6
    lossy = MiniAutoencoder(latent_channels=8, encoder_channels=0, decoder_channels=())
    lossy.fit_pca(pictures)
    with torch.no_grad():
        lossy.synthesis.weight.mul_(0.5)
    plain, _ = CodecObjective(lossy, CodecChoices(), seed=0)(batch)
    total, parts = CodecObjective(lossy, CodecChoices(cycle_weight=2.0), seed=0)(batch)
    assert parts["cycle"].item() > 0.1
    assert total.item() == pytest.approx(plain.item() + 2 * parts["cycle"].item(), rel=1e-4)


def test_codec_loss_by_hand():
    # Error 1 on one of two pixels in a row: mean 0.5; the one horizontal difference is off by 1; there is no vertical
    # one in a picture of one row, so two rows are used: both alike.
    made = torch.tensor([[1.0, 0.0], [1.0, 0.0]]).reshape(1, 1, 2, 2)
    total, squared = codec_loss(made, torch.zeros_like(made), edge_weight=0.5)
    assert total.item() == pytest.approx(0.5 + 0.5 * 1.0)
    assert squared.item() == pytest.approx(0.5)
