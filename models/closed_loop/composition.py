"""Frames put together by the compositor: what each is made from, and the network at work; for driving and training.

Within a second the keyframe comes first, from the frame before it and the Coarse model's picture; then the frames
between, from the keyframes on both sides.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from longdwm_env import clock
from longdwm_env.geometry.map_view.map_picture import MapPicture
from longdwm_env.geometry.map_view.reprojection import reprojected
from longdwm_env.geometry.pose import relative_to
from longdwm_env.geometry.sweep import DEFAULT_PLANES, SweepSettings, images_between
from longdwm_env.geometry.warp import WarpSettings, warp_images
from longdwm_env.models.closed_loop.samples import Present
from longdwm_env.models.closed_loop.surroundings import Surroundings
from longdwm_env.models.codec.video_codec import uint8_from_images
from longdwm_env.models.compositor import FLAGS, PICTURES, Compositor, Ingredients
from longdwm_env.models.machine import faster_in_bfloat16
from longdwm_env.models.network.sampler import counted_noise
from longdwm_env.types import AnyArray, Camera, FloatArray, Images

BETWEEN_SWEEP = SweepSettings(DEFAULT_PLANES)

UNIT_WIDTH_PX = 144.0
"""Width of pictures whose fineness is 0."""

PIXELS_AT_ONCE = 120_000
"""Of the frames that are composed in one pass: eight of 96 x 144, two of 192 x 288. More leave the caches of a core."""


@dataclass(frozen=True)
class FrameParts:
    """What one frame is put together from, as it is stored; see ``compositor.Ingredients``.

    Attributes:
        pictures: uint8 (4, H, W, 3).
        masks: uint8 (2, H, W).
        map_picture: uint8 (H, W, 4): the picture, and 255 times the root of the inverse depth in 1/m.
        flags: float32 (5,).
    """

    pictures: UInt8[np.ndarray, "4 h w 3"]
    masks: UInt8[np.ndarray, "2 h w"]
    map_picture: UInt8[np.ndarray, "h w 4"]
    flags: Float[np.ndarray, "5"]


class SecondParts:
    """The parts of each frame of one second.

    Args:
        first: (H, W, 3) the present frame.
        surroundings: of the second.
        camera: of all frames.
    """

    def __init__(self, first: Images, surroundings: Surroundings, camera: Camera) -> None:
        self.first, self.surroundings, self.camera = first, surroundings, camera
        self._fronts: dict[int, tuple[Images, Images]] = {}

    def keyframe(self, matched: Images, coarse: Images) -> FrameParts:
        """Of the next keyframe, from its matched sweep and the Coarse model's picture, (H, W, 3) each."""
        frame = clock.FRAMES_PER_INTERVAL
        taken, mask = self._front(frame)
        empty = np.zeros_like(self.first)
        return self._parts(frame, (taken, empty, matched, coarse), (mask, np.zeros_like(mask)), 1.0, 1.0)

    def between(self, last: Images, frames: Sequence[int]) -> list[FrameParts]:
        """Of frames between the present one and the next keyframe, (H, W, 3)."""
        end = clock.FRAMES_PER_INTERVAL
        swept = self._swept(last, frames) if self.surroundings.scenery is None else None
        made = []
        for index, frame in enumerate(frames):
            (front, in_front), (back, in_back) = self._front(frame), self.taken(last, end, frame)
            nearer = front if frame <= end // 2 else back
            pictures = (front, back, nearer if swept is None else swept[index], np.zeros_like(front))
            made.append(self._parts(frame, pictures, (in_front, in_back), 0.0, frame / end))
        return made

    def restyled(self) -> FrameParts:
        """Of the present frame, which the Coarse model has drawn anew in other weather or at another time of day."""
        empty = np.zeros(self.first.shape[:2], np.uint8)
        pictures = (self.first, np.zeros_like(self.first), self.first, self.first)
        return self._parts(0, pictures, (empty, empty), 1.0, 1.0)

    def _swept(self, last: Images, frames: Sequence[int]) -> Images:
        """Frames between as matched sweeps show them; where a map knows the scenery they add nothing."""
        ahead = self._relative(clock.FRAMES_PER_INTERVAL)
        fallback = self._fallback(ahead[:-1])
        return images_between(
            self.first, last, self.camera, ahead, fallback, BETWEEN_SWEEP, [frame - 1 for frame in frames]
        )

    def prepare(self, frame: int) -> None:
        """Do for a frame, between or the next keyframe, what can be done before the keyframe is there."""
        self._fronts[frame] = self._front(frame)

    def _front(self, frame: int) -> tuple[Images, Images]:
        """The present frame taken along to a later one, and where it shows what the map says."""
        return self._fronts.get(frame) or self.taken(self.first, 0, frame)

    def _relative(self, end: int) -> FloatArray:
        poses = self.surroundings.poses
        return relative_to(poses[1 : end + 1], poses[:1])

    def _fallback(self, poses: FloatArray) -> Images:
        return warp_images(self.first, self.camera, poses, WarpSettings(variant="ground", depth_m=35.0))

    def shown(self, frame: int) -> MapPicture:
        """What the map and the boxes show of a frame."""
        return self.surroundings.shown(frame, self.camera)

    def taken(self, image: Images, source: int, target: int) -> tuple[Images, Images]:
        """An image (H, W, 3) of one frame of the second as another frame sees it, and (H, W) where the map agrees."""
        here = self.surroundings
        return reprojected(
            image, self.shown(source), here.poses[source], source,
            self.shown(target), here.poses[target], target, here.others, self.camera,
        )  # fmt: skip

    def _parts(
        self, frame: int, pictures: Sequence[Images], masks: Sequence[Images], keyframe: float, share: float
    ) -> FrameParts:
        shown = self.shown(frame)
        depth = np.rint(255 * np.sqrt(shown.inverse_depth.clip(0, 1))).astype(np.uint8)
        fineness = np.log2(self.camera.intrinsics.width_px / UNIT_WIDTH_PX)
        flags = np.array([keyframe, share, *self.surroundings.flags, fineness], np.float32)
        return FrameParts(np.stack(pictures), np.stack(masks), np.dstack([shown.picture, depth]), flags)


class BegunSeconds:
    """The parts of seconds that were begun last, for who goes on with one: its maps need not be drawn again.

    It saves time only: what is given for some content is what ``SecondParts`` of it would be.

    Args:
        most: seconds that are kept; the one that was not asked for longest goes first.
    """

    def __init__(self, most: int = 2) -> None:
        self._most = most
        self._kept: dict[bytes, SecondParts] = {}

    def parts(self, first: Images, surroundings: Surroundings, camera: Camera) -> SecondParts:
        """The parts of a second; see ``SecondParts``."""
        key = _content_of(first, surroundings, camera)
        # Each line is one step for other threads; the worst that they can do is to draw something twice.
        parts = self._kept.pop(key, None) or SecondParts(first, surroundings, camera)
        self._kept[key] = parts
        for oldest in list(self._kept)[: -self._most]:
            self._kept.pop(oldest, None)
        return parts

    def __reduce__(self) -> tuple[object, ...]:
        # To another process, and to a copy, nothing goes along that saves time only.
        return BegunSeconds, (self._most,)


def _content_of(first: Images, surroundings: Surroundings, camera: Camera) -> bytes:
    arrays: list[AnyArray] = [first, surroundings.poses]
    layout, scenery, others = surroundings.layout, surroundings.scenery, surroundings.others
    if layout is not None:
        arrays += [layout.corners_m, layout.kinds]
    if scenery is not None:
        arrays += scenery.arrays.values()
    if others is not None:
        arrays += [others.poses, others.sizes_m, *others.looks.values()]
    known = (camera, layout is None, scenery is None, None if others is None else list(others.looks))
    told = blake2b(repr((known, [(each.shape, each.dtype) for each in arrays])).encode(), digest_size=16)
    for each in arrays:
        told.update(np.ascontiguousarray(each).data)
    return told.digest()


class FrameComposer:
    """The compositor at work, on a few frames at a time where each is the same to the bit as it is alone.

    Whether it is depends on the machine: on the order in which its convolutions add for a batch of that size, which
    values do not change. So the first batch of each shape is made both ways, and decides for those that follow.
    """

    def __init__(self, compositor: Compositor, device: torch.device) -> None:
        on_cpu = device.type == "cpu"
        self.compositor = compositor.to(memory_format=torch.channels_last) if on_cpu else compositor
        self.device = device
        self.in_bfloat16 = on_cpu and compositor.dtype == torch.float32 and faster_in_bfloat16()
        self._copy: tuple[list[tuple[int, int]], Compositor] | None = None
        self._as_alone: dict[torch.Size, bool] = {}

    @torch.no_grad()
    def composed(self, parts: Sequence[FrameParts], present: Present, numbers: Sequence[int]) -> list[Images]:
        """Frames (H, W, 3) from their parts; ``numbers`` count frames after the present one."""
        if not parts:
            return []
        height, width = parts[0].masks.shape[1:]
        noise = [
            counted_noise(
                [present.seed], [present.counter + number], "compose", (1, height, width), self.device, torch.float32
            )
            for number in numbers
        ]
        most = max(1, PIXELS_AT_ONCE // (height * width))
        made: list[Images] = []
        for first in range(0, len(parts), most):
            some = parts[first : first + most]
            text = present.text[None].float().expand(len(some), -1, -1)
            given = as_ingredients(some, torch.cat(noise[first : first + most]), text, self.device)
            made += list(uint8_from_images(self._frames(given)))
        around = present.surroundings
        if around is None:
            return made
        return [
            around.below_the_sky(image, part.map_picture[..., 3], number, present.camera, present.counter + number)
            for image, part, number in zip(made, parts, numbers, strict=True)
        ]

    def _frames(self, given: Ingredients) -> Tensor:
        """(B, 3, H, W), each as it is alone."""
        shape = given.pictures.shape
        if len(given.flags) == 1:
            return self._in_one_pass(given)
        if not self._as_alone.get(shape, True):
            return self._one_by_one(given)
        together = self._in_one_pass(given)
        if shape not in self._as_alone:
            alone = self._one_by_one(given)
            self._as_alone[shape] = torch.equal(together, alone)
            return alone
        return together

    def _one_by_one(self, given: Ingredients) -> Tensor:
        return torch.cat([self._in_one_pass(given.only(index)) for index in range(len(given.flags))])

    def _in_one_pass(self, given: Ingredients) -> Tensor:
        made: Tensor = (self._in_half() if self.in_bfloat16 else self.compositor)(given)
        return made

    def _in_half(self) -> Compositor:
        """The network with its weights in bfloat16: to the bit what autocast makes, which converts them every time."""
        weights = [(weight.data_ptr(), weight._version) for weight in self.compositor.parameters()]
        if self._copy is None or self._copy[0] != weights:
            copied = copy.deepcopy(self.compositor)
            for part in copied.children():
                part.to(torch.bfloat16)
            self._copy = weights, copied
        return self._copy[1]


def as_ingredients(
    parts: Sequence[FrameParts], noise: Tensor, text: Tensor, device: torch.device | str = "cpu"
) -> Ingredients:
    """Parts of B frames as the network takes them, with noise (B, 1, H, W) and text (B, S, D)."""
    return ingredients_from_arrays(
        np.stack([part.pictures for part in parts]),
        np.stack([part.masks for part in parts]),
        np.stack([part.map_picture for part in parts]),
        np.stack([part.flags for part in parts]),
        noise,
        text,
        device,
    )


def ingredients_from_arrays(
    pictures: UInt8[np.ndarray, "b 4 h w 3"],
    masks: UInt8[np.ndarray, "b 2 h w"],
    map_pictures: UInt8[np.ndarray, "b h w 4"],
    flags: Float[np.ndarray, "b 5"],
    noise: Tensor,
    text: Tensor,
    device: torch.device | str = "cpu",
) -> Ingredients:
    """As ``as_ingredients``, from stacked arrays."""
    known = torch.from_numpy(flags[:, [FLAGS.index("layout")]]).to(device)[..., None, None]
    shown = torch.from_numpy(map_pictures).to(device).movedim(-1, 1).float() / 127.5 - 1
    taken = torch.from_numpy(pictures).to(device).movedim(-1, 2).float() / 127.5 - 1
    key = torch.from_numpy(flags[:, 0]).to(device)
    exists = torch.ones(len(flags), len(PICTURES), device=device)
    exists[:, PICTURES.index("last")], exists[:, PICTURES.index("coarse")] = 1 - key, key
    return Ingredients(
        taken * exists[..., None, None, None],
        torch.from_numpy(masks).to(device).float() / 255,
        shown * known,
        noise.to(device),
        text.to(device),
        torch.from_numpy(flags).to(device),
    )
