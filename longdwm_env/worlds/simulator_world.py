"""The reference simulator as a world: what should have happened, with traffic that reacts to the ego."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from longdwm_env.episodes.lazy_frames import Frames, stack_frames
from longdwm_env.errors import InvalidState
from longdwm_env.geometry.pose import compose
from longdwm_env.simulator import scene as scenes
from longdwm_env.simulator.conditions import Conditions, conditions_from_prompt
from longdwm_env.simulator.drawing.camera_picture import draw_frame
from longdwm_env.simulator.drawing.lights import colours_of, lights_of
from longdwm_env.simulator.roads.lane_table import LaneTable
from longdwm_env.simulator.traffic.stepping import step
from longdwm_env.simulator.traffic.traffic_state import EGO, Traffic, ego_pose, traffic_from_arrays
from longdwm_env.simulator.traffic.vehicle_kinds import SIZES_M, VEHICLE_KINDS
from longdwm_env.timing import stage
from longdwm_env.types import (
    ROAD_USER_CLASSES,
    ActorTracks,
    Camera,
    Images,
    ImageSize,
    Scene,
    Trajectory,
    WorldState,
)

ACTORS_WITHIN_M = 120.0
"""Road users nearer than this to the ego are reported."""


CLASSES = np.array([ROAD_USER_CLASSES.index(kind) for kind in VEHICLE_KINDS], np.uint8)
"""The class of each of the simulator's kinds of vehicle."""


class SimulatorWorld:
    """HighwayEnv's roads and traffic seen by our own front camera. Drives the built-in scenes only.

    Implements ``world.WorldModel`` and ``world.UndrawnWorld``: no picture decides anything here. The state holds the
    traffic as plain arrays (see ``simulator.traffic.traffic_state.Traffic``) and the ego's pose, and as values the
    scene's key, the camera, the conditions and the number of the frame.
    """

    def __init__(self, image_size: ImageSize = scenes.CAMERA_SIZE) -> None:
        self.name = "simulator"
        self.image_size = image_size

    def begin(self, scene: Scene, seed: int) -> WorldState:
        """The state at a built-in scene's start; ``seed`` changes nothing, since the scene decides all that happens.

        Raises:
            InvalidScene: the scene is not a built-in one.
        """
        scene_seed = scenes.seed_of_key(scene.key)
        one = scenes.episode(scene_seed)
        conditions = conditions_from_prompt(scene.prompt, one.conditions)
        camera = scene.camera or scenes.default_camera(scene_seed)
        assert conditions is not None
        if camera.intrinsics.image_size != self.image_size:
            camera = camera.fitted(self.image_size)
        now = one.past[-1]
        values = {
            "scene": scene.key,
            "camera": scenes.camera_json(camera),
            "weather": conditions.weather,
            "time_of_day": conditions.time_of_day,
            "frame": 0,
            "traffic": "reactive",
        }
        return WorldState(_arrays(now, ego_pose(now)), values, actor_tracks([now], one.road.table, 0))

    def advance(
        self, states: Sequence[WorldState], trajectories: Sequence[Trajectory], num_frames: int
    ) -> tuple[list[WorldState], Images]:
        """Drive each state along its trajectory; see ``world.WorldModel``."""
        following, clips = self.advance_undrawn(states, trajectories, num_frames)
        return following, stack_frames([clip.images for clip in clips])

    def advance_undrawn(
        self, states: Sequence[WorldState], trajectories: Sequence[Trajectory], num_frames: int
    ) -> tuple[list[WorldState], list[Frames]]:
        """The same, each frame drawn when it is looked at; see ``world.UndrawnWorld``."""
        results = [
            self._advance_one(state, trajectory, num_frames)
            for state, trajectory in zip(states, trajectories, strict=True)
        ]
        return [state for state, _ in results], [clip for _, clip in results]

    def _advance_one(self, state: WorldState, trajectory: Trajectory, num_frames: int) -> tuple[WorldState, Frames]:
        values = state.values
        seed = scenes.seed_of_key(values["scene"])
        road = scenes.road_plan(seed)
        conditions = Conditions(values["weather"], values["time_of_day"])
        camera = _camera(values["camera"])
        if camera.intrinsics.image_size != self.image_size:
            raise InvalidState(f"the state has a camera for {camera.intrinsics.image_size}, not {self.image_size}")
        first = int(values["frame"])
        with stage("geometry"):
            poses = compose(state.arrays["ego_pose"], trajectory.poses[:num_frames])
            steps = [traffic_from_arrays(state.arrays)]
            for i in range(num_frames):
                ego = poses[i], float(trajectory.speeds_mps[i])
                steps.append(step(road, steps[-1], seed, first + i + 1, ego))

        def draw(index: int) -> Images:
            with stage("decode"):
                number = first + index + 1
                return draw_frame(road, seed, steps[index + 1], number, conditions, camera, poses[index])

        new_values = {**values, "frame": first + num_frames, "traffic": "reactive"}
        tracks = actor_tracks(steps, road.table, first)
        return WorldState(_arrays(steps[-1], poses[-1]), new_values, tracks), Frames(num_frames, self.image_size, draw)


@lru_cache(maxsize=64)
def _camera(text: str) -> Camera:
    return scenes.camera_from_json(text)


def _arrays(now: Traffic, pose: NDArray[np.float64]) -> dict[str, NDArray[np.generic]]:
    return {**now.arrays, "ego_pose": pose.copy()}


def actor_tracks(steps: Sequence[Traffic], table: LaneTable, first: int) -> ActorTracks:
    """The boxes and looks of all who were near the ego in any of the steps.

    Who took over a row is another road user.
    """
    count = len(steps[0].lanes)
    # All moments in one row after another: most of the time is the calls, not the numbers.
    every = Traffic(**{name: np.concatenate([now.arrays[name] for now in steps]) for name in steps[0].arrays})
    moments, rows = np.divmod(np.arange(len(every.lanes)), count)
    delta = every.positions_m - every.positions_m[moments * count + EGO]
    near = (np.hypot(delta[:, 0], delta[:, 1]) < ACTORS_WITHIN_M) & (rows != EGO)
    seen = np.flatnonzero(near)
    columns: dict[tuple[int, int], int] = {}
    names = zip(rows[seen].tolist(), every.generations[seen].tolist(), strict=True)
    column = np.array([columns.setdefault(name, len(columns)) for name in names], dtype=int)
    moment, actors = moments[seen], len(columns)
    poses, speeds = np.full((len(steps), actors, 3), np.nan), np.full((len(steps), actors), np.nan)
    poses[moment, column], speeds[moment, column] = every.poses[seen], every.speeds_mps[seen]
    lights = np.zeros((len(steps), actors, 3), bool)
    lights[moment, column] = lights_of(table, every, first + moments)[seen]
    sizes, classes, colours = np.zeros((actors, 3)), np.zeros(actors, np.uint8), np.zeros((actors, 3), np.uint8)
    sizes[column] = SIZES_M[every.kinds[seen]]
    classes[column], colours[column] = CLASSES[every.kinds[seen]], colours_of(every)[seen]
    ids = tuple(f"{row}-{generation}" for row, generation in columns)
    return ActorTracks(poses, sizes, speeds, ids, classes, colours, lights)
