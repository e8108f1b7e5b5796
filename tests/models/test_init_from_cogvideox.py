import json
import shutil

import pytest
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXPipeline, CogVideoXTransformer3DModel
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from longdwm_env.errors import InvalidConfig, MissingWeights
from longdwm_env.models import presets
from longdwm_env.models.network.init_from_cogvideox import init_from_cogvideox
from longdwm_env.models.network.sampler import add_noise
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.training.recipes import recipe
from longdwm_env.training.workspace import Workspace

KNOWN = {"<pad>": 0, "</s>": 1, "<unk>": 2, "Weather:": 3, "rainy": 4}


def save_checkpoint(path, **transformer):
    config = presets.debug_cogvideox()
    torch.manual_seed(0)
    words = Tokenizer(models.WordLevel(KNOWN, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    sizes = {
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "in_channels": 4,
        "out_channels": 4,
        "time_embed_dim": 16,
        "text_embed_dim": 32,
        "num_layers": 2,
        "sample_width": 12,
        "sample_height": 8,
        "max_text_seq_length": 16,
    }
    CogVideoXPipeline(
        tokenizer=PreTrainedTokenizerFast(
            tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
        ),
        text_encoder=T5EncoderModel(T5Config(**config.text_arguments)),
        vae=AutoencoderKLCogVideoX(**config.codec_arguments),
        transformer=CogVideoXTransformer3DModel(**{**sizes, **transformer}),
        scheduler=CogVideoXDDIMScheduler(**config.scheduler),
    ).save_pretrained(path, safe_serialization=True)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("cogvideox") / "2b")


@pytest.fixture(scope="module")
def started(checkpoint, tmp_path_factory):
    return LongDWMPipeline.from_pretrained(init_from_cogvideox(checkpoint, tmp_path_factory.mktemp("ours") / "start"))


@torch.no_grad()
@pytest.mark.parametrize("frames", [13, 4])
def test_at_step_0_both_models_say_what_the_original_says(checkpoint, started, frames):
    original = CogVideoXPipeline.from_pretrained(checkpoint)
    generator = torch.Generator().manual_seed(1)
    noisy = torch.randn(2, frames, 4, 8, 12, generator=generator)
    text = torch.randn(2, 16, 32, generator=generator)
    times = torch.tensor([20, 999])
    expected = original.transformer(noisy, text, times).sample
    conditions = {
        "known": torch.randn(noisy.shape, generator=generator),
        "known_mask": torch.ones(2, frames),
        "warp": torch.randn(2, frames, 1, 4, 8, 12, generator=generator),
        "warp_mask": torch.ones(2, frames, 1),
        "motion": torch.randn(2, frames, 6, generator=generator),
    }
    for model in (started.coarse, started.fine):
        assert model.config.known_frames
        assert model.config.warp_views == 1
        assert (model(noisy, text, times, **conditions).sample - expected).abs().max() == 0


@torch.no_grad()
def test_the_text_and_the_noise_schedule_are_the_original_s(checkpoint, started):
    original = CogVideoXPipeline.from_pretrained(checkpoint)
    expected, _ = original.encode_prompt("Weather: rainy", do_classifier_free_guidance=False, max_sequence_length=16)
    assert torch.equal(started.encode_text(["Weather: rainy"]), expected)
    clean, noise, times = torch.ones(1, 3), torch.randn(1, 3), torch.tensor([500])
    assert torch.allclose(
        add_noise(started.scheduler, clean, noise, times), original.scheduler.add_noise(clean, noise, times)
    )


def test_files_may_be_linked(checkpoint, tmp_path):
    out = init_from_cogvideox(checkpoint, tmp_path / "linked", link=True)
    first, second = (next((folder / "vae").glob("*.safetensors")) for folder in (checkpoint, out))
    assert first.samefile(second)


def test_a_folder_in_use_is_left_alone(checkpoint, tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InvalidConfig, match="is in use"):
        init_from_cogvideox(checkpoint, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_what_is_no_checkpoint_is_refused(checkpoint, tmp_path):
    with pytest.raises(MissingWeights, match=r"model_index.json is missing"):
        init_from_cogvideox(tmp_path / "nothing", tmp_path / "out")
    rotary = save_checkpoint(tmp_path / "5b", use_rotary_positional_embeddings=True)
    with pytest.raises(InvalidConfig, match="rotary"):
        init_from_cogvideox(rotary, tmp_path / "out")
    next((rotary / "vae").glob("*.safetensors")).unlink()
    with pytest.raises(MissingWeights, match="vae has no safetensors"):
        init_from_cogvideox(rotary, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_weight_that_is_missing_is_named(tmp_path):
    from safetensors.torch import load_file, save_file

    path = save_checkpoint(tmp_path / "2b")
    file = next((path / "transformer").glob("*.safetensors"))
    weights = load_file(file)
    del weights["proj_out.bias"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(MissingWeights, match=r"proj_out\.bias"):
        init_from_cogvideox(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_half_a_download_is_refused_before_anything_is_copied(checkpoint, tmp_path):
    def damaged(name, change):
        path = tmp_path / name
        shutil.copytree(checkpoint, path)
        change(path)
        with pytest.raises(MissingWeights) as said:
            init_from_cogvideox(path, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        return str(said.value)

    def weights(path, part):
        return next((path / part).glob("*.safetensors"))

    def cut(path):
        whole = weights(path, "text_encoder").read_bytes()
        weights(path, "text_encoder").write_bytes(whole[: len(whole) // 2])

    def point(path):
        weights(path, "vae").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")

    def lose(path):
        shards = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
        (path / "text_encoder" / "model.safetensors.index.json").write_text(json.dumps(shards))

    def forget(path):
        (path / "tokenizer" / "tokenizer.json").unlink()

    assert "was downloaded in part" in damaged("cut", cut)
    assert "git lfs pull" in damaged("pointer", point)
    assert "model-00001-of-00002.safetensors is missing" in damaged("shard", lose)
    assert "has no vocabulary (spiece.model or tokenizer.json)" in damaged("vocabulary", forget)


def test_a_checkpoint_of_another_model_is_named(checkpoint, started, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(checkpoint, other)
    index = json.loads((other / "model_index.json").read_text())
    (other / "model_index.json").write_text(json.dumps({**index, "_class_name": "CogVideoXImageToVideoPipeline"}))
    with pytest.raises(InvalidConfig, match=r"CogVideoXImageToVideoPipeline.*text-to-video checkpoint CogVideoX-2b"):
        init_from_cogvideox(other, tmp_path / "out")
    ours = tmp_path / "ours"
    started.save_pretrained(str(ours))
    with pytest.raises(InvalidConfig, match=r"give it to training as --initial"):
        init_from_cogvideox(ours, tmp_path / "out")


def test_training_starts_from_a_pipeline_of_its_kind_alone(checkpoint, started, tmp_path):
    ours, mini = tmp_path / "ours", tmp_path / "mini"
    started.save_pretrained(str(ours))
    presets.build(presets.debug()).save_pretrained(str(mini))
    full = recipe("cogvideox-2b-nuscenes", "debug")
    with pytest.raises(InvalidConfig, match=r"--initial: .*train init --from-cogvideox"):
        Workspace(tmp_path / "run").prepare(full, checkpoint)
    with pytest.raises(InvalidConfig, match=r"autoencoder MiniAutoencoder, and the recipe cogvideox-2b-nuscenes"):
        Workspace(tmp_path / "run").prepare(full, mini)
    next((mini / "coarse").glob("*.safetensors")).unlink()
    with pytest.raises(MissingWeights, match=r"is missing; expected the weights"):
        Workspace(tmp_path / "run").prepare(recipe("mini-nuscenes", "debug"), mini)
    Workspace(tmp_path / "run").prepare(full, ours)
    assert Workspace(tmp_path / "run").settings == started.settings
