"""The small decoder: a stream is the same as the whole, published weights find their place, and their scale."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from longdwm_env.errors import InvalidConfig, MissingWeights
from longdwm_env.models.codec.small_decoder import SmallDecoder, checked_scale, load_published
from longdwm_env.models.codec.video_codec import CogVideoXCodec

WIDTHS = (16, 12, 8, 8)


def latents_of(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    return SmallDecoder(4, WIDTHS).eval()


@torch.no_grad()
def test_a_video_latent_by_latent_is_the_video_at_once(decoder):
    latents = latents_of(2, 5, 4, 3, 4)
    whole, _ = decoder(latents)
    assert whole.shape == (2, 20, 3, 24, 32)
    made, memory = [], ()
    for part in (latents[:, :1], latents[:, 1:3], latents[:, 3:]):
        frames, memory = decoder(part, memory)
        made.append(frames)
    assert torch.allclose(torch.cat(made, 1), whole, atol=1e-5)
    assert torch.allclose(decoder.decode(latents, 17), whole[:, 3:], atol=1e-5)
    # What is to come changes nothing of what was.
    later = latents.clone()
    later[:, 3:] = 0
    assert torch.allclose(decoder(later)[0][:, :12], whole[:, :12], atol=1e-5)
    assert not torch.allclose(decoder(later)[0][:, 12:], whole[:, 12:], atol=1e-3)


@torch.no_grad()
def test_the_codec_decodes_with_it(cogvideox_pipeline, decoder):
    codec, own = CogVideoXCodec(cogvideox_pipeline.vae, decoder), CogVideoXCodec(cogvideox_pipeline.vae)
    latents = latents_of(2, 4, 4, 8, 12)
    clip = codec.decode_clip(latents, 13)
    assert clip.shape == own.decode_clip(latents, 13).shape
    assert torch.equal(codec.decode_clip(latents, 13, slice(1, 12)), clip[:, 1:12])
    alone = codec.decode_keyframes(latents)
    assert alone.shape == own.decode_keyframes(latents).shape
    assert torch.allclose(alone[1:, 2:3], codec.decode_keyframes(latents[1:, 2:3]), atol=1e-6)
    # A clip begins with its first latent alone.
    assert torch.allclose(clip[:, 0], alone[:, 0], atol=1e-5)
    images = latents_of(1, 13, 3, 64, 96).clamp(-1, 1)
    assert torch.equal(codec.encode_clip(images), own.encode_clip(images))


class Published(nn.Module):
    """TAEHV's decoder, written down from its description, to check that its weights do here what they do there."""

    def __init__(self, channels: int, widths: tuple[int, ...], grown: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Identity(), nn.Conv2d(channels, widths[0], 3, padding=1), nn.Identity()]
        for width, wider, times in zip(widths, widths[1:], grown, strict=False):
            for _ in range(3):
                block = nn.Module()
                block.conv = nn.Sequential(
                    nn.Conv2d(2 * width, width, 3, padding=1),
                    nn.ReLU(),
                    nn.Conv2d(width, width, 3, padding=1),
                    nn.ReLU(),
                    nn.Conv2d(width, width, 3, padding=1),
                )
                layers.append(block)
            grow = nn.Module()
            grow.conv = nn.Conv2d(width, width * times, 1, bias=False)
            layers += [nn.Identity(), grow, nn.Conv2d(width, wider, 3, padding=1, bias=False)]
        layers += [nn.ReLU(), nn.Conv2d(widths[3], 3, 3, padding=1)]
        self.decoder = nn.ModuleList(layers)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """(T, C, h, w) of one video -> (4 T, 3, 8 h, 8 w) in [0, 1]."""
        x = functional.relu(self.decoder[1](3 * torch.tanh(latents / 3)))
        for first in (3, 9, 15):
            for block in self.decoder[first : first + 3]:
                before = torch.cat([torch.zeros_like(x[:1]), x[:-1]])
                x = functional.relu(block.conv(torch.cat([x, before], 1)) + x)
            width = x.shape[1]
            x = self.decoder[first + 4].conv(functional.interpolate(x, scale_factor=2))
            x = self.decoder[first + 5](x.reshape(-1, width, *x.shape[2:]))
        return self.decoder[22](functional.relu(x))


@torch.no_grad()
def test_published_weights_do_here_what_they_do_there(tmp_path):
    torch.manual_seed(1)
    published = Published(4, WIDTHS, (1, 2, 2))
    path = tmp_path / "taecvx.safetensors"
    save_file({name: tensor.half() for name, tensor in published.state_dict().items()}, path)
    loaded = load_published(path)
    latents = latents_of(1, 4, 4, 3, 4)
    assert torch.allclose(loaded(latents)[0][0], 2 * published(latents[0]) - 1, atol=2e-3)

    # Some were published with room for more moments, of which the last are meant.
    torch.manual_seed(1)
    roomy = Published(4, WIDTHS, (2, 2, 2)).state_dict()
    kept = {name: tensor for name, tensor in roomy.items() if "decoder.7." not in name}
    kept["decoder.7.conv.weight"] = torch.cat([roomy["decoder.7.conv.weight"][:16], torch.eye(16)[..., None, None]])
    save_file(kept, path)
    assert torch.equal(load_published(path).growing[0].in_time.weight[..., 0, 0], torch.eye(16))


def test_what_is_no_such_decoder_is_named(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"encoder.0.weight": torch.zeros(1)}, path)
    with pytest.raises(MissingWeights, match=r"lacks decoder\.1\.weight"):
        load_published(path)
    with pytest.raises(MissingWeights, match="never loaded"):
        load_published(tmp_path / "taecvx.pth")
    path.write_bytes(b"torn")
    with pytest.raises(MissingWeights, match="cannot be read"):
        load_published(path)


@torch.no_grad()
def test_the_scale_that_weights_were_trained_with_is_found(decoder):
    latents = latents_of(2, 4, 4, 3, 4)
    # Weights of the other published scale show the right pictures for latents that are multiplied by it.
    wanted = decoder.decode(0.7 / 1.15258426 * latents, 13)
    assert checked_scale(decoder, latents, wanted).scale == pytest.approx(0.607, abs=1e-3)
    assert torch.allclose(decoder.decode(latents, 13), wanted, atol=1e-5)


def test_a_decoder_of_other_latents_is_refused(decoder):
    latents = latents_of(1, 4, 4, 3, 4)
    other = torch.sign(latents_of(1, 13, 3, 24, 32, seed=9))
    with pytest.raises(InvalidConfig, match="belongs to another autoencoder"):
        checked_scale(decoder, latents, other)
