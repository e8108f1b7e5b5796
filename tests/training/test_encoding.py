"""Encoding at full size: in bf16 and parts, texts once, a bounded number of frames, and what it needs said first."""

from dataclasses import replace

import pytest
import torch

from longdwm_env.errors import InvalidConfig
from longdwm_env.models.conditioning.text import PromptTokenizer
from longdwm_env.models.presets import build, debug_cogvideox
from longdwm_env.training.config import latents_overridden
from longdwm_env.training.data.clip import Clip
from longdwm_env.training.data.encoded import encoding_memory
from longdwm_env.training.data.encoded.encoding import KEPT_TEXTS, encode_latents
from longdwm_env.training.data.encoded.encoding_memory import (
    check_encoding_fits,
    clip_bytes,
    encoding_activations,
    encoding_needs,
)
from longdwm_env.training.data.encoded.latents import LatentChoices
from longdwm_env.training.estimate import DoesNotFit
from longdwm_env.training.recipes import recipe

from .scenery import PaintedRoad


class Told(PaintedRoad):
    """Clips of whose starts something else is said after half a second, and again after a second."""

    def clip(self, index: int) -> Clip:
        clip = super().clip(index)
        later = ((6, f"{clip.prompt}\nLater."), (12, clip.prompt))
        return Clip(clip.key, clip.images, clip.camera, clip.poses, clip.prompt, later_prompts=later)


@pytest.fixture
def pipeline():
    made = build(debug_cogvideox())
    made.register_modules(tokenizer=PromptTokenizer(made.text_encoder.config.vocab_size - 3))
    return made


def watch(module: torch.nn.Module) -> list[tuple[torch.Size, torch.dtype]]:
    """What each call of a module is given."""
    given: list[tuple[torch.Size, torch.dtype]] = []
    module.register_forward_pre_hook(lambda _, inputs: given.append((inputs[0].shape, inputs[0].dtype)))
    return given


def test_codec_and_text_encoder_work_in_bf16_and_a_text_is_read_once(pipeline, tmp_path):
    texts, pictures = watch(pipeline.text_encoder), watch(pipeline.vae.encoder)
    choices = LatentChoices(keyframe_phases=2, segment_phases=2, precision="bf16", images_per_pass=26)
    store = encode_latents(Told(clips=3, frames=25, image_size=(64, 96)), tmp_path, pipeline, choices)
    assert {dtype for _, dtype in pictures} == {torch.bfloat16}
    assert {parameter.dtype for parameter in pipeline.text_encoder.parameters()} == {torch.bfloat16}
    # The empty one, and two of each of the road's three weathers, whatever they are asked for.
    assert len(texts) == 7 <= KEPT_TEXTS
    # Sliced: one picture or segment in each pass of the encoder.
    assert {(shape[0], shape[2]) for shape, _ in pictures} == {(1, 1), (1, 13)}
    assert store.tensor(0, "later_texts").shape[0] == 2
    assert store.made_from["choices"]["precision"] == "bf16"
    exact = build(debug_cogvideox())
    exact.register_modules(tokenizer=pipeline.tokenizer)
    wide = encode_latents(
        Told(clips=1, frames=25, image_size=(64, 96)),
        tmp_path / "wide",
        exact,
        LatentChoices(keyframe_phases=2, segment_phases=2),
    )
    for name in ("segments", "segments.1", "keyframes.1"):
        error = (store.tensor(0, name) - wide.tensor(0, name)).abs().mean()
        assert error < 0.1 * wide.tensor(0, name).abs().mean(), name


def test_latents_that_were_made_before_are_still_these():
    assert set(LatentChoices().described()) == {"keyframe_phases", "images_per_pass", "vehicles_unknown_ratio"}
    assert LatentChoices(tiling=True, segment_phases=12).described()["segment_phases"] == 12
    with pytest.raises(InvalidConfig, match=r"segment_phases lies in 1 \.\. 12"):
        LatentChoices(segment_phases=13)


def test_latents_are_set_on_the_command_line():
    full = recipe("cogvideox-2b-nuscenes")
    assert full.data.latents == LatentChoices(keyframe_phases=2, segment_phases=12, precision="bf16")
    told = latents_overridden(full, {"latents.tiling": "true", "latents.images_per_pass": "13", "loop.steps": "1"})
    assert told.data.latents.tiling
    assert told.data.latents.images_per_pass == 13
    with pytest.raises(InvalidConfig, match="no field 'tilling'"):
        latents_overridden(full, {"latents.tilling": "true"})


def test_tiles_take_less_and_weights_count_by_their_type(pipeline):
    choices = LatentChoices(images_per_pass=13)
    whole, tiled = (encoding_activations(pipeline.vae, (64, 96), replace(choices, tiling=t)) for t in (False, True))
    assert tiled < whole / 2
    wide, half = (encoding_needs(pipeline, replace(choices, precision=p), 1, 25, True) for p in ("no", "bf16"))
    assert half.weights == wide.weights / 2
    assert half.memory < wide.memory


def test_bytes_on_the_disk_are_those_that_are_written(pipeline, tmp_path):
    choices = LatentChoices(keyframe_phases=2, segment_phases=4)
    source = PaintedRoad(clips=1, frames=61, image_size=(64, 96))
    store = encode_latents(source, tmp_path, pipeline, choices)
    named = [*(f"keyframes.{p}" for p in (0, 1)), *(f"keyframe_views.{p}" for p in (0, 1))]
    named += [f"segment_ends.{p}" for p in range(1, 4) if p != 2]
    named += [f"{kind}{f'.{p}' if p else ''}" for kind in ("segments", "segment_warps") for p in range(4)]
    written = sum(2 * store.tensor(0, name).numel() for name in named)
    assert clip_bytes(pipeline, choices, 61, has_poses=True) == pytest.approx(written, rel=0.2)


def test_what_does_not_fit_is_refused_before_it_starts(pipeline, tmp_path, monkeypatch, capsys):
    source = PaintedRoad(clips=2, frames=25, image_size=(64, 96))
    source.longest, source.has_poses = 25, True
    choices = LatentChoices()
    check_encoding_fits(pipeline, choices, source, tmp_path / "latents", "cpu")
    assert "latents: 2 clips, about" in capsys.readouterr().out
    monkeypatch.setattr(encoding_memory, "free_bytes", lambda on_gpu: 1e4)
    with pytest.raises(DoesNotFit, match=r"codec and text enc.*latents\.precision=bf16; --set latents\.tiling=true"):
        check_encoding_fits(pipeline, choices, source, tmp_path / "latents", "cpu")
    monkeypatch.setattr(encoding_memory, "free_bytes", lambda on_gpu: 1e12)
    monkeypatch.setattr(encoding_memory, "_free_on_disk", lambda folder: 1e3)
    with pytest.raises(DoesNotFit, match=r"another --out.*segment_phases=1"):
        check_encoding_fits(pipeline, choices, source, tmp_path / "latents", "cpu")
    assert not (tmp_path / "latents").exists()
