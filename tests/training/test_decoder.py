"""The stage of the small decoder: it comes nearer to the autoencoder's pictures, and the pipeline then uses it."""

import json
from dataclasses import replace

import pytest
import torch

from longdwm_env.errors import InvalidConfig
from longdwm_env.models.codec.small_decoder import SmallDecoder
from longdwm_env.models.world import DiffusionWorld
from longdwm_env.training.assembly.assembled import Ingredients
from longdwm_env.training.assembly.decoder import decoder
from longdwm_env.training.data.encoded.latents import LatentStore
from longdwm_env.training.losses.decoder_loss import DecoderChoices, DecoderSampler
from longdwm_env.training.recipes import recipe
from longdwm_env.training.stage_list import STAGES
from longdwm_env.training.stages import prepare_latents, run_stage
from longdwm_env.training.workspace import Workspace

from .scenery import PaintedRoad

STEPS = 24


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    made, workspace = recipe("cogvideox-2b-nuscenes", "debug"), Workspace(tmp_path_factory.mktemp("decoder"))
    workspace.prepare(made)
    size = workspace.load().settings.image_size
    prepare_latents(made, workspace, PaintedRoad(clips=1, frames=37, image_size=size))
    return workspace


def test_it_learns_what_the_autoencoder_shows_and_the_pipeline_uses_it(workspace):
    made = recipe("cogvideox-2b-nuscenes", "debug")
    config = made.stage("decoder")
    loop = replace(
        config.loop,
        steps=STEPS,
        batch_size=2,
        micro_batch_size=2,
        sample_every=STEPS,
        checkpoint_every=STEPS // 2,
        tracker="none",
    )
    chosen = replace(made, stages={"decoder": replace(config, loop=loop)})
    stopped = run_stage(chosen, "decoder", workspace, device="cpu", max_seconds=0.0)
    assert stopped.step == 1
    assert run_stage(chosen, "decoder", workspace, device="cpu").finished
    before, after = (json.loads(line)["loss"] for line in (workspace.stage("decoder") / "validation.jsonl").open())
    assert after < 0.7 * before
    assert (workspace.stage("decoder") / "samples" / f"step-{STEPS:08d}.png").is_file()
    # Opened as a world is opened, which looks at every file.
    pipeline = DiffusionWorld.from_pretrained(workspace.pipeline).pipeline
    assert isinstance(pipeline.codec.small_decoder, SmallDecoder)
    assert pipeline.codec.small_decoder.config.widths in ([32, 19, 13, 13], (32, 19, 13, 13))


def test_samples_are_squares_of_segments_and_keyframes(workspace):
    store = LatentStore(workspace.latents)
    sampler = DecoderSampler(store, DecoderChoices(crop=6, border=1, keyframe_share=0.5), seed=0)
    kinds = set()
    for step in range(12):
        batch = sampler.batch(step, (2 * step, 2 * step + 1))
        frames = batch.latents.shape[1]
        kinds.add((frames, batch.num_frames))
        assert batch.latents.shape == (2, frames, 4, 6, 6)
        assert batch.border == 1
    assert kinds == {(1, 1), (4, 13)}
    whole = DecoderSampler(store, DecoderChoices(crop=0), seed=0).batch(0, (0,))
    assert whole.latents.shape[-2:] == (8, 12)
    assert whole.border == 0
    same = sampler.batch(3, (6,)).latents
    assert torch.equal(same, sampler.batch(3, (6,)).latents)
    with pytest.raises(InvalidConfig, match="leaves nothing"):
        DecoderChoices(crop=4, border=2)


def test_only_the_large_autoencoder_gets_one(tmp_path):
    made, mini = recipe("mini-simulator", "debug"), Workspace(tmp_path)
    mini.prepare(made)
    config = recipe("cogvideox-2b-nuscenes", "debug").stage("decoder")
    with pytest.raises(InvalidConfig, match="takes the place of CogVideoX's"):
        decoder(Ingredients(STAGES["decoder"], config, made, mini, mini.load()))
