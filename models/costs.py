"""What the passes of a drive cost, see ``network.module_costs``.

A drive of the smallest model of a kind says which passes there are, and each is run once at full size.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, wraps
from typing import Literal

import torch
from torch import Tensor, nn

from longdwm_env.clock import FRAMES_PER_INTERVAL
from longdwm_env.errors import InvalidConfig
from longdwm_env.models.codec.small_decoder import SmallDecoder
from longdwm_env.models.network.dit import LongDWMTransformer3DModel
from longdwm_env.models.network.module_costs import Cost, bytes_of, cost_of, without_data
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.presets import PRESETS, LongDWMConfig, build
from longdwm_env.models.settings import LongDWMSettings
from longdwm_env.types import Images

Part = Literal["text", "encode", "coarse", "fine", "decode", "small decode"]

SMALLEST = {"cogvideox-2b": "debug-cogvideox", "debug-cogvideox": "debug-cogvideox"}
"""The preset whose drives show which passes a preset makes. Mini decides shapes by numbers, which fake tensors lack."""


@dataclass(frozen=True)
class Pass:
    """One pass of one part.

    Attributes:
        frames: latent frames (denoisers, decoders), pictures (encoder) or tokens (text).
    """

    part: Part
    batch: int
    frames: int


@contextmanager
def recorded(pipeline: LongDWMPipeline) -> Iterator[Counter[Pass]]:
    """Count the passes that a pipeline makes meanwhile, denoising steps and guidance included."""
    passes: Counter[Pass] = Counter()

    def watch(part: Part) -> Callable[..., None]:
        def note(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            passes[Pass(part, given[0].shape[0], given[0].shape[1])] += 1

        return note

    def noting(part: Part, call: Callable[..., object]) -> Callable[..., object]:
        @wraps(call)
        def noted(video: Tensor, *rest: object, **named: object) -> object:
            passes[Pass(part, video.shape[0], video.shape[2])] += 1
            return call(video, *rest, **named)

        return noted

    vae = pipeline.vae
    hooks = [
        pipeline.coarse.register_forward_pre_hook(watch("coarse")),
        pipeline.fine.register_forward_pre_hook(watch("fine")),
    ]
    vae.encode, vae.decode = noting("encode", vae.encode), noting("decode", vae.decode)
    try:
        yield passes
    finally:
        del vae.encode, vae.decode
        for hook in hooks:
            hook.remove()


def drive_passes(config: LongDWMConfig, seconds: float, at_once: int | None) -> tuple[tuple[Pass, int], ...]:
    """The passes of a drive in one step without guidance, gap by gap, and how often each is made.

    They are those of a drive of the smallest model of the kind under the same settings. In a closed loop they are those
    of later seconds: of the history, the first one has encoded all keyframes but the newest.

    Args:
        config: of the model in question.
        seconds: of the drive.
        at_once: keyframes made at once; None for the paper's twelve, 1 for a closed loop with its full history.

    Raises:
        InvalidConfig: there is no smallest model of the kind.
    """
    if config.name not in SMALLEST:
        raise InvalidConfig(f"costs are counted for {', '.join(SMALLEST)}; {config.name} can only be timed")
    small = PRESETS[SMALLEST[config.name]]()
    return _passes_of(
        SMALLEST[config.name], replace(config.settings, image_size=small.settings.image_size), seconds, at_once
    )


@cache
def _passes_of(
    preset: str, settings: LongDWMSettings, seconds: float, at_once: int | None
) -> tuple[tuple[Pass, int], ...]:
    small = PRESETS[preset]()
    pipeline = build(replace(small, settings=settings))
    pipeline.set_progress_bar_config(disable=True)
    drive = drive_from_nothing(pipeline, seconds, at_once, num_inference_steps=1, guidance_scale=1.0, micro_batch=1)
    with recorded(pipeline) as passes:
        for _ in drive:
            pass
    return tuple(passes.items())


def drive_from_nothing(
    pipeline: LongDWMPipeline, seconds: float, at_once: int | None, **options: object
) -> Iterator[Images]:
    """A drive with random pictures and no text; in a closed loop, one that has already driven a second.

    Returns:
        The parts of the video that are still to be made.
    """
    import numpy as np

    settings, config = pipeline.settings, pipeline.coarse.config
    before = 0 if at_once is None else 1
    frames = 1 + before * FRAMES_PER_INTERVAL * (settings.history_keyframes - 1)
    image = np.random.default_rng(0).integers(0, 255, (frames, *settings.image_size, 3), dtype=np.uint8)
    text = torch.zeros(1, config.max_text_seq_length, config.text_embed_dim)
    parts = pipeline.stream(
        image,
        "straight",
        seconds + before,
        generator=0,
        keyframes_per_rollout=at_once,
        prompt_embeds=text,
        negative_prompt_embeds=text,
        **options,  # type: ignore[arg-type]
    )
    for _ in range(before):
        next(parts)
    return parts


class Ledger:
    """Costs of the passes of one model, each counted once."""

    def __init__(
        self,
        config: LongDWMConfig,
        dtype: torch.dtype = torch.bfloat16,
        *,
        text_encoder: bool = False,
        tiled: bool = False,
    ) -> None:
        self.config, self.dtype = config, dtype
        with without_data() as self._mode:
            self.pipeline = build(config, dtype=dtype, text_encoder=text_encoder)
            # What has no data cannot be brought to another type later.
            previous = torch.get_default_dtype()
            torch.set_default_dtype(dtype)
            try:
                self.small_decoder = SmallDecoder(config.coarse.in_channels)
            finally:
                torch.set_default_dtype(previous)
        if tiled:
            self.pipeline.vae.enable_tiling()
        self._costs: dict[Pass, Cost] = {}

    def weights(self, *names: str) -> float:
        """Bytes of some of the pipeline's components."""
        return sum(bytes_of(self.pipeline.components[name]) for name in names)

    def saved_by_eight_bits(self) -> float:
        """Bytes less where the linear layers of both denoisers' blocks are kept in eight bits."""
        layers = [
            layer
            for model in (self.pipeline.coarse, self.pipeline.fine)
            for layer in model.transformer_blocks.modules()
            if isinstance(layer, nn.Linear)
        ]
        return float(sum(layer.weight.numel() * (layer.weight.element_size() - 1) for layer in layers))

    def cost(self, done: Pass) -> Cost:
        """Of one pass."""
        if done not in self._costs:
            with self._mode, torch.no_grad():
                run = self._runner(done)
                self._costs[done] = cost_of(run)
        return self._costs[done]

    def _runner(self, done: Pass) -> Callable[[], object]:
        height, width = self.config.settings.image_size
        factor = self.pipeline.codec.spatial_factor
        pipeline = self.pipeline

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, dtype=self.dtype)

        if done.part == "text":
            ids = torch.zeros(done.batch, done.frames, dtype=torch.long)
            return lambda: pipeline.text_encoder(ids)
        if done.part == "encode":
            if done.frames == 1:
                images = zeros(1, done.batch, 3, height, width)
                return lambda: pipeline.codec.encode_keyframes(images)
            video = zeros(done.batch, done.frames, 3, height, width)
            return lambda: pipeline.codec.encode_clip(video)
        size = (height // factor, width // factor)
        channels = self.config.coarse.in_channels
        if done.part == "decode":
            if done.frames == 1:
                keyframes = zeros(1, done.batch, channels, *size)
                return lambda: pipeline.codec.decode_keyframes(keyframes)
            latents = zeros(done.batch, done.frames, channels, *size)
            pictures = 1 + (done.frames - 1) * int(pipeline.vae.config.temporal_compression_ratio)
            return lambda: pipeline.codec.decode_clip(latents, pictures)
        if done.part == "small decode":
            latents = zeros(done.batch, done.frames, channels, *size)
            return lambda: self.small_decoder(latents)
        model = pipeline.coarse if done.part == "coarse" else pipeline.fine
        return lambda: model(**denoiser_inputs(model, done.batch, done.frames, size, self.dtype))


def denoiser_inputs(
    model: LongDWMTransformer3DModel,
    batch: int,
    frames: int,
    size: tuple[int, int],
    dtype: torch.dtype,
    device: str = "cpu",
) -> dict[str, Tensor]:
    """Zeros for everything that a transformer is given.

    Args:
        model: Coarse or Fine.
        batch: samples.
        frames: latent frames.
        size: of a latent, (h, w).
        dtype: of the numbers.
        device: where they lie.
    """
    config = model.config
    given: dict[str, tuple[int, ...]] = {
        "hidden_states": (batch, frames, config.in_channels, *size),
        "encoder_hidden_states": (batch, config.max_text_seq_length, config.text_embed_dim),
        "known": (batch, frames, config.in_channels, *size),
        "known_mask": (batch, frames),
    }
    if config.warp_views:
        given["warp"] = (batch, frames, config.warp_views, config.in_channels, *size)
        given["warp_mask"] = (batch, frames, config.warp_views)
    if config.motion:
        given["motion"] = (batch, frames, 6)
    made = {name: torch.zeros(*shape, dtype=dtype, device=device) for name, shape in given.items()}
    made["timestep"] = torch.zeros(batch, dtype=torch.long, device=device)
    return made
