"""Footage from the reference simulator: good driving, bad driving, and excursions that no driver would choose.

A world model that has only seen good driving cannot show what bad driving does. Every clip alternates between the
episode's own driver (which may be a swerver, a hard braker, one who leaves the lane) and *excursions*: random plans
that steer and brake without regard for lanes or traffic, as a policy under training would.
"""

import ast
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from longdwm_env import simulator
from longdwm_env.clock import FPS, FRAMES_PER_INTERVAL
from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.boxes import times_to_collision_s
from longdwm_env.geometry.kinematics import Car
from longdwm_env.geometry.layout import layout_along
from longdwm_env.geometry.map_view.scenery import scenery_along
from longdwm_env.geometry.pose import compose
from longdwm_env.geometry.spline import plan_trajectory
from longdwm_env.simulator.conditions import TIMES_OF_DAY, WEATHERS, Conditions, caption
from longdwm_env.simulator.drawing.camera_picture import draw_frame
from longdwm_env.simulator.roads.painted_map import PaintedRoadMap
from longdwm_env.simulator.roads.road_map import LaneRoadMap
from longdwm_env.simulator.scene import (
    NUM_PAST,
    TEST_SEEDS_START,
    Episode,
    critical_objects,
    default_camera,
    episode,
)
from longdwm_env.simulator.traffic.ego_driver import with_style
from longdwm_env.simulator.traffic.stepping import step as step_traffic
from longdwm_env.simulator.traffic.traffic_state import EGO, Traffic, ego_pose
from longdwm_env.simulator.traffic.vehicle_kinds import EGO_SHARES, draw_style
from longdwm_env.training.data.clip import BadClip, Clip, twin_key
from longdwm_env.training.draws import numbers
from longdwm_env.types import ActorTracks, EgoState, FloatArray, ImageSize, wrap_angle
from longdwm_env.worlds.simulator_world import actor_tracks

FRAMES_AFTER_CRASH = 6
"""How long footage goes on after a collision of the ego: long enough to show it, before it becomes unphysical."""
LEAST_INTERVALS = 2
SCENERY_REACH_M = 300.0
"""How far from the drive a clip knows what stands beside the road: as far as the simulator draws it."""
ATTEMPTS = 6


@dataclass(frozen=True)
class DrivingMix:
    """How the ego is driven.

    Attributes:
        excursion_ratio: share of clips with excursions.
        lateral_m: standard deviation of an excursion's sideways aim after 2 s.
        hardest_mps2: an excursion brakes by up to this, and accelerates by up to half of it.
        uniform_conditions_ratio: share of clips whose weather and time are drawn evenly, so that rare ones are learnt.
    """

    excursion_ratio: float = 0.5
    lateral_m: float = 1.8
    hardest_mps2: float = 7.0
    uniform_conditions_ratio: float = 0.6


def simulator_hash() -> str:
    """Short hash of the simulator's code, wherever in its folder it stands: its footage is not mixed with another's.

    Comments, docstrings, imports and names of files do not count.
    """
    texts = sorted(_code(path) for path in Path(simulator.__file__).parent.rglob("*.py"))
    return hashlib.blake2b("\n".join(texts).encode(), digest_size=8).hexdigest()


def _code(path: Path) -> str:
    """A file's statements in a form of their own."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:]
            node.body = [line for line in node.body if not isinstance(line, ast.Import | ast.ImportFrom)]
    return ast.unparse(tree)


def unseen_clips(
    clips: int, image_size: ImageSize, frames: int = 145, first_seed: int = TEST_SEEDS_START
) -> "SimulatorClips":
    """Clips of the seeds kept for testing: to measure on, never to train on."""
    return SimulatorClips(clips, image_size, frames, first_seed=first_seed, allow_test_seeds=True)


class SimulatorClips:
    """Clips of the built-in scenes ``first_seed`` .. ``first_seed + clips - 1``.

    Args:
        clips: how many.
        image_size: (height, width).
        frames: of a clip; one that ends in a collision is shorter, by whole intervals.
        first_seed: of the scenes.
        mix: how the ego is driven.
        allow_test_seeds: only for measuring: training never uses the reserved seeds.
        twins: the same drives in other weather or at another time of day. They teach what a prompt changes.

    Raises:
        InvalidConfig: the seeds reach into those kept for testing.
    """

    def __init__(
        self,
        clips: int,
        image_size: ImageSize,
        frames: int = 145,
        first_seed: int = 0,
        mix: DrivingMix | None = None,
        allow_test_seeds: bool = False,
        twins: bool = False,
    ) -> None:
        if first_seed < 0 or (not allow_test_seeds and first_seed + clips > TEST_SEEDS_START):
            raise InvalidConfig(
                f"seeds {first_seed} to {first_seed + clips - 1} were asked for; scenes {TEST_SEEDS_START} and above "
                "are kept for testing, nothing trains on them"
            )
        self.name, self.has_poses, self.has_labels = "simulator", True, True
        self.clips, self.image_size, self.frames, self.first_seed = clips, image_size, frames, first_seed
        self.mix = mix or DrivingMix()
        self.twins, self.allow_test_seeds = twins, allow_test_seeds

    @property
    def longest(self) -> int:
        """Frames of a clip that does not end in a collision."""
        return self.frames

    def description(self) -> dict[str, object]:
        """What decides the clips' contents."""
        return {
            "source": self.name,
            "simulator": simulator_hash(),
            "image_size": list(self.image_size),
            "frames": self.frames,
            "first_seed": self.first_seed,
            "mix": dict(vars(self.mix)),
        }

    def __len__(self) -> int:
        return self.clips

    def clip(self, index: int) -> Clip:
        """One clip: the seconds before the scene's start, and what follows.

        Raises:
            BadClip: the ego collides at once however it is driven.
        """
        seed = self.first_seed + index
        built_in = episode(seed)
        traffics: list[Traffic] = []
        for attempt in range(ATTEMPTS):
            traffics = self._drive(built_in, seed, attempt)
            if len(traffics) > LEAST_INTERVALS * FRAMES_PER_INTERVAL:
                break
        usable = (len(traffics) - 1) // FRAMES_PER_INTERVAL * FRAMES_PER_INTERVAL + 1
        if usable < LEAST_INTERVALS * FRAMES_PER_INTERVAL + 1:
            raise BadClip(f"scene {seed} ends in a collision within {usable} frames in {ATTEMPTS} attempts")
        return self._drawn(built_in, seed, traffics[:usable])

    def _drive(self, built_in: Episode, seed: int, attempt: int) -> list[Traffic]:
        """The traffic at each frame, until the clip is full or just after the ego has collided."""
        rng = numbers(seed, attempt, "excursions")
        reckless = rng.random() < self.mix.excursion_ratio
        traffics = list(built_in.past)[: self.frames]
        plan: list[tuple[FloatArray, float]] = []
        own_driver_left = int(rng.integers(0, 2 * FPS))
        crashed_for = 0
        while len(traffics) < self.frames and crashed_for <= FRAMES_AFTER_CRASH:
            now = traffics[-1]
            if not plan and own_driver_left <= 0:
                # A driver of another kind takes over, perhaps after an excursion; he brings the car back to a lane.
                style = draw_style(rng, EGO_SHARES)
                now = with_style(now, style, seed, len(traffics))
                own_driver_left = int(rng.integers(FPS, 5 * FPS))
                if reckless:
                    plan = self._excursion(now, traffics[-2], rng)
            ego = plan.pop(0) if plan else None
            own_driver_left -= ego is None
            traffics.append(step_traffic(built_in.road, now, seed, len(traffics) - NUM_PAST, ego))
            crashed_for += bool(traffics[-1].crashed_s[EGO] > 0)
        return traffics

    def _excursion(self, now: Traffic, before: Traffic, rng: np.random.Generator) -> list[tuple[FloatArray, float]]:
        """A plan that ignores other road users: (pose in the world, speed) for each of its frames."""
        start = ego_pose(now)
        speed = float(now.speeds_mps[EGO])
        yaw_rate = float(wrap_angle(start[2] - ego_pose(before)[2])) * FPS
        acceleration = float(rng.uniform(-self.mix.hardest_mps2, self.mix.hardest_mps2 / 2)) * float(rng.random())
        aside = float(rng.normal(0, self.mix.lateral_m))
        times = np.array([0.5, 1.0, 1.5, 2.0])
        until_standstill = -speed / acceleration if acceleration < 0 else np.inf
        moving = np.minimum(times, until_standstill)
        ahead = speed * moving + 0.5 * acceleration * moving**2
        progress = ahead / max(ahead[-1], 1e-6)
        bend = 0.5 * yaw_rate * moving * ahead
        waypoints = np.column_stack([ahead, bend + aside * progress**2 * (3 - 2 * progress)])
        ego = EgoState(speed_mps=speed, yaw_rate_radps=yaw_rate)
        frames = int(rng.integers(FPS, 2 * FPS + 1))
        planned = plan_trajectory(waypoints, ego)
        poses = compose(start[None], planned.poses[:frames])
        return [(pose, float(s)) for pose, s in zip(poses, planned.speeds_mps[:frames], strict=True)]

    def _drawn(self, built_in: Episode, seed: int, traffics: list[Traffic]) -> Clip:
        rng = numbers(seed, 0, "conditions")
        conditions = built_in.conditions
        if rng.random() < self.mix.uniform_conditions_ratio:
            conditions = Conditions(
                WEATHERS[rng.integers(len(WEATHERS))], TIMES_OF_DAY[rng.integers(len(TIMES_OF_DAY))]
            )
        if self.twins:
            others = [Conditions(w, t) for w in WEATHERS for t in TIMES_OF_DAY if Conditions(w, t) != conditions]
            conditions = others[numbers(seed, 0, "twin's conditions").integers(len(others))]
        camera = default_camera(seed, self.image_size)
        images = np.stack(
            [
                draw_frame(built_in.road, seed, traffic, frame - NUM_PAST, conditions, camera)
                for frame, traffic in enumerate(traffics)
            ]
        )
        poses = np.stack([ego_pose(traffic) for traffic in traffics])
        prompt = caption(conditions, built_in.road.description, critical_objects(traffics[0]))
        labels = labels_from_traffic(built_in, traffics, poses)
        labels["weather"] = np.full(len(traffics), WEATHERS.index(conditions.weather), np.float32)
        labels["time_of_day"] = np.full(len(traffics), TIMES_OF_DAY.index(conditions.time_of_day), np.float32)
        key = f"simulator:{seed}"
        road_map = PaintedRoadMap(built_in.road.table, built_in.road, seed)
        layout, scenery = layout_along(road_map, poses), scenery_along(road_map, poses, SCENERY_REACH_M)
        actors = actor_tracks(traffics, built_in.road.table, -NUM_PAST)
        key = twin_key(key) if self.twins else key
        return Clip(key, images, camera, poses, prompt, labels, layout, actors, scenery)


def labels_from_traffic(built_in: Episode, traffics: list[Traffic], poses: FloatArray) -> dict[str, np.ndarray]:
    """Ground truth per frame: motion of the ego, how it lies in its lane, how soon it would hit another."""
    speeds = np.array([traffic.speeds_mps[EGO] for traffic in traffics])
    turned = wrap_angle(np.diff(poses[:, 2], prepend=poses[0, 2]))
    road = LaneRoadMap(built_in.road.table)
    lanes = road.fit_lanes(poses)
    others = [np.arange(len(traffic.speeds_mps)) != EGO for traffic in traffics]
    most = max(int(mask.sum()) for mask in others)
    positions = np.full((len(traffics), most, 3), np.nan)
    their_speeds = np.full((len(traffics), most), np.nan)
    sizes = np.ones((most, 3))
    for frame, (traffic, mask) in enumerate(zip(traffics, others, strict=True)):
        count = int(mask.sum())
        positions[frame, :count], their_speeds[frame, :count] = traffic.poses[mask], traffic.speeds_mps[mask]
        sizes[:count] = traffic.sizes_m[mask]
    actors = ActorTracks(positions, sizes, their_speeds, tuple(str(i) for i in range(most)))
    time_to_collision = times_to_collision_s(poses, speeds, actors, Car())
    values = {
        "speed_mps": speeds,
        "yaw_rate_radps": turned * FPS,
        "lateral_m": lanes.lateral_m,
        "heading_error_rad": lanes.heading_error_rad,
        "lane_width_m": lanes.width_m,
        "drivable": road.drivable(poses[:, :2]).astype(float),
        "collided": np.array([traffic.crashed_s[EGO] > 0 for traffic in traffics], dtype=float),
        "time_to_collision_s": np.minimum(time_to_collision, 10.0),
    }
    return {name: np.asarray(array, dtype=np.float32) for name, array in values.items()}
