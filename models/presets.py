"""Sizes of the model. A preset is a function that returns a whole configuration; ``build`` makes a pipeline of it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler
from transformers import T5Config, T5EncoderModel

from longdwm_env.geometry.sweep import SweepSettings
from longdwm_env.models.codec.mini_codec import MiniAutoencoder
from longdwm_env.models.conditioning.text import PromptEncoder, PromptTokenizer
from longdwm_env.models.network.dit import LongDWMTransformer3DModel
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.settings import LongDWMSettings, TransformerConfig

COGVIDEOX_2B_PARAMETERS = {"transformer": 1_693_783_872, "vae": 215_583_907, "text_encoder": 4_762_310_656}
"""Parameters of CogVideoX-2B's components, as diffusers builds them from the published configurations."""


@dataclass(frozen=True)
class LongDWMConfig:
    """Everything that decides a pipeline's architecture.

    Attributes:
        name: of the preset.
        coarse: the Coarse transformer.
        fine: the Fine transformer.
        settings: what generation needs beside the weights.
        codec: which autoencoder.
        codec_arguments: of its class; the class's defaults for the rest.
        text: which text encoder.
        text_arguments: of its class.
        scheduler: arguments of ``CogVideoXDDIMScheduler``.
    """

    name: str
    coarse: TransformerConfig
    fine: TransformerConfig
    settings: LongDWMSettings
    codec: Literal["mini", "cogvideox"]
    text: Literal["mini", "t5"]
    codec_arguments: dict[str, object] = field(default_factory=dict)
    text_arguments: dict[str, object] = field(default_factory=dict)
    scheduler: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.coarse.in_channels != self.fine.in_channels:
            raise ValueError("Coarse and Fine model share a codec, so their latents have the same channels")
        for name, model, given in zip(
            ("coarse", "fine"), (self.coarse, self.fine), self.settings.warp_views, strict=True
        ):
            if model.warp_views and model.warp_views != given:
                raise ValueError(f"the settings give {name} {given} views, but warp_views={model.warp_views}")
            if model.warp_views and model.layout_view != self.settings.road_layout:
                raise ValueError(f"{name} has layout_view={model.layout_view}, the settings another road_layout")
        if self.coarse.held_views or (self.fine.warp_views and self.fine.held_views != self.settings.held_ends):
            raise ValueError("held_views are the Fine model's where the settings have held_ends, and no other's")
        residual = self.coarse.residual_warp or self.fine.residual_warp
        if residual and self.scheduler.get("prediction_type") != "sample":
            raise ValueError("residual_warp adds a clean latent, so the scheduler must predict the sample")


def scheduler_arguments(prediction_type: str, snr_shift_scale: float) -> dict[str, object]:
    """CogVideoX's noise schedule, with what the two sizes differ in.

    Args:
        prediction_type: "v_prediction" at full size, "sample" for mini.
        snr_shift_scale: CogVideoX shifts its schedule by 3 towards noise because many pixels agree on the signal; small
            pictures need no shift.
    """
    return {
        "num_train_timesteps": 1000,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "clip_sample": False,
        "set_alpha_to_one": True,
        "prediction_type": prediction_type,
        "timestep_spacing": "trailing",
        "rescale_betas_zero_snr": True,
        "snr_shift_scale": snr_shift_scale,
    }


_MINI = TransformerConfig(
    warp_views=4,
    layout_view=True,
    max_text_seq_length=5,
    temporal_compression_ratio=1,
    spatial_interpolation_scale=1.0,
    known_frames=True,
    motion=True,
    residual_warp=True,
    mix_views=True,
    keep_known=True,
    stem_channels=64,
)
"""What transformers of mini's kind are given and how, at any size."""


def mini() -> LongDWMConfig:
    """144 x 96 for a CPU: about 10 M and 7 M parameters, a second of driving in a few tenths of a second."""
    # So far off that only turning moves it: it holds what drives ahead at our own speed.
    coarse_sweep = ((1000.0, 1.02),)
    coarse = replace(
        _MINI,
        num_attention_heads=5,
        num_layers=5,
        # Distant cars are a few pixels wide: docs/decisions/mini-codec.md compares numbers of components.
        in_channels=32,
        out_channels=32,
        # Up to five keyframes, a closed loop's history and the next one, share a token in time: a sample then costs a
        # third. The paper's 13 keyframes are three.
        frames_per_token=5,
        sample_frames=3,
        time_embed_dim=64,
        text_embed_dim=64,
        sample_width=18,
        sample_height=12,
        stem_blocks=1,
        head_blocks=2,
    )
    return LongDWMConfig(
        name="mini",
        coarse=coarse,
        fine=replace(
            coarse,
            num_attention_heads=4,
            sample_frames=3,
            warp_views=6,
            held_views=True,
        ),
        settings=LongDWMSettings(
            image_size=(96, 144),
            coarse_steps=2,
            fine_steps=1,
            warp_variant="ground",
            backward_warp=True,
            matched_sweep=SweepSettings(relative=0.4),
            coarse_sweep=coarse_sweep,
            held_ends=True,
            road_layout=True,
            move_vehicles=True,
        ),
        codec="mini",
        codec_arguments={"latent_channels": 32},
        text="mini",
        text_arguments={"dim": 64},
        scheduler=scheduler_arguments("sample", snr_shift_scale=1.0),
    )


def study() -> LongDWMConfig:
    """Mini's picture, codec and conditions with transformers of about 2 M parameters each, to compare methods with.

    Without the road's layout, the held ends and moved vehicles, which no method of the paper has, and in one step.
    """
    full = mini()

    def smaller(model: TransformerConfig, views: int) -> TransformerConfig:
        plain = replace(model, warp_views=views, layout_view=False, held_views=False)
        return replace(plain, num_attention_heads=2, num_layers=4, stem_channels=32, head_blocks=1)

    settings = replace(
        full.settings,
        coarse_steps=1,
        road_layout=False,
        held_ends=False,
        move_vehicles=False,
        matched_sweep=SweepSettings(),
    )
    coarse, fine = map(smaller, (full.coarse, full.fine), settings.warp_views)
    return replace(full, name="study", coarse=coarse, fine=fine, settings=settings)


def cogvideox_2b() -> LongDWMConfig:
    """720 x 480: CogVideoX-2B's transformer twice, its autoencoder and its T5, with the paper's conditions.

    Steps and guidance are CogVideoX's own defaults (50 steps, guidance 6), as the paper names none.
    """
    transformer = TransformerConfig(known_frames=True, warp_views=1, motion=True)
    return LongDWMConfig(
        name="cogvideox-2b",
        coarse=transformer,
        fine=transformer,
        settings=LongDWMSettings(image_size=(480, 720), coarse_steps=50, fine_steps=50, guidance_scale=6.0),
        codec="cogvideox",
        text="t5",
        text_arguments={
            "vocab_size": 32128,
            "d_model": 4096,
            "d_kv": 64,
            "d_ff": 10240,
            "num_layers": 24,
            "num_heads": 64,
            "feed_forward_proj": "gated-gelu",
            "tie_word_embeddings": False,
        },
        scheduler=scheduler_arguments("v_prediction", snr_shift_scale=3.0),
    )


def debug() -> LongDWMConfig:
    """48 x 32 in milliseconds: mini's classes, as small as they get. For tests."""
    coarse = replace(
        _MINI,
        num_attention_heads=2,
        attention_head_dim=16,
        num_layers=2,
        sample_frames=13,
        time_embed_dim=16,
        text_embed_dim=16,
        sample_width=6,
        sample_height=4,
        stem_channels=16,
    )
    return LongDWMConfig(
        name="debug",
        coarse=coarse,
        fine=replace(coarse, sample_frames=5, warp_views=6, held_views=True, frames_per_token=3),
        settings=replace(mini().settings, image_size=(32, 48), history_keyframes=3, coarse_sweep=((20.0, 1.8),)),
        codec="mini",
        codec_arguments={"encoder_channels": 8, "decoder_channels": (16, 8, 8)},
        text="mini",
        text_arguments={"dim": 16, "vocab_size": 131},
        scheduler=scheduler_arguments("sample", snr_shift_scale=1.0),
    )


def debug_cogvideox() -> LongDWMConfig:
    """The full size's classes, as small as they get: 3-D codec, T5, v-prediction, bare patches. For tests."""
    transformer = TransformerConfig(
        num_attention_heads=2,
        attention_head_dim=16,
        num_layers=2,
        time_embed_dim=16,
        in_channels=4,
        out_channels=4,
        text_embed_dim=32,
        max_text_seq_length=16,
        sample_width=12,
        sample_height=8,
        known_frames=True,
        warp_views=1,
        motion=True,
    )
    return LongDWMConfig(
        name="debug-cogvideox",
        coarse=transformer,
        fine=transformer,
        settings=LongDWMSettings(image_size=(64, 96), history_keyframes=3, coarse_steps=2, fine_steps=2),
        codec="cogvideox",
        codec_arguments={
            "block_out_channels": (8, 8, 8, 8),
            "latent_channels": 4,
            "layers_per_block": 1,
            "norm_num_groups": 2,
            "sample_height": 64,
            "sample_width": 96,
        },
        text="t5",
        text_arguments={"vocab_size": 384, "d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4},
        scheduler=scheduler_arguments("v_prediction", snr_shift_scale=3.0),
    )


PRESETS: dict[str, Callable[[], LongDWMConfig]] = {
    "mini": mini,
    "study": study,
    "cogvideox-2b": cogvideox_2b,
    "debug": debug,
    "debug-cogvideox": debug_cogvideox,
}


def build(
    config: LongDWMConfig,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    text_encoder: bool = True,
) -> LongDWMPipeline:
    """A pipeline with random weights, the same for the same seed.

    An untrained mini gives the warp of the present frame as its next keyframe and cross-fades between, through a codec
    that is a cosine transform. At full size the tokenizer is missing: its vocabulary comes with a checkpoint.
    ``init_from_cogvideox`` makes a complete one.

    Args:
        config: what to build.
        seed: of the weights; PyTorch's own random state is left as it was.
        dtype: of the weights.
        device: where to build; "meta" builds shapes alone.
        text_encoder: False leaves out the text encoder, 4.8 of the 8.6 billion parameters at full size.
    """
    with torch.random.fork_rng(devices=[]), torch.device(device):
        torch.manual_seed(seed)
        previous = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            coarse = LongDWMTransformer3DModel(**config.coarse.to_kwargs())
            fine = LongDWMTransformer3DModel(**config.fine.to_kwargs())
            arguments = config.codec_arguments
            vae = AutoencoderKLCogVideoX(**arguments) if config.codec == "cogvideox" else MiniAutoencoder(**arguments)
            encoder = _text_encoder(config) if text_encoder else None
        finally:
            torch.set_default_dtype(previous)
    return LongDWMPipeline(
        tokenizer=PromptTokenizer(_buckets(encoder)) if isinstance(encoder, PromptEncoder) else None,
        text_encoder=encoder,
        vae=vae.eval(),
        coarse=coarse.eval(),
        fine=fine.eval(),
        scheduler=CogVideoXDDIMScheduler(**config.scheduler),
        settings=config.settings.to_json(),
    )


def _text_encoder(config: LongDWMConfig) -> torch.nn.Module:
    if config.text == "t5":
        return T5EncoderModel(T5Config(**config.text_arguments)).eval()
    return PromptEncoder(**config.text_arguments).eval()


def _buckets(encoder: PromptEncoder) -> int:
    return encoder.config.vocab_size - PromptTokenizer.num_special_words


def parameter_counts(pipeline: LongDWMPipeline) -> dict[str, int]:
    """Parameters of each component with weights."""
    parts = pipeline.components.items()
    return {
        name: sum(weight.numel() for weight in part.parameters())
        for name, part in parts
        if isinstance(part, torch.nn.Module)
    }
