"""Damaged weights and absurd settings: refused in words of our own, before anything is built of them."""

import json
import os
import shutil
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pytest
from diffusers import CogVideoXTransformer3DModel
from safetensors.torch import load_file, save_file

from longdwm_env.errors import InvalidConfig, MissingWeights, NotFinite, UnknownWorld
from longdwm_env.geometry.sweep import SweepSettings
from longdwm_env.models.codec.mini_codec import MiniAutoencoder
from longdwm_env.models.conditioning.text import PromptEncoder
from longdwm_env.models.network.dit import LongDWMTransformer3DModel
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.readers.inverse_dynamics import InverseDynamics, load_inverse_dynamics
from longdwm_env.models.readers.scorer import DrivingEncoder, load_scorer
from longdwm_env.models.settings import LongDWMSettings, TransformerConfig
from longdwm_env.models.world import DiffusionWorld

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(saved, tmp_path):
    """A saved pipeline of one's own to spoil."""
    return Path(shutil.copytree(saved, tmp_path / "pipeline"))


def spoil(file, value):
    weights = load_file(file)
    name = max(weights, key=lambda key: weights[key].numel())
    weights[name].view(-1)[-1] = value
    save_file(weights, file, metadata={"format": "pt"})
    return name


def rewritten(file, **changes):
    values = json.loads(file.read_text())
    file.write_text(json.dumps({**values, **changes}))


@pytest.mark.parametrize(
    ("component", "value"),
    [("coarse", float("nan")), ("fine", float("inf")), ("vae", float("-inf")), ("text_encoder", float("nan"))],
)
def test_a_pipeline_with_a_number_that_is_not_finite_is_refused(folder, component, value):
    spoil(folder / component / WEIGHTS, value)
    for load in (LongDWMPipeline.from_pretrained, lambda path: DiffusionWorld.from_pretrained(path, device="cpu")):
        with pytest.raises(MissingWeights, match=f"{component}.*not finite"):
            load(folder)


@pytest.mark.parametrize(("network", "load"), [(DrivingEncoder, load_scorer), (InverseDynamics, load_inverse_dynamics)])
def test_so_is_a_reader_of_pictures(tmp_path, network, load):
    network().save_pretrained(tmp_path)
    load(tmp_path)
    spoil(tmp_path / WEIGHTS, float("nan"))
    with pytest.raises(MissingWeights, match="not finite"):
        load(tmp_path)


@pytest.mark.parametrize("output_type", ["np", "latent"])
def test_a_call_whose_frames_are_not_finite_raises(built, image, output_type):
    """Finite weights that overflow: what came out was black."""
    pipeline = built("debug")
    pipeline.vae.synthesis.weight.data.fill_(3e38)
    with pytest.raises(NotFinite, match="not finite"):
        pipeline(image, seconds=1.0, output_type=output_type)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_size", (10**6, 10**6)),
        ("image_size", [64.5, 96]),
        ("image_size", None),
        ("image_size", "96"),
        ("keyframes", 10**9),
        ("history_keyframes", "4"),
        ("coarse_steps", 10**7),
        ("fine_steps", True),
        ("guidance_scale", float("nan")),
        ("guidance_scale", None),
        ("warp_variant", "cube"),
        ("warp_depth_m", 0.0),
        ("coarse_warp_horizon_s", float("inf")),
        ("backward_warp", 1),
        ("matched_sweep", {"planes": [[1.0]]}),
        ("matched_sweep", {"strange": 1}),
        ("matched_sweep", [1]),
        ("coarse_sweep", [[10.0, 1.2]] * 1000),
        ("coarse_sweep", 7),
        ("prompts", []),
    ],
)
def test_settings_of_an_absurd_size_or_kind_are_refused(name, value):
    with pytest.raises(InvalidConfig, match=name):
        LongDWMSettings.from_json({"image_size": [96, 144], name: value})


@pytest.mark.parametrize(
    "change",
    [
        {"num_layers": 10**9},
        {"num_attention_heads": 10**6},
        {"num_attention_heads": 1000, "attention_head_dim": 1024},
        {"num_layers": 1000, "num_attention_heads": 16, "attention_head_dim": 1024},
        {"sample_frames": 100_000, "sample_width": 4096, "sample_height": 4096},
        {"stem_channels": 10**8},
        {"in_channels": -1},
        {"num_layers": 2.5},
        {"num_layers": None},
        {"attention_head_dim": 7, "num_attention_heads": 1},
    ],
)
def test_a_transformer_of_an_absurd_size_is_never_begun(monkeypatch, change):
    with pytest.raises(InvalidConfig):
        TransformerConfig(**change)
    monkeypatch.setattr(CogVideoXTransformer3DModel, "__init__", lambda *args, **kwargs: pytest.fail("begun"))
    with pytest.raises(InvalidConfig):
        LongDWMTransformer3DModel(**change)


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (MiniAutoencoder, {"latent_channels": 10**6}),
        (MiniAutoencoder, {"encoder_channels": 10**6}),
        (MiniAutoencoder, {"decoder_channels": (10**6, 8, 8)}),
        (MiniAutoencoder, {"latents_std": [0.0] * 16}),
        (MiniAutoencoder, {"latents_mean": [float("nan")] * 16}),
        (MiniAutoencoder, {"latents_mean": [0.0] * 3}),
        (PromptEncoder, {"vocab_size": 10**9}),
        (PromptEncoder, {"dim": 10**9}),
        (DrivingEncoder, {"channels": (8, 8, 8, 10**7)}),
        (DrivingEncoder, {"feature_dim": 10**9}),
        (InverseDynamics, {"channels": 10**7}),
    ],
)
def test_so_is_every_other_network(make, change):
    with pytest.raises(InvalidConfig):
        make(**change)


@pytest.mark.parametrize(
    ("component", "change"),
    [
        ("coarse", {"num_layers": 40}),
        ("fine", {"attention_head_dim": 64}),
        ("vae", {"layers_per_block": 10**6}),
        ("text_encoder", {"num_layers": 10**6}),
        ("text_encoder", {"d_model": 10**8}),
        ("text_encoder", {"d_ff": 4096}),
    ],
)
def test_a_configuration_larger_than_the_weights_beside_it_is_refused(cogvideox_pipeline, tmp_path, component, change):
    """Before the memory that it asks for is taken: diffusers would build it first and compare then."""
    cogvideox_pipeline.save_pretrained(tmp_path)
    rewritten(tmp_path / component / "config.json", **change)
    with pytest.raises(MissingWeights, match=f"{component}/config.json (asks|is damaged)"):
        DiffusionWorld.from_pretrained(tmp_path, device="cpu")


def test_a_folder_does_not_choose_what_is_imported(folder):
    rewritten(folder / "model_index.json", vae=["antigravity", "MiniAutoencoder"])
    with pytest.raises(UnknownWorld, match="antigravity"):
        DiffusionWorld.from_pretrained(folder, device="cpu")


def test_nan_in_a_configuration_is_damage(folder):
    text = (folder / "scheduler" / "scheduler_config.json").read_text()
    (folder / "scheduler" / "scheduler_config.json").write_text(text.replace('"beta_end": 0.012', '"beta_end": NaN'))
    with pytest.raises(MissingWeights, match=r"scheduler_config\.json is damaged"):
        DiffusionWorld.from_pretrained(folder, device="cpu")


ODD = (None, True, -1, 0, 1, 10**30, 2.5, float("nan"), float("inf"), "", "4", [], [1], (2, 3), {}, {"a": 1}, object())


@pytest.mark.parametrize("make", [LongDWMSettings.from_json, lambda values: TransformerConfig(**values)])
def test_nothing_but_our_own_error_comes_from_strange_settings(make):
    random = np.random.default_rng(0)
    start = {"image_size": [96, 144]} if make is LongDWMSettings.from_json else {}
    kind = LongDWMSettings if start else TransformerConfig
    names = [field.name for field in fields(kind)]
    sweep = asdict(SweepSettings())
    for _ in range(int(os.environ.get("LONGDWM_FUZZ_CASES", "400"))):
        changed = {names[random.integers(len(names))]: ODD[random.integers(len(ODD))] for _ in range(2)}
        if start and random.random() < 0.3:
            name = list(sweep)[random.integers(len(sweep))]
            changed |= {"backward_warp": True, "matched_sweep": {**sweep, name: ODD[random.integers(len(ODD))]}}
        try:
            make({**start, **changed})
        except InvalidConfig:
            continue
