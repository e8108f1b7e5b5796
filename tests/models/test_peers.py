import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLCogVideoX,
    AutoencoderKLTemporalDecoder,
    CogVideoXDDIMScheduler,
    CogVideoXImageToVideoPipeline,
    CogVideoXTransformer3DModel,
    DDIMScheduler,
    EulerDiscreteScheduler,
    I2VGenXLPipeline,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from diffusers.models.unets import I2VGenXLUNet
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    PreTrainedTokenizerFast,
    T5EncoderModel,
)

from longdwm_env.errors import InvalidConfig, MissingWeights
from longdwm_env.evaluation.peers import PEERS, DiffusersPeer, roll_out
from longdwm_env.models import presets


class Counter:
    """A peer whose frames count up, so that it shows which came from which."""

    name = "counter"
    image_size = (8, 8)
    frames_per_rollout = 25

    def __init__(self, conditioning_frames):
        self.conditioning_frames = conditioning_frames
        self.calls = []

    def rollout(self, frames, prompt, seed):
        self.calls.append((len(frames), prompt, seed))
        last = int(frames[-1, 0, 0, 0])
        new = [np.full((8, 8, 3), last + 1 + i, np.uint8) for i in range(self.frames_per_rollout - len(frames))]
        return np.concatenate([frames, new])


@pytest.mark.parametrize(("known", "second"), [(1, 24), (3, 22)])
def test_rollouts_go_on_from_their_own_last_frames(known, second):
    """Table 11: one conditioning frame gives 25 + 24 frames, Vista's three give 25 + 22."""
    peer = Counter(known)
    parts = list(roll_out(peer, np.zeros((16, 16, 3), np.uint8), 24 + second, "fog", 5))
    assert [len(part) for part in parts] == [24, second]
    assert [int(frame[0, 0, 0]) for part in parts for frame in part] == list(range(1, 25 + second))
    assert peer.calls == [(1, "fog", 5), (known, "fog", 6)]
    assert sum(len(part) for part in roll_out(Counter(1), np.zeros((8, 8, 3), np.uint8), 30)) == 30


def image_processor():
    from transformers import CLIPImageProcessorPil

    return CLIPImageProcessorPil()


def vision_encoder(width=32):
    config = {"hidden_size": width, "projection_dim": width, "num_hidden_layers": 1, "num_attention_heads": 4}
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(**config, image_size=224, intermediate_size=37, patch_size=56)
    )


def words():
    tokenizer = Tokenizer(models.WordLevel({"<pad>": 0, "</s>": 1, "<unk>": 2}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=16, **names)


def tiny_svd():
    unet = UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=32,
        in_channels=8,
        out_channels=4,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        cross_attention_dim=32,
        num_attention_heads=8,
        projection_class_embeddings_input_dim=96,
        addition_time_embed_dim=32,
    )
    vae = AutoencoderKLTemporalDecoder(
        block_out_channels=(32, 64), down_block_types=("DownEncoderBlock2D",) * 2, latent_channels=4
    )
    scheduler = EulerDiscreteScheduler(
        prediction_type="v_prediction", sigma_max=700.0, sigma_min=0.002, timestep_type="continuous"
    )
    parts = {"vae": vae, "unet": unet, "scheduler": scheduler}
    return StableVideoDiffusionPipeline(image_encoder=vision_encoder(), feature_extractor=image_processor(), **parts)


def tiny_i2vgen_xl():
    unet = I2VGenXLUNet(
        block_out_channels=(4, 8),
        layers_per_block=1,
        sample_size=32,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        cross_attention_dim=4,
        attention_head_dim=4,
        num_attention_heads=None,
        norm_num_groups=2,
    )
    text = CLIPTextConfig(
        hidden_size=4, intermediate_size=16, num_attention_heads=2, num_hidden_layers=1, vocab_size=10, eos_token_id=1
    )
    return I2VGenXLPipeline(
        vae=AutoencoderKL(block_out_channels=(8,), latent_channels=4, norm_num_groups=2),
        text_encoder=CLIPTextModel(text),
        tokenizer=words(),
        image_encoder=vision_encoder(4),
        feature_extractor=image_processor(),
        unet=unet,
        scheduler=DDIMScheduler(clip_sample=False, set_alpha_to_one=False),
    )


def tiny_cogvideox_i2v():
    config = presets.debug_cogvideox()
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=8,
        out_channels=4,
        time_embed_dim=2,
        text_embed_dim=32,
        num_layers=1,
        sample_width=4,
        sample_height=4,
        sample_frames=9,
        max_text_seq_length=16,
        use_rotary_positional_embeddings=True,
        use_learned_positional_embeddings=True,
    )
    from transformers import T5Config

    return CogVideoXImageToVideoPipeline(
        tokenizer=words(),
        text_encoder=T5EncoderModel(T5Config(**config.text_arguments)),
        vae=AutoencoderKLCogVideoX(**{**config.codec_arguments, "sample_height": 32, "sample_width": 32}),
        transformer=transformer,
        scheduler=CogVideoXDDIMScheduler(),
    )


TINY = {
    "svd": (tiny_svd, 4, {}),
    "i2vgen-xl": (tiny_i2vgen_xl, 4, {}),
    "cogvideox-i2v": (tiny_cogvideox_i2v, 9, {"max_sequence_length": 16}),
}


@pytest.mark.parametrize("name", sorted(TINY))
def test_each_of_diffusers_pipelines_rolls_out_from_its_folder(name, tmp_path, picture):
    make, frames, arguments = TINY[name]
    torch.manual_seed(0)
    make().save_pretrained(tmp_path)
    peer = DiffusersPeer.from_folder(
        name, tmp_path, image_size=(32, 32), frames_per_rollout=frames, num_steps=2, arguments=arguments
    )
    peer.pipeline.set_progress_bar_config(disable=True)
    image = picture((32, 32))
    clip = peer.rollout(image[None], "Weather: rainy", 0)
    assert clip.shape == (frames, 32, 32, 3)
    assert np.array_equal(clip[0], image)
    assert np.array_equal(peer.rollout(image[None], "Weather: rainy", 0), clip)
    video = np.concatenate(list(roll_out(peer, picture((48, 64)), frames + 1)))
    assert video.shape == (frames + 1, 32, 32, 3)


def test_the_table_s_protocol():
    assert {name: kind.frames_per_rollout for name, kind in PEERS.items()} == {
        "svd": 25,
        "i2vgen-xl": 25,
        "cogvideox-i2v": 49,
    }


def test_what_is_no_peer_is_refused(tmp_path):
    with pytest.raises(InvalidConfig, match="there are svd"):
        DiffusersPeer.from_folder("vista", tmp_path)
    with pytest.raises(MissingWeights, match=r"no model_index.json"):
        DiffusersPeer.from_folder("svd", tmp_path)
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(MissingWeights, match="cannot be loaded"):
        DiffusersPeer.from_folder("svd", tmp_path)
