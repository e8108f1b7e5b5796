"""Tiny models learn one or two clips by heart, and sampling gives them back: every path that training needs works."""

import numpy as np
import pytest
import torch

from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.models import presets
from longdwm_env.models.codec.video_codec import images_from_uint8
from longdwm_env.models.conditioning.denoiser_inputs import coarse_conditioning, fine_conditioning, motion_features
from longdwm_env.models.conditioning.warped_pictures import backward_clip_warps, clip_warps
from longdwm_env.models.network.sampler import add_noise

SIZE = (32, 48)
STEPS = 250


@pytest.fixture(scope="module")
def clips(picture):
    """Two clips of 13 frames that no warp explains: each fades from one picture to another."""
    shares = np.linspace(0, 1, 13)[:, None, None, None]
    made = []
    for seed in (0, 2):
        start, end = picture(SIZE, seed).astype(float), picture(SIZE, seed + 1).astype(float)
        made.append(((1 - shares) * start + shares * end).astype(np.uint8))
    return np.stack(made)


@pytest.fixture
def pipeline(clips):
    made = presets.build(presets.debug(), seed=3)
    made.vae.fit_pca(clips.reshape(-1, *SIZE, 3))
    return made


def train(model, clean, told, steps=STEPS):
    """Eq. 3 and 6: the error of the one-step prediction. Returns the mean of the last losses."""
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(model.transformer.parameters(), lr=4e-3, weight_decay=0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, 2e-4)
    losses = []
    for step in range(steps):
        times = torch.randint(0, 1000, (len(clean),))
        times[step % len(clean)] = 999
        noisy = add_noise(model.scheduler, clean, torch.randn_like(clean), times)
        loss = (model.predict_clean(noisy, times, told) - clean).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.transformer.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return losses[0], float(np.mean(losses[-20:]))


def test_the_fine_model_learns_two_clips(pipeline, clips):
    codec, settings, camera = pipeline.codec, pipeline.settings, assumed_camera(SIZE)
    poses = np.stack([np.arange(1, 13) * 0.3, np.zeros(12), np.zeros(12)], axis=1)
    with torch.no_grad():
        encode = lambda frames: codec.encode_clip(images_from_uint8(np.stack(frames)))  # noqa: E731
        clean = encode(clips)
        forward = encode([clip_warps(clip[0], camera, poses, settings) for clip in clips])
        backward = encode(
            [
                backward_clip_warps(clip[-1], camera, poses, settings, clip_warps(clip[0], camera, poses, settings))
                for clip in clips
            ]
        )
        text = pipeline.encode_text(["", "Weather: rainy"])
    motion = torch.from_numpy(motion_features(np.concatenate([np.zeros((1, 3)), poses])))[None].expand(2, -1, -1)
    told = fine_conditioning(clean[:, 0], clean[:, -1], 13, text, forward, backward, motion)
    before, after = train(pipeline.fine_model, clean, told)
    assert after < 0.1 * before
    made = pipeline.fine_model.sample(told, torch.randn(2, 13, 16, 4, 6), num_steps=2)
    assert float((made - clean).square().mean()) < 0.1 * before
    assert torch.equal(made[:, 0], clean[:, 0])
    assert torch.equal(made[:, -1], clean[:, -1])


def test_the_coarse_model_learns_what_follows_from_which_prompt(pipeline, clips):
    """Both drives start from the same keyframe; only the prompt tells them apart."""
    codec = pipeline.codec
    with torch.no_grad():
        clean = codec.encode_keyframes(images_from_uint8(clips[:, ::3]))
        clean[1, 0] = clean[0, 0]
        text = pipeline.encode_text(["Weather: sunny", "Weather: rainy"])
    told = coarse_conditioning(clean[:, :1], 5, text)
    before, after = train(pipeline.coarse_model, clean, told)
    assert after < 0.1 * before
    made = pipeline.coarse_model.sample(told, torch.randn(2, 5, 16, 4, 6), num_steps=4)
    assert float((made - clean).square().mean()) < 0.1 * before


def test_full_size_classes_learn_too():
    """Velocity prediction, compression in time, bare patches."""
    pipeline = presets.build(presets.debug_cogvideox(), seed=3)
    text = torch.zeros(1, 16, 32)
    clean = torch.randn(1, 4, 4, 8, 12)
    told = fine_conditioning(clean[:, 0], clean[:, -1], 4, text, clean, None, last_is_exact=False)
    before, after = train(pipeline.fine_model, clean, told, steps=100)
    assert after < 0.3 * before
