"""Drives of the compositor's own, from which it learns: what it made becomes what it goes on from.

A simulated scene is driven on by the simulator's drivers, or along arcs that no driver would choose. Each second the
Coarse model and the compositor make the next keyframe and some frames between, from their own last frames; beside each
stands what the simulator drew. So training sees the errors that driving makes, and the longer the drives, the older they
are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from longdwm_env import clock
from longdwm_env.boxes import seen_boxes
from longdwm_env.geometry.pose import compose, relative_to
from longdwm_env.models.composition import FrameParts, SecondParts, Surroundings, as_ingredients
from longdwm_env.models.generation import Generation
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.redraw import redrawn
from longdwm_env.models.samples import Present, Sampling
from longdwm_env.models.text import known_prompt
from longdwm_env.simulator.conditions import TIMES_OF_DAY, WEATHERS, Conditions, caption
from longdwm_env.simulator.driver import STYLE_S, planned, style_at, with_style
from longdwm_env.simulator.picture import draw_frame
from longdwm_env.simulator.scene import builtin_scene, default_camera, episode
from longdwm_env.simulator.traffic import EGO, Traffic, ego_pose, step
from longdwm_env.types import ActorTracks, FloatArray, Images, ImageSize
from longdwm_env.worlds.simulator import actor_tracks

REACH_M = 320.0
BEFORE = 6
STEP = clock.FRAMES_PER_INTERVAL
HISTORY = 4

RESTYLED_SHARE = 0.12
"""Of drives that begin under another prompt than the scene's."""

FREE_SHARE = 0.15
"""Of drives along arcs, in place of a driver's way."""

SHORT_HISTORY_SHARE = 0.5
"""Of drives without a map that begin from one picture, as from a photograph."""


@dataclass(frozen=True)
class Moment:
    """One frame of a drive: what it is put together from, and what the simulator drew."""

    parts: FrameParts
    text: Tensor
    target: Images
    second: int

    def columns(self, rng: np.random.Generator, tile: ImageSize) -> dict[str, Any]:
        """As ``store.MomentRing`` keeps it; of a larger picture a random part."""
        height, width = self.target.shape[:2]
        top, left = int(rng.integers(height - tile[0] + 1)), int(rng.integers(width - tile[1] + 1))
        rows, columns = slice(top, top + tile[0]), slice(left, left + tile[1])
        return {
            "pictures": self.parts.pictures[:, rows, columns],
            "masks": self.parts.masks[:, rows, columns],
            "map_pictures": self.parts.map_picture[rows, columns],
            "flags": self.parts.flags,
            "texts": self.text.numpy(),
            "targets": self.target[rows, columns],
            "seconds": self.second,
        }


@dataclass(frozen=True)
class Knowledge:
    """What of the map a drive is given: as in the worlds that people have, often not all."""

    layout: bool
    scenery: bool
    others: bool


EVERYTHING = Knowledge(True, True, True)


def draw_knowledge(rng: np.random.Generator) -> Knowledge:
    """Everything in two thirds of the drives, nothing in a sixth (a photograph), no scenery in a sixth."""
    chance = rng.random()
    if chance < 0.66:
        return EVERYTHING
    return Knowledge(True, False, True) if chance < 0.83 else Knowledge(False, False, False)


class OwnDrive:
    """One drive through a built-in scene, a second at a time.

    Args:
        pipeline: with the Coarse model.
        generation: its models at work, the compositor among them.
        seed: of the scene.
        knowledge: what of the map is given.
        rng: chooses frames and noise.
        image_size: (height, width) of the frames.
        varied: whether it may begin under another prompt, from one picture, or leave the road.
    """

    def __init__(
        self,
        pipeline: LongDWMPipeline,
        generation: Generation,
        seed: int,
        knowledge: Knowledge,
        rng: np.random.Generator,
        image_size: ImageSize = (96, 144),
        varied: bool = True,
    ) -> None:
        self.generation, self.rng = generation, rng
        self.settings, self.seed, self.knowledge = pipeline.settings, seed, knowledge
        self.episode, self.scene = episode(seed), builtin_scene(seed)
        self.camera = default_camera(seed).fitted(image_size)
        self.conditions = self.episode.conditions
        self.now: Traffic = self.episode.past[-1]
        self.frame = self.second = 0
        self.text: Tensor = pipeline.encode_text([known_prompt(self.scene.prompt)])[0]
        self.sampling = Sampling(self.settings.coarse_steps, 1, 1.0, pipeline.encode_text([""]))
        log = self.scene.log
        self.history = [log.images(-STEP * back, 1, self.camera)[0] for back in reversed(range(HISTORY))]
        past = ego_pose(self.episode.past[-1 - BEFORE])
        self.before: tuple[Images, FloatArray] | None = (log.images(-BEFORE, 1, self.camera)[0], past)
        self.made: dict[int, Images] = {}
        self._first: list[Moment] = []
        self._arc: tuple[float, float] | None = None
        if varied:
            if rng.random() < FREE_SHARE:
                self._arc = float(rng.uniform(0, 16)), 0.0
            if rng.random() < RESTYLED_SHARE:
                self._restyle(pipeline)
            elif not knowledge.layout and rng.random() < SHORT_HISTORY_SHARE:
                self.history, self.before = self.history[-1:], None

    @property
    def crashed(self) -> bool:
        """Whether the ego has hit something."""
        return bool(self.now.crashed_s[EGO] > 0)

    def advance(self, frames: Sequence[int], drawn: bool = True) -> list[Moment]:
        """Drive a second on; the keyframe is always made, and of the frames between those that are named."""
        steps, poses = self._driven()
        tracks = actor_tracks(steps, self.episode.road.table, self.frame)
        surroundings = self._known(poses, tracks)
        here = poses[0]
        ahead = relative_to(poses[1:], here[None])
        before = None
        if self.before is not None and len(self.history) > 1:
            before = (self.before[0], relative_to(self.before[1][None], here[None])[0])
        present = self._present(surroundings, tracks, poses[[0, STEP]], [0, STEP], before)
        matched, coarse = self._coarse(present, ahead[-1])
        second = SecondParts(self.history[-1], surroundings, self.camera)
        parts = {STEP: second.keyframe(matched, coarse)}
        made = {STEP: self._composed([parts[STEP]])[0]}
        if len(frames):
            between = second.between(made[STEP], list(frames))
            parts |= dict(zip(frames, between, strict=True))
            made |= dict(zip(frames, self._composed(between), strict=True))
        moments, self._first = self._first, []
        if drawn:
            for index, part in parts.items():
                moments.append(Moment(part, self.text, self._truth(steps[index], index, poses[index]), self.second))
        self.history = [*self.history, made[STEP]][-HISTORY:]
        if STEP - BEFORE in made:
            self.before = made[STEP - BEFORE], poses[STEP - BEFORE]
        self.now, self.frame, self.second = steps[-1], self.frame + STEP, self.second + 1
        self.made = made
        return moments

    def truth(self) -> Images:
        """What the simulator shows at present."""
        return self._truth(self.now, 0, ego_pose(self.now))

    def _truth(self, traffic: Traffic, index: int, pose: FloatArray) -> Images:
        number = self.frame + index
        return draw_frame(self.episode.road, self.seed, traffic, number, self.conditions, self.camera, pose)

    def _known(self, poses: FloatArray, tracks: ActorTracks) -> Surroundings:
        here, road_map = poses[0, :2], self.scene.road_map
        return Surroundings(
            poses,
            road_map.layout(here, REACH_M) if self.knowledge.layout else None,  # type: ignore[union-attr]
            road_map.scenery(here, REACH_M) if self.knowledge.scenery else None,  # type: ignore[union-attr]
            tracks if self.knowledge.others else None,
        )

    def _present(
        self,
        surroundings: Surroundings,
        tracks: ActorTracks,
        poses: FloatArray,
        frames: Sequence[int],
        before: tuple[Images, FloatArray] | None,
    ) -> Present:
        layout = None if surroundings.layout is None else surroundings.layout.seen_from(poses[0])
        boxes = seen_boxes(tracks, frames, poses, self.camera) if self.knowledge.others else None
        return Present(np.stack(self.history), self.camera, self.text, self.seed, self.frame, before, layout, boxes)

    def _coarse(self, present: Present, pose: FloatArray) -> tuple[Images, Images]:
        """Matched sweep and the Coarse model's picture, made side by side with nothing else."""
        (both,) = self.generation.run([lambda: self.generation.coarse_picture(present, pose, self.sampling)])
        return both

    def _restyle(self, pipeline: LongDWMPipeline) -> None:
        """Begin under another prompt than the scene's, as a driver who changes the weather does."""
        weather, time_of_day = self.rng.choice(WEATHERS), self.rng.choice(TIMES_OF_DAY)
        self.conditions = Conditions(weather, time_of_day)
        self.text = pipeline.encode_text([known_prompt(caption(self.conditions, "", ""))])[0]
        pose = ego_pose(self.now)
        tracks = actor_tracks([self.now], self.episode.road.table, self.frame)
        surroundings = self._known(pose[None], tracks)
        present = self._present(surroundings, tracks, np.stack([pose, pose]), [0, 0], None)
        picture = redrawn(self.generation, replace(present, history=present.history[-1:]), self.sampling)
        parts = SecondParts(picture, surroundings, self.camera).restyled()
        self.history, self.before = self._composed([parts]), None
        self._first = [Moment(parts, self.text, self.truth(), 0)]

    def _driven(self) -> tuple[list[Traffic], FloatArray]:
        """Traffic and ego poses at 13 frames."""
        road, seed, here = self.episode.road, self.seed, ego_pose(self.now)
        if self._arc is None:
            count = self.frame // (STYLE_S * clock.FPS)
            with_driver = with_style(self.now, style_at(seed, self.frame), seed, count)
            trajectory = planned(road, with_driver, seed, self.frame)
            ahead, speeds = trajectory.poses[:STEP], trajectory.speeds_mps[:STEP]
        else:
            ahead, speeds = self._along_arc()
        poses = np.concatenate([here[None], compose(here, ahead)])
        steps = [self.now]
        for index in range(1, STEP + 1):
            steps.append(step(road, steps[-1], seed, self.frame + index, (poses[index], float(speeds[index - 1]))))
        return steps, poses

    def _along_arc(self) -> tuple[FloatArray, NDArray[np.float64]]:
        """(12, 3) poses on an arc and (12,) speeds; speed and curvature change a little each second."""
        assert self._arc is not None
        speed, curvature = self._arc
        speed = float(np.clip(speed + self.rng.normal(0, 1.5), 0, 20)) if self.rng.random() > 0.05 else 0.0
        curvature = float(np.clip(0.8 * curvature + self.rng.normal(0, 0.012), -0.06, 0.06))
        self._arc = speed, curvature
        along = speed * clock.FRAME_S * np.arange(1, STEP + 1)
        headings = curvature * along
        # A chord of an arc lies halfway between its ends' headings.
        chord = along * np.sinc(headings / 2 / np.pi)
        poses = np.column_stack([chord * np.cos(headings / 2), chord * np.sin(headings / 2), headings])
        return poses, np.full(STEP, speed)

    @torch.no_grad()
    def _composed(self, parts: list[FrameParts]) -> list[Images]:
        height, width = self.camera.intrinsics.image_size
        noise = torch.from_numpy(self.rng.standard_normal((len(parts), 1, height, width), np.float32))
        given = as_ingredients(parts, noise, self.text.expand(len(parts), -1, -1))
        assert self.generation.composer is not None
        with torch.autocast("cpu", torch.bfloat16):
            made = self.generation.composer.compositor(given)
        return list(((made.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).movedim(1, -1).numpy())


__all__ = ["EVERYTHING", "Knowledge", "Moment", "OwnDrive", "draw_knowledge"]
