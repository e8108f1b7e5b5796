"""The transformer of both the Coarse and the Fine model: CogVideoX's, with conditions that can be switched on.

With every option off this is CogVideoX's transformer: the same modules under the same names, the same arithmetic.
"""

from dataclasses import fields

import torch
from diffusers import CogVideoXTransformer3DModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.modeling_outputs import Transformer2DModelOutput

# diffusers finds out how to load a pipeline's component by looking for this name in the component's module.
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401
from torch import Tensor, nn

from longdwm_env.models.network.stem import ConvHead, ConvStem
from longdwm_env.models.settings import TransformerConfig

_LEAST_SHARE = 0.02
"""Share of each further view in an untrained mixture: little, and enough to learn from."""

MOTION_FEATURES = 6
"""Numbers of ``conditioning.motion_features`` per latent frame."""


class LongDWMTransformer3DModel(CogVideoXTransformer3DModel):
    """CogVideoX's transformer with known frames, warp tokens and ego motion.

    Conditions enter in three ways. *Known frames*: their latents and a binary mask are joined to the noisy latent on
    the channel axis. For a linear patch embedding, joining channels equals adding a second patch embedding; it is kept
    as a second one (starting at zero), so that CogVideoX's weights load unchanged. *Warps*: latents of the warped
    frames pass a trainable patch embedding, and are added before every block through projections that start at zero
    (LongDWM, section 3.4). *Ego motion*: an embedding per latent frame, starting at zero, added to its tokens.
    Deviation: the paper conditions on the warp alone; a warp says little once the car has passed its plane.

    Args:
        known_frames: see ``settings.TransformerConfig``, as for all arguments below.
        warp_views: as there.
        motion: as there.
        residual_warp: as there.
        held_views: as there.
        layout_view: as there.
        mix_views: as there.
        keep_known: as there.
        stem_channels: as there.
        stem_blocks: as there.
        head_blocks: as there.
        frames_per_token: as there.
        use_rotary_positional_embeddings: not offered; kept because CogVideoX's configurations name it.
        The other arguments are CogVideoX's own.
    """

    _no_split_modules = ["CogVideoXBlock", "CogVideoXPatchEmbed"]  # noqa: RUF012 - diffusers' own convention
    _repeated_blocks = ["CogVideoXBlock"]  # noqa: RUF012 - what ``compile_repeated_blocks`` compiles

    @register_to_config
    def __init__(
        self,
        num_attention_heads: int = 30,
        attention_head_dim: int = 64,
        in_channels: int = 16,
        out_channels: int | None = 16,
        flip_sin_to_cos: bool = True,
        freq_shift: int = 0,
        time_embed_dim: int = 512,
        ofs_embed_dim: int | None = None,
        text_embed_dim: int = 4096,
        num_layers: int = 30,
        dropout: float = 0.0,
        attention_bias: bool = True,
        sample_width: int = 90,
        sample_height: int = 60,
        sample_frames: int = 49,
        patch_size: int = 2,
        patch_size_t: int | None = None,
        temporal_compression_ratio: int = 4,
        max_text_seq_length: int = 226,
        activation_fn: str = "gelu-approximate",
        timestep_activation_fn: str = "silu",
        norm_elementwise_affine: bool = True,
        norm_eps: float = 1e-5,
        spatial_interpolation_scale: float = 1.875,
        temporal_interpolation_scale: float = 1.0,
        use_rotary_positional_embeddings: bool = False,
        use_learned_positional_embeddings: bool = False,
        patch_bias: bool = True,
        known_frames: bool = False,
        warp_views: int = 0,
        motion: bool = False,
        residual_warp: bool = False,
        held_views: bool = False,
        layout_view: bool = False,
        mix_views: bool = False,
        keep_known: bool = False,
        stem_channels: int = 0,
        stem_blocks: int = 1,
        head_blocks: int = 1,
        frames_per_token: int = 1,
    ) -> None:
        # All arguments are in the configuration by now; nothing is built before they are known to make sense.
        asked = {field.name: self.config[field.name] for field in fields(TransformerConfig)}
        TransformerConfig(**{**asked, "out_channels": out_channels or in_channels})
        if use_rotary_positional_embeddings or patch_size_t is not None or ofs_embed_dim is not None:
            raise ValueError("CogVideoX-2B's architecture is supported; 5B's and 1.5's rotary embeddings are not")
        super().__init__(
            num_attention_heads=num_attention_heads,
            attention_head_dim=attention_head_dim,
            in_channels=stem_channels * frames_per_token or in_channels,
            out_channels=stem_channels * frames_per_token or out_channels,
            flip_sin_to_cos=flip_sin_to_cos,
            freq_shift=freq_shift,
            time_embed_dim=time_embed_dim,
            text_embed_dim=text_embed_dim,
            num_layers=num_layers,
            dropout=dropout,
            attention_bias=attention_bias,
            sample_width=sample_width,
            sample_height=sample_height,
            sample_frames=sample_frames,
            patch_size=patch_size,
            temporal_compression_ratio=temporal_compression_ratio,
            max_text_seq_length=max_text_seq_length,
            activation_fn=activation_fn,
            timestep_activation_fn=timestep_activation_fn,
            norm_elementwise_affine=norm_elementwise_affine,
            norm_eps=norm_eps,
            spatial_interpolation_scale=spatial_interpolation_scale,
            temporal_interpolation_scale=temporal_interpolation_scale,
            use_learned_positional_embeddings=use_learned_positional_embeddings,
            patch_bias=patch_bias,
        )
        # The parent has registered the widths between stem and head as its own.
        self.register_to_config(in_channels=in_channels, out_channels=out_channels)
        dim = num_attention_heads * attention_head_dim
        known_channels = (in_channels + 1) * known_frames
        warp_channels = (in_channels + 1) * warp_views

        self.stem: ConvStem | None = None
        self.head: ConvHead | None = None
        self.known_embed: nn.Conv2d | None = None
        if stem_channels:
            self.stem = ConvStem(in_channels + known_channels, warp_channels, stem_channels, stem_blocks)
            self.head = ConvHead(
                stem_channels, out_channels or in_channels, head_blocks, warp_views - layout_view if mix_views else 0
            )
        elif known_frames:
            self.known_embed = nn.Conv2d(known_channels, dim, kernel_size=patch_size, stride=patch_size, bias=False)
            nn.init.zeros_(self.known_embed.weight)

        self.warp_embed: nn.Conv2d | None = None
        self.warp_projections: nn.ModuleList | None = None
        self.motion_embed: nn.Sequential | None = None
        if warp_views:
            channels = warp_channels * frames_per_token
            self.warp_embed = nn.Conv2d(channels, dim, kernel_size=patch_size, stride=patch_size)
            self.warp_projections = nn.ModuleList(_zero_linear(dim, dim) for _ in range(num_layers))
        if motion:
            first = nn.Linear(MOTION_FEATURES * frames_per_token, dim)
            self.motion_embed = nn.Sequential(first, nn.SiLU(), _zero_linear(dim, dim))
        self._positions: dict[tuple[object, ...], Tensor] = {}

    def _position_embedding(self, frames: int, height: int, width: int, like: Tensor) -> Tensor:
        """(1, text + frames * patches, dim); kept, because CogVideoX rebuilds it at every forward pass."""
        embed = self.patch_embed
        before_compression = (frames - 1) * embed.temporal_compression_ratio + 1
        if embed.use_learned_positional_embeddings:
            return embed.pos_embedding.to(like.dtype)
        if torch.compiler.is_compiling():
            return embed._get_positional_embeddings(height, width, before_compression, device=like.device).to(
                like.dtype
            )
        key = (frames, height, width, like.device, like.dtype)
        if key not in self._positions:
            table = embed._get_positional_embeddings(height, width, before_compression, device=like.device)
            self._positions[key] = table.to(like.dtype)
        return self._positions[key]

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        timestep: Tensor,
        timestep_cond: Tensor | None = None,
        ofs: Tensor | None = None,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
        attention_kwargs: dict[str, object] | None = None,
        return_dict: bool = True,
        known: Tensor | None = None,
        known_mask: Tensor | None = None,
        warp: Tensor | None = None,
        warp_mask: Tensor | None = None,
        motion: Tensor | None = None,
    ) -> tuple[Tensor] | Transformer2DModelOutput:
        """What the network says about noisy latents, in its scheduler's parametrization.

        A condition that the model was built for may be left out: it then counts as unknown (all zeros).

        Args:
            hidden_states: (B, F, C, h, w) noisy latents.
            encoder_hidden_states: (B, S, text_embed_dim) text.
            timestep: (B,) diffusion timesteps.
            timestep_cond: as in CogVideoX.
            ofs: as in CogVideoX; must be None.
            image_rotary_emb: as in CogVideoX.
            attention_kwargs: as in CogVideoX.
            return_dict: as in CogVideoX.
            known: (B, F, C, h, w) clean latents where known, zeros elsewhere.
            known_mask: (B, F), 1 where known.
            warp: (B, F, V, C, h, w) latents of V warped videos.
            warp_mask: (B, F, V), 1 where the warp means something.
            motion: (B, F, 6) ego motion, see ``conditioning.motion_features``.

        Returns:
            (B, F, C, h, w).
        """
        batch, frames, _, height, width = hidden_states.shape
        views = self.config.warp_views
        fold = self.config.frames_per_token
        padding = -frames % fold
        dtype = hidden_states.dtype

        known_channels = _masked(known, known_mask, hidden_states[:, :, None], 1)[:, :, 0]
        warp_channels = _masked(warp, warp_mask, hidden_states[:, :, None], views).flatten(2, 3)
        made = torch.arange(frames, device=hidden_states.device)
        if self.config.keep_known and known_mask is not None:
            # A frame is left out only where the whole batch knows it, yet no sample's result depends on the others: a
            # known frame's warps count as zeros, and its output is replaced, in either case.
            warp_channels = warp_channels * (1 - known_mask.to(dtype))[:, :, None, None, None]
            if not torch.compiler.is_compiling():
                # Compiled, none is left out: shapes that depend on a mask's values would break the graph.
                made = made[(known_mask < 0.5).any(dim=0)]

        features, skip = hidden_states, None
        if self.stem is not None:
            inputs = torch.cat([hidden_states, known_channels], dim=2) if self.config.known_frames else hidden_states
            skip = self.stem(inputs, warp_channels[:, made], made)
            features = _pad_front(skip, padding).reshape(batch, -1, fold * skip.shape[2], height, width)
        tokens_in_time = features.shape[1]

        emb = self.time_embedding(self.time_proj(timestep).to(dtype), timestep_cond)

        text = self.patch_embed.text_proj(encoder_hidden_states)
        image = _tokens(self.patch_embed.proj, features)
        joint = torch.cat([text, image], dim=1) + self._position_embedding(tokens_in_time, height, width, image)
        joint = self.embedding_dropout(joint)
        # Copies, not views: to the compiler the first block is then one like the others.
        text, image = joint[:, : text.shape[1]].clone(), joint[:, text.shape[1] :].clone()
        if self.known_embed is not None:
            image = image + _tokens(self.known_embed, known_channels)
        if self.motion_embed is not None and motion is not None:
            folded = _pad_front(motion.to(dtype), padding).reshape(batch, tokens_in_time, -1)
            per_frame = self.motion_embed(folded)
            image = image + per_frame.repeat_interleave(image.shape[1] // tokens_in_time, dim=1)

        guidance = None
        if self.warp_embed is not None and warp is not None:
            folded = _pad_front(warp_channels, padding).reshape(batch, tokens_in_time, -1, height, width)
            guidance = _tokens(self.warp_embed, folded)

        for index, block in enumerate(self.transformer_blocks):
            if guidance is not None and self.warp_projections is not None:
                image = image + self.warp_projections[index](guidance)
            if torch.is_grad_enabled() and self.gradient_checkpointing:
                image, text = self._gradient_checkpointing_func(
                    block, image, text, emb, image_rotary_emb, attention_kwargs
                )
            else:
                image, text = block(
                    hidden_states=image,
                    encoder_hidden_states=text,
                    temb=emb,
                    image_rotary_emb=image_rotary_emb,
                    attention_kwargs=attention_kwargs,
                )

        image = self.proj_out(self.norm_out(self.norm_final(image), temb=emb))
        patch = self.config.patch_size
        output = image.reshape(batch, tokens_in_time, height // patch, width // patch, -1, patch, patch)
        output = output.permute(0, 1, 4, 2, 5, 3, 6).flatten(5, 6).flatten(3, 4)
        if self.head is not None and skip is not None:
            unfolded = output.reshape(batch, frames + padding, -1, height, width)[:, padding:]
            decoded, logits = self.head(unfolded[:, made].flatten(0, 1), skip[:, made].flatten(0, 1))
            decoded = decoded.unflatten(0, (batch, -1))
            if logits is not None and warp is not None:
                pictures = views - self.config.layout_view
                shares = _first_shares(warp_mask, frames, pictures, hidden_states)
                logits = logits.unflatten(0, (batch, -1)) + shares[:, made, :, None, None].log()
                mixture = logits.float().softmax(dim=2)[:, :, :, None] * warp[:, made, :pictures].float()
                decoded = decoded + mixture.sum(dim=2)
            everywhere = decoded.new_zeros(batch, frames, *decoded.shape[2:])
            output = everywhere.index_copy(1, made, decoded)
        if self.config.residual_warp and not self.config.mix_views:
            output = output if warp is None else output + warp[:, :, 0].to(output.dtype)
        if self.config.keep_known and known is not None and known_mask is not None:
            output = torch.where(known_mask[:, :, None, None, None] > 0.5, known.to(output.dtype), output)
        return Transformer2DModelOutput(sample=output) if return_dict else (output,)


def _zero_linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _masked(latents: Tensor | None, mask: Tensor | None, like: Tensor, views: int) -> Tensor:
    """(B, F, V, C + 1, h, w): latents times their mask, and the mask as a channel; zeros where nothing is given.

    Args:
        latents: (B, F, V, C, h, w), or (B, F, C, h, w) for one view, or None.
        mask: (B, F, V), or (B, F) for one view, or None for all ones.
        like: (B, F, 1, C, h, w), for shape, type and device.
        views: V.
    """
    batch, frames, _, channels, height, width = like.shape
    if latents is None or views == 0:
        return like.new_zeros(batch, frames, views, channels + 1, height, width)
    latents = latents.reshape(batch, frames, views, channels, height, width).to(like.dtype)
    plane = like.new_ones(batch, frames, views) if mask is None else mask.reshape(batch, frames, views).to(like.dtype)
    plane = plane[..., None, None, None].expand(-1, -1, -1, 1, height, width)
    return torch.cat([latents * plane, plane], dim=3)


def _first_shares(warp_mask: Tensor | None, frames: int, pictures: int, like: Tensor) -> Tensor:
    """(B, F, V): what share of the output each picture has before training, above zero where it means something.

    Nearly all is the first one's. It is there even where it means nothing: then it holds the last known frame.
    """
    shares = like.new_full((len(like), frames, pictures), _LEAST_SHARE, dtype=torch.float32)
    if warp_mask is not None:
        shares = shares * warp_mask[:, :, :pictures].to(shares)
    shares[:, :, 0] = 1.0
    return shares.clamp(min=1e-6)


def _pad_front(x: Tensor, count: int) -> Tensor:
    """Repeat the first frame ``count`` times in front of (B, F, ...)."""
    return x if count == 0 else torch.cat([x[:, :1].expand(-1, count, *x.shape[2:]), x], dim=1)


def _tokens(embed: nn.Module, frames: Tensor) -> Tensor:
    """(B, F, C, h, w) -> (B, F * patches, dim) through a patch embedding."""
    batch = len(frames)
    embedded = embed(frames.flatten(0, 1))
    return embedded.flatten(2).transpose(1, 2).reshape(batch, -1, embedded.shape[1])
