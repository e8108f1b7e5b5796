"""The stage that trains the small decoder, and the way of published weights into a pipeline."""

from pathlib import Path

import torch

from longdwm_env.errors import InvalidConfig
from longdwm_env.models.codec.small_decoder import Likeness, SmallDecoder, checked_scale, load_published
from longdwm_env.models.codec.video_codec import CogVideoXCodec
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.training.assembly.assembled import Assembled, Ingredients
from longdwm_env.training.assembly.latent_stages import open_store
from longdwm_env.training.assembly.order import trained_with
from longdwm_env.training.data.encoded.latents import SEGMENT_FRAMES, LatentStore
from longdwm_env.training.losses.decoder_loss import DecoderChoices, DecoderObjective, DecoderSampler, OwnDecoder
from longdwm_env.training.workspace import Workspace

CHECKED_SEGMENTS = 4


def decoder(given: Ingredients) -> Assembled:
    """The small decoder as pupil of CogVideoX's own; it goes on from the pipeline's, where it has one.

    Raises:
        InvalidConfig: the pipeline's codec is not CogVideoX's.
    """
    pipeline, choices, seed = given.pipeline, given.config.decoder, given.config.loop.seed
    codec, store = _large(pipeline), open_store(given)
    small = pipeline.small_decoder
    if small is None:
        small = _built(codec, choices.widths, seed)
    small.requires_grad_(True)
    seen, unseen = (DecoderSampler(part, choices, seed) for part in store.split())
    objective = DecoderObjective(small, OwnDecoder(codec), choices, seed)
    return Assembled(objective, seen.batch, unseen.batch, store.made_from)


def untrained_decoder(workspace: Workspace, pipeline: LongDWMPipeline) -> SmallDecoder:
    """A decoder of the widths that this workspace trains one with."""
    config = trained_with(workspace, "decoder")
    assert config is not None
    return _built(_large(pipeline), DecoderChoices(**config["decoder"]).widths, 0)


def _built(codec: CogVideoXCodec, widths: tuple[int, ...], seed: int) -> SmallDecoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SmallDecoder(codec.latent_channels, widths)


def put_published(workspace: Workspace, weights: Path) -> Likeness:
    """Put published weights into the workspace's pipeline, if they decode its latents; how near they come.

    Args:
        workspace: with latents.
        weights: safetensors of TAEHV's decoder for CogVideoX.

    Raises:
        InvalidConfig: they belong to another autoencoder, or the pipeline has none of CogVideoX's.
        MissingWeights: the file is damaged or something else.
    """
    pipeline, decoder = workspace.load(), load_published(weights)
    codec, store = _large(pipeline), LatentStore(workspace.latents)
    store.check_codec(pipeline)
    if decoder.config.latent_channels != codec.latent_channels:
        raise InvalidConfig(
            f"{weights} decodes latents of {decoder.config.latent_channels} channels, the pipeline's have "
            f"{codec.latent_channels}"
        )
    _, unseen = store.split()
    places = [(clip, s) for clip, entry in enumerate(unseen.entries) for s in range(entry.facts["intervals"])]
    chosen = places[:: max(1, len(places) // CHECKED_SEGMENTS)][:CHECKED_SEGMENTS]
    latents = torch.stack([unseen.rows(clip, "segments", segment) for clip, segment in chosen])
    with torch.no_grad():
        wanted = torch.cat([codec.decode_clip(each[None], SEGMENT_FRAMES).float() for each in latents])
    likeness = checked_scale(decoder, latents, wanted)
    workspace.save_component("small_decoder", decoder)
    return likeness


def _large(pipeline: LongDWMPipeline) -> CogVideoXCodec:
    """The autoencoder with its own decoder."""
    if not isinstance(pipeline.codec, CogVideoXCodec):
        raise InvalidConfig(
            "a small decoder takes the place of CogVideoX's; the mini codec's own is small: train it with `codec`"
        )
    return CogVideoXCodec(pipeline.vae)
