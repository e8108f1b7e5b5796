"""The present picture under another prompt, for worlds whose prompt is changed on the way.

The Coarse model is asked for the keyframe that follows if nothing moves: what it sees stays where it is, and only what
the prompt says becomes different. A drive from there shows the new weather from its first frame on, as the reference
simulator does, and keeps houses and trees that would otherwise be lost while the weather changes and the car drives on.
What is left of the old weather in that picture goes in the seconds after it, by classifier-free guidance.
"""

from dataclasses import replace

import numpy as np

from longdwm_env import clock
from longdwm_env.models.closed_loop.generation import Generation
from longdwm_env.models.closed_loop.samples import Present, Sampling
from longdwm_env.models.conditioning.warped_pictures import enlarged
from longdwm_env.models.network.sampler import counted_noise
from longdwm_env.types import Images

PASSES = 2
"""Keyframes that are made one after the other, each from the last alone."""

GUIDANCE_SCALE = 1.5
"""Classifier-free guidance meanwhile: the picture says another weather than the prompt, and shall not prevail."""

GUIDED_FRAMES = 3 * clock.FRAMES_PER_INTERVAL
"""Frames driven after a change whose keyframes are guided: until mini's history of four keyframes is full again."""

DRIVING_GUIDANCE_SCALE = 2.0
"""Classifier-free guidance of the Coarse model in that time."""


def restyled(generation: Generation, present: Present, sampling: Sampling) -> Images:
    """The present frame as the Coarse model draws it under the prompt, uint8 (H, W, 3).

    Args:
        generation: the models at work.
        present: what the driver has seen. Its boxes, where there are any, are those of the present, twice.
        sampling: as for driving, with the text to guide away from; it is guided at least as strongly as
            ``GUIDANCE_SCALE``.
    """
    guided = sampling.guided(GUIDANCE_SCALE)
    full_size = present.camera.intrinsics.image_size
    small = present.reduced(generation.coarse_size(full_size))
    frame = small.history[-1]
    for number in range(PASSES):
        # The newest frame alone: the others show other weather too, and the sweep looks for motion.
        alone = replace(small, history=frame[None], before=None)
        inputs = generation.coarse_inputs([alone], [np.zeros((1, 3))])
        shape = inputs.noise_shape
        noise = counted_noise([present.seed], [number], "redraw", shape, generation.device, generation.dtype)
        frame = generation.pictures(generation.sampled_keyframes(inputs, noise, guided))[0, 0]
    return enlarged(frame, full_size)
