"""The sky as a drive remembers it: so far away that it only turns with the car.

A keyframe is made from the one before it, so whatever a network cannot make sure of fades from second to second: clouds
first, since no map knows them. But what is infinitely far looks the same from everywhere. So its colours are kept by
direction, as they were first seen, and shown again wherever the map says that nothing stands before the sky.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, Num, UInt8

from longdwm_env.geometry.map_view.map_picture import MapPicture, pixel_rays
from longdwm_env.geometry.map_view.upright import STATIC
from longdwm_env.geometry.photo_sky import agreed_sky
from longdwm_env.types import Camera, FloatArray, Images

LEARNT_PX, MOVING_PX, SHOWN_PX = 4.0, 10.0, 2.0
"""How far from everything that stands before it, and from road users, the sky is learnt, and how far from everything it
is shown, in pixels of a picture 144 wide: lamps shine beyond their outlines, and boxes are not exact."""

DROP_PX, DRAWN_PX = 2.0, 6.0
"""Half the side of what is looked at to tell clouds from drops, and a sky from what a model leaves in it, likewise."""

LEAST_SEEN = 0.1
"""Share of the directions in view that must be free for the sky to be learnt."""

JOINED = 0.15
"""Share of a repeated sky in which it comes out of the one beside it."""

LEAST_REPEATED = 0.5
"""Share of the directions in view that must be free for what is seen to come again beside it: a strip of sky between
houses would come again as a strip."""

REACHES_PX = (1.5, 5.0, 15.0, 45.0)
"""How far what is seen says what is around it, likewise: the nearer, the more it counts. To the sides three times."""

COARSE_PX = 2.0
"""How coarse the sky is filled in all around, likewise."""

DENSITY = 2
"""Directions for each pixel of the camera: what is read between them is as sharp as the frame was."""

SEEN, FILLED_IN = 255, 1
FADE_FRAMES = 12
"""Frames in which what was only filled in comes up: in a photograph, before what stood there."""

SOFT_PX = 1.0
"""Standard deviation of the edge between what is remembered and what is generated, likewise."""


@dataclass(frozen=True, eq=False)
class Sky:
    """Colours by direction.

    Attributes:
        seen: uint8 (R, C, 4) RGB, and ``SEEN`` or ``FILLED_IN``; 0 as long as nothing is known. Columns turn with the
            heading once around, to the left; rows go down from the highest elevation that the camera sees to the
            horizon, as many to a radian.
        exact: whether pictures show what the map says, so that what the map leaves free is sky; else it must look like
            sky too.
    """

    seen: UInt8[np.ndarray, "r c 4"]
    exact: bool = True

    @classmethod
    def unseen(cls, camera: Camera, exact: bool = True) -> "Sky":
        """Of a camera that has not looked yet."""
        columns = round(2 * np.pi * DENSITY * camera.intrinsics.fx_px)
        _, elevation = _directions(camera)
        rows = max(1, int(np.ceil(elevation.max() * columns / (2 * np.pi))) + 1)
        return cls(np.zeros((rows, columns, 4), np.uint8), exact)

    def with_seen(
        self, image: Images, shown: MapPicture, heading_rad: float, camera: Camera, specks_px: float = 0.0
    ) -> "Sky":
        """As a frame shows it; as it was once a part of it has been seen, or where the frame shows too little of it.

        What hides the sky is filled in from around it, and to both sides the frame comes again, so that a car which
        turns comes under a sky of the same kind.

        Args:
            image: (H, W, 3).
            shown: what the map and the boxes show of the frame.
            heading_rad: of the ego.
            camera: of the frame.
            specks_px: up to this size, in pixels of a picture 144 wide, what differs from all around is left out.
        """
        if self.seen.any():
            return self
        fineness = _fineness(camera)
        free = _free(shown.inverse_depth, LEARNT_PX * fineness) & _free(shown.owners != STATIC, MOVING_PX * fineness)
        if not self.exact:
            upper = _directions(camera)[1] > 0
            free &= agreed_sky(image, upper) > 0
        columns, at = self._patch(heading_rad, camera)
        # Beyond its edges the frame goes on mirrored: a cloud that an edge cuts is a cloud there too, and no streak.
        share = cv2.remap(free.astype(np.float32), *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        known = (share > 0.99).astype(np.uint8)
        if known.mean() < LEAST_SEEN:
            return self
        if specks_px:
            image = cv2.medianBlur(image, 2 * round(specks_px * fineness) + 1)
        colours = cv2.remap(image, *at, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT_101)
        filled = np.where(known[..., None] > 0, colours, _spread(colours, known, fineness * DENSITY)).astype(np.uint8)
        whole = np.dstack([filled, np.where(known, SEEN, FILLED_IN).astype(np.uint8)])
        around = _all_around(whole, columns, self.seen.shape[1])
        if known.mean() < LEAST_REPEATED:
            seen = np.zeros(self.seen.shape[:2], np.uint8)
            seen[:, columns] = known
            around[..., 3] = np.where(seen, SEEN, FILLED_IN)
            np.copyto(around[..., :3], _spread_around(around[..., :3], seen, fineness), where=seen[..., None] == 0)
        return Sky(around, self.exact)

    def over(
        self, image: Images, inverse_depth: FloatArray, heading_rad: float, camera: Camera, driven: int = FADE_FRAMES
    ) -> Images:
        """A frame with the sky that is remembered in place of its own.

        Args:
            image: (H, W, 3).
            inverse_depth: (H, W) of the map's picture, 0 at the sky.
            heading_rad: of the ego.
            camera: of the frame.
            driven: frames since the drive began.
        """
        fineness = _fineness(camera)
        free = _free(inverse_depth, SHOWN_PX * fineness)
        if not free.any() or not self.seen.any():
            return image
        soft = SOFT_PX * fineness
        height = min(int(np.flatnonzero(free.any(axis=1))[-1]) + 1 + int(np.ceil(3 * soft)), len(image))
        azimuth, elevation = (each[:height] for each in _directions(camera))
        per_rad = self.seen.shape[1] / (2 * np.pi)
        first = int(np.floor((heading_rad + azimuth.min()) * per_rad)) - 4
        count = int(np.ceil((heading_rad + azimuth.max()) * per_rad)) + 5 - first
        # Four bytes a direction, taken as one number: colour by colour it takes several times as long.
        numbers = np.ascontiguousarray(self.seen).view(np.uint32)[..., 0]
        window = np.take(numbers, np.arange(first, first + count), axis=1, mode="wrap")[..., None].view(np.uint8)
        at = ((heading_rad + azimuth) * per_rad - first).astype(np.float32), self._rows(elevation)
        known = cv2.cvtColor(window, cv2.COLOR_RGBA2RGB)
        colours = cv2.remap(known, *at, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        shares = np.where(window[..., 3] == SEEN, 1.0, min(driven / FADE_FRAMES, 1.0)).astype(np.float32)
        share = free[:height] * cv2.remap(shares, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        share = cv2.cvtColor(cv2.GaussianBlur(share, (0, 0), soft), cv2.COLOR_GRAY2RGB)
        made = image.copy()
        made[:height] = np.rint(share * colours + (1 - share) * image[:height]).astype(np.uint8)
        return made

    def _rows(self, elevation: FloatArray) -> Float[np.ndarray, "h w"]:
        return np.asarray((len(self.seen) - 1) - elevation * (self.seen.shape[1] / (2 * np.pi)), np.float32)

    def _patch(
        self, heading_rad: float, camera: Camera
    ) -> tuple[Int[np.ndarray, "c"], tuple[Float[np.ndarray, "r c"], Float[np.ndarray, "r c"]]]:
        """Columns of all directions that a camera sees, and the pixels (columns, rows) where it sees them."""
        azimuth, _ = _directions(camera)
        per_rad = self.seen.shape[1] / (2 * np.pi)
        numbers = np.arange(
            int(np.ceil((heading_rad + azimuth.min()) * per_rad)),
            int(np.floor((heading_rad + azimuth.max()) * per_rad)) + 1,
        )
        away = numbers / per_rad - heading_rad
        up = ((len(self.seen) - 1) - np.arange(len(self.seen))) / per_rad
        level = np.cos(up)[:, None]
        towards = np.stack(
            [level * np.cos(away), level * np.sin(away), np.broadcast_to(np.sin(up)[:, None], (len(up), len(away)))], -1
        )
        seen = towards @ camera.mounting.ego_from_camera[:3, :3]
        inside = camera.intrinsics
        depth = np.where(seen[..., 2] > 1e-3, seen[..., 2], np.nan)
        columns = np.nan_to_num(seen[..., 0] / depth * inside.fx_px + inside.cx_px, nan=-1e4)
        rows = np.nan_to_num(seen[..., 1] / depth * inside.fy_px + inside.cy_px, nan=-1e4)
        return numbers % self.seen.shape[1], (columns.astype(np.float32), rows.astype(np.float32))


def _spread(colours: Num[np.ndarray, "r c 3"], known: Num[np.ndarray, "r c"], px: float) -> Float[np.ndarray, "r c 3"]:
    """A mean of what is known around each direction, the nearer the more, so that nothing seen runs on as a smear.

    Args:
        colours: by direction.
        known: how much of each is known, 0 to 1.
        px: directions for each pixel of a picture 144 wide.
    """
    weighed = np.dstack([colours * known[..., None].astype(np.float32), known]).astype(np.float32)
    total = np.zeros(weighed.shape, np.float32)
    for share, reach in zip((1e-3) ** np.arange(len(REACHES_PX)), REACHES_PX, strict=True):
        # A wide mean needs no fine grid.
        coarser = max(1, int(reach * px / 2))
        sides = tuple(max(1, side // coarser) for side in weighed.shape[1::-1])
        spread = cv2.resize(weighed, sides, interpolation=cv2.INTER_AREA)
        sigma = reach * px / coarser
        spread = cv2.GaussianBlur(spread, (0, 0), 3 * sigma, sigmaY=sigma, borderType=cv2.BORDER_REPLICATE)
        total += np.float32(share) * cv2.resize(spread, weighed.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    mean = weighed[..., :3].sum((0, 1)) / weighed[..., 3].sum()
    least = np.float32(1e-15)
    return np.asarray(np.rint((total[..., :3] + least * mean) / (total[..., 3:] + least)))


def _spread_around(
    colours: UInt8[np.ndarray, "r c 3"], known: UInt8[np.ndarray, "r c"], fineness: float
) -> UInt8[np.ndarray, "r c 3"]:
    """As ``_spread``, all around and as coarse as a far mean needs: large arrays would scatter a process's memory."""
    times = max(1, round(COARSE_PX * DENSITY * fineness))
    sides = tuple(max(1, side // times) for side in known.shape[::-1])
    share = cv2.resize(known.astype(np.float32), sides, interpolation=cv2.INTER_AREA)
    seen = (
        cv2.resize(colours * known[..., None], sides, interpolation=cv2.INTER_AREA) / np.maximum(share, 1e-6)[..., None]
    )
    beyond = sides[0] // 2
    seen, share = (np.concatenate([each[:, -beyond:], each, each[:, :beyond]], axis=1) for each in (seen, share))
    mean = _spread(seen, share, fineness * DENSITY / times)[:, beyond : beyond + sides[0]].astype(np.uint8)
    return np.asarray(cv2.resize(mean, known.shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def _all_around(
    part: UInt8[np.ndarray, "r n 4"], columns: Int[np.ndarray, "n"], count: int
) -> UInt8[np.ndarray, "r c 4"]:
    """All around, from what is seen at neighbouring columns: it comes again, and begins as what it joins, mirrored.

    Behind the car what comes from one side fades into what comes from the other.
    """
    wide = len(columns)
    away = (np.arange(count) - columns[0] - (wide - count) // 2) % count + (wide - count) // 2
    shares = np.minimum(np.arange(wide) / (JOINED * wide), 1.0).astype(np.float32)[:, None]
    # To the right of its end, and to the left of its beginning.
    right, left = (
        np.rint(shares * one + (1 - shares) * one[:, ::-1]).astype(np.uint8) for one in (part, part[:, ::-1])
    )
    left = left[:, ::-1]
    around = np.where((away < 0)[:, None], left[:, away % wide], right[:, away % wide])
    # The way on behind the car is as long on both sides; there the picture of the other side comes up to a half.
    near = np.minimum(away - (wide - count) // 2, (wide + count) // 2 - 1 - away)
    behind = np.flatnonzero(near < JOINED * wide)
    other = np.float32(0.5) * (1 - near[behind, None] / np.float32(JOINED * wide))
    there = np.where(away < 0, away + count, away - count)[behind]
    across = np.where((there < 0)[:, None], left[:, there % wide], right[:, there % wide])
    around[:, behind] = np.rint((1 - other) * around[:, behind] + other * across).astype(np.uint8)
    around[..., 3] = np.where(around[..., 3] == SEEN, SEEN, FILLED_IN)
    seen = (away >= 0) & (away < wide)
    return np.ascontiguousarray(np.where(seen[:, None], part[:, away % wide], around))


def _fineness(camera: Camera) -> float:
    return camera.intrinsics.width_px / 144


def _free(covered: Num[np.ndarray, "h w"] | Bool[np.ndarray, "h w"], margin_px: float) -> Bool[np.ndarray, "h w"]:
    """(H, W) where nothing is covered within a distance; 0 says that a pixel is not."""
    far = np.zeros(covered.shape, np.uint8)
    far[covered == 0] = 1
    side = 2 * round(margin_px) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.erode(far, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1) > 0)


@lru_cache(maxsize=8)
def _directions(camera: Camera) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Azimuth, to the left above 0, and elevation of every pixel in the ego's frame, rad."""
    x, y = pixel_rays(camera)
    rotation = camera.mounting.ego_from_camera[:3, :3]
    towards = np.stack([x, y, np.ones_like(x)], -1) @ rotation.T
    # From where the camera points, so that there is no jump in its picture.
    ahead, left = rotation[0, 2], rotation[1, 2]
    across, along = ahead * towards[..., 1] - left * towards[..., 0], ahead * towards[..., 0] + left * towards[..., 1]
    azimuth = np.arctan2(left, ahead) + np.arctan2(across, along)
    elevation = np.arctan2(towards[..., 2], np.hypot(towards[..., 0], towards[..., 1]))
    return azimuth, elevation
