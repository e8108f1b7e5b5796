"""What an episode comes to: numbers of one drive. A number that the scene cannot support is absent, with the reason."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from longdwm_env.episodes.observation import Info
from longdwm_env.geometry.boxes import TTC_HORIZON_S, body_poses, collisions, corners, overlap, times_to_collision_s
from longdwm_env.geometry.kinematics import CAR
from longdwm_env.types import ActorTracks, FloatArray, RoadMap, SceneLog

STANDING_MPS = 5e-2
"""Slower counts as standing when fault is asked for."""

BEHIND_RAD = np.radians(150)
"""An actor at a larger bearing is behind; nuPlan's is_agent_behind."""

ROUTE_WIDTH_M = 4.0
"""Farther from the route than this, no progress along it is made."""


@dataclass(frozen=True)
class Metric:
    """A number that is measured per episode.

    Attributes:
        better: +1 where more is better, -1 where less is, 0 where neither.
        about: what it is and where it comes from.
        least, most: what it can be; None where it has no bound.
    """

    label: str
    unit: str
    better: int
    about: str
    least: float | None = 0.0
    most: float | None = None


METRICS: Mapping[str, Metric] = {
    "pdm_score": Metric("PDM score", "0 to 1", 1, "NAVSIM: NC x DAC x (5 EP + 5 TTC + 2 C) / 12", most=1.0),
    "return": Metric("return", "", 1, "sum of the rewards", least=None),
    "progress_m": Metric(
        "progress", "m", 1, "metres along the lane (against it: below 0), or driven where there is no map", least=None
    ),
    "route_completion": Metric(
        "route completion", "share", 1, "share of the logged or reference path that was driven", most=1.0
    ),
    "collision": Metric("collisions", "share of episodes", -1, "the ego touched another road user", most=1.0),
    "at_fault_collision": Metric(
        "at-fault collisions", "share of episodes", -1, "nuPlan's definition of fault", most=1.0
    ),
    "off_road": Metric("off road", "share of episodes", -1, "a corner of the car left the drivable area", most=1.0),
    "off_road_share": Metric(
        "corners off road", "share", -1, "share of corners and frames off the drivable area", most=1.0
    ),
    "unsafe_time": Metric("unsafe time", "share of frames", -1, "time to collision below 0.95 s", most=1.0),
    "min_ttc_s": Metric(
        "least time to collision",
        "s",
        1,
        f"at most {TTC_HORIZON_S:g} s, which means none was seen",
        most=TTC_HORIZON_S,
    ),
    "comfort": Metric("comfort", "share of frames", 1, "within nuPlan's comfort limits", most=1.0),
    "lane_offset": Metric("lane offset", "share of half width", -1, "mean distance from the middle of the lane"),
    "infeasible_m": Metric("infeasible requests", "m", -1, "mean distance by which plans had to be moved"),
    "ade_m": Metric("ADE", "m", -1, "mean distance from the logged car at the same times"),
    "fde_m": Metric("FDE", "m", -1, "distance from the logged car at the last common time"),
    "duration_s": Metric("duration", "s", 0, "until the end, whatever ended it"),
}
"""Every number of an episode, in the order of tables."""


@dataclass
class EpisodeMetrics:
    """Collects an episode, control period by control period, and gives its numbers.

    Args:
        start_pose: (3,) of the ego.
        road_map: of the scene; None where there is none.
        log: of the scene.
        max_frames: of an episode: the route is the part of the log that can be driven in that time.
    """

    start_pose: FloatArray
    road_map: RoadMap | None
    log: SceneLog
    max_frames: int
    rewards: list[float] = field(default_factory=list)
    terms: list[Mapping[str, float]] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    poses: list[FloatArray] = field(default_factory=list)
    least_ttc_s: list[float] = field(default_factory=list)
    at_fault: bool = False

    def add(self, reward: float, info: Info, speeds_mps: FloatArray, actors: ActorTracks | None) -> None:
        """One control period of T frames.

        Args:
            reward: of the period.
            info: of the step.
            speeds_mps: (T + 1,) the speed when acting, then at each frame.
            actors: boxes at the same T + 1 frames, or None where unknown.
        """
        before = self.poses[-1][-1] if self.poses else self.start_pose
        self.rewards.append(reward)
        self.terms.append(dict(info["reward_terms"]))
        for name, reason in info["unavailable"].items():
            self.reasons.setdefault(name, reason)
        self.poses.append(np.asarray(info["ego_pose"], np.float64))
        if actors is None:
            return
        poses = np.concatenate([before[None], self.poses[-1]])
        times = times_to_collision_s(poses, speeds_mps, actors, CAR)
        self.least_ttc_s.append(float(min(times[1:].min(), TTC_HORIZON_S)))
        self.at_fault = self.at_fault or fault(poses[1:], speeds_mps[1:], actors.during(slice(1, None)), self.road_map)

    def numbers(self) -> tuple[dict[str, float], dict[str, str]]:
        """The episode's numbers, and why others are missing. PDM score and a reference's route come later."""
        found: dict[str, float] = {"return": float(np.sum(self.rewards))}
        missing: dict[str, str] = {}
        path = np.concatenate([self.start_pose[None], *self.poses])

        def take(name: str, term: str, combine: Callable[[FloatArray], float], partly: bool = False) -> None:
            values = [terms[term] for terms in self.terms if term in terms]
            if values and (partly or len(values) == len(self.terms)):
                found[name] = float(combine(np.array(values)))
            else:
                missing[name] = self.reasons.get(term, f"reward term {term!r} was not asked for")

        take("progress_m", "progress", np.sum)
        take("collision", "collision", lambda v: float((v < 0).any()))
        take("off_road", "drivable_area", lambda v: float((v < 0).any()))
        take("off_road_share", "drivable_area", lambda v: 0.0 - v.mean())
        take("unsafe_time", "time_to_collision", lambda v: 0.0 - v.mean())
        take("comfort", "comfort", lambda v: 1 + v.mean())
        # On a junction there is no lane to keep; those periods do not count.
        take("lane_offset", "lane_keeping", lambda v: 0.0 - v.mean(), partly=True)
        take("infeasible_m", "feasibility", lambda v: 0.0 - v.mean())
        if "collision" in found and len(self.least_ttc_s) == len(self.terms):
            found["at_fault_collision"] = float(self.at_fault)
            found["min_ttc_s"] = min(self.least_ttc_s)
        else:
            reason = self.reasons.get("collision", "the other road users are not known")
            missing |= {"at_fault_collision": reason, "min_ttc_s": reason}
        self._against_log(path, found, missing)
        return found, missing

    def _against_log(self, path: FloatArray, found: dict[str, float], missing: dict[str, str]) -> None:
        logged = self.log.ego_poses
        if logged is None or self.log.num_future < 1:
            why = "the scene's log does not say where the car went after the start"
            missing |= {"ade_m": why, "fde_m": why, "route_completion": why}
            return
        ahead = np.asarray(logged)[self.log.num_past :]
        count = min(len(path), len(ahead))
        distances = np.linalg.norm(path[1:count, :2] - ahead[1:count, :2], axis=1)
        found["ade_m"], found["fde_m"] = float(distances.mean()), float(distances[-1])
        found["route_completion"] = completion(path, ahead[: self.max_frames + 1])


def completion(path: FloatArray, route: FloatArray) -> float:
    """Share of a route (M, 3) that a path (N, 3) has driven: the farthest place of it that the path came near to."""
    steps = np.linalg.norm(np.diff(route[:, :2], axis=0), axis=1)
    lengths = np.concatenate([[0.0], np.cumsum(steps)])
    if lengths[-1] < 1.0:
        return 1.0
    distances = np.linalg.norm(path[:, None, :2] - route[None, :, :2], axis=2)
    nearest = distances.argmin(axis=1)
    near = distances[np.arange(len(path)), nearest] < ROUTE_WIDTH_M
    return float(lengths[nearest[near]].max(initial=0.0) / lengths[-1])


def fault(poses: FloatArray, speeds_mps: FloatArray, actors: ActorTracks, road_map: RoadMap | None) -> bool:
    """Whether the ego is at fault for a collision within T frames, as nuPlan and NAVSIM define it.

    At fault: running into a standing road user, hitting one with the front bumper, or a touch at the side while
    the ego is not wholly in its lane or off the road. Not at fault: standing, or being hit from behind.

    Args:
        poses: (T, 3) of the rear axle.
        speeds_mps: (T,).
        actors: boxes at the same frames.
        road_map: None where there is none; the ego then counts as in its lane.
    """
    touching = collisions(poses, actors, CAR)
    for actor in np.flatnonzero(touching.any(axis=0)):
        # Only the first touch with each road user counts.
        frame = int(touching[:, actor].argmax())
        if abs(speeds_mps[frame]) <= STANDING_MPS:
            continue
        if abs(actors.speeds_mps[frame, actor]) <= STANDING_MPS:
            return True
        if _front_touches(poses[frame], actors.poses[frame, actor], actors.sizes_m[actor]):
            return True
        middle = body_poses(poses[frame], CAR)
        offset = actors.poses[frame, actor, :2] - middle[:2]
        bearing = np.arctan2(offset[1], offset[0]) - middle[2]
        behind = abs((bearing + np.pi) % (2 * np.pi) - np.pi) > BEHIND_RAD
        if not behind and not _within_lane(poses[frame], road_map):
            return True
    return False


def _front_touches(pose: FloatArray, box: FloatArray, size_m: FloatArray) -> bool:
    bumper = np.array(pose, np.float64)
    ahead = CAR.length_m - CAR.rear_overhang_m
    bumper[:2] += ahead * np.array([np.cos(pose[2]), np.sin(pose[2])])
    return bool(overlap(corners(bumper, 0.05, CAR.width_m), corners(box, size_m[0], size_m[1])))


def _within_lane(pose: FloatArray, road_map: RoadMap | None) -> bool:
    if road_map is None:
        return True
    points: NDArray[np.float64] = corners(body_poses(pose, CAR), CAR.length_m, CAR.width_m)
    fit = road_map.fit_lanes(pose[None])
    if not road_map.drivable(points).all() or not np.isfinite(fit.lateral_m[0]):
        return False
    half = CAR.width_m / 2 + CAR.length_m / 2 * abs(np.sin(fit.heading_error_rad[0]))
    return bool(abs(fit.lateral_m[0]) + half <= fit.width_m[0] / 2)
