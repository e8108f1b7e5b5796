"""A light codec for small pictures: every frame alone, fast on a CPU, usable before any training.

The linear part is an orthogonal transform of 8 x 8 patches that keeps the strongest components. It starts as a cosine
transform in luma and chroma, which needs no data, and becomes their principal components by ``fit_pca``. Small
convolutional networks beside it, starting at zero, learn what a linear map cannot: to remove block edges and to draw
detail.
"""

import numpy as np
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn

from longdwm_env.errors import InvalidConfig
from longdwm_env.models import limits
from longdwm_env.models.codec.video_codec import images_from_uint8
from longdwm_env.models.network.stem import ResidualBlock, conv
from longdwm_env.types import Images

_LUMA_CHROMA = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])
"""Y, Cb, Cr from R, G, B (JPEG)."""


def _luma_chroma_rotation() -> np.ndarray:
    """Orthonormal (3, 3): rows are a luma and two chroma directions of RGB."""
    colours, _ = np.linalg.qr(_LUMA_CHROMA.T)
    return np.ascontiguousarray(colours.T * np.sign(np.diag(colours @ _LUMA_CHROMA.T))[:, None])


def cosine_basis(patch: int, channels: int) -> np.ndarray:
    """Orthonormal low-frequency patterns of a colour patch: two of luma for one of each chroma, lowest first.

    Returns:
        float64 (channels, 3 * patch * patch), rows of unit length.
    """
    grid = np.arange(patch)
    waves = np.cos(np.pi * (2 * grid[None] + 1) * grid[:, None] / (2 * patch))
    waves /= np.linalg.norm(waves, axis=1, keepdims=True)
    colours = _luma_chroma_rotation()
    ranked = []
    for v in range(patch):
        for u in range(patch):
            # Chroma varies less than luma: its patterns are worth what luma's of about twice the frequency are.
            for colour, delay in enumerate((0.0, 2.5, 2.5)):
                ranked.append((np.hypot(u, v) + delay, colour, v, u))
    rows = [np.einsum("c,y,x->cyx", colours[c], waves[v], waves[u]).ravel() for _, c, v, u in sorted(ranked)[:channels]]
    return np.stack(rows)


class MiniAutoencoder(ModelMixin, ConfigMixin):
    """A 2-D autoencoder that implements ``codec.Codec``.

    Args:
        latent_channels: components kept per patch.
        patch: pixels per latent along each side, 8 (the decoder doubles three times).
        encoder_channels: width of the encoder's convolutions; 0 leaves it linear.
        decoder_channels: widths of the decoder at 1/8, 1/4 and 1/2 of the size; empty leaves it linear.
        latents_mean: per channel, of the raw latents; set by ``fit_statistics``.
        latents_std: as ``latents_mean``.
        decoder_mean: per channel, of the raw latents when the decoder began to learn: what it is used to. ``fit_pca``
            sets it; a later ``fit_statistics`` does not.
        decoder_std: as ``decoder_mean``.
    """

    _supports_gradient_checkpointing = False

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 16,
        patch: int = 8,
        encoder_channels: int = 32,
        decoder_channels: tuple[int, ...] = (64, 48, 32),
        latents_mean: tuple[float, ...] | None = None,
        latents_std: tuple[float, ...] | None = None,
        decoder_mean: tuple[float, ...] | None = None,
        decoder_std: tuple[float, ...] | None = None,
    ) -> None:
        limits.whole("patch, in pixels,", patch, 8, 8)
        limits.whole("latent_channels, components of a patch of 8 pixels,", latent_channels, 1, 3 * patch * patch)
        limits.whole("encoder_channels", encoder_channels, 0, 1024)
        if not isinstance(decoder_channels, list | tuple) or len(decoder_channels) not in (0, 3):
            raise InvalidConfig(f"decoder_channels are three widths or none, got {decoder_channels}")
        for index, width in enumerate(decoder_channels):
            limits.whole(f"decoder_channels[{index}]", width, 1, 1024)
        for name, given in (("mean", (latents_mean, decoder_mean)), ("std", (latents_std, decoder_std))):
            for numbers in given:
                if numbers is not None:
                    limits.reals(f"statistics ({name})", numbers, 1e-9 if name == "std" else -1e9, 1e9, latent_channels)
        super().__init__()
        self.analysis = nn.Conv2d(3, latent_channels, kernel_size=patch, stride=patch)
        self.synthesis = nn.ConvTranspose2d(latent_channels, 3, kernel_size=patch, stride=patch)
        basis = torch.from_numpy(cosine_basis(patch, latent_channels)).float()
        self._set_basis(basis, basis, basis.new_zeros(basis.shape[1]))
        self.encoder: nn.Sequential | None = None
        if encoder_channels:
            self.encoder = nn.Sequential(
                nn.PixelUnshuffle(4),
                conv(48, encoder_channels),
                ResidualBlock(encoder_channels),
                nn.SiLU(),
                nn.PixelUnshuffle(2),
                conv(4 * encoder_channels, latent_channels, zero=True),
            )
        self.decoder: nn.Sequential | None = None
        if decoder_channels:
            wide, middle, narrow = decoder_channels
            self.decoder = nn.Sequential(
                conv(latent_channels, wide),
                ResidualBlock(wide),
                ResidualBlock(wide),
                conv(wide, 4 * middle),
                nn.PixelShuffle(2),
                ResidualBlock(middle),
                conv(middle, 4 * narrow),
                nn.PixelShuffle(2),
                ResidualBlock(narrow),
                nn.SiLU(),
                conv(narrow, 12, zero=True),
                nn.PixelShuffle(2),
            )

    @property
    def latent_channels(self) -> int:
        """Channels of a latent."""
        return self.config.latent_channels

    @property
    def spatial_factor(self) -> int:
        """Pixels per latent along each side."""
        return self.config.patch

    def encode(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> raw latents (N, C, H / 8, W / 8). Differentiable."""
        raw = self.analysis(images)
        return raw if self.encoder is None else raw + self.encoder(images)

    def decode(self, raw: Tensor) -> Tensor:
        """Raw latents (N, C, h, w) -> (N, 3, 8 h, 8 w), about [-1, 1]. Differentiable."""
        images = self.synthesis(raw)
        if self.decoder is None:
            return images
        mean, std = self._statistics(raw, self.config.decoder_mean, self.config.decoder_std)
        return images + self.decoder((raw - mean) / std)

    def forward(self, images: Tensor, return_dict: bool = True) -> DecoderOutput | tuple[Tensor]:
        """Reconstruct (N, 3, H, W): ``sample``, or the only member of a tuple, as diffusers' autoencoders give it."""
        decoded = self.decode(self.encode(images))
        return DecoderOutput(sample=decoded) if return_dict else (decoded,)

    def latent_frames(self, num_frames: int) -> int:
        """As many as frames."""
        return num_frames

    def last_frames(self, num_frames: int) -> tuple[int, ...]:
        """Each its own."""
        return tuple(range(num_frames))

    @apply_forward_hook
    def encode_keyframes(self, images: Tensor) -> Tensor:
        """(B, K, 3, H, W) -> normalised (B, K, C, h, w)."""
        flat = images.flatten(0, 1).to(self.analysis.weight.dtype)
        return self._normalised(self.encode(flat)).unflatten(0, images.shape[:2])

    @apply_forward_hook
    def encode_clip(self, images: Tensor) -> Tensor:
        """The same: frames do not mix."""
        return self.encode_keyframes(images)

    @apply_forward_hook
    def decode_keyframes(self, latents: Tensor) -> Tensor:
        """Normalised (B, K, C, h, w) -> (B, K, 3, H, W)."""
        flat = latents.flatten(0, 1).to(self.analysis.weight.dtype)
        mean, std = self._statistics(flat, self.config.latents_mean, self.config.latents_std)
        return self.decode(flat * std + mean).unflatten(0, latents.shape[:2])

    @apply_forward_hook
    def decode_clip(self, latents: Tensor, num_frames: int, wanted: slice = slice(None)) -> Tensor:
        """The same for a clip, or for the wanted frames of it.

        Raises:
            ValueError: there are not as many latents as frames.
        """
        if latents.shape[1] != num_frames:
            raise ValueError(f"a clip of {num_frames} frames has as many latents, got {latents.shape[1]}")
        return self.decode_keyframes(latents[:, wanted])

    @torch.no_grad()
    def fit_pca(self, images: Images, chroma_weight: float = 2.0) -> None:
        """Replace the linear part by the principal components of 8 x 8 patches, and measure the latents.

        Args:
            images: uint8 (N, H, W, 3), sides divisible by 8; at least as many patches as components.
            chroma_weight: how much a difference of colour counts beside one of brightness. Small saturated things, such
                as a distant red car, lose their colour at 1 (docs/decisions/mini-codec.md).
        """
        patch, count = self.config.patch, self.config.latent_channels
        unfolded = nn.functional.unfold(images_from_uint8(images), kernel_size=patch, stride=patch)
        patches = unfolded.movedim(1, 2).reshape(-1, 3 * patch * patch).double()
        if len(patches) < count:
            raise ValueError(f"{len(patches)} patches are too few for {count} components")
        mean = patches.mean(dim=0)
        rotation = torch.from_numpy(_luma_chroma_rotation())
        scale = rotation.new_tensor([1.0, chroma_weight, chroma_weight])[:, None]
        pixels = torch.eye(patch * patch, dtype=rotation.dtype)
        weighted, back = torch.kron(scale * rotation, pixels), torch.kron((rotation / scale).T.contiguous(), pixels)
        centred = (patches - mean) @ weighted.T
        _, vectors = torch.linalg.eigh(centred.T @ centred / len(patches))
        basis = vectors.flip(1)[:, :count].T
        # An eigenvector's sign is arbitrary; fixed, so that the same pictures give the same codec everywhere.
        basis = basis * basis.gather(1, basis.abs().argmax(dim=1, keepdim=True)).sign()
        self._set_basis((basis @ weighted).float(), (back @ basis.T).T.float(), mean.float())
        self.fit_statistics(images)
        self.register_to_config(decoder_mean=self.config.latents_mean, decoder_std=self.config.latents_std)

    @torch.no_grad()
    def fit_statistics(self, images: Images) -> None:
        """Measure mean and standard deviation of each latent channel, to be saved in the configuration.

        Call it again after the codec was trained further: the latents have moved. What raw latents decode to stays.

        Args:
            images: uint8 (N, H, W, 3).
        """
        raw = self.encode(images_from_uint8(images, self.device, self.dtype)).double()
        mean, std = raw.mean(dim=(0, 2, 3)), raw.std(dim=(0, 2, 3)).clamp(min=1e-3)
        self.register_to_config(latents_mean=tuple(mean.tolist()), latents_std=tuple(std.tolist()))

    @torch.no_grad()
    def _set_basis(self, analysis: Tensor, synthesis: Tensor, mean: Tensor) -> None:
        """Linear part from the rows that measure (C, 192), those that draw (C, 192) and the mean patch (192,)."""
        shape = (-1, 3, self.analysis.kernel_size[0], self.analysis.kernel_size[1])
        self.analysis.weight.copy_(analysis.reshape(shape))
        self.synthesis.weight.copy_(synthesis.reshape(shape))
        # A transposed convolution has one bias per colour; the rest of the mean lies in the basis or is dropped.
        colour = mean.reshape(3, -1).mean(dim=1)
        offset = -analysis @ colour.repeat_interleave(len(mean) // 3)
        for bias, value in ((self.synthesis.bias, colour), (self.analysis.bias, offset)):
            if bias is not None:
                bias.copy_(value)

    def _statistics(
        self, like: Tensor, mean: tuple[float, ...] | None, std: tuple[float, ...] | None
    ) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, each (1, C, 1, 1)."""
        if mean is None or std is None:
            # Of an orthonormal transform of pictures in [-1, 1]: a few units in the lowest patterns.
            return like.new_zeros(1, self.latent_channels, 1, 1), like.new_ones(1, self.latent_channels, 1, 1)
        return like.new_tensor(mean).reshape(1, -1, 1, 1), like.new_tensor(std).reshape(1, -1, 1, 1)

    def _normalised(self, raw: Tensor) -> Tensor:
        mean, std = self._statistics(raw, self.config.latents_mean, self.config.latents_std)
        return (raw - mean) / std
