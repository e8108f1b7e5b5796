"""Latents on disk: every clip encoded once, with the latents of its warps and its prompts, in shards.

What is stored of a clip of S intervals, in float16, with the codec's C, h, w and L latent frames per interval:

    segments        (S, L, C, h, w)        each interval's 13 frames encoded together (LongDWM, section 3.2)
    segment_warps   (S, V, L, C, h, w)     V views of each interval, in the order of ``warped.clip_views``
    segment_layout  (S, L, C, h, w)        the road's layout at each moment, where the clip has one
    segment_layout_mask (S, L)             1 where there is a road near
    keyframes.P     (K, C, h, w)           keyframes, each encoded alone (section 3.1): frames o, o + 12, ... of phase P
    keyframe_views.P (K - 1, R, V, C, h, w) V views of each keyframe as seen from the next R ones, in the order of
                                           ``warped.keyframe_views``
    keyframe_layout.P (K, C, h, w)         the road's layout at each keyframe, where the clip has one
    keyframe_layout_mask.P (K,)            1 where there is a road near
    keyframe_boxes.P (K, A, 5) float32     where others are seen in each keyframe, for views in which they are moved
    poses           (T, 3) float64
    text            (W, D)                 the prompt's embedding
    later_texts     (M, W, D)              of starts further on, where something else is said of them

Segments begin a second apart; of further phases, ``segments.P`` and the like begin later within the second, and
``segment_ends.P`` (K, C, h, w) are their ends, encoded alone, where no keyframes are of that phase.

The manifest holds a hash of codec and text encoder: latents of another codec are never mixed in.
"""

import copy
import hashlib
import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from safetensors.torch import load_file
from torch import Tensor

from longdwm_env import clock
from longdwm_env.errors import InvalidConfig
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.training.data.clip import camera_from_json
from longdwm_env.training.data.shards import BadLimit, ClipsInShards, ShardFolder, made_from
from longdwm_env.types import Camera, JsonObject

SEGMENT_FRAMES = clock.FRAMES_PER_INTERVAL + 1
"""K = 13 frames of a segment, both its keyframes included (LongDWM, Eq. 7)."""

EMPTY_TEXT_FILE = "empty-text.safetensors"


@dataclass(frozen=True)
class LatentChoices:
    """What is encoded of each clip.

    Attributes:
        keyframe_phases: keyframe grids per clip, offset evenly within an interval; more grids make more coarse samples
            out of the same footage: with 2, one from every keyframe of nuScenes.
        segment_phases: likewise of segments; with 12, a fine sample begins at every frame.
        precision: of codec and text encoder: "no" for float32, or "bf16".
        tiling: encode pictures in overlapping tiles, which takes less memory and changes latents a little near their
            borders; CogVideoX's codec alone.
        images_per_pass: images that go through the codec at once; bounds memory.
        vehicles_unknown_ratio: share of the clips' grids in whose views other road users are not moved, as if none
            had marked them, so that the model also works from a photograph.
    """

    keyframe_phases: int = 1
    images_per_pass: int = 64
    vehicles_unknown_ratio: float = 0.15
    segment_phases: int = 1
    precision: Literal["no", "bf16"] = "no"
    tiling: bool = False

    def __post_init__(self) -> None:
        for name in ("keyframe_phases", "segment_phases"):
            if not 1 <= getattr(self, name) <= clock.FRAMES_PER_INTERVAL:
                raise InvalidConfig(f"{name} lies in 1 .. {clock.FRAMES_PER_INTERVAL}, got {getattr(self, name)}")
        if self.images_per_pass < 1:
            raise InvalidConfig(f"images_per_pass is at least 1, got {self.images_per_pass}")
        if not 0 <= self.vehicles_unknown_ratio <= 1:
            raise InvalidConfig(f"vehicles_unknown_ratio lies in [0, 1], got {self.vehicles_unknown_ratio}")

    def described(self) -> dict[str, object]:
        """As JSON values for a manifest; what latents were made without from the beginning, it does not name."""
        added = {"segment_phases": 1, "precision": "no", "tiling": False}
        return {name: value for name, value in asdict(self).items() if added.get(name) != value}

    @staticmethod
    def offsets(phases: int) -> list[int]:
        """The frame of a second at which each of so many phases begins."""
        return [phase * clock.FRAMES_PER_INTERVAL // phases for phase in range(phases)]


def scene_of(key: str) -> str:
    """The scene or video that a clip was cut from, by the clip's key: ``scene-0061@144`` is of ``scene-0061``."""
    return key.rpartition("@")[0] or key


def weights_hash(*modules: torch.nn.Module) -> str:
    """Short hash of modules' weights, and of diffusers modules' configurations (mini's has its latents' statistics)."""
    digest = hashlib.blake2b(digest_size=12)
    for module in modules:
        if isinstance(module, ConfigMixin):
            config = {name: value for name, value in module.config.items() if not name.startswith("_")}
            digest.update(json.dumps(config, sort_keys=True, default=str).encode())
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def pipeline_hash(pipeline: DiffusionPipeline) -> str:
    """``weights_hash`` of all models of a pipeline."""
    components = sorted(pipeline.components.items())
    return weights_hash(*(part for _, part in components if isinstance(part, torch.nn.Module)))


class LatentStore(ClipsInShards):
    """Encoded clips, read back piece by piece.

    Args:
        folder: that ``encode_latents`` wrote.
        limit: how many damaged shards are skipped with a report.

    Raises:
        InvalidConfig: there are no latents in the folder, or fewer than were asked for.
    """

    def __init__(self, folder: Path, limit: BadLimit | None = None) -> None:
        manifest = folder / "manifest.json"
        if not manifest.is_file():
            raise InvalidConfig(f"{folder} holds no latents (no manifest.json)")
        self.folder = folder
        self.made_from: JsonObject = made_from(manifest)
        self._shards = ShardFolder(folder, self.made_from)
        self._shards.check_complete()
        self.entries = self._shards.entries(limit)
        if not self.entries:
            raise InvalidConfig(f"{folder} holds no readable clip")
        self.has_poses = all(entry.facts["has_poses"] for entry in self.entries)

    def split(self, validation_share: float = 0.03, least: int = 20) -> "tuple[LatentStore, LatentStore]":
        """(clips to train on, clips to validate on); a store of few clips is both.

        Which clip is which depends on its scene's name alone, so it stays where it is when the store grows, and clips
        of one scene or video are never on both sides.
        """
        if len(self) < least:
            return self, self
        seen, unseen = copy.copy(self), copy.copy(self)
        scenes = [scene_of(entry.facts["key"]) for entry in self.entries]
        is_unseen = [zlib.crc32(scene.encode()) % 1000 < 1000 * validation_share for scene in scenes]
        seen.entries = [entry for entry, held in zip(self.entries, is_unseen, strict=True) if not held]
        unseen.entries = [entry for entry, held in zip(self.entries, is_unseen, strict=True) if held]
        return (seen, unseen) if seen.entries and unseen.entries else (self, self)

    def check_codec(self, pipeline: LongDWMPipeline) -> None:
        """Raise unless these latents are of this pipeline's codec and text encoder.

        Raises:
            InvalidConfig: they are of another; the message says what to do.
        """
        for part, module in (("codec", pipeline.vae), ("text", pipeline.text_encoder)):
            if weights_hash(module) != self.made_from[part]:
                raise InvalidConfig(f"the latents in {self.folder} were made with another {part}; encode them again")

    def camera(self, index: int) -> Camera:
        """Camera of a clip."""
        return camera_from_json(self.entries[index].facts["camera"])

    def tensor(self, index: int, name: str) -> Tensor:
        """A whole tensor of a clip; latents as float32."""
        return _widened(self._shards.tensor(self.entries[index], name))

    def rows(self, index: int, name: str, rows: slice | int) -> Tensor:
        """Rows of a tensor of a clip; latents as float32."""
        return _widened(self._shards.rows(self.entries[index], name, rows))

    def empty_text(self) -> Tensor:
        """(W, D) float32 embedding of the empty prompt."""
        return _widened(load_file(self.folder / EMPTY_TEXT_FILE)["text"])


def _widened(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype == torch.float16 else tensor
