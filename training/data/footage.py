"""Footage on disk: clips recorded once, losslessly, and read back as a source of clips.

Rendering is slow beside decoding a PNG, and codec, world model, scorer and metrics all look at the same frames; so the
clips of a source are recorded in shards and every later stage reads those.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.layout import RoadLayout
from longdwm_env.geometry.map_view.scenery import SceneryLayer
from longdwm_env.training.data.clip import (
    BadClip,
    Clip,
    ClipSource,
    camera_as_json,
    camera_from_json,
    twin_key,
)
from longdwm_env.training.data.encoded.latents import EMPTY_TEXT_FILE
from longdwm_env.training.data.shards import (
    MANIFEST,
    BadLimit,
    ClipsInShards,
    ShardFolder,
    made_from,
    shards_to_make,
)
from longdwm_env.training.data.workers import side_by_side
from longdwm_env.training.draws import numbers
from longdwm_env.types import ActorTracks, ImageSize

CLIPS_PER_SHARD = 8
TWIN_SHARDS = 100_000
"""Number of the first shard of twins, so that clips and twins can both be added to."""

_ACTORS = ("poses", "sizes_m", "speeds_mps")

log = logging.getLogger(__name__)


def record_footage(
    source: ClipSource,
    folder: Path,
    workers: int = 1,
    limit: BadLimit | None = None,
    twins: ClipSource | None = None,
    cluster: str | None = None,
) -> "Footage":
    """Record every clip of a source that is not there yet; safe to interrupt and to repeat with more clips.

    Args:
        source: picklable if ``workers`` is above one.
        folder: of the shards.
        workers: processes that record at the same time.
        limit: how many damaged clips are skipped with a report.
        twins: recorded behind the clips; see ``sources.twins_of``.
        cluster: a Ray cluster whose workers record instead; see ``side_by_side``.

    Raises:
        InvalidConfig: the folder holds footage of another source.
        TooManyBadClips: too many clips of the source are damaged.
    """
    limit = limit or BadLimit()
    made_from = source.description()
    wanted = shards_of(source, twins)
    with shards_to_make(folder, made_from, wanted) as (_, todo):
        total = sum(wanted[shard] for shard in todo)
        with tqdm(total=total, unit="clip", desc=f"footage {source.name}", disable=not todo) as bar:
            record = partial(_record_shard, source, twins, folder, made_from)
            made = side_by_side(record, [(shard,) for shard in todo], workers, cluster=cluster)
            for shard, _ in zip(todo, made, strict=True):
                bar.update(wanted[shard])
    footage = Footage(folder, limit)
    limit.check(footage.bad, sum(wanted.values()), f"clips of {source.name}")
    return footage


def _record_shard(
    clips: ClipSource, twins: ClipSource | None, folder: Path, made_from: Mapping[str, object], shard: int
) -> None:
    source, first = clips, shard * CLIPS_PER_SHARD
    if twins is not None and shard >= TWIN_SHARDS:
        source, first = twins, (shard - TWIN_SHARDS) * CLIPS_PER_SHARD
    entries: list[tuple[dict[str, object], dict[str, torch.Tensor]]] = []
    for index in range(first, min(first + CLIPS_PER_SHARD, len(source))):
        try:
            clip = source.clip(index)
        except BadClip as error:
            log.warning("skipping clip %d of %s: %s", index, source.name, error)
            entries.append(({"key": f"{source.name}:{index}", "error": str(error)}, {}))
            continue
        entries.append(_packed(clip))
    ShardFolder(folder, made_from).write(shard, entries)


def _packed(clip: Clip) -> tuple[dict[str, object], dict[str, torch.Tensor]]:
    pictures = [cv2.imencode(".png", image[..., ::-1])[1].reshape(-1) for image in clip.images]
    tensors = {
        "png": torch.from_numpy(np.concatenate(pictures)),
        "ends": torch.tensor(np.cumsum([len(picture) for picture in pictures])),
    }
    if clip.poses is not None:
        tensors["poses"] = torch.tensor(clip.poses)
    if clip.layout is not None:
        # Copies: what is read-only cannot become a tensor without a warning.
        tensors["layout.corners"] = torch.tensor(clip.layout.corners_m)
        tensors["layout.kinds"] = torch.tensor(clip.layout.kinds)
    if clip.actors is not None:
        tensors |= {f"actors.{name}": torch.tensor(getattr(clip.actors, name)) for name in _ACTORS}
        tensors |= {f"actors.{name}": torch.tensor(values) for name, values in clip.actors.looks.items()}
    if clip.scenery is not None:
        tensors |= {f"scenery.{name}": torch.tensor(values) for name, values in clip.scenery.arrays.items()}
    for name, values in clip.labels.items():
        tensors[f"labels.{name}"] = torch.tensor(values, dtype=torch.float32)
    facts = {"key": clip.key, "prompt": clip.prompt, "frames": len(clip.images), "camera": camera_as_json(clip.camera)}
    given: dict[str, object] = {"has_poses": clip.poses is not None, "has_layout": clip.layout is not None}
    if clip.scenery is not None:
        given["scenery"] = list(clip.scenery.arrays)
    if clip.actors is not None:
        given |= {"actors": list(clip.actors.ids), "looks": list(clip.actors.looks)}
    if clip.later_prompts:
        given["later_prompts"] = [list(later) for later in clip.later_prompts]
    return {**facts, **given, "labels": sorted(clip.labels)}, tensors


class Footage(ClipsInShards):
    """Recorded clips, as a source.

    Args:
        folder: that ``record_footage`` wrote.
        limit: how many damaged shards are skipped with a report.

    Raises:
        InvalidConfig: there is no footage in the folder, or less than was asked for.
    """

    def __init__(self, folder: Path, limit: BadLimit | None = None) -> None:
        shards = recorded(folder)
        if shards is None:
            raise InvalidConfig(f"{folder} holds no recorded footage (no {MANIFEST})")
        shards.check_complete()
        self.name, self._shards = str(folder), shards
        entries = self._shards.entries(limit)
        self.entries = [entry for entry in entries if "error" not in entry.facts]
        self.bad = len(entries) - len(self.entries)
        if not self.entries:
            raise InvalidConfig(f"{folder} holds no readable clip")
        self.has_poses = all(entry.facts["has_poses"] for entry in self.entries)
        self.has_labels = bool(self.entries[0].facts["labels"])

    @property
    def has_twins(self) -> bool:
        """Whether some of its clips are other ones' twins."""
        keys = {entry.facts["key"] for entry in self.entries}
        return any(twin_key(key) in keys for key in keys)

    def description(self) -> dict[str, object]:
        """What the recorded source was made from."""
        return dict(self._shards.made_from)

    @property
    def image_size(self) -> ImageSize:
        """(height, width) of the first clip."""
        return camera_from_json(self.entries[0].facts["camera"]).intrinsics.image_size

    def clip(self, index: int) -> Clip:
        """A recorded clip."""
        facts = self.entries[index].facts
        return Clip(
            facts["key"],
            self.images(index, range(facts["frames"])),
            camera_from_json(facts["camera"]),
            self.poses(index),
            facts["prompt"],
            {name: self.label(index, name) for name in facts["labels"]},
            self.layout(index),
            self.actors(index),
            self.scenery(index),
            tuple((int(frame), str(text)) for frame, text in facts.get("later_prompts", ())),
        )

    def images(self, index: int, frames: range | list[int]) -> np.ndarray:
        """Some frames of a clip, (len(frames), H, W, 3) uint8; only these are decoded.

        Raises:
            BadClip: a picture is damaged.
        """
        entry = self.entries[index]
        ends = self._shards.tensor(entry, "ends").numpy()
        pictures = []
        for frame in frames:
            start = int(ends[frame - 1]) if frame else 0
            packed = self._shards.rows(entry, "png", slice(start, int(ends[frame]))).numpy()
            picture = cv2.imdecode(packed, cv2.IMREAD_COLOR)
            if picture is None:
                raise BadClip(f"frame {frame} of clip {entry.facts['key']} is damaged, in {entry.shard}")
            pictures.append(picture[..., ::-1])
        return np.stack(pictures)

    def poses(self, index: int) -> np.ndarray | None:
        """(T, 3) poses of a clip, or None."""
        entry = self.entries[index]
        return self._shards.tensor(entry, "poses").numpy() if entry.facts["has_poses"] else None

    def layout(self, index: int) -> RoadLayout | None:
        """The road of a clip, or None."""
        entry = self.entries[index]
        if not entry.facts["has_layout"]:
            return None
        corners, kinds = (self._shards.tensor(entry, f"layout.{name}").numpy() for name in ("corners", "kinds"))
        return RoadLayout(corners, kinds)

    def actors(self, index: int) -> ActorTracks | None:
        """The other road users of a clip, or None."""
        entry = self.entries[index]
        # Footage that was recorded before they were kept says nothing of them.
        if "actors" not in entry.facts:
            return None
        poses, sizes, speeds = (self._shards.tensor(entry, f"actors.{name}").numpy() for name in _ACTORS)
        names = entry.facts.get("looks", [])
        looks = {name: self._shards.tensor(entry, f"actors.{name}").numpy() for name in names}
        return ActorTracks(poses, sizes, speeds, tuple(entry.facts["actors"]), **looks)

    def scenery(self, index: int) -> SceneryLayer | None:
        """What stands beside the road of a clip, or None."""
        entry = self.entries[index]
        names = entry.facts.get("scenery")
        if names is None:
            return None
        return SceneryLayer(**{name: self._shards.tensor(entry, f"scenery.{name}").numpy() for name in names})

    def label(self, index: int, name: str) -> np.ndarray:
        """(T,) ground truth of a clip."""
        return self._shards.tensor(self.entries[index], f"labels.{name}").numpy()


def record_enough(
    source_of: Callable[[int], ClipSource], folder: Path, wanted: int, frames: int, workers: int = 1
) -> Footage:
    """Record clips until so many have so many frames, or twice as many have been recorded; what is there is kept.

    Args:
        source_of: the source with that many clips; one with more begins with the same.
        folder: of the shards.
        wanted: clips, at least 1.
        frames: that each is to have.
        workers: processes that record at the same time.
    """
    clips, missing = 0, wanted
    while True:
        # Whole shards: one that is there is not made again.
        clips += -(-missing // CLIPS_PER_SHARD) * CLIPS_PER_SHARD
        # A scene that cannot be driven is no damage here.
        footage = record_footage(source_of(clips), folder, workers, BadLimit(1.0))
        missing = wanted - sum(entry.facts["frames"] >= frames for entry in footage.entries)
        if missing <= 0 or clips >= 2 * wanted:
            return footage


def recorded(folder: Path) -> ShardFolder | None:
    """The shards of a folder, complete or not; None where there are none yet."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return None
    return ShardFolder(folder, made_from(manifest))


def is_footage(folder: Path) -> bool:
    """Whether ``record_footage`` wrote a folder: ``encode_latents`` leaves an embedding beside its shards."""
    return any(folder.glob("shard-*.safetensors")) and not (folder / EMPTY_TEXT_FILE).is_file()


def shards_of(source: ClipSource, twins: ClipSource | None = None) -> dict[int, int]:
    """How many clips each shard of a source's footage holds."""
    wanted = {shard: len(indices) for shard, indices in blocks_of_number(len(source))}
    if twins is not None:
        wanted |= {TWIN_SHARDS + shard: len(indices) for shard, indices in blocks_of_number(len(twins))}
    return wanted


def blocks_of_number(count: int) -> list[tuple[int, list[int]]]:
    """So many clips in blocks: (block, indices of its clips)."""
    return [
        (block, list(range(first, min(first + CLIPS_PER_SHARD, count))))
        for block, first in enumerate(range(0, count, CLIPS_PER_SHARD))
    ]


def blocks_of(source: ClipSource) -> list[tuple[int, list[int]]]:
    """Clips in numbered blocks whose contents stay the same when the source grows: (block, indices of its clips).

    Recorded footage goes by its shards, so that what is derived from a shard is neither lost nor made twice while
    others are still being recorded.
    """
    if not isinstance(source, Footage):
        return blocks_of_number(len(source))
    blocks: dict[int, list[int]] = {}
    for index, entry in enumerate(source.entries):
        blocks.setdefault(int(entry.shard.stem.rpartition("-")[2]), []).append(index)
    return sorted(blocks.items())


def sample_images(footage: Footage, count: int, seed: int) -> np.ndarray:
    """(count, H, W, 3) uint8 frames of recorded footage, drawn evenly from its clips."""
    drawn = []
    for number in range(count):
        generator = numbers(seed, number, "image")
        clip = int(generator.integers(len(footage)))
        frame = int(generator.integers(footage.entries[clip].facts["frames"]))
        drawn.append(footage.images(clip, [frame])[0])
    return np.stack(drawn)
