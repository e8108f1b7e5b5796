"""How the actions of a drive come about. A plan drives the simulator, since only there do all road users react to it.

- ``log``: what the simulator's own driver does, for a few seconds; in every fourth scene with steering and braking
  added that regards neither lanes nor traffic.
- ``long``: the same driver, sober, for as long as asked; he stops for others and follows the road through junctions.
- ``varied``: for each action mode, commands that turn both ways and change speed, and still stay on the road.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from gymnasium import spaces

from longdwm_env.actions import COMMANDS, Action, ActionMode, action_space, trajectory_from_action
from longdwm_env.agents.policies.privileged import trace_lane
from longdwm_env.agents.policy import PolicyContext
from longdwm_env.clock import FRAMES_PER_INTERVAL, WAYPOINT_TIMES_S
from longdwm_env.env import LongDWMEnv
from longdwm_env.evaluation.drives.recorder import Drive, Driver, Recorder
from longdwm_env.geometry.boxes import body_poses
from longdwm_env.geometry.camera import project_points
from longdwm_env.geometry.kinematics import CAR, LIMITS, speed_step
from longdwm_env.geometry.pose import compose, relative_to
from longdwm_env.simulator.counted_random import generator
from longdwm_env.simulator.traffic.ego_driver import drive as simulator_plan
from longdwm_env.types import Camera, EgoState, FloatArray, RoadMap

PERTURBED_EVERY = 4
"""Every fourth scene of the log is driven with perturbations."""

ASIDE_M, HARDEST_MPS2 = 1.5, 6.0
"""A perturbation aims this far (one standard deviation) beside the log after two seconds, and brakes by up to this."""

WEAVE_M = 0.8
"""Varied commands aim this far (one standard deviation) beside the middle of the lane."""

LEAST_MEAN_SPEED_MPS = 4.0
"""A long drive that covers less was spent waiting and shows little."""

ATTEMPTS = 40
"""Varied commands are drawn this often for a scene until a sequence stays on the road."""

COMMAND_SHARES = (0.4, 0.22, 0.22, 0.16)
"""How often each of ``actions.COMMANDS`` is drawn."""


class Rejected(Exception):
    """A scene that a plan has no drive for; the message says why."""


@dataclass(frozen=True)
class LogPlan:
    """The simulator's own driver, and what is added to it.

    Attributes:
        style: of the driver; None for one that changes every few seconds, often for the worse.
        perturbed: whether every fourth scene is perturbed.
        least_mean_speed_mps: scenes in which less is covered are rejected.
    """

    seconds: int
    style: str | None = None
    perturbed: bool = True
    least_mean_speed_mps: float = 0.0

    @property
    def name(self) -> str:
        """Of the set of drives."""
        return f"log-{self.seconds}s" if self.style is None else f"{self.style.replace(' ', '-')}-{self.seconds}s"

    def perturbs(self, seed: int) -> bool:
        """Whether a scene is driven with perturbations."""
        return self.perturbed and seed % PERTURBED_EVERY == PERTURBED_EVERY - 1

    def drive(self, simulator: Driver, seed: int) -> Drive:
        """Drive a scene in the simulator.

        Raises:
            Rejected: the drive ends before its time.
        """
        kind = "perturbed" if self.perturbs(seed) else "log"
        recorder = Recorder(simulator.environment("trajectory"), seed, kind)
        rng = generator(seed, "perturbations")
        for second in range(self.seconds):
            planned = simulator_plan(recorder.state.world_state, seed, self.style)
            waypoints = np.array(planned.waypoints_m)
            if kind == "perturbed":
                waypoints = _perturbed(waypoints, recorder.state.ego, rng)
            _step(recorder, _in_space("trajectory", waypoints), second)
        drive = recorder.drive()
        if drive.speeds_mps.mean() < self.least_mean_speed_mps:
            raise Rejected(f"it moves at {drive.speeds_mps.mean():.1f} m/s on average")
        return drive


@dataclass(frozen=True)
class VariedPlan:
    """Commands of one action mode that turn both ways and change speed.

    Attributes:
        action_mode: of the four.
        seconds: to drive.
    """

    action_mode: ActionMode
    seconds: int = 4

    @property
    def name(self) -> str:
        """Of the set of drives."""
        return f"varied-{self.action_mode}-{self.seconds}s"

    def drive(self, simulator: Driver, seed: int) -> Drive:
        """Drive a scene in the simulator by the first sequence that stays on the road without a collision.

        Raises:
            Rejected: no sequence does.
        """
        environment = simulator.environment(self.action_mode)
        tried = 0
        for attempt in range(ATTEMPTS):
            recorder = Recorder(environment, seed, self.action_mode)
            actions = self._actions(environment, recorder.state.ego, generator(seed, self.action_mode, attempt))
            if actions is None:
                continue
            tried += 1
            try:
                for second, action in enumerate(actions):
                    _step(recorder, action, second)
            except Rejected:
                # After three collisions there is no room here: drawing pictures is the dear part.
                if tried == 3:
                    break
                continue
            return recorder.drive()
        raise Rejected(f"no sequence of {self.action_mode} actions stays on the road")

    def _actions(self, environment: LongDWMEnv, start: EgoState, rng: np.random.Generator) -> list[Action] | None:
        """Actions that stay on the road, none of the road's users considered; None if these do not."""
        road_map, camera = environment.scene.road_map, environment.get_state().camera
        context = PolicyContext.of(environment)
        assert road_map is not None
        ego = start
        actions: list[Action] = []
        for _ in range(self.seconds):
            action = self._action(ego, road_map, camera, context, rng)
            planned = trajectory_from_action(self.action_mode, action, ego, camera)
            poses = compose(ego.pose, planned.poses[:FRAMES_PER_INTERVAL])
            if not road_map.drivable(body_poses(poses, CAR)[:, :2]).all():
                return None
            last = FRAMES_PER_INTERVAL - 1
            motion = (planned.speeds_mps[last], planned.accelerations_mps2[last], planned.yaw_rates_radps[last])
            ego = EgoState(*map(float, poses[-1]), *map(float, motion))
            actions.append(action)
        return actions

    def _action(
        self, ego: EgoState, road_map: RoadMap, camera: Camera, context: PolicyContext, rng: np.random.Generator
    ) -> Action:
        if self.action_mode == "command":
            return int(rng.choice(len(COMMANDS), p=COMMAND_SHARES))
        waypoints = _varied_waypoints(ego, road_map, rng)
        if self.action_mode == "goal":
            # Farther than where it will be in two seconds, or the car would stop there.
            ahead = np.linalg.norm(waypoints[-1])
            aim = waypoints[-1] * max(float(rng.uniform(0.8, 1.6)), 6.0 / max(float(ahead), 0.1))
            pixels, depths = project_points(camera, np.array([[max(float(aim[0]), 6.0), float(aim[1]), 0.0]]))
            height, width = camera.intrinsics.image_size
            shares = (pixels[0] + 0.5) / [width, height] if depths[0] > 0 else np.array([0.5, 0.5])
            return _in_space("goal", np.clip(shares, 0, 1))
        return _in_space(self.action_mode, context.action_from_waypoints(waypoints, ego.speed_mps))


def _varied_waypoints(ego: EgoState, road_map: RoadMap, rng: np.random.Generator) -> FloatArray:
    """Waypoints (4, 2) along the lane with another speed and beside its middle, in the ego frame."""
    acceleration = float(rng.uniform(-4.0, 2.5)) if rng.random() < 0.7 else 0.0
    aside = float(rng.normal(0, WEAVE_M))
    times = np.array(WAYPOINT_TIMES_S)
    speeds = np.full(4, max(ego.speed_mps, 0.5))
    lengths = np.asarray(speed_step(speeds, np.full(4, acceleration), times, LIMITS.max_speed_mps)[0])
    path, lateral = trace_lane(road_map, ego.pose, 10.0 + float(lengths[-1]))
    progress = lengths / max(float(lengths[-1]), 1e-6)
    return seen_from(ego, beside(path.at(lengths), eased(progress, lateral, aside)))


def eased(shares: FloatArray, first: float, last: float) -> FloatArray:
    """From one number to another, without a jolt at either end; at the last from a share of 1 on."""
    shares = np.minimum(shares, 1.0)
    return first + (last - first) * (shares**2 * (3 - 2 * shares))


def beside(places: FloatArray, offsets_m: FloatArray) -> FloatArray:
    """Poses (N, 3) moved to the left by offsets (N,)."""
    moved = places.copy()
    moved[:, 0] -= offsets_m * np.sin(places[:, 2])
    moved[:, 1] += offsets_m * np.cos(places[:, 2])
    return moved


def seen_from(ego: EgoState, places: FloatArray) -> FloatArray:
    """Positions (N, 2) of poses (N, 3) in the ego's frame."""
    return relative_to(places, np.broadcast_to(ego.pose, places.shape))[:, :2]


def _perturbed(waypoints: FloatArray, ego: EgoState, rng: np.random.Generator) -> FloatArray:
    """A plan with steering and braking added that ignores other road users."""
    acceleration = float(rng.uniform(-HARDEST_MPS2, HARDEST_MPS2 / 2)) * float(rng.random())
    aside = float(rng.normal(0, ASIDE_M))
    times = np.array(WAYPOINT_TIMES_S)
    distances, _ = speed_step(np.full(4, ego.speed_mps), np.full(4, acceleration), times, LIMITS.max_speed_mps)
    coasting = np.maximum(ego.speed_mps * times, 1e-3)
    progress = times / times[-1]
    changed = waypoints * (np.asarray(distances) / coasting)[:, None]
    changed[:, 1] += aside * progress**2 * (3 - 2 * progress) * min(1.0, ego.speed_mps / 5.0)
    return changed


def _step(recorder: Recorder, action: Action, second: int) -> None:
    reason = recorder.step(action)
    if reason:
        raise Rejected(f"it ends after {second + 1} s at most: {reason}")


def _in_space(mode: ActionMode, action: Action) -> Action:
    space = cast(spaces.Box, action_space(mode))
    return np.clip(np.asarray(action, np.float64), space.low, space.high).astype(np.float32)
