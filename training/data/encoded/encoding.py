"""Encoding: clips to latents, warps and text embeddings on disk (``latents`` says what is stored)."""

import copy
import logging
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from longdwm_env import clock
from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.boxes import seen_boxes
from longdwm_env.geometry.layout import RoadLayout
from longdwm_env.geometry.pose import relative_to
from longdwm_env.io.files import atomic_path
from longdwm_env.models.codec.video_codec import images_from_uint8
from longdwm_env.models.conditioning.text import encode_prompts
from longdwm_env.models.conditioning.warped_pictures import clip_views, keyframe_reach, keyframe_views, layout_pictures
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.training.data.clip import BadClip, Clip, ClipSource, camera_as_json
from longdwm_env.training.data.encoded.latents import (
    EMPTY_TEXT_FILE,
    SEGMENT_FRAMES,
    LatentChoices,
    LatentStore,
    weights_hash,
)
from longdwm_env.training.data.footage import blocks_of
from longdwm_env.training.data.shards import BadLimit, ShardFolder, shards_to_make
from longdwm_env.training.data.workers import side_by_side
from longdwm_env.training.draws import numbers
from longdwm_env.types import JsonObject

log = logging.getLogger(__name__)

SEGMENTS_AT_ONCE = 8
"""Whose views are drawn before they are encoded."""

KEPT_TEXTS = 16
"""Embeddings that are remembered: those of T5 have 1.8 MB, and successive clips have much the same text."""


def encode_latents(
    source: ClipSource,
    folder: Path,
    pipeline: LongDWMPipeline,
    choices: LatentChoices | None = None,
    device: torch.device | str = "cpu",
    limit: BadLimit | None = None,
    workers: int = 1,
) -> "LatentStore":
    """Encode every clip that is not there yet; safe to interrupt and to repeat with more clips.

    Args:
        source: of the clips.
        folder: of the shards.
        pipeline: a ``LongDWMPipeline``; its codec, text encoder and warp settings are used.
        choices: what to encode.
        device: where the codec runs.
        limit: how many damaged clips are skipped with a report.
        workers: processes that encode at the same time, which share PyTorch's number of threads, each with its own
            codec on the device; codec and text encoder, on the CPU, and the source are then sent to them.

    Raises:
        InvalidConfig: the folder's latents were made with another codec, text encoder, warp or source.
        TooManyBadClips: too many clips are damaged.
    """
    choices, limit = choices or LatentChoices(), limit or BadLimit()
    settings = pipeline.settings
    made_from = {
        "source": source.description(),
        "codec": weights_hash(pipeline.vae),
        "text": weights_hash(pipeline.text_encoder),
        "image_size": list(settings.image_size),
        "warp": {
            "variant": settings.warp_variant,
            "depth_m": settings.warp_depth_m,
            "horizon_s": settings.coarse_warp_horizon_s,
            "backward": settings.backward_warp,
            "matched_sweep": None if settings.matched_sweep is None else asdict(settings.matched_sweep),
            "coarse_sweep": [list(plane) for plane in settings.coarse_sweep],
            "road_layout": settings.road_layout,
            "move_vehicles": settings.move_vehicles,
        },
        "choices": choices.described(),
    }
    of_source = blocks_of(source)
    with shards_to_make(folder, made_from, {block: len(clips) for block, clips in of_source}) as (shards, missing):
        todo = [(block, clips) for block, clips in of_source if block in set(missing)]
        workers = min(workers, len(todo))
        encoder = _Encoder(_without_models(pipeline) if workers > 1 else pipeline, choices, device)
        empty_text = folder / EMPTY_TEXT_FILE
        if not empty_text.is_file():
            if workers <= 1:
                encoder.begin()
            with atomic_path(empty_text) as temporary:
                save_file({"text": encoder.text("")}, temporary)
        blocks = _Blocks(encoder, source, shards, limit)
        bad = 0
        total = sum(len(clips) for _, clips in todo)
        with tqdm(total=total, unit="clip", desc="latents", disable=not todo, mininterval=1.0) as bar:
            if workers <= 1:
                for block, clips in todo:
                    bad = blocks.write(block, clips, bad, bar.update)
            else:
                threads = max(1, torch.get_num_threads() // workers)
                for (_, clips), more in zip(todo, side_by_side(blocks.write, todo, workers, threads), strict=True):
                    bad += more
                    limit.check(bad, len(source), f"clips of {source.name}")
                    bar.update(len(clips))
    return LatentStore(folder, limit)


@dataclass(frozen=True)
class _Blocks:
    """Encodes blocks of clips, a shard each."""

    encoder: "_Encoder"
    source: ClipSource
    shards: ShardFolder
    limit: BadLimit

    def write(
        self, block: int, clips: Sequence[int], bad: int = 0, on_clip: Callable[[], object] = lambda: None
    ) -> int:
        """Encode one block; how many clips are damaged, those ``bad`` before included."""
        self.encoder.begin()
        source, entries = self.source, []
        for index in clips:
            try:
                entries.append(self.encoder.encode(source.clip(index)))
            except BadClip as error:
                bad += 1
                log.warning("skipping clip %d of %s: %s", index, source.name, error)
                self.limit.check(bad, len(source), f"clips of {source.name}")
            on_clip()
        self.shards.write(block, entries, len(clips))
        return bad


def _without_models(pipeline: LongDWMPipeline) -> LongDWMPipeline:
    """A pipeline's codec and text encoder: what is sent to a process takes room in shared memory."""
    light = copy.copy(pipeline)
    light.coarse = light.fine = None
    return light


class _Encoder:
    def __init__(self, pipeline: LongDWMPipeline, choices: LatentChoices, device: torch.device | str) -> None:
        self.pipeline, self.choices, self.device = pipeline, choices, device
        self.settings = pipeline.settings
        self._texts: dict[str, Tensor] = {}

    def begin(self) -> None:
        """Bring codec and text encoder to their device, in the process that encodes."""
        dtype = torch.bfloat16 if self.choices.precision == "bf16" else None
        for module in (self.pipeline.vae, self.pipeline.text_encoder):
            # Past diffusers' own ``to``, which warns of every change of type.
            torch.nn.Module.to(module, device=self.device, dtype=dtype)
        if isinstance(self.pipeline.vae, AutoencoderKLCogVideoX):
            # One picture or segment after the other; what comes out is the same.
            self.pipeline.vae.enable_slicing()
            if self.choices.tiling:
                self.pipeline.vae.enable_tiling()

    def text(self, prompt: str) -> Tensor:
        """(W, D) float16 embedding of a prompt; encoded where it is not one of the last few."""
        if prompt not in self._texts:
            if len(self._texts) == KEPT_TEXTS:
                self._texts.pop(next(iter(self._texts)))
            self._texts[prompt] = self._encoded(prompt)[0].to("cpu", torch.float16).contiguous()
        return self._texts[prompt]

    @torch.no_grad()
    def _encoded(self, prompt: str) -> Tensor:
        pipeline = self.pipeline
        if torch.device(self.device).type == "cpu":
            return pipeline.encode_text([prompt])
        # Where the encoder is, and not where the transformers are, which are not used here.
        return encode_prompts(pipeline.tokenizer, pipeline.text_encoder, [prompt], pipeline.prompt_tokens)

    def encode(self, clip: Clip) -> tuple[dict[str, object], dict[str, Tensor]]:
        if clip.intervals < 1:
            raise BadClip(f"{clip.key} has {len(clip.images)} frames; an interval has {SEGMENT_FRAMES}")
        if clip.camera.intrinsics.image_size != tuple(self.settings.image_size):
            raise InvalidConfig(
                f"{clip.key} is {clip.camera.intrinsics.image_size}; the model wants {self.settings.image_size}"
            )
        tensors: dict[str, Tensor] = {}
        facts: JsonObject = {"keyframes": []}
        for phase, offset in enumerate(self.choices.offsets(self.choices.keyframe_phases)):
            frames = list(range(offset, len(clip.images), clock.FRAMES_PER_INTERVAL))
            facts["keyframes"].append({"offset": offset, "count": len(frames)})
            tensors |= {f"{name}.{phase}": tensor for name, tensor in self._grid(clip, phase, frames).items()}
        grids = {grid["offset"]: f"keyframes.{phase}" for phase, grid in enumerate(facts["keyframes"])}
        segments = []
        for phase, offset in enumerate(self.choices.offsets(self.choices.segment_phases)):
            starts = list(range(offset, len(clip.images) - SEGMENT_FRAMES + 1, clock.FRAMES_PER_INTERVAL))
            if not starts:
                continue
            suffix = f".{phase}" if phase else ""
            tensors |= {f"{name}{suffix}": tensor for name, tensor in self._segments(clip, starts).items()}
            ends = grids.get(offset, f"segment_ends.{phase}")
            if offset not in grids:
                tensors[ends] = self._keyframes(clip.images[[*starts, starts[-1] + SEGMENT_FRAMES - 1]])
            segments.append({"offset": offset, "count": len(starts), "ends": ends, "suffix": suffix})
        if self.choices.segment_phases > 1:
            facts["segments"] = segments
        tensors["text"] = self.text(clip.prompt).clone()
        if clip.later_prompts:
            facts["later_texts"] = [frame for frame, _ in clip.later_prompts]
            tensors["later_texts"] = torch.stack([self.text(prompt) for _, prompt in clip.later_prompts])
        if clip.poses is not None:
            tensors["poses"] = torch.tensor(clip.poses)
        facts |= {"key": clip.key, "prompt": clip.prompt, "frames": len(clip.images), "intervals": clip.intervals}
        facts |= {"has_poses": clip.poses is not None, "has_layout": "keyframe_layout.0" in tensors}
        facts["has_boxes"] = "keyframe_boxes.0" in tensors
        return {**facts, "camera": camera_as_json(clip.camera)}, tensors

    def _grid(self, clip: Clip, phase: int, frames: list[int]) -> dict[str, Tensor]:
        """What is kept of a grid of keyframes, by name."""
        tensors = {"keyframes": self._keyframes(clip.images[frames])}
        boxes = self._boxes(clip, phase, frames)
        if boxes is not None:
            tensors["keyframe_boxes"] = torch.tensor(boxes, dtype=torch.float32)
        if clip.poses is None:
            return tensors
        if len(frames) > 1:
            tensors["keyframe_views"] = self._keyframe_views(clip, frames, boxes)
        if clip.layout is not None and self.settings.road_layout:
            layouts, known = layout_pictures(clip.layout, clip.camera, clip.poses[frames])
            tensors["keyframe_layout"] = self._keyframes(layouts)
            tensors["keyframe_layout_mask"] = torch.from_numpy(known)
        return tensors

    def _segments(self, clip: Clip, starts: Sequence[int]) -> dict[str, Tensor]:
        """What is kept of segments that begin at these frames, by name."""
        tensors = {"segments": self._clips([clip.images[s : s + SEGMENT_FRAMES] for s in starts])}
        if clip.poses is not None:
            tensors["segment_warps"] = self._segment_warps(clip, starts)
            if clip.layout is not None and self.settings.road_layout:
                tensors |= self._segment_layouts(clip, clip.layout, starts)
        return tensors

    def _segment_warps(self, clip: Clip, starts: Sequence[int]) -> Tensor:
        assert clip.poses is not None
        poses = clip.poses

        def views(start: int) -> Sequence[np.ndarray]:
            end = start + SEGMENT_FRAMES - 1
            ahead = relative_to(poses[start + 1 : end + 1], poses[start])
            return clip_views(clip.images[start], clip.images[end], clip.camera, ahead, self.settings)

        threads, parts = max(1, torch.get_num_threads()), []
        with ThreadPoolExecutor(threads) as pool:
            # A few segments at a time: the pictures of all would take gigabytes at full size.
            for first in range(0, len(starts), max(threads, SEGMENTS_AT_ONCE)):
                warped = list(pool.map(views, starts[first : first + max(threads, SEGMENTS_AT_ONCE)]))
                encoded = self._clips([video for videos in warped for video in videos])
                parts.append(encoded.reshape(len(warped), -1, *encoded.shape[1:]))
        return torch.cat(parts)

    def _segment_layouts(self, clip: Clip, layout: RoadLayout, starts: Sequence[int]) -> dict[str, Tensor]:
        assert clip.poses is not None
        drawn, known = layout_pictures(layout, clip.camera, clip.poses)
        ends = list(self.pipeline.codec.last_frames(SEGMENT_FRAMES))
        return {
            "segment_layout": self._clips([drawn[s : s + SEGMENT_FRAMES] for s in starts]),
            "segment_layout_mask": torch.from_numpy(np.stack([known[s : s + SEGMENT_FRAMES][ends] for s in starts])),
        }

    def _boxes(self, clip: Clip, phase: int, frames: list[int]) -> np.ndarray | None:
        """(K, A, 5) where other road users are seen in each keyframe; NaN for all in a share of the clips' phases."""
        if clip.poses is None or clip.actors is None or not self.settings.move_vehicles:
            return None
        boxes = seen_boxes(clip.actors, frames, clip.poses[frames], clip.camera)
        # Drawn by name, so that a clip is encoded alike in whatever order clips come.
        drawn = numbers(zlib.crc32(clip.key.encode()), phase, "vehicles unknown").random()
        return np.full_like(boxes, np.nan) if drawn < self.choices.vehicles_unknown_ratio else boxes

    def _keyframe_views(self, clip: Clip, frames: Sequence[int], boxes: np.ndarray | None) -> Tensor:
        """Of each keyframe but the last, as seen from the next R: (K - 1, R, V, C, h, w)."""
        assert clip.poses is not None
        poses, settings = clip.poses, self.settings
        steps = clock.FRAMES_PER_INTERVAL * np.arange(1, keyframe_reach(settings.coarse_warp_horizon_s) + 1)

        def views(place: int) -> np.ndarray:
            frame = frames[place]
            # Past the clip's end there is no pose; those rows are never read, so they repeat the last one.
            ahead = relative_to(poses[np.minimum(frame + steps, frames[-1])], poses[frame])
            before = None
            if settings.matched_sweep is not None and frame >= settings.matched_sweep.baseline_frames:
                earlier = frame - settings.matched_sweep.baseline_frames
                before = (clip.images[earlier], relative_to(poses[earlier][None], poses[frame])[0])
            seen = None
            if boxes is not None:
                seen = boxes[np.minimum(np.arange(place, place + 1 + len(steps)), len(frames) - 1)]
            return keyframe_views(clip.images[frame], clip.camera, ahead, before, settings, seen)[0]

        with ThreadPoolExecutor(max(1, torch.get_num_threads())) as pool:
            made = np.stack(list(pool.map(views, range(len(frames) - 1))))
        return self._keyframes(made.reshape(-1, *made.shape[3:])).unflatten(0, made.shape[:3])

    @torch.no_grad()
    def _keyframes(self, images: np.ndarray) -> Tensor:
        """(N, H, W, 3) uint8 -> (N, C, h, w) float16."""
        codec, size = self.pipeline.codec, self.choices.images_per_pass
        parts = []
        for first in range(0, len(images), size):
            batch = images_from_uint8(images[first : first + size], self.device, self._dtype)
            parts.append(codec.encode_keyframes(batch[None])[0].to("cpu", torch.float16))
        return torch.cat(parts)

    @torch.no_grad()
    def _clips(self, videos: Sequence[np.ndarray]) -> Tensor:
        """N videos (T, H, W, 3) uint8 -> (N, L, C, h, w) float16."""
        codec = self.pipeline.codec
        size = max(1, self.choices.images_per_pass // SEGMENT_FRAMES)
        parts = []
        for first in range(0, len(videos), size):
            batch = torch.stack(
                [images_from_uint8(video, self.device, self._dtype) for video in videos[first : first + size]]
            )
            parts.append(codec.encode_clip(batch).to("cpu", torch.float16))
        return torch.cat(parts)

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.pipeline.vae.parameters()).dtype
