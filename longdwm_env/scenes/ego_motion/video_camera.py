"""What camera took a drive, found from how its pictures move: focal length, horizon, and where it looks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from longdwm_env.geometry.camera import ASSUMED_HORIZONTAL_FOV_RAD
from longdwm_env.scenes.ego_motion.tracks import Tracks, Turn, turn_between
from longdwm_env.types import FloatArray, ImageSize

FIELDS_OF_VIEW_RAD: FloatArray = np.radians(np.geomspace(28.0, 115.0, 18))
"""Horizontal fields of view that are tried."""

_MOST_PAIRS = 60
_FEWEST_PAIRS = 12
_TURNING_RADPS = 0.12
_STRAIGHT_RADPS = 0.06
_CLEARER = 0.04


@dataclass(frozen=True)
class FoundCamera:
    """A camera of the working picture.

    Attributes:
        focal_px: its focal length.
        centre_px: (2,) its principal point.
        focus: (2,) where the car drives to, in normalised image coordinates: the horizon's height, and the way ahead.
        focal_from: how the focal length is known: "given", "turns" or "assumed".
        horizon_from: how the horizon is known: "given", "motion" or "assumed".
    """

    focal_px: float
    centre_px: FloatArray
    focus: FloatArray
    focal_from: str
    horizon_from: str


def find_camera(
    pairs: Sequence[tuple[Tracks, float]],
    size: ImageSize,
    focal_px: float | None,
    centre_px: FloatArray,
    horizon_row: float | None,
    focus: FloatArray,
    calibrated: bool,
) -> FoundCamera:
    """Fill in what is not known of a camera.

    Args:
        pairs: points of two frames, and the seconds between them.
        size: (height, width) of the working picture.
        focal_px: where it is known.
        centre_px: (2,) the principal point.
        horizon_row: where the horizon is given.
        focus: (2,) the direction of travel as far as it is known, in normalised coordinates.
        calibrated: whether that is more than a guess.
    """
    width = size[1]
    moving = [pair for pair in pairs if len(pair[0].before) >= 40 and pair[0].moved_px(0.8) > 1.0]
    found_from = "given"
    if focal_px is None:
        first = width / (2 * np.tan(ASSUMED_HORIZONTAL_FOV_RAD / 2))
        at = _focus_row(horizon_row, first, centre_px, focus)
        if horizon_row is None:
            at = find_focus(moving, first, centre_px, at)[0]
        # Directions of travel in pixels hold for every focal length.
        focal_px, found_from = _find_focal(moving, width, centre_px, at * first, first)
        focus = at * first / focal_px
    focus = _focus_row(horizon_row, focal_px, centre_px, focus)
    found, enough = find_focus(moving, focal_px, centre_px, focus)
    horizon_from = "given" if horizon_row is not None else "motion" if enough else "given" if calibrated else "assumed"
    if horizon_row is not None:
        found = np.array([found[0], focus[1]])
    return FoundCamera(focal_px, centre_px, found, found_from, horizon_from)


def _focus_row(horizon_row: float | None, focal_px: float, centre_px: FloatArray, focus: FloatArray) -> FloatArray:
    if horizon_row is None:
        return focus
    return np.array([focus[0], (horizon_row - centre_px[1]) / focal_px])


def find_focus(
    pairs: Sequence[tuple[Tracks, float]], focal_px: float, centre_px: FloatArray, focus: FloatArray
) -> tuple[FloatArray, bool]:
    """Where the car drives to when it goes straight, and whether enough frames say so.

    A car on a road moves along the road's plane, so the height of its focus of expansion is that of the horizon.
    """
    rows = []
    for tracks, seconds in _spread(pairs, 4 * _MOST_PAIRS):
        turn = turn_between(tracks, focal_px, centre_px, focus, free_focus=True)
        if turn is None or turn.agreeing < 0.35 or abs(turn.rotation_rad[1]) / seconds > _STRAIGHT_RADPS:
            continue
        if np.abs(turn.focus - focus).max() < 0.25:
            rows.append([*turn.focus, *np.maximum(turn.focus_deviation, 0.003)])
    if len(rows) < _FEWEST_PAIRS:
        return focus, False
    table = np.array(rows)
    return np.array([_weighted_median(table[:, axis], table[:, 2 + axis] ** -2.0) for axis in (0, 1)]), True


def _find_focal(
    pairs: Sequence[tuple[Tracks, float]], width: int, centre_px: FloatArray, focus_px: FloatArray, assumed_px: float
) -> tuple[float, str]:
    """The focal length at which turns are explained best: towards the edges scenery moves faster, by the lens' law."""
    turning: list[tuple[float, Tracks]] = []
    for tracks, seconds in _spread(pairs, 16 * _MOST_PAIRS):
        turn = turn_between(tracks, assumed_px, centre_px, focus_px / assumed_px)
        if turn is not None and turn.agreeing > 0.4:
            turning.append((abs(turn.rotation_rad[1]) / seconds, tracks))
    turning = sorted((pair for pair in turning if pair[0] > _TURNING_RADPS), key=lambda pair: -pair[0])
    if len(turning) < _FEWEST_PAIRS:
        return assumed_px, "assumed"
    focal_px = width / (2 * np.tan(FIELDS_OF_VIEW_RAD / 2))
    costs = np.zeros((len(focal_px), min(len(turning), _MOST_PAIRS)))
    for column, (_, tracks) in enumerate(turning[:_MOST_PAIRS]):
        for row, focal in enumerate(focal_px):
            turn = turn_between(tracks, float(focal), centre_px, focus_px / focal, free_focus=True)
            costs[row, column] = np.nan if turn is None else np.log(turn.scatter * focal / max(turn.agreeing, 0.05))
    mean = np.nanmean(costs, axis=1)
    best = int(mean.argmin())
    if not 0 < best < len(mean) - 1:
        return assumed_px, "assumed"
    # A flat valley says nothing: two steps to either side must be clearly worse.
    if min(mean[max(0, best - 3)], mean[min(len(mean) - 1, best + 3)]) - mean[best] < _CLEARER:
        return assumed_px, "assumed"
    left, here, right = mean[best - 1 : best + 2]
    offset = float(np.clip(0.5 * (left - right) / max(left - 2 * here + right, 1e-9), -0.5, 0.5))
    return float(np.exp(np.interp(best + offset, np.arange(len(focal_px)), np.log(focal_px)))), "turns"


def _spread(pairs: Sequence[tuple[Tracks, float]], most: int) -> Sequence[tuple[Tracks, float]]:
    return pairs[:: max(1, len(pairs) // most)]


def _weighted_median(values: FloatArray, weights: FloatArray) -> float:
    order = np.argsort(values)
    heaped = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(heaped, heaped[-1] / 2)])


def pair_focus(focus: FloatArray, turn: Turn | None, travelled_m: float, ahead_m: float) -> FloatArray:
    """Where the camera moves to between two frames of a car that turns about its rear axle.

    Args:
        focus: (2,) where it moves to when the car goes straight.
        turn: as found so far.
        travelled_m: by the rear axle.
        ahead_m: of the camera ahead of the rear axle.
    """
    if turn is None:
        return focus
    left = -float(turn.rotation_rad[1])
    angle = np.clip(left / 2 + ahead_m * left / max(travelled_m, 0.03), -0.25, 0.25)
    return np.array([np.tan(np.arctan(focus[0]) - angle), focus[1]])
