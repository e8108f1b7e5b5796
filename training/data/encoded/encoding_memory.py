"""What encoding will need, said before it starts: memory of codec and text encoder at work, and room on the disk.

Activations are not guessed: the codec encodes one segment on PyTorch's meta device, where tensors have shapes and
lifetimes but no numbers, and what is alive at once is added up.
"""

import copy
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX
from torch import nn

from longdwm_env import clock
from longdwm_env.models.codec.mini_codec import MiniAutoencoder
from longdwm_env.models.codec.video_codec import Codec, CogVideoXCodec
from longdwm_env.models.conditioning.warped_pictures import keyframe_reach
from longdwm_env.models.network.module_costs import Watcher, quick_collections
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.settings import LongDWMSettings
from longdwm_env.training.data.clip import ClipSource
from longdwm_env.training.data.encoded.latents import SEGMENT_FRAMES, LatentChoices
from longdwm_env.training.estimate import GIB, DoesNotFit, free_bytes

HALF = 2
"""Bytes of a stored number: latents and embeddings are kept as float16."""

SPARE = 1.25
"""For what allocator and convolutions take beside tensors."""


@dataclass(frozen=True)
class EncodingNeeds:
    """Bytes that encoding needs.

    Attributes:
        weights: of codec and text encoder, in the type that they encode in.
        activations: most that the codec holds at once.
    """

    weights: float
    activations: float
    disk: float

    @property
    def memory(self) -> float:
        """On the device."""
        return SPARE * (self.weights + self.activations)


def encoding_needs(
    pipeline: LongDWMPipeline, choices: LatentChoices, clips: int, frames: int, has_poses: bool
) -> EncodingNeeds:
    """What encoding clips needs.

    Args:
        pipeline: its codec, text encoder and settings.
        choices: what is encoded of each clip.
        clips: how many.
        frames: of each, at most.
        has_poses: whether there are views.
    """
    kept = torch.bfloat16 if choices.precision == "bf16" else None
    modules = [module for module in (pipeline.vae, pipeline.text_encoder) if module is not None]
    weights = float(sum(_bytes(module, kept) for module in modules))
    image_size = pipeline.settings.image_size
    activations = encoding_activations(pipeline.vae, image_size, choices)
    return EncodingNeeds(weights, activations, clips * clip_bytes(pipeline, choices, frames, has_poses))


def encoding_activations(
    vae: AutoencoderKLCogVideoX | MiniAutoencoder, image_size: tuple[int, int], choices: LatentChoices
) -> float:
    """Most bytes that a codec holds while it encodes segments or pictures, its weights left out."""
    dtype = torch.bfloat16 if choices.precision == "bf16" else None
    on_meta: AutoencoderKLCogVideoX | MiniAutoencoder = nn.Module.to(copy.deepcopy(vae), device="meta", dtype=dtype)
    dtype = next(on_meta.parameters()).dtype
    if isinstance(on_meta, AutoencoderKLCogVideoX):
        on_meta.enable_slicing()
    sliced = isinstance(on_meta, AutoencoderKLCogVideoX)
    codec: Codec = CogVideoXCodec(on_meta) if sliced else on_meta
    # Sliced, one after the other is encoded, and the others wait as pictures and latents.
    videos = 1 if sliced else max(1, choices.images_per_pass // SEGMENT_FRAMES)
    waiting = choices.images_per_pass * 3 * math.prod(image_size) * dtype.itemsize
    if sliced and choices.tiling:
        # Tiles are encoded one after the other as well.
        image_size = (on_meta.tile_sample_min_height, on_meta.tile_sample_min_width)

    def segments() -> object:
        return codec.encode_clip(torch.empty(videos, SEGMENT_FRAMES, 3, *image_size, dtype=dtype, device="meta"))

    return waiting + most_held(segments)


def clip_bytes(pipeline: LongDWMPipeline, choices: LatentChoices, frames: int, has_poses: bool) -> float:
    """Bytes that the latents of a clip take on the disk; embeddings of its captions come on top."""
    settings: LongDWMSettings = pipeline.settings
    codec = pipeline.codec
    height, width = (side // codec.spatial_factor for side in settings.image_size)
    picture = HALF * codec.latent_channels * height * width
    reach = keyframe_reach(settings.coarse_warp_horizon_s)
    coarse_views, fine_views = settings.warp_views
    fine_views -= 2 * settings.held_ends
    seconds = (frames - 1) / clock.FRAMES_PER_INTERVAL
    keyframes = choices.keyframe_phases * seconds * (1 + (reach * (coarse_views - settings.road_layout)) * has_poses)
    ends = max(0, choices.segment_phases - choices.keyframe_phases) * seconds
    segments = choices.segment_phases * seconds * codec.latent_frames(SEGMENT_FRAMES) * (1 + fine_views * has_poses)
    layout = choices.keyframe_phases * seconds * settings.road_layout
    return picture * (keyframes + ends + segments + layout)


def check_encoding_fits(
    pipeline: LongDWMPipeline, choices: LatentChoices, source: ClipSource, folder: Path, device: torch.device | str
) -> EncodingNeeds:
    """Print what encoding needs here; refuse to start what cannot fit.

    Raises:
        DoesNotFit: there is too little memory, or too little room on the disk; with advice.
    """
    needs = encoding_needs(pipeline, choices, len(source), source.longest, source.has_poses)
    free, on_disk = free_bytes(torch.device(device).type == "cuda"), _free_on_disk(folder)
    print(
        f"latents: {len(source):,} clips, about {needs.memory / GIB:.1f} GiB of {free / GIB:.1f} GiB of memory "
        f"({device}), and {needs.disk / GIB:.1f} GiB of {on_disk / GIB:.1f} GiB on the disk",
        flush=True,
    )
    if needs.memory > free:
        helps = [f"--set latents.images_per_pass={SEGMENT_FRAMES}"] if choices.images_per_pass > SEGMENT_FRAMES else []
        helps += ["--set latents.precision=bf16"] if choices.precision == "no" else []
        if not choices.tiling and isinstance(pipeline.vae, AutoencoderKLCogVideoX):
            helps.append("--set latents.tiling=true")
        helps += ["--device cpu"] if torch.device(device).type == "cuda" else []
        raise DoesNotFit(
            f"encoding needs about {needs.memory / GIB:.1f} GiB: {needs.weights / GIB:.1f} GiB of weights (codec and "
            f"text encoder) and {needs.activations / GIB:.1f} GiB at work, and {free / GIB:.1f} GiB are free on "
            f"{device}. What helps: {'; '.join(helps) or 'a device with more memory'}. --force starts anyway."
        )
    if needs.disk > on_disk:
        raise DoesNotFit(
            f"the latents of {len(source):,} clips take about {needs.disk / GIB:.1f} GiB, and {on_disk / GIB:.1f} GiB "
            f"are free at {folder}. What helps: another --out; --set latents.segment_phases=1, which keeps segments at "
            "whole seconds alone (about an eighth). --force starts anyway."
        )
    return needs


@torch.no_grad()
def most_held(run: Callable[[], object]) -> float:
    """Most bytes that tensors hold at once during a computation, those that were there before left out."""
    with quick_collections(), Watcher() as watcher:
        run()
    return float(watcher.peak)


def _bytes(module: nn.Module, dtype: torch.dtype | None) -> int:
    return sum(t.numel() * (t.element_size() if dtype is None else dtype.itemsize) for t in module.parameters())


def _free_on_disk(folder: Path) -> float:
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    total, _, free = shutil.disk_usage(nearest)
    # Some network file systems say that they have no room at all, and mean that they do not know.
    return float(free) if total else math.inf
