"""Points followed from frame to frame, and the turn of the camera that they agree on.

A car moves ahead along its own axis and turns; so every standing point moves, once the turn is undone, along the line
through the focus of expansion (Longuet-Higgins and Prazdny, "The interpretation of a moving retinal image", 1980).
How far along, its depth says, which is not needed: only the part across that line is, and it is linear in the turn.
What drives ahead at the car's own pace stays where it is and agrees with the turn as well; what crosses does not, and
is left out by the robust fit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from longdwm_env.types import FloatArray, ImageSize

MOST_POINTS = 400
FEWEST_POINTS = 16
"""Fewer are no evidence of anything."""

STILL_PX = 0.35
"""Points that move less than this are where they were, in pixels of a picture 640 wide."""

_BACK_AGAIN_PX = 0.5
_BEST_FIT_PX = 0.12
"""Scatter of points that could hardly be followed better."""
_NEAR_FOCUS = 0.03
_SETTLED_RAD = 1e-5
"""Of a turn from frame to frame, and so a ten thousandth of a radian a second."""


@dataclass(frozen=True)
class Tracks:
    """Points of two frames, in pixels of the working picture.

    Attributes:
        before: float32 (N, 2) column, row in the earlier frame.
        after: float32 (N, 2) in the later one.
        found: points that there were to follow in the earlier frame; N of them were found again.
        alike: correlation of the two frames as thumbnails, -1 to 1.
        contrast: standard deviation of the earlier frame's grey values; small in the dark, and in front of a wall.
    """

    before: NDArray[np.float32]
    after: NDArray[np.float32]
    found: int
    width_px: int
    alike: float
    contrast: float

    @property
    def is_cut(self) -> bool:
        """Whether the two frames show different places: next to nothing of one is found in the other."""
        return self.found >= FEWEST_POINTS and len(self.before) < 0.12 * self.found and self.alike < 0.6

    def moved_px(self, share: float) -> float:
        """How far the points moved that outrun this share of all, in pixels of a picture 640 wide; 0 without points."""
        return float(np.quantile(self._moved, share)) if len(self.before) else 0.0

    def still_share(self, below_row: float) -> float:
        """Share of the points that have not moved, of those below a row if there are enough; 0 without points.

        What lies above the horizon is too far away to tell.
        """
        if not len(self.before):
            return 0.0
        below = self.before[:, 1] > below_row
        moved = self._moved[below] if below.sum() >= FEWEST_POINTS // 2 else self._moved
        return float((moved < STILL_PX).mean())

    @property
    def _moved(self) -> NDArray[np.float64]:
        return np.hypot(*(self.after - self.before).T) * 640 / self.width_px


def follow(before: NDArray[np.uint8], after: NDArray[np.uint8], mask: NDArray[np.uint8]) -> Tracks:
    """Follow corners from one grey frame to the next, and back again.

    Args:
        before: uint8 (h, w).
        after: uint8 (h, w).
        mask: uint8 (h, w), 0 where nothing is to be followed, such as the car's own hood.
    """
    small = [cv2.resize(frame, (32, 18), interpolation=cv2.INTER_AREA).astype(np.float64) for frame in (before, after)]
    spread = small[0].std() * small[1].std()
    alike = float(((small[0] - small[0].mean()) * (small[1] - small[1].mean())).mean() / max(spread, 1e-6))
    contrast = float(before.std())
    corners = _corners(before, mask)
    if len(corners) < FEWEST_POINTS:
        nothing = np.zeros((0, 2), np.float32)
        return Tracks(nothing, nothing, len(corners), before.shape[1], alike, contrast)
    options = {"winSize": (15, 15), "maxLevel": 4, "criteria": (3, 20, 0.03)}
    onward, ahead, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, None, **options)  # type: ignore[call-overload]
    back, again, _ = cv2.calcOpticalFlowPyrLK(after, before, onward, None, **options)  # type: ignore[call-overload]
    kept = (ahead.ravel() > 0) & (again.ravel() > 0) & (np.abs(back - corners).max(axis=(1, 2)) < _BACK_AGAIN_PX)
    return Tracks(corners[kept, 0], onward[kept, 0], len(corners), before.shape[1], alike, contrast)


def packed(tracks: Sequence[Tracks]) -> dict[str, NDArray[np.generic]]:
    """The points of several pairs of frames as a few arrays."""
    nothing = np.zeros((0, 2), np.float32)
    return {
        "counts": np.array([len(each.before) for each in tracks], np.int64),
        "before": np.concatenate([nothing, *(each.before for each in tracks)]),
        "after": np.concatenate([nothing, *(each.after for each in tracks)]),
        "facts": np.array([[t.found, t.width_px, t.alike, t.contrast] for t in tracks], np.float64).reshape(-1, 4),
    }


def unpacked(arrays: Mapping[str, NDArray[np.generic]]) -> list[Tracks]:
    """What ``packed`` made arrays of."""
    ends = np.cumsum(np.asarray(arrays["counts"], np.int64))[:-1]
    parts = (np.split(np.asarray(arrays[name], np.float32), ends) for name in ("before", "after"))
    return (
        [
            Tracks(before, after, int(found), int(width), float(alike), float(contrast))
            for before, after, (found, width, alike, contrast) in zip(*parts, arrays["facts"].tolist(), strict=True)
        ]
        if len(arrays["counts"])
        else []
    )


def _corners(picture: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Corners (N, 1, 2), as many in the lower half as in the upper: clouds and trees have far more than a road."""
    found = []
    middle = picture.shape[0] // 2
    for half in (slice(0, middle), slice(middle, None)):
        part = mask.copy()
        part[: half.start] = 0
        part[half.stop or len(part) :] = 0
        corners = cv2.goodFeaturesToTrack(picture, MOST_POINTS // 2, 0.003, 7, mask=part, blockSize=5)
        found.append(np.zeros((0, 1, 2), np.float32) if corners is None else corners)
    return np.concatenate(found)


@dataclass(frozen=True)
class Turn:
    """How the camera turned between two frames.

    Attributes:
        rotation_rad: (3,) rotation vector of the later camera in the earlier one's frame (x right, y down, z ahead).
        deviation_rad: (3,) standard deviations of it.
        focus: (2,) the focus of expansion in normalised image coordinates, as given or as found.
        focus_deviation: (2,) its standard deviations; 0 where it was given.
        agreeing: share of the points that agree.
        scatter: of those that do, in normalised image coordinates.
    """

    rotation_rad: FloatArray
    deviation_rad: FloatArray
    focus: FloatArray
    focus_deviation: FloatArray
    agreeing: float
    scatter: float
    points: int


def turn_between(
    tracks: Tracks, focal_px: float, centre_px: FloatArray, focus: FloatArray, free_focus: bool = False
) -> Turn | None:
    """The turn that most points agree on, by iteratively reweighted least squares with Tukey's weights.

    Args:
        tracks: the points.
        focal_px: focal length of the working picture.
        centre_px: (2,) its principal point.
        focus: (2,) where the camera moves to, in normalised coordinates of the earlier frame.
        free_focus: whether the focus is found too, beginning with the one given.

    Returns:
        None where there are too few points.
    """
    if len(tracks.before) < FEWEST_POINTS:
        return None
    before = (tracks.before.astype(np.float64) - centre_px) / focal_px
    after = np.column_stack([(tracks.after.astype(np.float64) - centre_px) / focal_px, np.ones(len(before))])
    turn, focus = np.zeros(3), np.array(focus, np.float64)
    for step in range(15):
        rotated = after @ cv2.Rodrigues(turn)[0].T
        seen = rotated[:, :2] / rotated[:, 2:]
        ray, flow = before - focus, seen - before
        distance = np.hypot(*ray.T)
        across = np.column_stack([-ray[:, 1], ray[:, 0]]) / np.maximum(distance, 1e-3)[:, None]
        residual = (flow * across).sum(axis=1)
        x, y = seen.T
        by_turn = across[:, :1] * np.column_stack([-x * y, 1 + x * x, -y]) + across[:, 1:] * np.column_stack(
            [-(1 + y * y), x * y, x]
        )
        scatter = max(1.4826 * float(np.median(np.abs(residual))), _BEST_FIT_PX / focal_px)
        off = residual / ((4.0 if step < 4 else 2.5) * scatter)
        weights = np.where(np.abs(off) < 1, (1 - off * off) ** 2, 0) * np.minimum(distance / _NEAR_FOCUS, 1)
        slopes, ridge = by_turn, [1e-9] * 3
        if free_focus:
            along = (flow * ray).sum(axis=1) / np.maximum(distance, 1e-2) ** 2
            slopes, ridge = np.column_stack([by_turn, along[:, None] * across]), [*ridge, 1e-7, 1e-7]
        normal = slopes.T @ (weights[:, None] * slopes) + np.diag(ridge)
        change = -np.linalg.solve(normal, slopes.T @ (weights * residual))
        turn = turn + change[:3].clip(-0.2, 0.2)
        if free_focus:
            focus = focus + change[3:].clip(-0.02, 0.02)
        if np.abs(change).max() < _SETTLED_RAD:
            break
    deviations = np.sqrt(np.diag(np.linalg.inv(normal))) * scatter
    return Turn(
        turn,
        deviations[:3],
        focus,
        deviations[3:] if free_focus else np.zeros(2),
        float((weights > 0.05 * np.minimum(distance / _NEAR_FOCUS, 1)).mean()),
        scatter,
        len(before),
    )


def working_size(image_size: ImageSize, width_px: int = 640) -> ImageSize:
    """(height, width) of the picture that is worked on: at most 640 wide, and never enlarged."""
    height, width = image_size
    scale = min(1.0, width_px / width)
    return max(16, round(height * scale)), max(16, round(width * scale))
