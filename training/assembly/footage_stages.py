"""Stages that learn from recorded footage: the codec, and the two networks that read pictures."""

from collections.abc import Sequence

import numpy as np
import torch

from longdwm_env.errors import InvalidConfig
from longdwm_env.models.codec.mini_codec import MiniAutoencoder
from longdwm_env.models.codec.video_codec import images_from_uint8
from longdwm_env.models.readers.inverse_dynamics import InverseDynamics
from longdwm_env.models.readers.scorer import DrivingEncoder
from longdwm_env.training.assembly.assembled import Assembled, Ingredients
from longdwm_env.training.checkpoint import checkpoints
from longdwm_env.training.data.encoded.latents import weights_hash
from longdwm_env.training.data.footage import Footage, sample_images
from longdwm_env.training.draws import numbers
from longdwm_env.training.losses.codec import CodecObjective, ImageBatch
from longdwm_env.training.losses.encoder import EncoderObjective, WindowSampler
from longdwm_env.training.losses.evidence import gathered
from longdwm_env.training.losses.inverse_dynamics_objective import InverseDynamicsObjective, MotionSampler


def codec(given: Ingredients) -> Assembled:
    """The small codec and single frames; its linear part is fitted to some of them first.

    Raises:
        InvalidConfig: the pipeline's codec is not ours.
    """
    config, workspace, pipeline = given.config, given.workspace, given.pipeline
    footage = Footage(workspace.footage)
    seed = config.loop.seed
    vae = pipeline.vae
    if not isinstance(vae, MiniAutoencoder):
        raise InvalidConfig("CogVideoX's autoencoder is used as it is; only the mini codec is trained")
    # The objective's reference and noise depend on the codec that training starts from, so a resumed run needs that
    # very one, whatever has been exported to the pipeline since.
    start = workspace.stage("codec") / "start"
    if not checkpoints(workspace.stage("codec") / "checkpoints"):
        if config.pca_images:
            vae.fit_pca(sample_images(footage, config.pca_images, seed))
            workspace.save_component("vae", vae)
        vae.save_pretrained(str(start), safe_serialization=True)
    elif start.is_dir():
        vae = type(vae).from_pretrained(str(start)).to(vae.device)
        pipeline.register_modules(vae=vae)

    def draw(step: int, counts: Sequence[int]) -> ImageBatch:
        del step
        drawn = []
        for count in counts:
            generator = numbers(seed, count, "place")
            clip = int(generator.integers(len(footage)))
            frame = int(generator.integers(footage.entries[clip].facts["frames"]))
            image = footage.images(clip, [frame])[0]
            if config.codec.crop_px:
                image = _crop(image, config.codec.crop_px, generator)
            drawn.append(images_from_uint8(image))
        return ImageBatch(tuple(counts), torch.stack(drawn))

    return Assembled(CodecObjective(vae, config.codec, seed), draw, draw, footage.description())


def scorer(given: Ingredients) -> Assembled:
    """The network that judges frames, on windows of footage with the simulator's ground truth."""
    footage, seed = Footage(given.workspace.footage), given.config.loop.seed
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = DrivingEncoder()
    seen, unseen = (WindowSampler(footage, seed, part).batch for part in _seen_and_unseen(footage))
    return Assembled(EncoderObjective(encoder, seed), seen, unseen, footage.description())


def inverse_dynamics(given: Ingredients) -> Assembled:
    """The network that reads motion, on what the codec shows of footage with the simulator's ground truth."""
    config, pipeline = given.config, given.pipeline
    footage, seed = Footage(given.workspace.footage), config.loop.seed
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = InverseDynamics()
    folder = given.workspace.stage(given.stage.name) / "evidence"
    samplers = []
    for name, clips, share in zip(("seen", "unseen"), _seen_and_unseen(footage), (1, 16), strict=True):
        count = max(1, config.evidence_windows // share)
        known = gathered(
            footage,
            pipeline.codec,
            clips,
            folder / name,
            count,
            seed,
            torch.get_num_threads(),
            weights_hash(pipeline.vae),
        )
        samplers.append(MotionSampler(known, seed))
    seen, unseen = (sampler.batch for sampler in samplers)
    return Assembled(InverseDynamicsObjective(reader, seed), seen, unseen, footage.description())


def _seen_and_unseen(footage: Footage) -> tuple[list[int], list[int]]:
    """Clips to train on, and one in twenty to validate with."""
    clips = range(len(footage))
    return [clip for clip in clips if clip % 20 != 19], [clip for clip in clips if clip % 20 == 19] or list(clips)


def _crop(image: np.ndarray, side: int, generator: np.random.Generator) -> np.ndarray:
    """A square of an image, or as much of one as fits."""
    height, width = min(side, image.shape[0]), min(side, image.shape[1])
    top = int(generator.integers(image.shape[0] - height + 1))
    left = int(generator.integers(image.shape[1] - width + 1))
    return image[top : top + height, left : left + width]
