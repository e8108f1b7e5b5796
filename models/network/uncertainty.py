"""How far several predictions of one action differ, as in Vista's reward (Gao et al., arXiv:2405.17398).

Vista denoises M times from different noise and takes exp(-mean over the latent of their variance) for its reward. Here
the prediction is the Coarse model's next keyframe; Fine model and codec are not needed.

Deviation: the variance is taken relative to how much the predicted picture itself varies. A model that does not know
what follows also predicts less of it, so that in absolute units a guess beside the road, all haze, looks surer than the
street ahead, which is full of detail.
"""

from dataclasses import replace

from torch import Tensor

from longdwm_env.models.closed_loop.generation import Generation
from longdwm_env.models.closed_loop.samples import Present, Sampling
from longdwm_env.models.network.sampler import counted_noise
from longdwm_env.types import FloatArray

PREDICTIONS = 5
"""M, the default of Vista's reward script."""

LEAST_STEPS = 5
"""Denoising steps of a prediction; Vista takes 10. At the noisiest timestep of a schedule that ends in pure noise, the
best prediction is the mean of all futures, whatever the noise; with each further step they settle on different ones.
A divisor of the schedule's 1000 timesteps: with others, diffusers' last step leaves some of the noise."""


def prediction_spread(
    generation: Generation, present: Present, pose: FloatArray, sampling: Sampling, predictions: int = PREDICTIONS
) -> float:
    """Which share of the predicted keyframe is a guess, 0 to 1; see ``guessed_share``.

    All M predictions go through the network in one batch of fixed size, so the result does not depend on what else is
    computed.

    Args:
        generation: the models at work.
        present: what the driver has seen.
        pose: (3,) of the next keyframe in the present ego frame.
        sampling: as for driving.
        predictions: M.
    """
    inputs = generation.coarse_inputs([present], [pose[None]])
    shape = (predictions, *inputs.noise_shape)
    noise = counted_noise([present.seed], [present.counter], "uncertainty", shape, generation.device, generation.dtype)
    steps = max(LEAST_STEPS, sampling.coarse_steps)
    predicted = generation.sampled_keyframes(
        inputs.repeated(predictions), noise[0], replace(sampling, coarse_steps=steps)
    )
    return guessed_share(predicted.flatten(0, 1))


def guessed_share(predicted: Tensor) -> float:
    """V / (V + S) of each channel, mean over channels, for M predicted latents (M, C, h, w).

    V is the unbiased variance over predictions, mean over the picture; S the variance over the picture of their mean.
    It is 0 where all predictions agree, near 1 where they have nothing in common, and does not depend on a channel's
    scale.
    """
    numbers = predicted.double()
    guessed = numbers.var(dim=0, unbiased=True).mean(dim=(1, 2))
    agreed = numbers.mean(dim=0).var(dim=(1, 2), unbiased=False)
    return float((guessed / (guessed + agreed).clamp(min=1e-12)).mean())
