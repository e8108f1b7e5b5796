"""A driver that looks at the map and the other road users instead of the camera: lane keeping and car following.

It traces the lane ahead through ``RoadMap.fit_lanes``, so it drives wherever a scene has a map: in the simulator, on
nuScenes, and in a generated world that starts from either. Where the world knows no actors it drives as if alone.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longdwm_env.agents.policy import PolicyContext
from longdwm_env.clock import FRAME_S, FRAMES_PER_HORIZON, WAYPOINT_TIMES_S
from longdwm_env.episodes.observation import Info
from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.boxes import body_poses
from longdwm_env.geometry.kinematics import CAR
from longdwm_env.geometry.pose import relative_to
from longdwm_env.state import EnvState
from longdwm_env.traffic.idm import IdmSettings, idm_acceleration
from longdwm_env.types import ActorTracks, EgoState, FloatArray, RoadMap, Scene

TRACE_STEP_M = 2.0
LEAST_CRUISE_MPS = 12.0
COMFORTABLE_LATERAL_MPS2 = 2.0
CORRIDOR_MARGIN_M = 0.4
"""An actor is in the way when its side comes this near to the side of the car on its path."""


@dataclass(frozen=True)
class LanePath:
    """The middle of the lane ahead, in the world frame: places (N, 2), headings (N,), arc lengths (N,) from the car."""

    points_m: FloatArray
    headings_rad: FloatArray
    lengths_m: FloatArray

    def at(self, lengths_m: FloatArray) -> FloatArray:
        """Poses (M, 3) after arc lengths (M,); beyond the end straight on."""
        inside = np.clip(lengths_m, 0.0, self.lengths_m[-1])
        x, y = (np.interp(inside, self.lengths_m, self.points_m[:, axis]) for axis in (0, 1))
        heading = np.interp(inside, self.lengths_m, np.unwrap(self.headings_rad))
        beyond = lengths_m - inside
        return np.stack([x + beyond * np.cos(heading), y + beyond * np.sin(heading), heading], axis=1)


def trace_lane(road_map: RoadMap, pose: FloatArray, length_m: float) -> tuple[LanePath, float]:
    """The lane's middle ahead of a pose (3,), and how far left of it the pose is.

    Where there is no lane, as off the road, the path goes straight on.
    """
    probe = np.array(pose, dtype=np.float64)
    points, headings = [], []
    first_lateral = 0.0
    for index in range(max(2, math.ceil(length_m / TRACE_STEP_M) + 1)):
        fit = road_map.fit_lanes(probe[None])
        lateral, error = float(fit.lateral_m[0]), float(fit.heading_error_rad[0])
        if not (math.isfinite(lateral) and math.isfinite(error)):
            lateral, error = 0.0, 0.0
        elif abs(error) > math.pi / 2:
            # The nearest lane runs the other way: the car may not follow it, so it keeps its own direction beside it.
            lateral, error = 0.0, error - math.copysign(math.pi, error)
        heading = probe[2] - error
        middle = probe[:2] - lateral * np.array([-math.sin(heading), math.cos(heading)])
        if index == 0:
            first_lateral = lateral
        points.append(middle)
        headings.append(heading)
        ahead = middle + TRACE_STEP_M * np.array([math.cos(heading), math.sin(heading)])
        probe = np.array([*ahead, heading])
    places = np.array(points)
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    return LanePath(places, np.array(headings), np.concatenate([[0.0], np.cumsum(steps)])), first_lateral


def leader(path: LanePath, ego_pose: FloatArray, actors: ActorTracks) -> tuple[float, float]:
    """Gap in metres, bumper to bumper, and speed along the path of the nearest actor in the way; (inf, 0) without one.

    Only the last frame of the actors counts.
    """
    boxes, sizes, speeds = actors.poses[-1], actors.sizes_m, actors.speeds_mps[-1]
    here = np.isfinite(boxes).all(axis=1)
    if not here.any():
        return math.inf, 0.0
    boxes, sizes, speeds = boxes[here], sizes[here], speeds[here]
    offsets = boxes[:, None, :2] - path.points_m[None]
    nearest = np.linalg.norm(offsets, axis=2).argmin(axis=1)
    picked = np.arange(len(boxes))
    headings = path.headings_rad[nearest]
    along = offsets[picked, nearest, 0] * np.cos(headings) + offsets[picked, nearest, 1] * np.sin(headings)
    aside = -offsets[picked, nearest, 0] * np.sin(headings) + offsets[picked, nearest, 1] * np.cos(headings)
    turned = boxes[:, 2] - headings
    half_width = np.abs(np.sin(turned)) * sizes[:, 0] / 2 + np.abs(np.cos(turned)) * sizes[:, 1] / 2
    half_length = np.abs(np.cos(turned)) * sizes[:, 0] / 2 + np.abs(np.sin(turned)) * sizes[:, 1] / 2
    nose = CAR.length_m - CAR.rear_overhang_m
    gaps = path.lengths_m[nearest] + along - half_length - nose
    middle = body_poses(ego_pose, CAR)[:2]
    ahead = (boxes[:, :2] - middle) @ np.array([math.cos(ego_pose[2]), math.sin(ego_pose[2])]) > 0
    in_way = ahead & (np.abs(aside) < half_width + CAR.width_m / 2 + CORRIDOR_MARGIN_M)
    in_way &= path.lengths_m[nearest] + along <= path.lengths_m[-1] + TRACE_STEP_M
    if not in_way.any():
        return math.inf, 0.0
    first = int(np.flatnonzero(in_way)[gaps[in_way].argmin()])
    return max(float(gaps[first]), 0.0), float(speeds[first] * math.cos(turned[first]))


def present_actors(state: EnvState, scene: Scene) -> ActorTracks | None:
    """The other road users now: those that the world drives, else those that were recorded; None where unknown."""
    driven, logged = state.world_state.actors, scene.actors
    if driven is not None or logged is None or state.frames_driven >= len(logged.poses):
        return driven
    return logged.during(slice(state.frames_driven, state.frames_driven + 1))


class LaneKeeping:
    """Keeps to the middle of its lane, slows down for bends, and follows the car ahead by the intelligent driver model.

    Args:
        context: with the environment, in trajectory or control mode.
        speed_mps: desired on a free, straight road; None for that at the start, but at least 12 m/s.
        time_gap_s: kept to the car ahead.
        traffic: False drives as if alone.

    Raises:
        InvalidConfig: the context has no environment.
    """

    def __init__(
        self, context: PolicyContext, speed_mps: float | None = None, time_gap_s: float = 1.5, traffic: bool = True
    ) -> None:
        context.require("trajectory", "control", policy="a lane keeper")
        if speed_mps is not None and not (math.isfinite(speed_mps) and speed_mps > 0):
            raise InvalidConfig(f"the desired speed must be above zero, got {speed_mps!r} m/s")
        self._base = context.base
        self._context = context
        self._wanted_mps = speed_mps
        self._speed_mps = speed_mps or LEAST_CRUISE_MPS
        self._driver = IdmSettings(time_gap_s=time_gap_s)
        self._traffic = traffic

    def reset(self, observation: object, info: Info) -> None:
        """Choose the desired speed; all else is read from the environment when acting.

        Raises:
            InvalidConfig: the scene has no map.
        """
        if self._base.scene.road_map is None:
            raise InvalidConfig(
                f"scene {self._base.scene.key!r} has no map, so there is no lane to keep; a photograph or a "
                "video gets one from --road straight, or road='straight'"
            )
        if self._wanted_mps is None:
            self._speed_mps = max(LEAST_CRUISE_MPS, self._base.get_state().ego.speed_mps)

    def act(self, observation: object, info: Info) -> NDArray[np.float32]:
        """Waypoints along the lane."""
        state = self._base.get_state()
        actors = present_actors(state, self._base.scene) if self._traffic else None
        road_map = self._base.scene.road_map
        assert road_map is not None, "reset has looked"
        waypoints = self.plan(state.ego, road_map, actors)
        return self._context.action_from_waypoints(waypoints, state.ego.speed_mps)

    def plan(self, ego: EgoState, road_map: RoadMap, actors: ActorTracks | None) -> FloatArray:
        """Waypoints (4, 2) in the ego frame."""
        fastest = max(self._speed_mps, ego.speed_mps)
        path, lateral = trace_lane(road_map, ego.pose, 20.0 + 3.0 * fastest)
        gap, leader_speed = (math.inf, 0.0) if actors is None else leader(path, ego.pose, actors)
        lengths = self._lengths(path, ego.speed_mps, gap, leader_speed)
        due = lengths[np.round(np.array(WAYPOINT_TIMES_S) / FRAME_S).astype(int) - 1]
        places = path.at(due)
        # Comes back to the middle over the distance of about two seconds, without a kink at the start.
        share = np.clip(due / max(8.0, 2.0 * ego.speed_mps), 0.0, 1.0)
        offset = lateral * (1 - share * share * (3 - 2 * share))
        places[:, 0] -= offset * np.sin(places[:, 2])
        places[:, 1] += offset * np.cos(places[:, 2])
        return relative_to(places, np.broadcast_to(ego.pose, places.shape))[:, :2]

    def _lengths(self, path: LanePath, speed_mps: float, gap_m: float, leader_mps: float) -> FloatArray:
        """Arc lengths (T,) at the frames ahead, all other road users keeping speed."""
        turns = np.abs(np.diff(np.unwrap(path.headings_rad))) / np.maximum(np.diff(path.lengths_m), 0.1)
        bends = np.sqrt(COMFORTABLE_LATERAL_MPS2 / np.maximum(turns, 1e-4))
        driven, lengths = 0.0, []
        for frame in range(FRAMES_PER_HORIZON):
            # The speed from which comfortable braking reaches each bend ahead at the speed it allows.
            ahead = np.maximum(path.lengths_m[:-1] - driven, 0.0)
            relevant = path.lengths_m[1:] >= driven
            allowed = np.sqrt(bends**2 + 2 * self._driver.braking_mps2 * ahead)[relevant]
            desired = min(self._speed_mps, float(allowed.min(initial=self._speed_mps)))
            gap = gap_m + leader_mps * frame * FRAME_S - driven
            acceleration = float(idm_acceleration(speed_mps, desired, gap, leader_mps, self._driver))
            after = max(0.0, speed_mps + acceleration * FRAME_S)
            driven += (speed_mps + after) / 2 * FRAME_S
            speed_mps = after
            lengths.append(driven)
        return np.array(lengths)
