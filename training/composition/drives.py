"""Drives of the compositor's own, from which it learns: what it made becomes what it goes on from.

A simulated scene is driven on by the simulator's drivers. Each second the Coarse model and the compositor make the next
keyframe and some frames between, from their own last frames; beside each stands what the simulator drew. So training sees
the errors that driving makes, and the longer the drives, the older the errors.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from longdwm_env import clock
from longdwm_env.boxes import seen_boxes
from longdwm_env.geometry.pose import compose, relative_to
from longdwm_env.models.composition import FrameParts, SecondParts, Surroundings, as_ingredients
from longdwm_env.models.compositor import Compositor
from longdwm_env.models.generation import Generation
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.redraw import redrawn
from longdwm_env.models.samples import Present, Sampling
from longdwm_env.models.text import known_prompt
from longdwm_env.models.warped import keyframe_views
from longdwm_env.simulator.conditions import TIMES_OF_DAY, WEATHERS, Conditions, caption
from longdwm_env.simulator.driver import STYLE_S, planned, style_at, with_style
from longdwm_env.simulator.picture import draw_frame
from longdwm_env.simulator.scene import Episode, builtin_scene, default_camera, episode
from longdwm_env.simulator.traffic import EGO, Traffic, ego_pose, step
from longdwm_env.types import ActorTracks, Camera, FloatArray, Images
from longdwm_env.worlds.simulator import actor_tracks

REACH_M = 320.0
BEFORE = 6
STEP = clock.FRAMES_PER_INTERVAL
HISTORY = 4
RESTYLED_SHARE = 0.15


@dataclass(frozen=True)
class Moment:
    """One frame of a drive: what it is put together from, and what the simulator drew."""

    parts: FrameParts
    text: Tensor
    target: Images
    second: int

    @property
    def columns(self) -> dict[str, object]:
        """As ``store.MomentRing`` keeps it."""
        return {
            "pictures": self.parts.pictures,
            "masks": self.parts.masks,
            "map_pictures": self.parts.map_picture,
            "flags": self.parts.flags,
            "texts": self.text.numpy(),
            "targets": self.target,
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
        compositor: makes the frames.
        seed: of the scene.
        knowledge: what of the map is given.
        rng: chooses frames and noise.
    """

    def __init__(
        self,
        pipeline: LongDWMPipeline,
        generation: Generation,
        compositor: Compositor,
        seed: int,
        knowledge: Knowledge,
        rng: np.random.Generator,
    ) -> None:
        self.generation, self.compositor, self.rng = generation, compositor, rng
        self.seed, self.knowledge = seed, knowledge
        self.episode: Episode = episode(seed)
        self.scene = builtin_scene(seed)
        self.camera: Camera = default_camera(seed).fitted(pipeline.settings.image_size)
        self.conditions: Conditions = self.episode.conditions
        self.now: Traffic = self.episode.past[-1]
        self.frame = self.second = 0
        with torch.no_grad():
            self.text: Tensor = pipeline.encode_text([known_prompt(self.scene.prompt)])[0]
        # The last three seconds, a keyframe a second, and the frame half a second back.
        log = self.scene.log
        self.history = [log.images(-STEP * back, 1, self.camera)[0] for back in (3, 2, 1, 0)]
        self.before: tuple[Images, FloatArray] | None = (
            log.images(-BEFORE, 1, self.camera)[0],
            ego_pose(self.episode.past[-1 - BEFORE]),
        )
        settings = pipeline.settings
        unconditional = pipeline.encode_text([""])
        self.sampling = Sampling(settings.coarse_steps, settings.fine_steps, 1.0, unconditional)
        self.settings = settings
        self.first_moments: list[Moment] = []
        if rng.random() < RESTYLED_SHARE:
            self._restyle(pipeline)
        elif not knowledge.layout and rng.random() < 0.5:
            self.history = self.history[-1:]

    def _restyle(self, pipeline: LongDWMPipeline) -> None:
        """Begin under another prompt than the scene's, as a driver who changes the weather does."""
        weather, time_of_day = str(self.rng.choice(WEATHERS)), str(self.rng.choice(TIMES_OF_DAY))
        self.conditions = Conditions(weather, time_of_day)  # type: ignore[arg-type]
        self.text = pipeline.encode_text([known_prompt(caption(self.conditions, "", ""))])[0]
        pose = ego_pose(self.now)
        surroundings = self._known(pose[None], actor_tracks([self.now], self.episode.road.table, self.frame))
        layout = None if surroundings.layout is None else surroundings.layout.seen_from(pose)
        boxes = None
        if surroundings.others is not None:
            boxes = seen_boxes(surroundings.others, [0, 0], np.stack([pose, pose]), self.camera)
        present = Present(self.history[-1][None], self.camera, self.text, self.seed, 0, None, layout, boxes)
        with_composer = self.generation.composer
        assert with_composer is None, "the picture is wanted as the Coarse model draws it"
        picture = redrawn(self.generation, present, self.sampling)
        parts = SecondParts(picture, surroundings, self.camera).restyled()
        self.history = self._composed([parts])
        self.before = None
        self.first_moments = [Moment(parts, self.text, self.truth(), 0)]

    def _known(self, poses: FloatArray, tracks: ActorTracks) -> Surroundings:
        here, road_map = poses[0, :2], self.scene.road_map
        return Surroundings(
            poses,
            road_map.layout(here, REACH_M) if self.knowledge.layout else None,
            road_map.scenery(here, REACH_M) if self.knowledge.scenery else None,
            tracks if self.knowledge.others else None,
        )

    @property
    def crashed(self) -> bool:
        """Whether the ego has hit something."""
        return bool(self.now.crashed_s[EGO] > 0)

    def advance(self, frames: tuple[int, ...], drawn: bool = True) -> list[Moment]:
        """Drive a second on; the keyframe is always made, and of the frames between those that are named."""
        steps, poses = self._driven()
        here = poses[0]
        tracks = actor_tracks(steps, self.episode.road.table, self.frame)
        surroundings = self._known(poses, tracks)
        ahead = relative_to(poses[1:], here[None])
        boxes = None
        if self.knowledge.others:
            boxes = seen_boxes(tracks, [0, STEP], poses[[0, STEP]], self.camera)
        before = None
        if self.before is not None and len(self.history) > 1:
            before = (self.before[0], relative_to(self.before[1][None], here[None])[0])
        layout = None if surroundings.layout is None else surroundings.layout.seen_from(here)
        present = Present(np.stack(self.history), self.camera, self.text, self.seed, self.frame, before, layout, boxes)
        ((_, coarse),) = self.generation.keyframes([present], [ahead[-1:]], self.sampling)
        shown, _ = keyframe_views(self.history[-1], self.camera, ahead[-1:], before, self.settings, boxes)
        second = SecondParts(self.history[-1], surroundings, self.camera)
        parts = {STEP: second.keyframe(shown[0, 0], coarse[0])}
        made = {STEP: self._composed([parts[STEP]])[0]}
        if frames:
            between = second.between(made[STEP], frames)
            parts |= dict(zip(frames, between, strict=True))
            made |= dict(zip(frames, self._composed(between), strict=True))
        moments, self.first_moments = self.first_moments, []
        if drawn:
            for index, part in parts.items():
                moments.append(Moment(part, self.text, self._truth(steps[index], index, poses[index]), self.second))
        self.history = [*self.history, made[STEP]][-HISTORY:]
        if STEP - BEFORE in made:
            self.before = made[STEP - BEFORE], poses[STEP - BEFORE]
        self.now, self.frame, self.second = steps[-1], self.frame + STEP, self.second + 1
        self.made, self.parts = made, parts
        return moments

    def truth(self) -> Images:
        """What the simulator shows at present."""
        return self._truth(self.now, 0, ego_pose(self.now))

    def _truth(self, traffic: Traffic, index: int, pose: FloatArray) -> Images:
        road, number = self.episode.road, self.frame + index
        return draw_frame(road, self.seed, traffic, number, self.conditions, self.camera, pose)

    def _driven(self) -> tuple[list[Traffic], FloatArray]:
        """Traffic and ego poses at 13 frames, the ego driven as the drivers of footage drive."""
        road, seed = self.episode.road, self.seed
        style = style_at(seed, self.frame)
        trajectory = planned(
            road, with_style(self.now, style, seed, self.frame // (STYLE_S * clock.FPS)), seed, self.frame
        )
        here = ego_pose(self.now)
        poses = np.concatenate([here[None], compose(here, trajectory.poses[:STEP])])
        steps = [self.now]
        for index in range(1, STEP + 1):
            ego = poses[index], float(trajectory.speeds_mps[index - 1])
            steps.append(step(road, steps[-1], seed, self.frame + index, ego))
        return steps, poses

    @torch.no_grad()
    def _composed(self, parts: list[FrameParts]) -> list[Images]:
        height, width = self.camera.intrinsics.image_size
        noise = torch.from_numpy(self.rng.standard_normal((len(parts), 1, height, width), np.float32))
        given = as_ingredients(parts, noise, self.text.expand(len(parts), -1, -1))
        with torch.autocast("cpu", torch.bfloat16):
            out = self.compositor(given)
        return list(((out.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).movedim(1, -1).numpy())


def own_drives(
    pipeline: LongDWMPipeline, compositor: Compositor, rng: np.random.Generator, longest_s: int, last_seed: int
) -> Iterator[OwnDrive]:
    """Drives on scenes below ``last_seed``; each is to be driven up to ``longest`` seconds (attribute ``length``)."""
    generation = pipeline.generation()
    while True:
        drive = OwnDrive(pipeline, generation, compositor, int(rng.integers(last_seed)), draw_knowledge(rng), rng)
        drive.length = int(rng.integers(2, longest_s + 1))
        yield drive


__all__ = ["EVERYTHING", "Knowledge", "Moment", "OwnDrive", "draw_knowledge", "own_drives"]
