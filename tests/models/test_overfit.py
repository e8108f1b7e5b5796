"""A tiny model of the full size's classes learns a clip; that mini's learn is held by ``training/test_stages.py``."""

import numpy as np
import torch

from longdwm_env.models import presets
from longdwm_env.models.conditioning.denoiser_inputs import fine_conditioning
from longdwm_env.models.network.sampler import add_noise

STEPS = 250


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


def test_full_size_classes_learn_too():
    """Velocity prediction, compression in time, bare patches."""
    pipeline = presets.build(presets.debug_cogvideox(), seed=3)
    text = torch.zeros(1, 16, 32)
    clean = torch.randn(1, 4, 4, 8, 12)
    told = fine_conditioning(clean[:, 0], clean[:, -1], 4, text, clean, None, last_is_exact=False)
    before, after = train(pipeline.fine_model, clean, told, steps=100)
    assert after < 0.3 * before
