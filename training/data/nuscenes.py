"""nuScenes as footage: the front camera at 12 frames per second, with ego poses, captions and the official splits.

Reading, calibration and captions are those of ``scenes.nuscenes.dataroot``; so are the road's layout, where the map
expansion is installed, and the boxes of others, where they are annotated. Clips of one nuScenes scene never reach into
another, and a split is a set of whole scenes, so that training and validation share none. A dataset of one's own, such
as footage exported from the simulator, has none of nuScenes' scenes; it is split too: the second of every five scenes
is for validation.
"""

import hashlib
import os
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from longdwm_env.clock import FRAMES_PER_INTERVAL
from longdwm_env.errors import InvalidConfig, InvalidScene, MissingDependency, UnknownScene
from longdwm_env.geometry.layout import layout_along
from longdwm_env.io.files import content_hash
from longdwm_env.scenes.nuscenes.dataroot import NuScenesScenes
from longdwm_env.scenes.nuscenes.nuscenes_map import EXPANSION
from longdwm_env.scenes.nuscenes.nuscenes_record import NuScenesLog, reading
from longdwm_env.scenes.nuscenes.schema_tables import find_version, read_table
from longdwm_env.training.data.clip import BadClip, Clip
from longdwm_env.types import ActorTracks, ImageSize, Scene

OWN_SPLIT_EVERY, OWN_SPLIT_VALIDATION = 5, 1
"""In a dataset with no official scene, of every so many scenes the one with this index is "val", the others "train"; so
scenes stay where they are when others are appended, and two scenes are enough for both."""

SPLITS = ("train", "val", "test", "mini_train", "mini_val", "train_detect", "train_track")


def split_scenes(split: str, available: list[str]) -> list[str]:
    """Names of the scenes of a split that a dataset has; ``"all"`` takes every scene.

    Args:
        split: "all" or an official split; "train" and "val" also of a dataset that has no official scene at all.
        available: names of the dataset's scenes, in its order.

    Raises:
        InvalidConfig: there is no such split, or the dataset has none of its scenes.
        MissingDependency: nuscenes-devkit, which holds the splits, is not installed.
    """
    if split == "all":
        return available
    if split not in SPLITS:
        raise InvalidConfig(f"there is no split {split!r}; there are all, {', '.join(SPLITS)}")
    try:
        from nuscenes.utils.splits import create_splits_scenes
    except ImportError as error:
        raise MissingDependency("nuScenes' splits need nuscenes-devkit: pip install 'longdwm[nuscenes]'") from error
    official = create_splits_scenes()
    wanted = set(official[split])
    found = [name for name in available if name in wanted]
    if split in ("train", "val") and not any(name in scenes for scenes in official.values() for name in available):
        found = [
            name
            for index, name in enumerate(available)
            if (index % OWN_SPLIT_EVERY == OWN_SPLIT_VALIDATION) == (split == "val")
        ]
    if not found:
        raise InvalidConfig(
            f"the dataset has no scene of the split {split!r}; it has {', '.join(available[:3])}, ... "
            "A dataset of one's own with two scenes or more has 'train' and 'val', any has 'all'"
        )
    return found


@dataclass(frozen=True)
class _Part:
    scene: str
    first: int
    frames: int


class NuScenesClips:
    """Clips of the scenes of one split.

    Args:
        dataroot: of nuScenes, or a version folder.
        image_size: (height, width) that frames are fitted to.
        frames: most frames of a clip; with those of 20 s and more, clips are whole scenes. A longer scene's last clip
            is moved back so that it is whole.
        split: an official split, or "all".
    """

    def __init__(self, dataroot: Path, image_size: ImageSize, frames: int = 145, split: str = "train") -> None:
        self.name = f"{dataroot} ({split})"
        self.dataroot, self.image_size, self.frames, self.split = dataroot, image_size, frames, split
        root, version = find_version(dataroot)
        self._version = version
        with reading(root / version):
            names = [str(row["name"]) for row in read_table(root / version / "scene.json", list)]
        self.scene_names = split_scenes(split, names)
        self.has_poses, self.has_labels = True, False

    @property
    def longest(self) -> int:
        """Frames of its longest clip."""
        return max((part.frames for part in self._parts), default=0)

    def description(self) -> dict[str, object]:
        """What decides the clips' contents."""
        return {
            "source": "nuscenes",
            "version": self._version,
            "split": self.split,
            "scenes": len(self.scene_names),
            "image_size": list(self.image_size),
            "frames": self.frames,
            "contents": self._contents,
            "map_expansion": sorted(path.stem for path in (find_version(self.dataroot)[0] / EXPANSION).glob("*.json")),
        }

    @cached_property
    def _contents(self) -> str:
        """Short hash of tables, captions and maps, and of names and sizes of the front camera's pictures."""
        root, version = find_version(self.dataroot)
        digest = hashlib.blake2b(digest_size=12)
        tables = [*(root / version).glob("*.json"), *root.glob("*.json"), *(root / EXPANSION).glob("*.json")]
        for path in sorted(tables):
            digest.update(f"{path.relative_to(root)} {content_hash(path)}\n".encode())
        for folder in ("samples", "sweeps"):
            camera = root / folder / "CAM_FRONT"
            with os.scandir(camera) if camera.is_dir() else nullcontext(()) as entries:
                sizes = sorted((entry.name, entry.stat().st_size) for entry in entries)
            digest.update(repr(sizes).encode())
        return digest.hexdigest()

    @cached_property
    def _scenes(self) -> NuScenesScenes:
        return NuScenesScenes(self.dataroot, skip_missing=True)

    def check_there(self, bad_share: float) -> None:
        """Reject a split of which more scenes lack pictures than may be skipped: a download that is not whole.

        Raises:
            InvalidConfig: with how many are there, and what to do.
            InvalidScene: no scene is whole; the message says what is missing.
        """
        there = self._scenes.names
        missing = [name for name in self.scene_names if name not in there]
        if len(missing) > max(1, int(bad_share * len(self.scene_names))) or len(missing) == len(self.scene_names):
            raise InvalidConfig(
                f"{self.name}: {len(missing)} of {len(self.scene_names)} scenes lack pictures of the front camera, the "
                f"first {missing[0]}. Unpack the other file blobs (samples and sweeps) into {self.dataroot}; `longdwm "
                f"data check {self.dataroot}` lists what is missing"
            )

    @cached_property
    def _parts(self) -> list[_Part]:
        parts = []
        for name in self.scene_names:
            try:
                log = self._scenes.scene(self._scenes.index_of_key(name)).log
                length = log.num_past + 1 + log.num_future
            except (InvalidScene, UnknownScene):
                # Reported as a bad clip when it is asked for, so that it counts against the limit.
                length = self.frames
            usable = min(self.frames, length)
            if usable <= FRAMES_PER_INTERVAL:
                continue
            firsts = list(range(0, length - usable + 1, usable - 1))
            # The rest of a scene is covered by a clip that overlaps the one before it.
            if firsts[-1] + usable < length - FRAMES_PER_INTERVAL:
                firsts.append(length - usable)
            parts += [_Part(name, first, usable) for first in firsts]
        return parts

    def __len__(self) -> int:
        return len(self._parts)

    def clip(self, index: int) -> Clip:
        """One clip.

        Raises:
            BadClip: an image or a record of the scene cannot be read.
        """
        part = self._parts[index]
        try:
            scene = self._scenes.scene(self._scenes.index_of_key(part.scene))
            if scene.camera is None or scene.log.ego_poses is None:
                raise BadClip(f"{part.scene} has no calibration or no ego poses")
            camera = scene.camera.fitted(self.image_size)
            images = scene.log.images(part.first - scene.log.num_past, part.frames, camera)
            poses = scene.log.ego_poses[part.first : part.first + part.frames]
            layout = layout_along(scene.road_map, poses)
        except (InvalidScene, UnknownScene) as error:
            raise BadClip(f"{part.scene}: {error}") from error
        prompt, *later = self._prompts(part, scene)
        return Clip(
            f"{part.scene}@{part.first}",
            np.ascontiguousarray(images),
            camera,
            poses,
            prompt[1],
            layout=layout,
            actors=_actors(scene, part),
            later_prompts=tuple(later),
        )

    def _prompts(self, part: _Part, scene: Scene) -> list[tuple[int, str]]:
        """What is said of starts in a part: at its first frame, and at each keyframe at which that changes."""
        assert isinstance(scene.log, NuScenesLog)
        # The clock's frames show the picture nearest in time, a few milliseconds early or late.
        shown = scene.log.frames_shown[part.first : part.first + part.frames]
        said = [(0, self._scenes.prompt_at(part.scene, int(shown[0])))]
        for keyframe in self._scenes.keyframes(part.scene):
            frame = int(np.searchsorted(shown, keyframe))
            if 0 < frame < part.frames:
                text = self._scenes.prompt_at(part.scene, keyframe)
                said += [(frame, text)] if text != said[-1][1] else []
        return said


def _actors(scene: Scene, part: _Part) -> ActorTracks | None:
    """The annotated road users at the frames of a part; none before the scene's start, where none are read."""
    if scene.actors is None:
        return None
    first = part.first - scene.log.num_past
    frames = np.arange(first, first + part.frames)
    poses, speeds = (
        scene.actors.poses[np.maximum(frames, 0)].copy(),
        scene.actors.speeds_mps[np.maximum(frames, 0)].copy(),
    )
    poses[frames < 0], speeds[frames < 0] = np.nan, np.nan
    return replace(scene.actors, poses=poses, speeds_mps=speeds, lights=None)
