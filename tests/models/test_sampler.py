import numpy as np
import pytest
import torch
from diffusers import CogVideoXDDIMScheduler, DDIMScheduler

from longdwm_env.models.network.sampler import add_noise, clean_from_output, counted_noise, denoise, output_from_clean
from longdwm_env.models.presets import scheduler_arguments

KINDS = ("sample", "v_prediction", "epsilon")


def scheduler_for(kind, shift=1.0):
    return CogVideoXDDIMScheduler(**scheduler_arguments(kind, shift))


def test_noise_depends_on_seed_counter_and_purpose_alone():
    alone = counted_noise([5], [12], "coarse", (2, 3))
    batch = counted_noise([1, 5, 5, 5], [12, 12, 24, 12], "coarse", (2, 3))
    assert torch.equal(batch[1], alone[0])
    assert torch.equal(batch[3], alone[0])
    assert not torch.equal(batch[0], alone[0])
    assert not torch.equal(batch[2], alone[0])
    assert not torch.equal(counted_noise([5], [12], "fine", (2, 3)), alone)


def test_golden_noise_is_the_same_on_every_machine():
    expected = [-0.39744344, 0.48118290, 1.49843383]
    assert np.allclose(counted_noise([7], [0], "coarse", (3,))[0], expected, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_forward_process_and_prediction_are_inverse(kind):
    scheduler = scheduler_for(kind, 3.0)
    clean, noise = torch.randn(2, 3, 2, 4, 4), torch.randn(2, 3, 2, 4, 4)
    times = torch.tensor([10, 700])
    noisy = add_noise(scheduler, clean, noise, times)
    output = output_from_clean(scheduler, clean, noise, times)
    assert torch.allclose(clean_from_output(scheduler, output, noisy, times), clean, atol=1e-4)


def test_forward_process_is_the_scheduler_s_own():
    scheduler = scheduler_for("v_prediction", 3.0)
    clean, noise, times = torch.randn(2, 3, 4), torch.randn(2, 3, 4), torch.tensor([0, 999])
    assert torch.allclose(
        add_noise(scheduler, clean, noise, times), scheduler.add_noise(clean, noise, times), atol=1e-6
    )
    velocity = scheduler.get_velocity(clean, noise, times)
    assert torch.allclose(output_from_clean(scheduler, clean, noise, times), velocity, atol=1e-6)


def test_an_unknown_parametrization_is_refused():
    scheduler = scheduler_for("sample")
    scheduler.register_to_config(prediction_type="flow")
    with pytest.raises(ValueError, match="'flow' is none of"):
        clean_from_output(scheduler, torch.zeros(1), torch.zeros(1), torch.tensor([1]))


@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_a_perfect_denoiser_is_followed_to_the_clean_latent(kind, steps):
    scheduler = scheduler_for(kind)
    clean = torch.randn(2, 3, 2, 4, 4)

    def predict(latents, times):
        signal = scheduler.alphas_cumprod[times].reshape(-1, 1, 1, 1, 1)
        noise = (latents - signal.sqrt() * clean) / (1 - signal).sqrt()
        return output_from_clean(scheduler, clean, noise, times)

    made = denoise(scheduler, predict, torch.randn_like(clean), steps)
    assert torch.allclose(made, clean, atol=1e-3)


def test_other_schedulers_of_diffusers_work():
    arguments = scheduler_arguments("sample", 1.0)
    arguments.pop("snr_shift_scale")
    scheduler = DDIMScheduler(**arguments)
    clean = torch.randn(1, 3, 4)
    assert torch.allclose(denoise(scheduler, lambda x, t: clean, torch.randn_like(clean), 3), clean, atol=1e-3)
