"""Drives of the compositor's own, from which it learns: what it made becomes what it goes on from.

Each second the Coarse model and the compositor make the next keyframe and some frames between, from their own last
frames; beside each stands what was to be seen. So training sees the errors that driving makes, and in longer drives
older ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from longdwm_env.geometry.boxes import seen_boxes
from longdwm_env.geometry.map_view.upright import STATIC
from longdwm_env.geometry.pose import relative_to
from longdwm_env.models.closed_loop.composition import FrameParts, SecondParts, as_ingredients
from longdwm_env.models.closed_loop.generation import Generation
from longdwm_env.models.closed_loop.samples import Present, Sampling
from longdwm_env.models.closed_loop.sky_memory import DROP_PX, Sky
from longdwm_env.models.closed_loop.surroundings import Surroundings
from longdwm_env.models.codec.video_codec import uint8_from_images
from longdwm_env.models.conditioning.restyling import restyled
from longdwm_env.models.conditioning.text import known_prompt, says_rain
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.training.composition.streets import BEFORE, HISTORY, STEP, Street, Stretch
from longdwm_env.types import FloatArray, Images, ImageSize

UNTOLD = 0.15
"""Chance that a drive comes without a prompt."""

NEAR_ROAD_USERS = 0.5
"""Chance that the kept part of a larger picture is one with a road user, where there is one."""


@dataclass(frozen=True)
class Moment:
    """One frame of a drive: what it is put together from, and what was to be seen.

    Attributes:
        parts: of the frame.
        text: (S, D) embedding of the prompt.
        target: (H, W, 3) what was to be seen.
        taken: (2, H, W, 3) what was to be seen at the two keyframes around it, taken along as the first two pictures of
            ``parts`` were; zeros where there is none.
        road_users: bool (H, W), where the map shows one.
        second: of the drive.
    """

    parts: FrameParts
    text: Tensor
    target: Images
    taken: Images
    road_users: NDArray[np.bool_]
    second: int

    def columns(self, rng: np.random.Generator, tile: ImageSize) -> dict[str, Any]:
        """As ``store.MomentRing`` keeps it; of a larger picture a part, more often one with a road user."""
        height, width = self.target.shape[:2]
        top, left = int(rng.integers(height - tile[0] + 1)), int(rng.integers(width - tile[1] + 1))
        places = np.argwhere(self.road_users)
        if len(places) and rng.random() < NEAR_ROAD_USERS:
            row, column = places[rng.integers(len(places))]
            top = int(np.clip(row - rng.integers(tile[0]), 0, height - tile[0]))
            left = int(np.clip(column - rng.integers(tile[1]), 0, width - tile[1]))
        rows, columns = slice(top, top + tile[0]), slice(left, left + tile[1])
        return {
            "pictures": self.parts.pictures[:, rows, columns],
            "masks": self.parts.masks[:, rows, columns],
            "map_pictures": self.parts.map_picture[rows, columns],
            "flags": self.parts.flags,
            "texts": self.text.numpy(),
            "targets": self.target[rows, columns],
            "taken": self.taken[:, rows, columns],
            "road_users": self.road_users[rows, columns],
            "seconds": self.second,
        }


class OwnDrive:
    """One drive along a street, a second at a time.

    Args:
        pipeline: with the Coarse model and the compositor.
        generation: its models at work.
        street: where it goes.
        rng: source of noise.
        restyled: the street's prompt differs from what its history shows, and the first picture is drawn anew.
        from_one_picture: of the street's history the present frame alone is given, as from a photograph.
    """

    def __init__(
        self,
        pipeline: LongDWMPipeline,
        generation: Generation,
        street: Street,
        rng: np.random.Generator,
        restyled: bool = False,
        from_one_picture: bool = False,
    ) -> None:
        self.generation, self.street, self.rng = generation, street, rng
        self.camera = street.camera
        # A photograph comes without a word of its weather: what is seen is then to be carried.
        prompt = street.prompt if restyled or rng.random() >= UNTOLD else ""
        self.text: Tensor = pipeline.encode_text([known_prompt(prompt)])[0]
        steps = pipeline.settings.coarse_steps
        self.sampling = Sampling(steps, 1, 1.0, pipeline.encode_text([""]))
        self.history, self.before = list(street.history), street.before
        # A sky that is drawn anew is not remembered at once, and these drives are short.
        self.sky = None if restyled else Sky.unseen(street.camera)
        self.second = 0
        self.made: dict[int, Images] = {}
        self._first: list[Moment] = []
        if restyled or from_one_picture:
            self.history, self.before = self.history[-1:], None
        if restyled:
            self._restyle()

    def advance(self, frames: Sequence[int], drawn: bool = True) -> list[Moment]:
        """Drive a second on; the keyframe is always made, and of the frames between those that are named.

        Args:
            frames: numbers of frames between, 1 to 11.
            drawn: whether moments are wanted.
        """
        stretch = self.street.drive_on()
        known = stretch.surroundings
        if self.sky is not None and known.scenery is not None:
            specks_px = DROP_PX if says_rain(self.street.prompt) else 0.0
            known = replace(known, sky=self.sky).looked_up(self.history[-1], self.camera, specks_px)
            self.sky, stretch = known.sky, replace(stretch, surroundings=known)
        poses = known.poses
        before = None
        if self.before is not None and len(self.history) > 1:
            before = (self.before[0], relative_to(self.before[1][None], poses[0])[0])
        present = self._present(stretch, [0, STEP], before)
        ahead = relative_to(poses[-1][None], poses[0])[0]
        run, made_by = self.generation.run, self.generation.coarse_picture
        ((matched, coarse),) = run([lambda: made_by(present, ahead, self.sampling)])
        second = SecondParts(self.history[-1], known, self.camera)
        parts = {STEP: second.keyframe(matched, coarse)}
        made = self._composed(parts, known)
        if len(frames):
            between = dict(zip(frames, second.between(made[STEP], list(frames)), strict=True))
            parts |= between
            made |= self._composed(between, known)
        moments, self._first = self._first, []
        if drawn:
            ends = [(end, stretch.truth(end)) for end in (0, STEP)]
            for index, part in parts.items():
                target, shown = stretch.truth(index), second.shown(index).owners != STATIC
                taken = np.stack(
                    [
                        np.zeros_like(image) if end == index else second.taken(image, end, index)[0]
                        for end, image in ends
                    ]
                )
                moments.append(Moment(part, self.text, target, taken, shown, self.second))
        self.history = [*self.history, made[STEP]][-HISTORY:]
        if STEP - BEFORE in made:
            self.before = made[STEP - BEFORE], poses[STEP - BEFORE]
        self.made, self.second = made, self.second + 1
        return moments

    def _present(
        self, stretch: Stretch, frames: Sequence[int], before: tuple[Images, FloatArray] | None = None
    ) -> Present:
        known = stretch.surroundings
        layout = None if known.layout is None else known.layout.seen_from(known.poses[0])
        boxes = None
        if known.others is not None:
            boxes = seen_boxes(known.others, frames, known.poses[list(frames)], self.camera)
        counter, seed = self.second * STEP, self.street.seed
        return Present(np.stack(self.history), self.camera, self.text, seed, counter, before, layout, boxes)

    def _restyle(self) -> None:
        """Draw the present frame anew under the prompt, as where a driver changes the weather."""
        here = self.street.here()
        present = self._present(here, [0, 0])
        picture = restyled(self.generation, replace(present, history=present.history[-1:]), self.sampling)
        second = SecondParts(picture, here.surroundings, self.camera)
        parts = second.restyled()
        self.history = [self._composed({0: parts}, here.surroundings)[0]]
        target = here.truth(0)
        nothing = np.zeros((2, *target.shape), np.uint8)
        self._first = [Moment(parts, self.text, target, nothing, second.shown(0).owners != STATIC, 0)]

    @torch.no_grad()
    def _composed(self, parts: Mapping[int, FrameParts], known: Surroundings) -> dict[int, Images]:
        """Frames of a second by their numbers, under the sky that is remembered."""
        height, width = self.camera.intrinsics.image_size
        noise = torch.from_numpy(self.rng.standard_normal((len(parts), 1, height, width), np.float32))
        given = as_ingredients(list(parts.values()), noise, self.text.expand(len(parts), -1, -1))
        composer = self.generation.composer
        assert composer is not None, "the pipeline has no compositor"
        with torch.autocast("cpu", torch.bfloat16, enabled=composer.in_bfloat16):
            images = uint8_from_images(composer.compositor(given))
        return {
            number: known.below_the_sky(
                image, part.map_picture[..., 3], number, self.camera, self.second * STEP + number
            )
            for image, (number, part) in zip(images, parts.items(), strict=True)
        }
