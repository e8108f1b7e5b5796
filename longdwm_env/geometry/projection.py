"""The nearest motion that a car can follow to waypoints that no car can.

The motions searched are those of the kinematic bicycle with steering and acceleration held from one waypoint to the
next. On this set the inverse has a closed form (the arc that leaves along the present heading and ends at the next
waypoint is unique), so a motion that came out of here is recognised and left alone.
"""

import math

import numpy as np
from jaxtyping import Float

from longdwm_env.geometry.kinematics import (
    CAR,
    LIMITS,
    Car,
    Drive,
    Limits,
    acceleration_for_distance,
    max_curvature_per_m,
    roll_bicycle,
    speed_step,
)

PASS_TOLERANCE_M = 1e-3
"""A motion that comes this near to a waypoint passes through it."""

MAX_WAYPOINTS_AT_ONCE = 8
"""Longer plans are projected piece by piece: half of these waypoints are settled at a time, the rest look ahead."""

_MAX_ITERATIONS = 12
_DAMPINGS = np.array([1e-8, 1e-3, 1e-1, 10.0])


def nearest_drive(
    waypoints_m: Float[np.ndarray, "w 2"],
    times_s: Float[np.ndarray, "w"],
    speed_mps: float,
    limits: Limits = LIMITS,
    car: Car = CAR,
) -> Drive:
    """Drive as near to waypoints as a car can: the sum of squared distances to them is least.

    Bounded least squares over the controls of each segment by Levenberg-Marquardt steps. The result is a rollout of the
    bicycle whose controls are clipped to the limits, so it obeys them by construction. It is deterministic, and a local
    minimum where there are several. If a motion of this kind passes through all waypoints, it is returned.

    Args:
        waypoints_m: (W, 2) in the ego frame at the start, W >= 1.
        times_s: (W,) increasing, above 0.
        speed_mps: at the start, 0 to the top speed.
        limits: what the car can do.
        car: gives the curvature of a steering angle.

    Returns:
        The drive, one segment for each waypoint.
    """
    durations = np.diff(times_s, prepend=0.0)
    problem = _Problem(limits, car)
    controls = np.zeros((0, 2))
    pose, speed, first = np.zeros(3), speed_mps, 0
    while first < len(durations):
        ahead = slice(first, first + MAX_WAYPOINTS_AT_ONCE)
        last = ahead.stop >= len(durations)
        settled = MAX_WAYPOINTS_AT_ONCE if last else MAX_WAYPOINTS_AT_ONCE // 2
        found = problem.solve(waypoints_m[ahead], durations[ahead], pose, speed)[:settled]
        controls = np.concatenate([controls, found])
        poses, speeds = problem.roll(found.reshape(1, -1), durations[ahead][:settled], pose, speed)
        pose, speed, first = poses[0, -1], float(speeds[0, -1]), first + settled
    accelerations, curvatures = problem.physical(controls, durations, speed_mps)
    return roll_bicycle(accelerations, curvatures, durations, speed_mps, limits)


class _Problem:
    """Controls are (acceleration m/s2, fraction of the tightest curvature): their limits are a box, at any speed."""

    def __init__(self, limits: Limits, car: Car) -> None:
        self.limits, self.car = limits, car
        self.low = np.array([-limits.max_braking_mps2, -1.0])
        self.high = np.array([limits.max_acceleration_mps2, 1.0])

    def roll(
        self, controls: np.ndarray, durations: np.ndarray, pose: np.ndarray, speed: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Poses (B, N, 3) and speeds (B, N) at the ends of N segments, for B sets of controls (B, 2 N)."""
        accelerations, fractions = controls[:, 0::2], controls[:, 1::2]
        starts = np.empty((len(controls), len(durations) + 1))
        starts[:, 0] = speed
        for i, duration in enumerate(durations):
            faster = starts[:, i] + accelerations[:, i] * duration
            starts[:, i + 1] = np.minimum(np.maximum(faster, 0.0), self.limits.max_speed_mps)
        distances, finals = speed_step(starts[:, :-1], accelerations, durations, self.limits.max_speed_mps)
        tightest = max_curvature_per_m(np.maximum(starts[:, :-1], finals), self.limits, self.car)
        half_turns = distances * fractions * tightest / 2
        headings = pose[2] + 2 * np.cumsum(half_turns, axis=1)
        # The chord of an arc points along the mean of its end headings, as in ``arc_step``.
        chords, directions = distances * np.sinc(half_turns / np.pi), headings - half_turns
        x = pose[0] + np.cumsum(chords * np.cos(directions), axis=1)
        y = pose[1] + np.cumsum(chords * np.sin(directions), axis=1)
        return np.stack([x, y, headings], axis=-1), np.asarray(finals)

    def physical(self, controls: np.ndarray, durations: np.ndarray, speed: float) -> tuple[np.ndarray, np.ndarray]:
        """Accelerations (N,) and curvatures (N,) of controls (N, 2)."""
        curvatures = np.empty(len(controls))
        for i, (acceleration, fraction) in enumerate(controls):
            _, final = speed_step(speed, acceleration, durations[i], self.limits.max_speed_mps)
            fastest = np.maximum(speed, final)
            curvatures[i] = fraction * max_curvature_per_m(fastest, self.limits, self.car)
            speed = float(final)
        return controls[:, 0], curvatures

    def pursue(self, waypoints: np.ndarray, durations: np.ndarray, pose: np.ndarray, speed: float) -> np.ndarray:
        """Controls (N, 2) that aim at each waypoint in turn from where the car then is, as far as the limits let it."""
        controls = np.zeros((len(durations), 2))
        top = self.limits.max_speed_mps
        x, y, heading = (float(v) for v in pose)
        for i, duration in enumerate(durations.tolist()):
            dx, dy = waypoints[i, 0] - x, waypoints[i, 1] - y
            chord = math.hypot(dx, dy)
            aside = (math.atan2(dy, dx) - heading + math.pi) % (2 * math.pi) - math.pi
            if chord < 1e-6 or abs(aside) > 0.75 * math.pi:
                # There is nothing to drive, or it lies behind: straight on and brake.
                distance, curvature = 0.0, 0.0
            else:
                curvature = 2 * math.sin(aside) / chord
                distance = chord * aside / math.sin(aside) if abs(aside) > 1e-9 else chord
            acceleration = acceleration_for_distance(speed, distance, duration)
            if speed + acceleration * duration > top and distance < top * duration:
                acceleration = (top - speed) ** 2 / (2 * (top * duration - distance))
            acceleration = min(max(acceleration, self.low[0]), self.high[0])
            driven, final = speed_step(speed, acceleration, duration, top)
            tightest = float(max_curvature_per_m(np.maximum(speed, final), self.limits, self.car))
            fraction = min(max(curvature / tightest, -1.0), 1.0)
            controls[i] = acceleration, fraction
            half_turn = float(driven) * fraction * tightest / 2
            reach = float(driven) * float(np.sinc(half_turn / math.pi))
            x, y = x + reach * math.cos(heading + half_turn), y + reach * math.sin(heading + half_turn)
            heading, speed = heading + 2 * half_turn, float(final)
        return controls

    def solve(self, waypoints: np.ndarray, durations: np.ndarray, pose: np.ndarray, speed: float) -> np.ndarray:
        """Controls (N, 2) with the least sum of squared distances to the waypoints (N, 2)."""
        count = len(durations)
        low, high = np.tile(self.low, count), np.tile(self.high, count)

        def misses(controls: np.ndarray) -> np.ndarray:
            poses, _ = self.roll(controls.reshape(-1, 2 * count), durations, pose, speed)
            return np.asarray((poses[..., :2] - waypoints).reshape(*controls.shape[:-1], 2 * count))

        pursuit = self.pursue(waypoints, durations, pose, speed).reshape(-1)
        if np.abs(misses(pursuit)).max() < PASS_TOLERANCE_M:
            return pursuit.reshape(-1, 2)
        # There may be several minima: descend from S starts at once, which costs little more than from one.
        average = np.tile(np.clip(pursuit.reshape(-1, 2).mean(axis=0), self.low, self.high), count)
        best = np.stack([pursuit, pursuit / 2, average, np.zeros(2 * count)])
        miss = misses(best)
        cost = np.einsum("si,si->s", miss, miss)
        for _ in range(_MAX_ITERATIONS):
            # Differences are taken towards the middle of the box, so that no probe leaves it.
            probe = np.where(best > (low + high) / 2, -1e-6, 1e-6)
            probed = misses(best[:, None] + probe[:, :, None] * np.eye(2 * count))
            jacobian = (probed - miss[:, None]) / probe[:, :, None]
            gradient = np.einsum("sij,sj->si", jacobian, miss)
            held = ((best <= low) & (gradient > 0)) | ((best >= high) & (gradient < 0))
            jacobian[held] = 0.0
            normal = jacobian @ jacobian.transpose(0, 2, 1)
            scale = np.einsum("sii->si", normal) + 1e-9
            damped = _DAMPINGS[:, None] * scale[:, None] + np.where(held, 1.0, 1e-12)[:, None]
            systems = normal[:, None] + damped[..., None] * np.eye(2 * count)
            wanted = np.where(held, 0.0, gradient)[:, None, :, None]
            steps = np.linalg.solve(systems, np.repeat(wanted, len(_DAMPINGS), axis=1))[..., 0]
            candidates = np.minimum(np.maximum(best[:, None] - steps, low), high)
            missed = misses(candidates)
            costs = np.einsum("sdi,sdi->sd", missed, missed)
            chosen, lowest = costs.argmin(axis=1), costs.min(axis=1)
            gained = lowest < cost
            best[gained], miss[gained] = candidates[gained, chosen[gained]], missed[gained, chosen[gained]]
            settled = cost - lowest <= 1e-5 * cost
            cost = np.minimum(cost, lowest)
            if settled.all() or np.abs(miss).max(axis=1).min() < PASS_TOLERANCE_M:
                break
        return np.asarray(best[cost.argmin()].reshape(-1, 2))
