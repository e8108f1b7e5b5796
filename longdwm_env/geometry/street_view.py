"""A street carried on from one picture of it, for pictures without a map: where it was seen, and where nobody has been.

The picture is painted on a simple street, as in Horry et al., "Tour into the picture" (1997): flat ground, a wall on
either side, a far end, and the sky behind all of it. Near its place that is what the camera saw. What comes closer has
ever fewer pixels there, and is replaced: the street goes on with the stretch of itself that the picture shows best,
the nearest, laid end to end, every second one mirrored, so that no seam is seen. Coarse structure stays what was seen
for longer than fine detail does. Light, tones and texture are the picture's for ever; who drives in it fades away.
"""

import math

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from longdwm_env.geometry.map_view.map_picture import pixel_rays
from longdwm_env.geometry.photo_sky import agreed_sky
from longdwm_env.types import Camera, FloatArray, Images

WALL_M = 7.0
"""From the car's way to either wall: what explained later frames of real drives best, of 3 to 15 m."""

FAR_M = 80.0
"""To the far end, which stays that far ahead."""

BONNET = 0.12
"""Share of the picture, at its lower edge, that the street is not continued with: there a bonnet may be."""

COARSE, FINE = (2.5, 6.0), (1.03, 1.35)
"""From which magnification on what was seen gives way to the street, and where it is gone."""

FINE_PX, SHARPER = 1.6, 1.25
"""What is fine, in pixels of a picture 96 pixels high; and what is made of it, as it was sampled twice."""

MOST_BEND_PER_M = 0.03
"""A street that bends more shows walls alone."""

_ASIDE_M, _HELD_M = (3.5, 6.0), (30.0, 60.0)
_FAR = 0.5
"""Share of the way to the far end from which walls give way to what stands there, once the picture's place is left: a
far end that stops at once is a box in the middle of the picture."""

_NO_BEND_PER_M = 1e-5
_EDGE = 0.06
_LEVELS = 5


class StreetView:
    """The street that a picture shows.

    Args:
        picture: (H, W, 3).
        camera: that took it.
    """

    def __init__(self, picture: UInt8[np.ndarray, "h w 3"], camera: Camera) -> None:
        self.camera = camera
        mounting = camera.mounting.ego_from_camera
        height, width = picture.shape[:2]
        ahead = np.ones((1, height, width))
        self._rays = np.moveaxis(np.concatenate([pixel_rays(camera), ahead]), 0, -1) @ mounting[:3, :3].T
        self._eye = np.array(mounting[:3, 3])
        middle = self._rays[:, width // 2]
        self._above = middle[:, 2] >= 0
        lowest = middle[min(round((1 - BONNET) * height), height - 1)]
        near = -self._eye[2] / lowest[2] * lowest[0] if lowest[2] < 0 else WALL_M
        self._nearest_m = float(np.clip(near, 2.0, 30.0))
        self._aside = camera.intrinsics.fx_px / (width / 2)
        self._stretch_m = 0.6 * WALL_M * self._aside
        # Each sign takes something else for sky: dim walls of a dark street, and a wood without any.
        sky = agreed_sky(picture, np.broadcast_to(self._above[:, None], picture.shape[:2]))
        self._sky = _spread(picture, sky) if sky.mean() > 0.02 else None
        stands = 255 * (1 - sky) if self._sky is not None else np.full_like(sky, 255)
        self._levels = [np.dstack([picture, stands]).astype(np.float32)]
        for _ in range(_LEVELS - 1):
            self._levels.append(cv2.pyrDown(self._levels[-1]))

    def along(self, poses: FloatArray, driven_m: FloatArray, bends: FloatArray) -> Images:
        """Frames (N, H, W, 3) on a way.

        Args:
            poses: (N, 3) of the car in the ego frame of the picture.
            driven_m: (N,) length of the way since the picture.
            bends: (N,) curvature of the street there in 1/m, to the left above 0.
        """
        frames = [self._frame(*each) for each in zip(poses, driven_m, bends, strict=True)]
        return np.stack(frames) if frames else np.zeros((0, *self._levels[0].shape[:2], 3), np.uint8)

    def _frame(self, pose: FloatArray, driven_m: float, bend: float) -> Images:
        height = len(self._rays)
        x, y, heading = (float(value) for value in pose)
        cos, sin = math.cos(heading), math.sin(heading)
        turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        eye = turn @ self._eye + np.array([x, y, 0.0])
        here = self._street_ahead(bend)
        rays = self._rays @ turn.T
        there = _met(rays, eye)
        away = np.hypot(*np.moveaxis(there[..., :2] - eye[:2], -1, 0))
        magnified = np.hypot(*np.moveaxis(there[..., :2] - self._eye[:2], -1, 0)) / np.maximum(away, 0.1)
        # What is at the far end is seen in its direction wherever the car is.
        end = here[..., 0] >= self._eye[0] + 0.99 * FAR_M
        there[end], magnified[end] = self._eye + 1000 * rays[end], 1.0
        columns, rows, ahead = self._seen_at(there)
        shown = _inside(columns, rows) * (ahead > 0.1)
        near = np.clip((_ASIDE_M[1] - abs(eye[1])) / (_ASIDE_M[1] - _ASIDE_M[0]), 0, 1)
        near *= np.clip((_HELD_M[1] - driven_m) / (_HELD_M[1] - _HELD_M[0]), 0, 1)
        shown *= np.where(end, 1.0, near)
        coarse, fine = (
            (shown * np.clip(np.log(last / magnified) / np.log(last / first), 0, 1))[..., None].astype(np.float32)
            for first, last in (COARSE, FINE)
        )
        blur = FINE_PX * height / 96
        goes_on = self._continued(here, driven_m)
        soft = cv2.GaussianBlur(goes_on, (0, 0), blur)
        made = (1 - coarse) * soft + (1 - fine) * SHARPER * (goes_on - soft)
        if coarse.any():
            seen = self._sampled(columns, rows, np.ones_like(away))
            soft = cv2.GaussianBlur(seen, (0, 0), blur)
            made = made + coarse * soft + fine * (seen - soft)
        if driven_m > _HELD_M[0]:
            made = self._with_far_end(made, here, rays, driven_m)
        picture = made[..., :3]
        if self._sky is not None:
            stands = np.clip(made[..., 3:] / 255, 0, 1)
            behind = self._sky_at(heading)
            picture = np.where(self._above[:, None, None], stands * picture + (1 - stands) * behind, picture)
        return np.asarray(np.clip(np.rint(picture), 0, 255), np.uint8)

    def _with_far_end(
        self, made: Float[np.ndarray, "h w 4"], here: FloatArray, rays: FloatArray, driven_m: float
    ) -> Float[np.ndarray, "h w 4"]:
        """A frame whose far walls give way to what the picture shows in their direction."""
        share = np.clip((here[..., 0] / FAR_M - _FAR) / (1 - _FAR), 0, 1) * self._above[:, None]
        share *= min((driven_m - _HELD_M[0]) / (_HELD_M[1] - _HELD_M[0]), 1.0)
        columns, rows, ahead = self._seen_at(self._eye + 1000 * rays)
        share = (share * _inside(columns, rows) * (ahead > 0.1))[..., None].astype(np.float32)
        return np.asarray((1 - share) * made + share * self._sampled(columns, rows, np.ones_like(columns)))

    def _street_ahead(self, bend: float) -> Float[np.ndarray, "h w 3"]:
        """Where on the street before the car each pixel looks."""
        bend = float(np.clip(bend, -MOST_BEND_PER_M, MOST_BEND_PER_M))
        if abs(bend) < _NO_BEND_PER_M:
            return _met(self._rays, self._eye)
        return _met_bent(self._rays, self._eye, bend)

    def _continued(self, here: FloatArray, driven_m: float) -> Float[np.ndarray, "h w 4"]:
        """What the street shows at places before the car, as it goes on."""
        here, ahead = here.copy(), here[..., 0]
        # What is farther aside comes into the picture farther ahead.
        aside = np.where(here[..., 2] < 0.01, np.abs(here[..., 1]), WALL_M)
        nearest = self._eye[0] + np.maximum(self._nearest_m, 1.1 * self._aside * aside)
        place = np.mod(driven_m + ahead - nearest, 2 * self._stretch_m)
        here[..., 0] = nearest + np.where(place < self._stretch_m, place, 2 * self._stretch_m - place)
        columns, rows, _ = self._seen_at(here)
        height, width = rows.shape
        if self._sky is None:
            # What stands beside the road goes on above the picture, in turn as its mirror image and as it is.
            fold = max(0.5 * float(self._above.sum()), 1.0)
            rows = np.where(rows < 0, fold - np.abs(np.mod(-rows, 2 * fold) - fold), rows)
        inside = _near(columns, width), _near(rows, height)
        made = self._sampled(*inside, here[..., 0] / np.maximum(ahead, 0.1))
        # What reaches above the picture ends there, before the sky.
        made[..., 3] *= np.clip(1 + rows / (_EDGE * height), 0, 1)
        return made

    def _seen_at(self, points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Column and row (H, W) at which the picture shows points (H, W, 3), and how far ahead of its camera."""
        matrix, mounting = self.camera.intrinsics.matrix, self.camera.mounting.ego_from_camera
        x, y, ahead = np.moveaxis((points - mounting[:3, 3]) @ mounting[:3, :3], -1, 0)
        depth = np.maximum(ahead, 1e-3)
        # Beyond any picture all places are alike, and large ones do not fit what OpenCV counts with.
        columns = np.clip(x / depth * matrix[0, 0] + matrix[0, 2], -9999, 9999)
        rows = np.clip(y / depth * matrix[1, 1] + matrix[1, 2], -9999, 9999)
        return columns, rows, ahead

    def _sampled(self, columns: FloatArray, rows: FloatArray, magnified: FloatArray) -> Float[np.ndarray, "h w 4"]:
        """The picture, and what stands in it, from the level of its pyramid that has pixels of the right size."""
        level = np.clip(-np.log2(np.maximum(magnified, 1e-3)), 0, _LEVELS - 1)
        made = np.zeros_like(self._levels[0])
        for number, image in enumerate(self._levels):
            share = np.clip(1 - np.abs(level - number), 0, 1).astype(np.float32)[..., None]
            if not share.any():
                continue
            scale = 2**number
            x, y = (((places + 0.5) / scale - 0.5).astype(np.float32) for places in (columns, rows))
            how = cv2.INTER_LINEAR if number else cv2.INTER_CUBIC
            made += share * cv2.remap(image, x, y, how, borderMode=cv2.BORDER_REFLECT_101)
        return made

    def _sky_at(self, heading: float) -> Float[np.ndarray, "h w 3"]:
        assert self._sky is not None
        height, width = self._sky.shape[:2]
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        columns -= np.float32(self.camera.intrinsics.fx_px * math.remainder(heading, 2 * math.pi))
        return np.asarray(cv2.remap(self._sky, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101))


def _inside(columns: FloatArray, rows: FloatArray) -> FloatArray:
    """Where places (H, W) lie in a picture of that size, from 0 to 1."""
    height, width = columns.shape
    outside = np.maximum(np.maximum(-columns, columns - width + 1) / width,
                         np.maximum(-rows, rows - height + 1) / height)  # fmt: skip
    return np.asarray(np.clip(1 - outside / 0.03, 0, 1))


def _near(places: FloatArray, side: int) -> FloatArray:
    """Columns or rows; those outside the picture at its edge."""
    return np.asarray(np.clip(places, -_EDGE * side, (1 + _EDGE) * side))


def _met(rays: FloatArray, eye: FloatArray) -> Float[np.ndarray, "h w 3"]:
    """Where rays (H, W, 3) from an eye (3,) meet the straight street, which leads along x."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ground = np.where(rays[..., 2] < -1e-9, -eye[2] / rays[..., 2], np.inf)
        wall = (np.sign(rays[..., 1]) * WALL_M - eye[1]) / rays[..., 1]
    end = FAR_M / np.maximum(rays[..., 0], 1e-6)
    met = np.minimum(np.minimum(ground, np.where(wall > 0, wall, np.inf)), end)
    return np.asarray(eye + rays * met[..., None])


def _met_bent(rays: FloatArray, eye: FloatArray, bend: float) -> Float[np.ndarray, "h w 3"]:
    """As ``_met`` for rays that lead ahead, of a street that bends; y is from the middle of the street there."""
    across, down = rays[..., 1] / rays[..., 0], rays[..., 2] / rays[..., 0]
    reach = np.where(down < -1e-9, -eye[2] / np.minimum(down, -1e-9), np.inf)
    # A ray is straight and a wall a parabola: they meet in up to two places, of which the first ahead counts.
    for wall in (-WALL_M, WALL_M):
        inside = across**2 - 2 * bend * (wall - eye[1])
        root = np.sqrt(np.maximum(inside, 0.0))
        for place in ((across - root) / bend, (across + root) / bend):
            reach = np.minimum(reach, np.where((inside >= 0) & (place > 0), place, np.inf))
    reach = np.minimum(reach, FAR_M)
    aside = eye[1] + across * reach - bend * reach**2 / 2
    return np.stack([eye[0] + reach, aside, eye[2] + down * reach], axis=-1)


def _spread(picture: UInt8[np.ndarray, "h w 3"], known: UInt8[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    """The sky everywhere: where something stands before it, what is known of it near by, the softer the farther."""
    inner = cv2.erode(known, np.ones((3, 3), np.uint8)).astype(np.float32)
    made = np.zeros(picture.shape, np.float32)
    said = np.zeros((*known.shape, 1), np.float32)
    for blur in (4, 10, 25, 60):
        small = max(1, round(blur / 8 * picture.shape[0] / 96))
        size = (picture.shape[1] // small, picture.shape[0] // small)
        parts = np.dstack([picture * inner[..., None], inner]).astype(np.float32)
        parts = cv2.resize(parts, size, interpolation=cv2.INTER_AREA)
        parts = cv2.GaussianBlur(parts, (0, 0), blur * picture.shape[0] / 96 / small)
        parts = cv2.resize(parts, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        share = (1 - said) * np.clip(8 * parts[..., 3:], 0, 1)
        made += share * parts[..., :3] / np.maximum(parts[..., 3:], 1e-4)
        said += share
    sky = np.where(inner[..., None] > 0, picture, made / np.maximum(said, 1e-4))
    return np.asarray(sky, np.float32)
