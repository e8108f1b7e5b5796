"""Which moments of nuScenes the paper's protocols start from (LongDWM, appendix D): clips that begin at keyframes."""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from longdwm_env.errors import InvalidConfig, InvalidScene, UnknownScene
from longdwm_env.evaluation.paper.continuations import Command
from longdwm_env.evaluation.paper.vista import VistaSample, read_vista
from longdwm_env.geometry.camera import fit_images
from longdwm_env.geometry.layout import layout_along
from longdwm_env.io.files import content_hash
from longdwm_env.scenes.nuscenes.dataroot import NuScenesScenes
from longdwm_env.training.data.clip import BadClip, Clip
from longdwm_env.training.data.nuscenes import NuScenesClips
from longdwm_env.types import ImageSize

Which = Literal["every keyframe", "first five", "every third"]
"""Every keyframe that leaves enough frames (Table 1: 5,369 of the validation split); the first five keyframes of each
scene (Table 2: 750); keyframes 0, 3, ..., 27 of each scene (Table 4: 1,500)."""

FIRST = 5
THIRDS = tuple(range(0, 28, 3))

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Start:
    scene: str
    frame: int
    vista: VistaSample | None = None


class NuScenesStarts:
    """Clips that begin at the keyframes of a sample set, as a source.

    Args:
        dataroot: of nuScenes, or a version folder.
        image_size: (height, width) that frames are fitted to.
        frames: of a clip; a keyframe counts that so many pictures of the front camera begin with.
        which: keyframes.
        split: as in ``NuScenesClips``.
        most: as many of them, evenly drawn; None for all.
        vista: Vista's annotations: the set is then chosen among their samples, in their order, and their trajectories
            are what is asked for.

    Raises:
        InvalidConfig: there is no such keyframe, or the annotations are of other scenes.
        InvalidScene: as ``NuScenesScenes``.
    """

    has_poses, has_labels = True, False

    def __init__(
        self,
        dataroot: Path,
        image_size: ImageSize,
        frames: int,
        which: Which,
        split: str = "val",
        most: int | None = None,
        vista: Path | None = None,
    ) -> None:
        self.name = f"{dataroot} ({split}, {which})"
        self.image_size, self.frames, self.longest = image_size, frames, frames
        self._which, self._most, self._vista = which, most, vista
        self._clips = NuScenesClips(dataroot, image_size, frames, split)
        self._scenes = NuScenesScenes(dataroot, skip_missing=True)
        found = self._recorded() if vista is None else self._annotated(read_vista(vista))
        if not found:
            raise InvalidConfig(f"{self.name}: no scene has a keyframe that {frames - 1} more pictures follow")
        step = 1 if most is None else len(found) / min(most, len(found))
        self._starts = [
            found[int(number * step)] for number in range(len(found) if most is None else min(most, len(found)))
        ]

    def _recorded(self) -> list[_Start]:
        starts, missing = [], []
        for name in self._clips.scene_names:
            try:
                keyframes = self._scenes.keyframes(name)
            except UnknownScene:
                missing.append(name)
                continue
            last = len(self._scenes.frame_files(name)) - self.frames
            starts += _chosen([_Start(name, frame) for frame in keyframes if frame <= last], self._which)
        if missing:
            log.warning("%s: %d scenes lack pictures and are left out: %s", self.name, len(missing), missing[:3])
        return starts

    def _annotated(self, samples: list[VistaSample]) -> list[_Start]:
        frames: dict[str, tuple[str, int]] = {}
        for name in self._clips.scene_names:
            try:
                files = self._scenes.frame_files(name)
            except UnknownScene:
                continue
            frames |= {file: (name, number) for number, file in enumerate(files)}
        scenes: dict[str, list[_Start]] = {}
        for sample in samples:
            if sample.first_frame in frames:
                name, frame = frames[sample.first_frame]
                scenes.setdefault(name, []).append(_Start(name, frame, sample))
        known = sum(map(len, scenes.values()))
        if not known:
            raise InvalidConfig(
                f"{self._vista} annotates {len(samples)} samples, none of them in {self.name}: its first picture is "
                f"{samples[0].first_frame}. Give the annotations of this split (nuScenes_val.json for val)"
            )
        if known < len(samples):
            log.warning(
                "%s: %d of %d samples are not in %s", self._vista, len(samples) - known, len(samples), self.name
            )
        return [start for starts in scenes.values() for start in _chosen(starts, self._which)]

    def description(self) -> dict[str, object]:
        """What decides the clips' contents."""
        chosen = {"starts": self._which, "most": self._most}
        vista = None if self._vista is None else content_hash(self._vista)
        return {**self._description, **chosen, "vista": vista}

    @cached_property
    def _description(self) -> dict[str, object]:
        return self._clips.description()

    def __len__(self) -> int:
        return len(self._starts)

    def clip(self, index: int) -> Clip:
        """One clip.

        Raises:
            BadClip: an image or a record of the scene cannot be read, or the recording has a gap.
        """
        start = self._starts[index]
        try:
            scene = self._scenes.scene_from(start.scene, start.frame)
            if scene.camera is None or scene.log.ego_poses is None:
                raise BadClip(f"{scene.key} has no calibration or no ego poses")
            there = min(self.frames, scene.log.num_future + 1)
            if there < self.frames - 1:
                raise BadClip(f"{scene.key}: only {there - 1} frames follow without a gap")
            camera = scene.camera.fitted(self.image_size)
            images = scene.log.images(0, there, camera)
            poses = scene.log.ego_poses[scene.log.num_past :][:there]
            if there < self.frames:
                # Cameras trigger early at times: so many pictures may span half a frame less than as many of the clock.
                last = self._scenes.picture(start.scene, start.frame + self.frames - 1)
                images = np.concatenate([images, fit_images(last[None], self.image_size)])
                poses = np.concatenate([poses, 2 * poses[-1:] - poses[-2:-1]])
        except (InvalidScene, UnknownScene) as error:
            raise BadClip(f"{start.scene}: {error}") from error
        layout = layout_along(scene.road_map, poses)
        return Clip(scene.key, np.ascontiguousarray(images), camera, poses, scene.prompt, layout=layout)

    def command(self, index: int, num_frames: int) -> Command | None:
        """The motion that Vista's trajectory asks for; None without annotations."""
        start = self._starts[index]
        if start.vista is None:
            return None
        ego = self._scenes.scene_from(start.scene, start.frame).start
        return start.vista.command(0.0 if ego is None else ego.speed_mps, num_frames)


def _chosen(starts: list[_Start], which: Which) -> list[_Start]:
    """Of one scene's."""
    if which == "first five":
        return starts[:FIRST]
    if which == "every third":
        return [starts[place] for place in THIRDS if place < len(starts)]
    return starts
