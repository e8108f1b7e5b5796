"""The built-in scenes: a road, traffic and a few seconds of driving before the start, all from one number."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import numpy as np

from longdwm_env.clock import FPS
from longdwm_env.errors import InvalidScene
from longdwm_env.simulator.conditions import (
    TIMES_OF_DAY,
    WEATHERS,
    Conditions,
    caption,
    conditions_from_prompt,
)
from longdwm_env.simulator.counted_random import generator
from longdwm_env.simulator.drawing.camera_picture import draw_frame
from longdwm_env.simulator.roads.painted_map import PaintedRoadMap
from longdwm_env.simulator.roads.road_kinds import RoadPlan, road_plan
from longdwm_env.simulator.traffic import population
from longdwm_env.simulator.traffic.stepping import step
from longdwm_env.simulator.traffic.traffic_state import EGO, Traffic, ego_pose
from longdwm_env.simulator.traffic.vehicle_kinds import EGO_SHARES, VEHICLE_KINDS, draw_driver, draw_style
from longdwm_env.types import (
    Camera,
    EgoState,
    FloatArray,
    Images,
    ImageSize,
    Intrinsics,
    Mounting,
    Scene,
    wrap_angle,
)

TEST_SEEDS_START = 1_000_000
"""Scenes from here on are kept for testing: nothing trains on them."""

KEY_PREFIX = "simulator:"
NUM_PAST = 4 * FPS
CAMERA_SIZE: ImageSize = (96, 144)
WEATHER_SHARES = (0.54, 0.18, 0.28)
TIME_SHARES = (0.54, 0.2, 0.26)
ATTEMPTS = 8

_EVENTS = {"none": 0.5, "close leader": 0.14, "cut in": 0.12, "hard brake": 0.12, "drifting traffic": 0.12}


@dataclass(frozen=True, eq=False)
class Episode:
    """Everything about a built-in scene that does not change while it is driven, and how it came to its start.

    One is equal to itself alone: ``episode`` gives the same one for the same seed.

    Attributes:
        seed: of the scene.
        road: the road.
        style: how the ego was driven up to the start.
        event: what is about to go wrong, "none" in half of the scenes.
        conditions: weather and time of day.
        past: the traffic at frames -NUM_PAST .. 0.
    """

    seed: int
    road: RoadPlan
    style: str
    event: str
    conditions: Conditions
    past: tuple[Traffic, ...]

    @cached_property
    def ego_poses(self) -> FloatArray:
        """(NUM_PAST + 1, 3) poses of the ego's rear axle up to the start."""
        return np.stack([ego_pose(one) for one in self.past])

    @property
    def start(self) -> EgoState:
        """The ego at the start, its motion as in the last frame before it."""
        poses = self.ego_poses
        speeds = [float(one.speeds_mps[EGO]) for one in self.past[-2:]]
        turned = float(wrap_angle(poses[-1, 2] - poses[-2, 2]))
        x, y, heading = (float(value) for value in poses[-1])
        return EgoState(x, y, heading, speeds[1], (speeds[1] - speeds[0]) * FPS, turned * FPS)


@dataclass
class SimulatorLog:
    """The seconds before the start, drawn when they are asked for; a ``types.SceneLog``."""

    episode: Episode
    conditions: Conditions
    num_past: int = NUM_PAST
    num_future: int = 0
    ego_poses: FloatArray | None = field(init=False)

    def __post_init__(self) -> None:
        self.ego_poses = self.episode.ego_poses

    def prompted(self, prompt: str) -> "SimulatorLog":
        """The same moments in the weather and at the time that the prompt names."""
        conditions = conditions_from_prompt(prompt, self.episode.conditions)
        assert conditions is not None
        return replace(self, conditions=conditions)

    def images(self, first: int, count: int, camera: Camera) -> Images:
        """(count, H, W, 3) frames ``first`` .. as ``camera`` would have seen them."""
        if count < 0 or first + count - 1 > 0:
            raise ValueError(f"frames {first} to {first + count - 1} were asked for; the record ends at frame 0")
        height, width = camera.intrinsics.image_size
        frames = np.empty((count, height, width, 3), np.uint8)
        for i in range(count):
            index = max(first + i, -self.num_past)
            if i and index == max(first + i - 1, -self.num_past):
                frames[i] = frames[i - 1]
                continue
            frames[i] = _past_frame(self.episode, index, self.conditions, camera)
        return frames


@lru_cache(maxsize=64)
def _past_frame(one: Episode, index: int, conditions: Conditions, camera: Camera) -> Images:
    """A frame before the start, (H, W, 3): policies and worlds are compared from the same start."""
    return draw_frame(one.road, one.seed, one.past[index - 1], index, conditions, camera)


def default_camera(seed: int, image_size: ImageSize = CAMERA_SIZE) -> Camera:
    """A front camera about like nuScenes': 65 to 70 degrees wide, 1.5 m high, 1.7 m ahead of the rear axle."""
    rng = generator(seed, "camera")
    fov = float(np.deg2rad(rng.uniform(65, 70)))
    return Camera(Intrinsics.from_fov(fov, image_size), Mounting((1.7, 0.0, round(float(rng.uniform(1.46, 1.56)), 3))))


@lru_cache(maxsize=64)
def episode(seed: int, style: str | None = None) -> Episode:
    """The built-in episode of a seed; ``style`` overrides how the ego is driven up to the start."""
    road = road_plan(seed)
    rng = generator(seed, "conditions")
    weather = WEATHERS[int(rng.choice(3, p=WEATHER_SHARES))]
    conditions = Conditions(weather, TIMES_OF_DAY[int(rng.choice(3, p=TIME_SHARES))])
    for attempt in range(ATTEMPTS):
        rng = generator(seed, "start", attempt)
        chosen = draw_style(rng, EGO_SHARES) if style is None else style
        event = draw_style(rng, _EVENTS) if attempt < ATTEMPTS - 2 else "none"
        past = _driven_past(road, rng, chosen, event, seed)
        if not any(one.crashed_s[EGO] for one in past):
            break
    return Episode(seed, road, chosen, event, conditions, past)


def _driven_past(road: RoadPlan, rng: np.random.Generator, style: str, event: str, seed: int) -> tuple[Traffic, ...]:
    lane = int(rng.choice(road.start_lanes))
    along = float(rng.uniform(*road.start_range_m))
    arrays = population.first_vehicles(road, rng, draw_driver(rng, style), lane, along)
    now = _off_nominal(Traffic(**arrays), rng, event)
    past = [now]
    for frame in range(-NUM_PAST + 1, 1):
        if event == "cut in" and frame == -8:
            now = _cut_in(road, now)
        now = step(road, now, seed, frame)
        past.append(now)
    return tuple(past)


def _off_nominal(now: Traffic, rng: np.random.Generator, event: str) -> Traffic:
    """Prepare what is about to go wrong, and put the ego a little beside its lane's middle."""
    positions, headings = now.positions_m.copy(), now.headings_rad.copy()
    heading = headings[EGO]
    aside = float(rng.normal(0, 0.25))
    positions[EGO] += aside * np.array([-np.sin(heading), np.cos(heading)])
    headings[EGO] += float(rng.normal(0, 0.02))
    drivers, speeds = now.drivers.copy(), now.speeds_mps.copy()
    delta = now.positions_m - now.positions_m[EGO]
    forward = delta[:, 0] * np.cos(heading) + delta[:, 1] * np.sin(heading)
    leaders = np.flatnonzero((now.lanes == now.lanes[EGO]) & (forward > 5))
    if event in ("close leader", "hard brake") and len(leaders):
        leader = leaders[forward[leaders].argmin()]
        drivers[leader, 0] = 0.5 * drivers[EGO, 0]
        speeds[leader] = 0.6 * speeds[EGO]
        if event == "hard brake":
            drivers[leader, -1] = 1.0
    if event == "drifting traffic":
        drivers[1:, 8] = np.maximum(drivers[1:, 8], 0.7)
        drivers[1:, 9] = 1.9
    return replace(now, positions_m=positions, headings_rad=headings, drivers=drivers, speeds_mps=speeds)


def _cut_in(road: RoadPlan, now: Traffic) -> Traffic:
    """Send the nearest vehicle of a lane beside into the ego's, ready or not."""
    lane = now.lanes[EGO]
    delta = now.positions_m - now.positions_m[EGO]
    heading = now.headings_rad[EGO]
    forward = delta[:, 0] * np.cos(heading) + delta[:, 1] * np.sin(heading)
    beside = np.isin(now.lanes, [road.table.lefts[lane], road.table.rights[lane]]) & (now.lanes >= 0)
    candidates = np.flatnonzero(beside & (forward > 6) & (forward < 45))
    if not len(candidates):
        return now
    targets = now.targets.copy()
    targets[candidates[forward[candidates].argmin()]] = lane
    return replace(now, targets=targets)


def critical_objects(one: Traffic) -> str:
    """What the ego must watch, nearest first, in words."""
    heading = one.headings_rad[EGO]
    delta = one.positions_m - one.positions_m[EGO]
    forward = delta[:, 0] * np.cos(heading) + delta[:, 1] * np.sin(heading)
    left = -delta[:, 0] * np.sin(heading) + delta[:, 1] * np.cos(heading)
    facing = np.cos(one.headings_rad - heading)
    seen = np.flatnonzero((forward > 3) & (forward < 60) & (np.abs(left) < 0.6 * forward + 2))
    seen = seen[seen != EGO]
    names = []
    for row in seen[np.argsort(forward[seen], kind="stable")][:3]:
        side = "ahead" if abs(left[row]) < 2 else "on the left" if left[row] > 0 else "on the right"
        if facing[row] < -0.5:
            side = "coming towards us"
        elif abs(facing[row]) <= 0.5:
            side = "crossing"
        kind = VEHICLE_KINDS[one.kinds[row]]
        names.append(f"{'an' if kind == 'suv' else 'a'} {kind.replace('suv', 'SUV')} {side}")
    if not names:
        return "No vehicle is close"
    text = ", ".join(names)
    return text[0].upper() + text[1:]


@lru_cache(maxsize=64)
def builtin_scene(seed: int) -> Scene:
    """The built-in scene of a seed, the same at every call and in every process.

    Raises:
        InvalidScene: the seed is negative.
    """
    if seed < 0:
        raise InvalidScene(f"built-in scenes are numbered from 0, there is no scene {seed}")
    one = episode(int(seed))
    return Scene(
        key=f"{KEY_PREFIX}{seed}",
        log=SimulatorLog(one, one.conditions),
        camera=default_camera(seed),
        start=one.start,
        prompt=caption(one.conditions, one.road.description, critical_objects(one.past[-1])),
        road_map=PaintedRoadMap(one.road.table, one.road, int(seed)),
        actors=None,
    )


def seed_of_key(key: str) -> int:
    """The seed of a built-in scene's key.

    Raises:
        InvalidScene: the key is not one of a built-in scene.
    """
    number = key.removeprefix(KEY_PREFIX)
    if not key.startswith(KEY_PREFIX) or not number.isdecimal():
        raise InvalidScene(
            f"the simulator drives only its own scenes, called '{KEY_PREFIX}<number>', not {key!r}: photographs and "
            "recorded scenes have no road and no traffic behind them. Choose another world for this scene."
        )
    return int(number)


def camera_json(camera: Camera) -> str:
    """A camera as JSON text."""
    inside, mounting = camera.intrinsics, camera.mounting
    value: Mapping[str, object] = {
        "intrinsics": [inside.fx_px, inside.fy_px, inside.cx_px, inside.cy_px, inside.width_px, inside.height_px],
        "translation_m": list(mounting.translation_m),
        "rotation_wxyz": list(mounting.rotation_wxyz),
    }
    return json.dumps(value)


def camera_from_json(text: str) -> Camera:
    """The inverse of ``camera_json``."""
    value = json.loads(text)
    intrinsics = Intrinsics(*value["intrinsics"])
    return Camera(intrinsics, Mounting(tuple(value["translation_m"]), tuple(value["rotation_wxyz"])))
