import numpy as np
import pytest
import torch
from diffusers.models.downsampling import CogVideoXDownsample3D
from diffusers.models.upsampling import CogVideoXUpsample3D

from longdwm_env.errors import NotFinite
from longdwm_env.models.codec.mini_codec import MiniAutoencoder
from longdwm_env.models.codec.video_codec import CogVideoXCodec, images_from_uint8, uint8_from_images
from longdwm_env.models.network.module_costs import without_data
from longdwm_env.models.presets import build, cogvideox_2b


@pytest.fixture(scope="module")
def cogvideox(built):
    return built("debug-cogvideox").codec


@pytest.fixture(scope="module")
def clip(picture):
    return lambda size, frames=13: images_from_uint8(np.stack([picture(size, seed) for seed in range(frames)]))[None]


def psnr(a, b):
    return -10 * np.log10(np.mean((a.astype(float) - b.astype(float)) ** 2) / 255**2)


def test_uint8_survives_the_round_trip_through_tensors():
    frames = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    assert np.array_equal(uint8_from_images(images_from_uint8(frames)), frames)


def test_what_lies_outside_the_range_is_clipped():
    assert uint8_from_images(torch.tensor([[[[-3.0]], [[0.0]], [[9.0]]]])).ravel().tolist() == [0, 128, 255]


@torch.no_grad()
def test_thirteen_frames_become_four_latents_and_decode_to_sixteen(cogvideox, clip):
    images = clip((64, 96))
    latents = cogvideox.encode_clip(images)
    assert latents.shape == (1, 4, 4, 8, 12)
    assert cogvideox._decode(latents).shape[1] == 16
    decoded = cogvideox.decode_clip(latents, 13)
    assert decoded.shape == images.shape
    assert torch.equal(decoded, cogvideox._decode(latents)[:, 3:])
    assert torch.equal(cogvideox.decode_clip(latents, 13, slice(1, 4)), decoded[:, 1:4])


@torch.no_grad()
def test_golden_of_the_sixteen_frames(cogvideox):
    """Brightness of each decoded frame before the crop; 1e-3 allows for other kernels of convolution."""
    expected = [0.0323] * 4 + [0.0213, 0.0321, 0.0111, 0.0137]
    expected += [0.0201, 0.0486, 0.0184, 0.001, 0.0084, 0.0342, -0.0738, -0.0759]
    latents = torch.linspace(-1, 1, 4).reshape(1, 4, 1, 1, 1).expand(1, 4, 4, 8, 12)
    found = cogvideox._decode(latents).mean(dim=(0, 2, 3, 4))
    assert torch.allclose(found, torch.tensor(expected), atol=1e-3)
    # Frames of the first two latents do not know the last two.
    changed = latents.clone()
    changed[:, 2:] += 1
    again = cogvideox._decode(changed).mean(dim=(0, 2, 3, 4))
    assert torch.allclose(found[:8], again[:8], atol=1e-3)
    assert not torch.allclose(found[8:], again[8:], atol=1e-3)


def test_dropping_the_first_three_frames_keeps_every_frame_in_its_place():
    """A ramp in time through CogVideoX's own halving and doubling comes out where it went in."""
    down = CogVideoXDownsample3D(1, 1, kernel_size=1, stride=1, compress_time=True)
    up = CogVideoXUpsample3D(1, 1, kernel_size=1, padding=0, compress_time=True)
    for layer in (down.conv, up.conv):
        torch.nn.init.ones_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    ramp = torch.arange(13.0).reshape(1, 1, 13, 1, 1).expand(1, 1, 13, 2, 2)
    small = down(down(ramp))
    assert small[0, 0, :, 0, 0].tolist() == [0, 2.5, 6.5, 10.5]
    # The autoencoder decodes two latents at a time.
    decoded = torch.cat([up(up(small[:, :, i : i + 2, :1, :1])) for i in (0, 2)], dim=2)[0, 0, :, 0, 0]
    assert len(decoded) == 16
    kept = decoded[3:]
    assert kept.tolist() == [0] + [2.5] * 4 + [6.5] * 4 + [10.5] * 4
    assert (kept - torch.arange(13.0)).abs().max() <= 1.5


@torch.no_grad()
def test_the_first_latent_of_a_clip_depends_on_its_place_in_time(cogvideox):
    assert cogvideox.latent_frames(13) == 4
    assert cogvideox.last_frames(13) == (0, 4, 8, 12)
    assert cogvideox.latent_frames(1) == 1
    with pytest.raises(ValueError, match="1 \\+ 4 n frames, got 12"):
        cogvideox.latent_frames(12)


@torch.no_grad()
def test_keyframes_do_not_mix(cogvideox, pipeline, clip):
    for codec, size in ((cogvideox, (64, 96)), (pipeline.codec, (32, 48))):
        images = clip(size, 3)
        together = codec.encode_keyframes(images)
        alone = torch.cat([codec.encode_keyframes(images[:, i : i + 1]) for i in range(3)], dim=1)
        assert torch.allclose(together, alone, atol=1e-5)
        decoded = codec.decode_keyframes(together)
        assert decoded.shape == images.shape
        assert torch.allclose(decoded[:, 1:2], codec.decode_keyframes(together[:, 1:2]), atol=1e-5)


def test_latents_of_the_wrong_number_are_refused(cogvideox, pipeline):
    with pytest.raises(ValueError, match="4 latent frames, got 3"):
        cogvideox.decode_clip(torch.zeros(1, 3, 4, 8, 12), 13)
    with pytest.raises(ValueError, match="as many latents, got 4"):
        pipeline.codec.decode_clip(torch.zeros(1, 4, 16, 4, 6), 13)


@torch.no_grad()
def test_fitting_reaches_the_optimum_of_linear_codecs_and_normalises(picture):
    frames = np.stack([picture((96, 144), seed) for seed in range(6)])
    codec = MiniAutoencoder(latent_channels=4, encoder_channels=0, decoder_channels=())
    before = psnr(frames, uint8_from_images(codec(images_from_uint8(frames)).sample))
    codec.fit_pca(frames)
    after = psnr(frames, uint8_from_images(codec(images_from_uint8(frames)).sample))
    assert after > before
    latents = codec.encode_keyframes(images_from_uint8(frames)[None])
    assert torch.allclose(latents.mean(dim=(0, 1, 3, 4)), torch.zeros(4), atol=1e-3)
    assert torch.allclose(latents.std(dim=(0, 1, 3, 4)), torch.ones(4), atol=1e-2)


@torch.no_grad()
def test_measuring_the_latents_again_does_not_change_what_they_decode_to(picture):
    """A trained decoder is used to the latents that it was trained on; the encoder moves on."""
    torch.manual_seed(0)
    codec = MiniAutoencoder()
    codec.fit_pca(np.stack([picture((96, 144), seed) for seed in range(2)]))
    for weight in codec.parameters():
        weight.add_(0.01 * torch.randn_like(weight))
    images = images_from_uint8(picture((96, 144), 5)[None])
    before = codec(images).sample
    latents = codec.encode_keyframes(images[None])
    codec.fit_statistics(np.stack([picture((96, 144), seed) for seed in range(5, 9)]))
    assert torch.equal(codec(images).sample, before)
    moved = codec.encode_keyframes(images[None])
    assert not torch.allclose(moved, latents, atol=0.01)
    assert torch.allclose(codec.decode_keyframes(moved)[0], before, atol=1e-4)


def test_a_few_pictures_are_too_few_for_many_components():
    with pytest.raises(ValueError, match="too few"):
        MiniAutoencoder(latent_channels=16).fit_pca(np.zeros((1, 8, 16, 3), np.uint8))


def test_cogvideox_latents_are_scaled(cogvideox, clip):
    assert isinstance(cogvideox, CogVideoXCodec)
    images = clip((64, 96), 1)
    with torch.no_grad():
        raw = cogvideox.vae.encode(images.movedim(1, 2)).latent_dist.mode()
        assert torch.allclose(cogvideox.encode_keyframes(images)[0, 0], raw[0, :, 0] * 1.15258426)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_are_no_picture(value):
    images = torch.zeros(2, 3, 4, 4)
    images[1, 2, 3, 0] = value
    with pytest.raises(NotFinite, match="1 of 96 numbers"):
        uint8_from_images(images)


def test_a_dozen_full_size_keyframes_and_clips_go_through_the_autoencoder_at_once():
    """Without data: what fails is how diffusers cuts long inputs, which only their size decides."""
    with without_data(), torch.no_grad():
        pipeline = build(cogvideox_2b(), dtype=torch.bfloat16, text_encoder=False)
        codec = pipeline.codec
        keyframes = torch.zeros(1, 12, 3, 480, 720, dtype=torch.bfloat16)
        latents = codec.encode_keyframes(keyframes)
        assert latents.shape == (1, 12, 16, 60, 90)
        assert codec.decode_keyframes(latents).shape == keyframes.shape
        clips = torch.zeros(2, 13, 3, 480, 720, dtype=torch.bfloat16)
        assert codec.decode_clip(codec.encode_clip(clips), 13).shape == clips.shape
