"""How a car moves: its dimensions, the limits it obeys, and the kinematic bicycle.

The bicycle's reference point is the middle of the rear axle. With speed v, acceleration a and curvature
kappa = tan(steering) / wheelbase it obeys x' = v cos(heading), y' = v sin(heading), heading' = v kappa, v' = a: for
constant controls it drives a circular arc, however its speed changes on the way, so its steps are exact.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from longdwm_env.types import Trajectory

Numbers = Float[np.ndarray, "*#batch"] | float
"""One number, or an array of them (...,)."""


def check_positive(settings: object, of: str = "") -> None:
    """Raise ValueError unless every field of a dataclass is finite and above zero; ``of`` says whose."""
    for name, value in vars(settings).items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} {of}must be finite and above zero, got {value!r}")


@dataclass(frozen=True)
class Car:
    """Dimensions of the ego car, metres: a mid-size saloon."""

    length_m: float = 4.6
    width_m: float = 1.85
    height_m: float = 1.5
    wheelbase_m: float = 2.8
    rear_overhang_m: float = 1.0

    def __post_init__(self) -> None:
        if min(self.length_m, self.width_m, self.height_m, self.wheelbase_m) <= 0 or self.rear_overhang_m < 0:
            raise ValueError(f"a car's dimensions are above zero, got {self}")
        if self.wheelbase_m + self.rear_overhang_m > self.length_m:
            raise ValueError(f"wheelbase and rear overhang together exceed the length of {self}")

    def curvature_per_m(self, steering_rad: float) -> float:
        """Curvature of the rear axle's path at a steering angle of the front wheels."""
        return math.tan(steering_rad) / self.wheelbase_m

    def steering_rad(self, curvature_per_m: float) -> float:
        """Steering angle of the front wheels for a curvature of the rear axle's path."""
        return math.atan(curvature_per_m * self.wheelbase_m)


CAR = Car()


@dataclass(frozen=True)
class Limits:
    """What a car on a road can do. These are limits of the machine; those of comfort are much lower.

    Attributes:
        max_speed_mps: 144 km/h, above every speed limit of the roads that this project draws or reads.
        max_acceleration_mps2: 0 to 100 km/h in 7 s, a well-motorised saloon.
        max_braking_mps2: full braking on dry asphalt (friction coefficient about 0.8).
        max_steering_rad: gives the rear axle a turning radius of 4.1 m at a wheelbase of 2.8 m, that of a turning
            circle between kerbs of about 11 m.
        max_lateral_acceleration_mps2: 0.6 g, the edge of what ordinary cars hold before stability control steps in.
        max_yaw_rate_radps: what the two limits above leave at their crossing, 18 km/h: 1.2 rad/s. nuPlan's comfort
            limit is 0.95 rad/s, so a motion can be drivable and uncomfortable.
    """

    max_speed_mps: float = 40.0
    max_acceleration_mps2: float = 4.0
    max_braking_mps2: float = 8.0
    max_steering_rad: float = 0.6
    max_lateral_acceleration_mps2: float = 6.0
    max_yaw_rate_radps: float = 1.2

    def __post_init__(self) -> None:
        check_positive(self)
        if self.max_steering_rad >= math.pi / 2:
            raise ValueError(f"max_steering_rad must be below pi / 2, got {self.max_steering_rad!r}")


LIMITS = Limits()


def max_curvature_per_m(speeds_mps: Numbers, limits: Limits = LIMITS, car: Car = CAR) -> Numbers:
    """The tightest curvature at each speed: the least of what steering, tyres and yaw rate allow."""
    speeds = np.maximum(np.abs(speeds_mps), 1e-3)
    by_tyres = limits.max_lateral_acceleration_mps2 / speeds**2
    by_yaw_rate = limits.max_yaw_rate_radps / speeds
    return np.minimum(np.minimum(by_tyres, by_yaw_rate), car.curvature_per_m(limits.max_steering_rad))


def arc_step(
    poses: Float[np.ndarray, "*batch 3"],
    distances_m: Numbers,
    curvatures_per_m: Numbers,
) -> Float[np.ndarray, "*batch 3"]:
    """Drive a circular arc: poses (..., 3) after ``distances_m`` (...,) at ``curvatures_per_m`` (...,)."""
    half_turn = distances_m * curvatures_per_m / 2
    # The chord of an arc points along the mean of its end headings; np.sinc(x) is sin(pi x) / (pi x).
    chord = distances_m * np.sinc(half_turn / np.pi)
    direction = poses[..., 2] + half_turn
    return np.stack(
        [
            poses[..., 0] + chord * np.cos(direction),
            poses[..., 1] + chord * np.sin(direction),
            poses[..., 2] + 2 * half_turn,
        ],
        axis=-1,
    )


def speed_step(
    speeds_mps: Numbers,
    accelerations_mps2: Numbers,
    durations_s: Numbers,
    max_speed_mps: float,
) -> tuple[Numbers, Numbers]:
    """Distances (...,) and final speeds (...,) at constant acceleration; a car that stops stays, at top speed it holds.

    Exact: the speed is a ramp that ends where it meets 0 or ``max_speed_mps``.
    """
    final = np.minimum(np.maximum(speeds_mps + accelerations_mps2 * durations_s, 0.0), max_speed_mps)
    steady = np.abs(accelerations_mps2) < 1e-12
    ramp_s = np.where(steady, durations_s, (final - speeds_mps) / np.where(steady, 1.0, accelerations_mps2))
    return (speeds_mps + final) / 2 * ramp_s + final * (durations_s - ramp_s), final


def bicycle_step(
    poses: Float[np.ndarray, "*batch 3"],
    speeds_mps: Numbers,
    accelerations_mps2: Numbers,
    curvatures_per_m: Numbers,
    duration_s: Numbers,
    limits: Limits = LIMITS,
) -> tuple[Float[np.ndarray, "*batch 3"], Numbers]:
    """One step of the kinematic bicycle with constant controls, exact for any duration.

    Args:
        poses: (..., 3) rear axle.
        speeds_mps: (...,) in 0 to the top speed.
        accelerations_mps2: (...,) held until the car stands or reaches its top speed.
        curvatures_per_m: (...,) of the rear axle's path; ``Car.curvature_per_m`` gives it for a steering angle.
        duration_s: length of the step.
        limits: only the top speed is used; the controls are taken as they are.

    Returns:
        Poses (..., 3), headings not wrapped, and speeds (...,).
    """
    distances, final = speed_step(speeds_mps, accelerations_mps2, duration_s, limits.max_speed_mps)
    return arc_step(poses, distances, curvatures_per_m), final


@dataclass(frozen=True)
class Drive:
    """A motion of the bicycle: controls held over consecutive segments.

    Attributes:
        times_s: (N + 1,) the segments' bounds, from 0.
        poses: (N + 1, 3) at the bounds, headings not wrapped.
        speeds_mps: (N + 1,) at the bounds.
        accelerations_mps2, curvatures_per_m: (N,) held over each segment.
        max_speed_mps: where the speed stops growing.
    """

    times_s: Float[np.ndarray, "bounds"]
    poses: Float[np.ndarray, "bounds 3"]
    speeds_mps: Float[np.ndarray, "bounds"]
    accelerations_mps2: Float[np.ndarray, "n"]
    curvatures_per_m: Float[np.ndarray, "n"]
    max_speed_mps: float

    def sample(
        self, times_s: Float[np.ndarray, "t"]
    ) -> tuple[Float[np.ndarray, "t 3"], Float[np.ndarray, "t"], Float[np.ndarray, "t"], Float[np.ndarray, "t"]]:
        """Poses (T, 3), speeds, accelerations and yaw rates (T,) at any times from 0.

        At a bound the segment that ends there counts. After the last segment the car goes straight on at its speed.
        """
        count = len(self.accelerations_mps2)
        segment = np.searchsorted(self.times_s, times_s - 1e-9, side="right") - 1
        segment = np.clip(segment, 0, count)
        accelerations = np.append(self.accelerations_mps2, 0.0)[segment]
        curvatures = np.append(self.curvatures_per_m, 0.0)[segment]
        elapsed = times_s - self.times_s[segment]
        distances, speeds = speed_step(self.speeds_mps[segment], accelerations, elapsed, self.max_speed_mps)
        poses = arc_step(self.poses[segment], distances, curvatures)
        held = (speeds <= 0) & (accelerations < 0) | (speeds >= self.max_speed_mps) & (accelerations > 0)
        return poses, np.asarray(speeds), np.where(held, 0.0, accelerations), speeds * curvatures


def roll_bicycle(
    accelerations_mps2: Float[np.ndarray, "n"],
    curvatures_per_m: Float[np.ndarray, "n"],
    durations_s: Float[np.ndarray, "n"],
    speed_mps: float,
    limits: Limits = LIMITS,
) -> Drive:
    """Drive N segments of constant controls from the origin, heading along x.

    Args:
        accelerations_mps2: (N,).
        curvatures_per_m: (N,).
        durations_s: (N,).
        speed_mps: at the start.
        limits: only the top speed is used.
    """
    count = len(durations_s)
    poses, speeds = np.zeros((count + 1, 3)), np.zeros(count + 1)
    speeds[0] = speed_mps
    for i in range(count):
        poses[i + 1], speeds[i + 1] = bicycle_step(
            poses[i], speeds[i], accelerations_mps2[i], curvatures_per_m[i], durations_s[i], limits
        )
    times = np.concatenate([[0.0], np.cumsum(durations_s)])
    return Drive(
        times, poses, speeds, np.asarray(accelerations_mps2), np.asarray(curvatures_per_m), limits.max_speed_mps
    )


def acceleration_for_distance(speed_mps: float, distance_m: float, duration_s: float) -> float:
    """The constant acceleration that covers a distance in a duration, stopping on the way if it has to."""
    if 2 * distance_m >= speed_mps * duration_s:
        return 2 * (distance_m - speed_mps * duration_s) / duration_s**2
    return -(speed_mps**2) / (2 * max(distance_m, 1e-9))


def violations(
    trajectory: Trajectory, limits: Limits = LIMITS, car: Car = CAR, tolerance: float = 1e-3
) -> dict[str, float]:
    """By how much a trajectory exceeds what a car can do, per limit; empty if a car can follow it.

    Args:
        trajectory: any motion sampled at frame times.
        limits: the limits.
        car: gives the curvature of a steering angle.
        tolerance: excess that is forgiven, in the unit of each limit.

    Returns:
        Largest excess over each limit that is exceeded, in the unit of its name: reverse_mps, speed_mps,
        acceleration_mps2, braking_mps2, steering_yaw_rate_radps (yaw rate beyond that of full lock),
        lateral_acceleration_mps2, yaw_rate_radps.
    """
    speeds, yaw_rates = trajectory.speeds_mps, trajectory.yaw_rates_radps
    return motion_violations(speeds, trajectory.accelerations_mps2, yaw_rates, limits, car, tolerance)


def motion_violations(
    speeds_mps: Float[np.ndarray, "t"],
    accelerations_mps2: Float[np.ndarray, "t"],
    yaw_rates_radps: Float[np.ndarray, "t"],
    limits: Limits = LIMITS,
    car: Car = CAR,
    tolerance: float = 1e-3,
) -> dict[str, float]:
    """``violations`` of a motion given by its rates, each (T,)."""
    turning = np.abs(yaw_rates_radps)
    # Steering is compared as yaw rate beyond what full lock gives, so that standstill divides by nothing.
    beyond_lock = turning - np.abs(speeds_mps) * car.curvature_per_m(limits.max_steering_rad)
    excess = {
        "reverse_mps": -speeds_mps,
        "speed_mps": speeds_mps - limits.max_speed_mps,
        "acceleration_mps2": accelerations_mps2 - limits.max_acceleration_mps2,
        "braking_mps2": -accelerations_mps2 - limits.max_braking_mps2,
        "steering_yaw_rate_radps": beyond_lock,
        "lateral_acceleration_mps2": np.abs(speeds_mps) * turning - limits.max_lateral_acceleration_mps2,
        "yaw_rate_radps": turning - limits.max_yaw_rate_radps,
    }
    worst = {name: float(values.max(initial=0.0)) for name, values in excess.items()}
    return {name: value for name, value in worst.items() if value > tolerance}
