"""Reward terms: pure functions of what was driven. The reward is their weighted sum.

Each term looks at one record, ``Driven``, and gives a number, or ``Unavailable`` with the reason when what it needs
is not known. Nothing is made up: an unavailable term is left out of the sum and named in ``info["unavailable"]``. All
terms but progress are 0 at best and negative otherwise. Those that a network estimates are in ``learned_terms``.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from longdwm_env.episodes.comfort import uncomfortable
from longdwm_env.episodes.learned_terms import learned_danger, learned_off_road, uncertainty
from longdwm_env.episodes.transition import Driven, Unavailable
from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.boxes import body_poses, collisions, corners, times_to_collision_s

LEAST_TIME_TO_COLLISION_S = 0.95
"""nuPlan's time_to_collision_within_bound, least_min_ttc."""


@dataclass(frozen=True)
class RewardTerm:
    """A named number of a drive. Users and worlds bring their own by passing one as a key of ``reward``.

    Attributes:
        name: key in ``info["reward_terms"]``.
        unit: of the number.
        source: where the definition comes from.
        value: gives the number, which must be finite, or says why it cannot.
    """

    name: str
    unit: str
    source: str
    value: Callable[[Driven], "float | Unavailable"]


def progress(driven: Driven) -> float | Unavailable:
    """Metres driven. Where a map has a lane under the ego, those along the lane: driving against it counts below 0.

    Source: distance per step, as in nuPlan's ego_progress_along_expert_route, without an expert.
    """
    poses = driven.poses_with_start
    steps = np.diff(poses[:, :2], axis=0)
    if driven.road_map is None:
        return float(np.hypot(steps[:, 0], steps[:, 1]).sum())
    error = driven.road_map.fit_lanes(poses[:-1]).heading_error_rad
    lane_heading = poses[:-1, 2] - np.where(np.isfinite(error), error, 0.0)
    return float((steps[:, 0] * np.cos(lane_heading) + steps[:, 1] * np.sin(lane_heading)).sum())


def comfort(driven: Driven) -> float | Unavailable:
    """Minus the share of frames with an acceleration, jerk or yaw rate beyond nuPlan's comfort limits.

    Source: nuPlan's ego_is_comfortable; limits and smoothing in ``comfort``.
    """
    motion = np.concatenate([driven.past_motion, driven.motion])
    return 0.0 - float(uncomfortable(motion)[len(driven.past_motion) :].mean())


def feasibility(driven: Driven) -> float | Unavailable:
    """Minus the metres by which the farthest-moved waypoint had to move so that a car can follow it.

    Source: the kinematic limits of ``geometry.kinematics.Limits``.
    """
    return 0.0 - driven.trajectory.projection_m


def collision(driven: Driven) -> float | Unavailable:
    """Minus 1 if the ego's box overlaps that of another road user at any executed frame, no matter which is at fault.

    Source: separating axis test on oriented boxes; nuPlan's no_ego_at_fault_collisions without the question of fault.
    """
    if driven.actors is None:
        return Unavailable(driven.unknown["actors"])
    return 0.0 - float(collisions(driven.poses_with_start, driven.actors, driven.car)[1:].any())


def time_to_collision(driven: Driven) -> float | Unavailable:
    """Minus the share of frames at which the ego, if all kept speed and heading, would touch a road user within 0.95 s.

    Source: nuPlan's time_to_collision_within_bound (bound 0.95 s, horizon 3 s).
    """
    if driven.actors is None:
        return Unavailable(driven.unknown["actors"])
    seconds = times_to_collision_s(driven.poses_with_start, driven.speeds_with_start_mps, driven.actors, driven.car)
    return 0.0 - float((seconds[1:] < LEAST_TIME_TO_COLLISION_S).mean())


def drivable_area(driven: Driven) -> float | Unavailable:
    """Minus the share of the corners of the ego's box, over the executed frames, that are off drivable road.

    Source: nuPlan's drivable_area_compliance, as a share instead of yes or no.
    """
    if driven.road_map is None:
        return Unavailable(driven.unknown["road_map"])
    points = corners(body_poses(driven.poses, driven.car), driven.car.length_m, driven.car.width_m)
    return 0.0 - float((~driven.road_map.drivable(points.reshape(-1, 2))).mean())


def lane_keeping(driven: Driven) -> float | Unavailable:
    """Minus the mean distance of the rear axle from the middle of its lane, over half the lane's width, at most 1.

    Frames without a lane, as on a junction, do not count. Source: our own.
    """
    if driven.road_map is None:
        return Unavailable(driven.unknown["road_map"])
    fit = driven.road_map.fit_lanes(driven.poses)
    shares = np.abs(fit.lateral_m) / (np.maximum(fit.width_m, 1e-3) / 2)
    in_lane = np.isfinite(shares)
    if not in_lane.any():
        return Unavailable("the ego is in no lane")
    return 0.0 - float(np.minimum(shares[in_lane], 1.0).mean())


def _term(unit: str, value: Callable[[Driven], float | Unavailable]) -> RewardTerm:
    source = (value.__doc__ or "").rpartition("Source: ")[2].strip().rstrip(".")
    return RewardTerm(value.__name__, unit, " ".join(source.split()), value)


_OWN = (
    _term("m", progress),
    _term("share of frames", comfort),
    _term("m", feasibility),
    _term("0 or -1", collision),
    _term("share of frames", time_to_collision),
    _term("share of corners", drivable_area),
    _term("share of half the lane's width", lane_keeping),
    _term("probability", learned_danger),
    _term("probability", learned_off_road),
    _term("share of the predicted picture", uncertainty),
)
TERMS: Mapping[str, RewardTerm] = {term.name: term for term in _OWN}

DEFAULT_WEIGHTS: Mapping[str, float] = {
    "progress": 0.1,
    "comfort": 0.2,
    "feasibility": 0.1,
    "collision": 10.0,
    "time_to_collision": 1.0,
    "drivable_area": 2.0,
    "lane_keeping": 0.2,
}
"""At 10 m/s a comfortable second in the lane is worth 1; a collision costs ten of them."""


@dataclass(frozen=True)
class StandIn:
    """A learned term that takes the place of one from geometry where that is unavailable and the pixels are generated.

    Attributes:
        term: the learned one.
        weight: of the learned one.
        instead_of: name of the other.
    """

    term: RewardTerm
    weight: float
    instead_of: str


DEFAULT_STAND_INS = (
    StandIn(TERMS["learned_danger"], 0.5, "collision"),
    StandIn(TERMS["learned_off_road"], 1.0, "drivable_area"),
)
"""Half of what geometry's own terms of the kind weigh: enough that driving into what one sees is never free, little
enough that a policy earns more by driving well than by pleasing the network."""


@dataclass(frozen=True)
class Reward:
    """Terms and their weights: what ``gym.make(..., reward=...)`` asked for.

    Attributes:
        stand_ins: learned terms for where others are unavailable; only the default reward has any.
    """

    weights: tuple[tuple[RewardTerm, float], ...]
    stand_ins: tuple[StandIn, ...] = ()

    def __call__(self, driven: Driven) -> tuple[float, dict[str, float], dict[str, str]]:
        """The reward, the value of each term that is available, and why the others are not.

        Raises:
            InvalidConfig: a user's term gave something else than a finite number or ``Unavailable``.
        """
        values, unavailable = _values(driven, self.weights)
        chosen = self.weights
        if driven.learned.is_generated:
            needed = tuple((s.term, s.weight) for s in self.stand_ins if s.instead_of in unavailable)
            more_values, more_unavailable = _values(driven, needed)
            values, unavailable, chosen = values | more_values, unavailable | more_unavailable, chosen + needed
        total = sum((weight * values[term.name] for term, weight in chosen if term.name in values), 0.0)
        return total, values, unavailable


def _values(driven: Driven, weights: Sequence[tuple[RewardTerm, float]]) -> tuple[dict[str, float], dict[str, str]]:
    values, unavailable = {}, {}
    for term, _ in weights:
        value = term.value(driven)
        if isinstance(value, Unavailable):
            unavailable[term.name] = value.reason
            continue
        if not isinstance(value, float | int | np.floating | np.integer) or not math.isfinite(value):
            raise InvalidConfig(f"reward term {term.name!r} gave {value!r}, not a finite number or Unavailable")
        values[term.name] = float(value)
    return values, unavailable


RewardChoice = Mapping[str, float] | Mapping[RewardTerm, float] | Mapping[str | RewardTerm, float] | Reward | None
"""What the environment's ``reward`` keyword takes."""


def reward_from(reward: RewardChoice) -> Reward:
    """The reward that the environment's ``reward`` keyword asks for.

    Args:
        reward: None for ``DEFAULT_WEIGHTS`` and ``DEFAULT_STAND_INS``; a mapping from a term's name or a ``RewardTerm``
            to its weight, of which nothing but the named terms is computed; or a ``Reward``.

    Raises:
        InvalidConfig: an unknown term, two of one name, or a weight that is not a finite number.
    """
    if reward is None:
        return Reward(tuple((TERMS[name], weight) for name, weight in DEFAULT_WEIGHTS.items()), DEFAULT_STAND_INS)
    if isinstance(reward, Reward):
        return reward
    if not isinstance(reward, Mapping):
        raise InvalidConfig(f"reward={reward!r}: give None or a mapping from term to weight; {_listed()}")
    weights = []
    for key, weight in reward.items():
        term = TERMS.get(key) if isinstance(key, str) else key
        if not isinstance(term, RewardTerm):
            raise InvalidConfig(f"reward term {key!r} does not exist; {_listed()}")
        number = isinstance(weight, float | int | np.floating | np.integer) and not isinstance(weight, bool)
        if not number or not math.isfinite(weight):
            raise InvalidConfig(f"the weight of reward term {term.name!r} is {weight!r}; it must be a finite number")
        weights.append((term, float(weight)))
    names = [term.name for term, _ in weights]
    if len(set(names)) < len(names):
        raise InvalidConfig(f"two reward terms have the same name: {_repeated(names)}")
    return Reward(tuple(weights))


def _listed() -> str:
    return f"the terms are {', '.join(TERMS)}, and objects of rewards.RewardTerm"


def _repeated(names: Sequence[str]) -> str:
    return ", ".join(sorted({name for name in names if names.count(name) > 1}))
