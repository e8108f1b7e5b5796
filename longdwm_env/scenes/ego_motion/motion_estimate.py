"""Speed and yaw rate of a car at every frame, from what its front camera sees and from nothing else.

The turn comes from points that are followed (``tracks``), the speed from the road seen from above (``road``), whose
scale is the camera's height. The camera itself is found where it is not known (``camera``). Every frame has a
confidence, the weakest of what it rests on.
"""

from collections import Counter
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter, uniform_filter1d

from longdwm_env.errors import InvalidScene
from longdwm_env.io.pieces import Pieces
from longdwm_env.scenes.ego_motion.masks import moving_area
from longdwm_env.scenes.ego_motion.pose_footage import Footage, Timed
from longdwm_env.scenes.ego_motion.poses_file import TRUSTED
from longdwm_env.scenes.ego_motion.road import (
    SPEEDS_MPS,
    STRIPS,
    FromAbove,
    View,
    agreement,
    from_above,
    points_agreement,
)
from longdwm_env.scenes.ego_motion.speeds import SpeedPath, likely_speeds
from longdwm_env.scenes.ego_motion.tracks import Tracks, Turn, follow, packed, turn_between, unpacked, working_size
from longdwm_env.scenes.ego_motion.video_camera import FoundCamera, find_camera, pair_focus
from longdwm_env.types import Camera, FloatArray

FEWEST_FRAMES = 12
ASSUMED_HEIGHT_M = 1.4
"""Of a dash cam behind the windscreen of a car."""

NO_HORIZON = "too little straight driving to find the horizon, which the scale rests on: give it"

_BASELINES = (1, 2, 4)
_BELOW_HORIZON = 0.04
_MOVING = 0.5
_EASY_SUPPORT, _SLOW_MPS = 0.3, 4.0
"""A road that passes slowly changes little, so correlations prove less there."""
_CHUNK = 480
"""Frames of road that are held at once."""
_LEVEL_S = 2.4
"""A car's pitch and roll are measured against their mean over this long: slower changes are the road's."""
_LIMITS = {
    "too dark, or nothing to follow": (12.0, 60.0),
    "what is followed moves every which way": (0.2, 0.45),
    "turns cannot be told": (-0.12, -0.02),
    "no road that moves as one plane": (0.12, 0.34),
    "parts of the road contradict each other": (0.3, 0.7),
}
"""By reason: where confidence is 0 and where it is 1."""


@dataclass(frozen=True)
class Given:
    """What is known of the camera before its pictures are looked at.

    Attributes:
        camera: as calibrated, for images of its own size; None where nothing is known.
        horizontal_fov_rad: where only that is known.
        horizon: share of the picture's height from its top; None where it is to be found.
        height_m: of the camera above the road; None takes the camera's own, or an assumed one.
        ahead_m: of the camera ahead of the rear axle.
    """

    camera: Camera | None = None
    horizontal_fov_rad: float | None = None
    horizon: float | None = None
    height_m: float | None = None
    ahead_m: float = 1.7


@dataclass(frozen=True)
class Motion:
    """What was found of a drive's frames, at their own times.

    Attributes:
        times_s: (T,) after the first frame.
        speeds_mps, yaw_rates_radps, confidence: (T,); yaw rate is positive to the left, confidence from 0 to 1.
        cuts_s: times of the first frames after cuts.
        found: the camera, of the working picture.
        view: what it sees of the road.
        reasons: (T,) what holds the confidence back most; empty where nothing does.
        height_from: how the scale is known: "given" or "assumed".
    """

    times_s: FloatArray
    speeds_mps: FloatArray
    yaw_rates_radps: FloatArray
    confidence: FloatArray
    cuts_s: tuple[float, ...]
    found: FoundCamera
    view: View
    reasons: tuple[str, ...]
    height_from: str

    @property
    def trusted_share(self) -> float:
        """Share of the frames that can be trusted."""
        return float((self.confidence >= TRUSTED).mean())

    @property
    def main_reason(self) -> str:
        """Why most of the frames that are not trusted are not."""
        named = Counter(reason for reason, c in zip(self.reasons, self.confidence, strict=True) if c < TRUSTED)
        return named.most_common(1)[0][0] if named else ""

    def scaled(self, factor: float) -> "Motion":
        """The same with all lengths multiplied."""
        view = replace(self.view, height_m=self.view.height_m * factor)
        return replace(self, speeds_mps=self.speeds_mps * factor, view=view)


def estimate_motion(
    footage: Footage, given: Given, mask: NDArray[np.uint8] | None = None, pieces: Pieces | None = None
) -> Motion:
    """Estimate the motion of the car that carries a camera.

    Args:
        footage: its pictures; they are read twice.
        given: what is known of the camera.
        mask: uint8, 0 where pictures show no world; scaled to the pictures. What never moves is masked besides.
        pieces: where what takes long is kept, and looked up first.

    Raises:
        InvalidScene: the pictures cannot be read, or are fewer than ``FEWEST_FRAMES``.
    """
    pieces = pieces or Pieces()
    area = _moving_area(footage, pieces)
    if mask is not None:
        area = np.minimum(area, cv2.resize(mask, area.shape[::-1], interpolation=cv2.INTER_NEAREST))
    times, tracks = _followed(footage, area, pieces)
    if len(times) < FEWEST_FRAMES:
        raise InvalidScene(
            f"{footage.name} has {len(times)} frames in {times[-1] if times else 0:.1f} s; "
            f"motion needs {FEWEST_FRAMES} at least"
        )
    seconds = np.diff(times)
    cuts = np.array([pair.is_cut for pair in tracks])
    found, view, height_from = _camera(footage, given, list(zip(tracks, seconds, strict=True)), cuts)
    turns = _turns(tracks, seconds * 10.0, found, view.ahead_m)
    below = found.centre_px[1] + found.focal_px * found.focus[1] + _BELOW_HORIZON * area.shape[0]
    still = np.array([pair.still_share(below) for pair in tracks])
    strips = _road_evidence(footage, area, view, found, tracks, turns, still, cuts, np.array(times), pieces)
    path = _speeds_between_cuts(strips, seconds, still, cuts)
    # How the camera moves in a turn depends on the speed, which is known now.
    turns = _turns(tracks, path.speeds_mps * seconds, found, view.ahead_m)
    yaw_rates = np.array([0.0 if turn is None else -turn.rotation_rad[1] for turn in turns]) / seconds
    yaw_rates = np.where(still > 0.9, 0.0, yaw_rates)
    confidence, reasons = _confidence(tracks, turns, path, seconds, still, cuts)
    if found.horizon_from == "assumed":
        confidence, reasons = np.minimum(confidence, 0.2), (NO_HORIZON,) * len(reasons)
    return Motion(
        np.array(times),
        _at_frames(path.speeds_mps, cuts),
        _at_frames(yaw_rates, cuts),
        confidence,
        tuple(float(times[step + 1]) for step in np.flatnonzero(cuts)),
        found,
        view,
        reasons,
        height_from,
    )


def _moving_area(footage: Footage, pieces: Pieces) -> NDArray[np.uint8]:
    kept = pieces.get("area")
    area = moving_area(footage.samples(), footage.last_s) if kept is None else np.asarray(kept["area"], np.uint8)
    if kept is None:
        pieces.put("area", {"area": area})
    return area


def _followed(footage: Footage, area: NDArray[np.uint8], pieces: Pieces) -> tuple[list[float], list[Tracks]]:
    times: list[float] = []
    tracks: list[Tracks] = []
    piece = 0
    while (kept := pieces.get(f"tracks-{piece}")) is not None:
        times += kept["times_s"].tolist()
        tracks += unpacked(kept)
        piece += 1
        if kept["last"].any():
            return times, tracks

    def keep(first: int, last: bool) -> None:
        new = tracks[max(first - 1, 0) :]
        pieces.put(f"tracks-{piece}", {"times_s": np.array(times[first:]), "last": np.array([last]), **packed(new)})

    first, before = len(times), None
    for time, picture in footage.frames(times[-1] if times else 0.0):
        if len(times) - first == _CHUNK:
            keep(first, False)
            piece, first = piece + 1, len(times)
        # What was kept ends with the frame that comes first now.
        if before is not None:
            tracks.append(follow(before, picture, area))
        if before is not None or not times:
            times.append(time)
        before = picture
    keep(first, True)
    return times, tracks


def _camera(
    footage: Footage, given: Given, pairs: list[tuple[Tracks, float]], cuts: NDArray[np.bool_]
) -> tuple[FoundCamera, View, str]:
    height, width = size = working_size(footage.image_size)
    focal, centre, focus = None, np.array([(width - 1) / 2, (height - 1) / 2]), np.zeros(2)
    camera_height, ahead_m = given.height_m, given.ahead_m
    if given.camera is not None:
        camera = given.camera.fitted(size)
        focal, centre = camera.intrinsics.fx_px, np.array([camera.intrinsics.cx_px, camera.intrinsics.cy_px])
        mounting = camera.mounting
        camera_height = mounting.translation_m[2] if camera_height is None else camera_height
        ahead_m = mounting.translation_m[0]
        onward = mounting.ego_from_camera[:3, :3].T @ [1.0, 0.0, 0.0]
        focus = onward[:2] / max(onward[2], 0.1)
    if given.horizontal_fov_rad is not None:
        focal = width / (2 * np.tan(given.horizontal_fov_rad / 2))
    row = None if given.horizon is None else given.horizon * height - 0.5
    usable = [pair for pair, cut in zip(pairs, cuts, strict=True) if not cut]
    found = find_camera(usable, size, focal, centre, row, focus, given.camera is not None)
    view = View(
        found.focal_px,
        found.centre_px,
        float(np.arctan(found.focus[0])),
        ASSUMED_HEIGHT_M if camera_height is None else camera_height,
        ahead_m,
        size,
    )
    return found, view, "assumed" if camera_height is None else "given"


def _turns(tracks: list[Tracks], travelled_m: FloatArray, found: FoundCamera, ahead_m: float) -> list[Turn | None]:
    turns: list[Turn | None] = []
    for pair, distance in zip(tracks, travelled_m, strict=True):
        focus, turn = found.focus, None
        for _ in range(2):
            turn = turn_between(pair, found.focal_px, found.centre_px, focus)
            focus = pair_focus(found.focus, turn, float(distance), ahead_m)
        turns.append(turn)
    return turns


def _road_evidence(
    footage: Footage,
    area: NDArray[np.uint8],
    view: View,
    found: FoundCamera,
    tracks: list[Tracks],
    turns: list[Turn | None],
    still: FloatArray,
    cuts: NDArray[np.bool_],
    times: FloatArray,
    pieces: Pieces,
) -> NDArray[np.float32]:
    """(steps, strips + 1, speeds): correlations over several baselines, and what followed points say."""
    turned = np.array([np.zeros(3) if turn is None else turn.rotation_rad for turn in turns])
    since_start = np.concatenate([np.zeros((1, 3)), np.cumsum(turned, axis=0)])
    window = max(3, round(_LEVEL_S / float(np.median(np.diff(times)))))
    swing = since_start - uniform_filter1d(since_start, window, axis=0, mode="nearest")
    pitch = -np.arctan(found.focus[1]) - swing[:, 0]
    first_m = view.first_m(float(-np.arctan(found.focus[1])), _lowest_row(area))
    shot = np.concatenate([[0], np.cumsum(cuts)])
    total = np.zeros((len(turns), STRIPS, len(SPEEDS_MPS)), np.float32)
    weight = np.zeros((len(turns), 1, len(SPEEDS_MPS)), np.float32)
    moving = np.append(still < _MOVING, False)

    def judge(first: int, roads: list[FromAbove], fresh: int) -> dict[str, NDArray[np.float32]]:
        """Correlate the later ones of some frames with those before them; ``fresh`` of them were not judged yet."""
        summed = np.zeros((len(roads), STRIPS, len(SPEEDS_MPS)), np.float32)
        weighed = np.zeros((len(roads), 1, len(SPEEDS_MPS)), np.float32)
        driven = [road.texture for offset, road in enumerate(roads) if moving[first + offset]]
        # What stays in its place while the car drives is no road: a car ahead at its own pace, a line's jagged edge.
        lasting = np.mean(driven, axis=0) if len(driven) >= FEWEST_FRAMES else np.float32(0)
        roads = [FromAbove((road.texture - lasting) * road.seen, road.seen) for road in roads]
        for place in range(len(roads) - fresh, len(roads)):
            for baseline in _BASELINES:
                frame, earlier = first + place, first + place - baseline
                if place < baseline or shot[earlier] != shot[frame]:
                    continue
                left = float(since_start[earlier, 1] - since_start[frame, 1])
                found_here, judged = agreement(
                    roads[place - baseline], roads[place], first_m, left, float(times[frame] - times[earlier])
                )
                # The shortest baseline answers for every speed there is, as far as it can.
                share = np.ones_like(judged) if baseline == 1 else judged
                summed[place - baseline : place] += (found_here * share / baseline).astype(np.float32)
                weighed[place - baseline : place] += (share / baseline).astype(np.float32)
        return {"summed": summed, "weighed": weighed}

    pictures: Timed | None = None
    seen: list[FromAbove] = []
    for piece, begin in enumerate(range(0, len(times), _CHUNK)):
        end, back = min(begin + _CHUNK, len(times)), min(begin, max(_BASELINES))
        judged = pieces.get(f"road-{piece}")
        if judged is None:
            if pictures is None:
                seen, pictures = [], footage.frames(float(times[begin - back]))
            seen = seen[len(seen) - back :]
            for frame in range(begin - back + len(seen), end):
                timed = next(pictures, None)
                if timed is None:
                    raise InvalidScene(f"{footage.name} ends at {times[frame]:.1f} s when it is read a second time")
                seen.append(from_above(timed[1], area, view, first_m, float(pitch[frame]), float(swing[frame, 2])))
            judged = judge(begin - back, seen, end - begin)
            pieces.put(f"road-{piece}", judged)
        else:
            pictures = None
        steps = slice(begin - back, min(end, len(turns)))
        total[steps] += np.asarray(judged["summed"], np.float32)[: steps.stop - steps.start]
        weight[steps] += np.asarray(judged["weighed"], np.float32)[: steps.stop - steps.start]
    points = np.zeros((len(turns), 1, len(SPEEDS_MPS)), np.float32)
    for step, (pair, turn) in enumerate(zip(tracks, turns, strict=True)):
        if turn is not None and not cuts[step]:
            seconds = float(times[step + 1] - times[step])
            points[step, 0] = points_agreement(
                pair.before.astype(float),
                pair.after.astype(float),
                view,
                turn.rotation_rad,
                float(pitch[step]),
                seconds,
            )
    return np.concatenate([total / np.maximum(weight, 1e-6), points], axis=1)


def _lowest_row(area: NDArray[np.uint8]) -> float:
    """The lowest row of which the middle shows the world."""
    middle = area[:, area.shape[1] // 3 : -(area.shape[1] // 3)]
    rows = np.flatnonzero((middle > 0).mean(axis=1) > 0.5)
    return float(rows[-1]) if len(rows) else area.shape[0] - 1.0


def _speeds_between_cuts(
    strips: NDArray[np.float32], seconds: FloatArray, still: FloatArray, cuts: NDArray[np.bool_]
) -> SpeedPath:
    parts = [part for part in np.split(np.arange(len(cuts)), np.flatnonzero(cuts)) if len(part)]
    paths = [likely_speeds(strips[part].astype(np.float64), seconds[part], still[part]) for part in parts]
    return SpeedPath(*(np.concatenate([getattr(p, name) for p in paths]) for name in SpeedPath.__dataclass_fields__))


def _confidence(
    tracks: list[Tracks],
    turns: list[Turn | None],
    path: SpeedPath,
    seconds: FloatArray,
    still: FloatArray,
    cuts: NDArray[np.bool_],
) -> tuple[FloatArray, tuple[str, ...]]:
    """Of every frame: that of the weaker of the steps beside it, each as weak as its weakest evidence."""
    standing = (still > 0.8) & (path.speeds_mps < 0.5)
    evidence = np.array(
        [
            [float(len(pair.before)) for pair in tracks],
            [0.0 if turn is None else turn.agreeing for turn in turns],
            [
                -1.0 if turn is None else -turn.deviation_rad[1] / step
                for turn, step in zip(turns, seconds, strict=True)
            ],
            np.where(standing, 1.0, path.support - _EASY_SUPPORT * np.exp(-path.speeds_mps / _SLOW_MPS)),
            np.where(standing, 1.0, path.united),
        ]
    )
    low, high = np.array(list(_LIMITS.values())).T[:, :, None]
    sure = ((evidence - low) / (high - low)).clip(0, 1)
    steady = median_filter(sure, size=(1, 5), mode="nearest")
    steady[:, cuts] = 0
    weakest = steady.argmin(axis=0)
    steps = steady.min(axis=0)
    last = len(steps)
    left, right = np.maximum(np.arange(last + 1) - 1, 0), np.minimum(np.arange(last + 1), last - 1)
    # The step across a cut says nothing of the frames on either side of it.
    worse = np.where(cuts[left], right, np.where(cuts[right] | (steps[left] <= steps[right]), left, right))
    names = ["" if steps[step] >= 1 else list(_LIMITS)[weakest[step]] for step in worse]
    return np.round(steps[worse], 3), tuple(names)


def _at_frames(steps: FloatArray, cuts: NDArray[np.bool_]) -> FloatArray:
    """Values of the steps between frames at the frames themselves, never across a cut."""
    last = len(steps)
    left, right = np.maximum(np.arange(last + 1) - 1, 0), np.minimum(np.arange(last + 1), last - 1)
    left, right = np.where(cuts[left], right, left), np.where(cuts[right], left, right)
    return (steps[left] + steps[right]) / 2
