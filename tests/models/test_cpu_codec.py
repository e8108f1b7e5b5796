import numpy as np
import pytest
import torch

from longdwm_env.models.codec import images_from_uint8, uint8_from_images
from longdwm_env.models.cpu_codec import quick_on_cpu
from longdwm_env.models.mini_codec import MiniAutoencoder


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


def test_the_codec_itself_stays_as_it_was(codec):
    before = {name: weight.clone() for name, weight in codec.state_dict().items()}
    quick = quick_on_cpu(codec)
    quick.analysis.weight.data.zero_()
    after = codec.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
