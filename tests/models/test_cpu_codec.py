import numpy as np
import pytest
import torch

from longdwm_env.models import machine
from longdwm_env.models.codec import cpu_codec
from longdwm_env.models.codec.cpu_codec import quick_on_cpu
from longdwm_env.models.codec.mini_codec import MiniAutoencoder
from longdwm_env.models.codec.video_codec import images_from_uint8, uint8_from_images


@pytest.fixture(scope="module")
def codec(picture):
    """Fitted to pictures, its networks adding a little, as after training."""
    torch.manual_seed(0)
    made = MiniAutoencoder(latent_channels=24).eval()
    made.fit_pca(np.stack([picture((96, 144), seed) for seed in range(8)]))
    for part in (made.encoder, made.decoder):
        for weight in part.parameters():
            if not weight.detach().any():
                weight.data.normal_(std=0.01)
    return made


def test_pictures_are_the_same_within_one_step(codec, picture):
    images = images_from_uint8(np.stack([picture((96, 144), seed) for seed in (20, 21)])[None])
    quick = quick_on_cpu(codec)
    with torch.no_grad():
        latents, quickly = codec.encode_keyframes(images), quick.encode_keyframes(images)
        drawn, drawn_quickly = (uint8_from_images(each.decode_keyframes(latents)) for each in (codec, quick))
    assert (latents - quickly).abs().max() < 0.05
    assert np.abs(drawn.astype(int) - drawn_quickly).max() <= 1


def test_fewer_passes_compute_the_same(codec, picture, monkeypatch):
    monkeypatch.setattr(cpu_codec, "faster_in_bfloat16", lambda: False)
    images = images_from_uint8(np.stack([picture((96, 144), seed) for seed in (30, 31)]))
    quick = quick_on_cpu(codec)
    with torch.no_grad():
        raw = codec.encode(images)
        torch.testing.assert_close(quick.encode(images), raw, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(quick.decode(raw), codec.decode(raw), rtol=1e-4, atol=1e-4)
        linear = MiniAutoencoder(latent_channels=8, encoder_channels=0, decoder_channels=())
        for tensor in linear.parameters():
            tensor.data.normal_()
        raw = linear.encode(images)
        torch.testing.assert_close(quick_on_cpu(linear).decode(raw), linear.decode(raw), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("tiles", "vectors", "name", "faster"),
    [
        (False, True, "AMD EPYC 9B14 (AuthenticAMD)", True),
        (False, True, "QEMU Virtual CPU (GenuineIntel)", False),
        (False, True, "Intel64 Family 6 Model 143 Stepping 8, GenuineIntel", False),
        (True, True, "QEMU Virtual CPU (GenuineIntel)", True),
        (False, False, "AMD EPYC 9B14 (AuthenticAMD)", False),
    ],
)
def test_bfloat16_is_used_where_it_is_faster(codec, monkeypatch, tiles, vectors, name, faster):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: vectors)
    monkeypatch.setattr(machine, "processor", lambda: name)
    monkeypatch.setattr(cpu_codec, "faster_in_bfloat16", machine.faster_in_bfloat16.__wrapped__)
    assert cpu_codec.faster_in_bfloat16() is faster
    assert isinstance(quick_on_cpu(codec).decoder, cpu_codec._InBfloat16) is faster


def test_a_processor_is_named_with_its_maker(tmp_path, monkeypatch):
    told = tmp_path / "cpuinfo"
    told.write_text("processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: QEMU Virtual CPU\n\nprocessor\t: 1\n")
    monkeypatch.setattr(machine, "_CPUINFO", told)
    assert machine.processor() == "QEMU Virtual CPU (GenuineIntel)"


@pytest.mark.parametrize("text", [None, "", "processor\t: 0\nBogoMIPS\t: 100.00\n"])
def test_one_that_does_not_say_has_a_name_all_the_same(tmp_path, monkeypatch, text):
    told = tmp_path / "cpuinfo"
    if text is not None:
        told.write_text(text)
    monkeypatch.setattr(machine, "_CPUINFO", told)
    monkeypatch.setattr(machine.platform, "processor", lambda: "")
    monkeypatch.setattr(machine.platform, "machine", lambda: "aarch64")
    assert machine.processor() == "aarch64"
