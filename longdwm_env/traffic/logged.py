"""Reactive traffic where road users were recorded: they follow their log until the ego leaves its own, then react.

From then on each drives by the intelligent driver model along the way that he was recorded on and, beyond its end,
along the lanes of the map, behind the next in his way, the ego included. This is how Waymax's and nuPlan's IDM agents
are moved. Who appears later in the record joins where the record says, if there is room. No others come.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longdwm_env.clock import FRAME_S
from longdwm_env.geometry.boxes import body_poses, corners, overlap
from longdwm_env.geometry.kinematics import CAR
from longdwm_env.traffic.idm import IdmSettings, idm_acceleration
from longdwm_env.traffic.traffic_record import Arrays, Begun, Meanwhile
from longdwm_env.types import ActorTracks, FloatArray, RoadMap, Scene, WorldState, wrap_angle

LEFT_M, LEFT_RAD = 2.0, 0.35
"""The ego has left its log when it is this far from where it was recorded at that moment, or turned this much."""

WITHIN_M = 120.0
"""Road users nearer than this to the ego are given out, as the simulator does."""

PATH_STEP_M = 1.0
BEYOND_M = 150.0
"""How far beyond the end of its record a way is traced along the lanes."""
TRACE_STEP_M = 2.0

PARKED_MPS = 0.5
"""Who was never recorded faster than this stays where he is."""

LOOK_AHEAD_M = 60.0
MARGIN_M = 0.3
"""A road user is in the way when his side comes this near to the side of who drives there."""

DRIVER = IdmSettings(acceleration_mps2=2.0, braking_mps2=3.0)

PREFIX = "traffic."
_IDS = "road_users"
_FIXED = ("log_poses", "log_speeds_mps", "log_along_m", "paths", "path_lengths_m", "sizes_m", "ego_log")
_MOVING = ("along_m", "speeds_mps", "left", "frame")
_CLASSES = "classes"

AHEAD = f"{PREFIX}paths"
"""An array that only states with recorded road users have."""


@dataclass(frozen=True, eq=False)
class _Users:
    """The record, and where all are; A road users.

    Attributes:
        log_poses: (T, A, 3) recorded; NaN where absent.
        log_speeds_mps: (T, A).
        log_along_m: (T, A) how far along his way each was.
        paths: (A, P, 3) poses along the ways, one every ``PATH_STEP_M``; the last one repeated beyond a way's end.
        path_lengths_m: (A,).
        sizes_m: (A, 3).
        ego_log: (E, 3) poses of the ego's rear axle.
        along_m: (A,) how far along his way each is; NaN where absent.
        speeds_mps: (A,).
        left: () whether the ego has left its log.
        frame: () number of the frame since the record's start.
    """

    log_poses: FloatArray
    log_speeds_mps: FloatArray
    log_along_m: FloatArray
    paths: FloatArray
    path_lengths_m: FloatArray
    sizes_m: FloatArray
    ego_log: FloatArray
    along_m: FloatArray
    speeds_mps: FloatArray
    left: NDArray[np.bool_]
    frame: NDArray[np.int64]

    @property
    def poses(self) -> FloatArray:
        """(A, 3) where all are; NaN for the absent."""
        if self.left:
            return _on_paths(self.paths, self.path_lengths_m, self.along_m)
        return self.log_poses[int(self.frame)]


def begin(scene: Scene) -> Begun:
    """The road users of a scene with a map and recorded ones, or of one that was driven so far (``Scene.driven``)."""
    if scene.driven is not None:
        return _gone_on(scene.driven)
    actors, road_map, log = scene.actors, scene.road_map, scene.log
    assert actors is not None
    assert road_map is not None
    ego = np.zeros((0, 3)) if log.ego_poses is None else np.asarray(log.ego_poses)[log.num_past :]
    paths, lengths, along = _ways(actors, road_map)
    users = _Users(
        log_poses=actors.poses,
        log_speeds_mps=actors.speeds_mps,
        log_along_m=along,
        paths=paths,
        path_lengths_m=lengths,
        sizes_m=actors.sizes_m,
        ego_log=ego,
        along_m=along[0],
        speeds_mps=actors.speeds_mps[0],
        left=np.array(False),
        frame=np.array(0),
    )
    arrays = {f"{PREFIX}{name}": np.array(getattr(users, name)) for name in (*_FIXED, *_MOVING)}
    if actors.classes is not None:
        arrays[f"{PREFIX}{_CLASSES}"] = np.array(actors.classes)
    now = _near(actors.during(slice(1)), scene.start.pose[None])
    return Begun(arrays, {_IDS: list(actors.ids)}, now)


def _gone_on(driven: WorldState) -> Begun:
    arrays = {name: array for name, array in driven.arrays.items() if name.startswith(PREFIX)}
    actors = None if driven.actors is None else driven.actors.during(slice(-1, None))
    return Begun(arrays, {_IDS: list(driven.values[_IDS])}, actors)


def react(state: WorldState, poses: FloatArray, speeds_mps: FloatArray) -> Meanwhile:
    """The road users while the ego drives; see ``meanwhile.react``."""
    users = _Users(**{name: state.arrays[f"{PREFIX}{name}"] for name in (*_FIXED, *_MOVING)})
    before = np.asarray(state.arrays["track"][-1], np.float64)
    steps = [users]
    for pose, speed in zip(poses, speeds_mps, strict=True):
        steps.append(_stepped(steps[-1], before, pose, float(speed)))
        before = pose
    looks: dict[str, Any] = {}
    if f"{PREFIX}{_CLASSES}" in state.arrays:
        looks[_CLASSES] = state.arrays[f"{PREFIX}{_CLASSES}"]
    ids = tuple(state.values[_IDS])
    speeds = np.stack([np.where(np.isfinite(one.along_m), one.speeds_mps, np.nan) for one in steps])
    joined = ActorTracks(np.stack([one.poses for one in steps]), users.sizes_m, speeds, ids, **looks)
    near = _near(joined, np.concatenate([np.asarray(state.arrays["track"][-1:], np.float64), poses]))

    def after(count: int) -> Arrays:
        return {f"{PREFIX}{name}": np.array(getattr(steps[count], name)) for name in _MOVING}

    return Meanwhile(near, after)


def _stepped(users: _Users, ego_before: FloatArray, ego: FloatArray, ego_speed_mps: float) -> _Users:
    """All road users one frame later, the ego being at ``ego``; he is seen where he was before."""
    frame = int(users.frame) + 1
    users = replace(users, frame=np.array(frame))
    left = bool(users.left) or frame >= len(users.log_poses) or _departed(users.ego_log, frame, ego)
    if not left:
        return replace(users, along_m=users.log_along_m[frame], speeds_mps=users.log_speeds_mps[frame])
    now = _on_paths(users.paths, users.path_lengths_m, users.along_m)
    here = np.isfinite(users.along_m)
    gaps, leading = _leaders(users, now, ego_before, ego_speed_mps)
    desired = np.nanmax(users.log_speeds_mps, axis=0, initial=0.0, where=np.isfinite(users.log_speeds_mps))
    acceleration = idm_acceleration(users.speeds_mps, desired, gaps, leading, DRIVER)
    speeds = np.where(desired < PARKED_MPS, 0.0, np.maximum(users.speeds_mps + acceleration * FRAME_S, 0.0))
    along = users.along_m + (np.nan_to_num(users.speeds_mps) + speeds) / 2 * FRAME_S
    along, speeds = np.where(here, along, np.nan), np.where(here, speeds, np.nan)
    moved = replace(users, along_m=along, speeds_mps=speeds, left=np.array(True))
    return _joined(moved, frame, ego)


def _departed(ego_log: FloatArray, frame: int, ego: FloatArray) -> bool:
    if frame >= len(ego_log):
        return True
    apart = ego - ego_log[frame]
    return bool(np.hypot(apart[0], apart[1]) > LEFT_M or abs(wrap_angle(apart[2])) > LEFT_RAD)


def _joined(users: _Users, frame: int, ego: FloatArray) -> _Users:
    """Those who appear in the record at this frame come in, where their place is free."""
    if frame >= len(users.log_poses):
        return users
    appear = np.isfinite(users.log_poses[frame, :, 0]) & ~np.isfinite(users.log_poses[:frame, :, 0]).any(axis=0)
    appear &= ~np.isfinite(users.along_m)
    if not appear.any():
        return users
    along, speeds = users.along_m.copy(), users.speeds_mps.copy()
    taken = [corners(body_poses(ego, CAR)[None], CAR.length_m + 2, CAR.width_m + 1)[0]]
    present = _on_paths(users.paths, users.path_lengths_m, along)[np.isfinite(along)]
    taken += list(corners(present, *users.sizes_m[np.isfinite(along), :2].T))
    for row in np.flatnonzero(appear):
        box = corners(users.log_poses[frame, row], users.sizes_m[row, 0], users.sizes_m[row, 1])
        if not overlap(box[None], np.stack(taken)).any():
            along[row], speeds[row] = users.log_along_m[frame, row], users.log_speeds_mps[frame, row]
            taken.append(box)
    return replace(users, along_m=along, speeds_mps=speeds)


def _leaders(users: _Users, now: FloatArray, ego: FloatArray, ego_speed_mps: float) -> tuple[FloatArray, FloatArray]:
    """Gaps (A,), bumper to bumper, to the next one on each way, inf without one, and his speed (A,) along it."""
    gaps, leading = np.full(len(now), np.inf), np.zeros(len(now))
    rows = np.flatnonzero(np.isfinite(users.along_m))
    if not len(rows):
        return gaps, leading
    others = np.concatenate([now[rows], body_poses(ego, CAR)[None]])
    sizes = np.concatenate([users.sizes_m[rows, :2], [[CAR.length_m, CAR.width_m]]])
    speeds = np.append(users.speeds_mps[rows], ego_speed_mps)
    places = np.arange(0.0, LOOK_AHEAD_M + TRACE_STEP_M / 2, TRACE_STEP_M)
    ahead = _on_paths(
        np.repeat(users.paths[rows], len(places), axis=0),
        np.repeat(users.path_lengths_m[rows], len(places)),
        (users.along_m[rows, None] + places).ravel(),
    ).reshape(len(rows), len(places), 3)
    offsets = others[None, None, :, :2] - ahead[:, :, None, :2]
    nearest = np.hypot(offsets[..., 0], offsets[..., 1]).argmin(axis=1)
    mine, theirs = np.arange(len(rows))[:, None], np.arange(len(others))[None]
    offset, heading = offsets[mine, nearest, theirs], ahead[mine, nearest, 2]
    along = places[nearest] + offset[..., 0] * np.cos(heading) + offset[..., 1] * np.sin(heading)
    aside = -offset[..., 0] * np.sin(heading) + offset[..., 1] * np.cos(heading)
    turned = others[None, :, 2] - heading
    half_length, half_width = (
        np.abs(np.cos(turned)) * sizes[None, :, a] / 2 + np.abs(np.sin(turned)) * sizes[None, :, b] / 2
        for a, b in ((0, 1), (1, 0))
    )
    in_way = (
        (along > 0) & (along < LOOK_AHEAD_M) & (np.abs(aside) < half_width + sizes[: len(rows), None, 1] / 2 + MARGIN_M)
    )
    in_way[np.arange(len(rows)), np.arange(len(rows))] = False
    gap = np.where(in_way, np.maximum(along - half_length - sizes[: len(rows), None, 0] / 2, 0.1), np.inf)
    first = gap.argmin(axis=1)
    gaps[rows] = gap[np.arange(len(rows)), first]
    leading[rows] = speeds[first] * np.cos(turned[np.arange(len(rows)), first])
    return gaps, leading


def _on_paths(paths: FloatArray, lengths_m: FloatArray, along_m: FloatArray) -> FloatArray:
    """(A, 3) poses at distances (A,) along ways; beyond their ends straight on, NaN for NaN."""
    here = np.isfinite(along_m)
    place = np.where(here, np.clip(along_m, 0.0, lengths_m), 0.0) / PATH_STEP_M
    index = np.minimum(place.astype(int), paths.shape[1] - 2)
    rows, share = np.arange(len(paths)), (place - index)[:, None]
    first, second = paths[rows, index], paths[rows, index + 1]
    poses = first + share * (second - first)
    poses[:, 2] = first[:, 2] + share[:, 0] * wrap_angle(second[:, 2] - first[:, 2])
    beyond = np.where(here, np.maximum(along_m - lengths_m, 0.0), np.nan)
    poses[:, 0] += beyond * np.cos(poses[:, 2])
    poses[:, 1] += beyond * np.sin(poses[:, 2])
    poses[:, 2] = np.where(here, wrap_angle(poses[:, 2]), np.nan)
    return poses


def _ways(actors: ActorTracks, road_map: RoadMap) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The recorded ways, traced on along the lanes: paths (A, P, 3), their lengths (A,), and (T, A) places on them."""
    frames, count = actors.speeds_mps.shape
    along = np.full((frames, count), np.nan)
    recorded: list[tuple[FloatArray, FloatArray]] = []
    for column in range(count):
        seen = np.flatnonzero(np.isfinite(actors.poses[:, column]).all(axis=1))
        poses = actors.poses[seen, column]
        steps = np.diff(poses[:, :2], axis=0)
        # Forward only: boxes tremble, and no way leads back.
        forward = steps[:, 0] * np.cos(poses[:-1, 2]) + steps[:, 1] * np.sin(poses[:-1, 2])
        places = np.concatenate([np.zeros(min(len(seen), 1)), np.cumsum(np.maximum(forward, 0.0))])
        along[seen, column] = places
        new = np.concatenate([np.ones(min(len(seen), 1), bool), np.diff(places) > 1e-6])
        recorded.append((places[new], poses[new]))
    ends = np.array([way[1][-1] if len(way[1]) else np.zeros(3) for way in recorded]).reshape(-1, 3)
    further = _traced(road_map, ends)
    ways = [
        (np.append(places, (places[-1] if len(places) else 0.0) + TRACE_STEP_M * np.arange(1, len(more) + 1)), where)
        for (places, poses), more in zip(recorded, further, strict=True)
        for where in [np.concatenate([poses.reshape(-1, 3), more])]
    ]
    lengths = np.array([places[-1] for places, _ in ways])
    most = int(lengths.max(initial=0.0) / PATH_STEP_M) + 2
    paths = np.zeros((count, most, 3))
    for row, (places, where) in enumerate(ways):
        at = np.minimum(np.arange(most) * PATH_STEP_M, places[-1])
        for axis in range(3):
            values = np.unwrap(where[:, 2]) if axis == 2 else where[:, axis]
            paths[row, :, axis] = np.interp(at, places, values)
    return paths, lengths, along


def _traced(road_map: RoadMap, ends: FloatArray) -> FloatArray:
    """(A, N, 3) poses every ``TRACE_STEP_M`` beyond poses (A, 3): along their lanes, beside the middle as they are."""
    probes = ends.copy()
    first = road_map.fit_lanes(probes)
    beside = np.nan_to_num(np.where(np.abs(first.heading_error_rad) < np.pi / 2, first.lateral_m, 0.0))
    traced = []
    for _ in range(int(BEYOND_M / TRACE_STEP_M)):
        probes[:, 0] += TRACE_STEP_M * np.cos(probes[:, 2])
        probes[:, 1] += TRACE_STEP_M * np.sin(probes[:, 2])
        fit = road_map.fit_lanes(probes)
        agrees = np.isfinite(fit.lateral_m) & (np.abs(fit.heading_error_rad) < np.pi / 2)
        heading = probes[:, 2] - np.where(agrees, fit.heading_error_rad, 0.0)
        aside = np.where(agrees, beside - fit.lateral_m, 0.0)
        probes[:, 0] -= aside * np.sin(heading)
        probes[:, 1] += aside * np.cos(heading)
        probes[:, 2] = heading
        traced.append(probes.copy())
    return np.stack(traced, axis=1)


def _near(tracks: ActorTracks, ego_poses: FloatArray) -> ActorTracks:
    """Those who are near the ego at any of the frames."""
    away = np.hypot(*np.moveaxis(tracks.poses[..., :2] - ego_poses[:, None, :2], -1, 0))
    return tracks.of((away < WITHIN_M).any(axis=0))
