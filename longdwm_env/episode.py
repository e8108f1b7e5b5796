"""The engine: how an episode begins and goes on, as pure functions over values.

``env.py``, ``vector_env.py`` and ``imagine.py`` are thin over it. A step reads: action -> trajectory -> the world's
frames and the ego's poses -> reward terms and the end -> the next state.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from weakref import WeakSet

import numpy as np

from longdwm_env.actions import Action, ActionMode, checked_action, trajectory_from_action
from longdwm_env.clock import FPS
from longdwm_env.episodes.lazy_frames import Frames
from longdwm_env.episodes.learned_scorers import learned_scorers
from longdwm_env.episodes.observation import Info, Observation, ObservationMode, Timing, info_from, observation_from
from longdwm_env.episodes.starts import (
    as_begun,
    camera_for_want_of_one,
    checked_options,
    chosen_start,
    logged_clip,
    logged_poses,
    warn_of_assumed_speed,
    warn_of_unknown_words,
)
from longdwm_env.episodes.transition import Driven, Learned
from longdwm_env.errors import InvalidConfig, InvalidState, LongDWMError, UnknownScene
from longdwm_env.geometry.boxes import body_poses, collisions
from longdwm_env.geometry.kinematics import CAR, Car
from longdwm_env.geometry.pose import compose
from longdwm_env.io.caching import Kept
from longdwm_env.rewards import Reward
from longdwm_env.state import PAST_FRAMES, EnvState
from longdwm_env.timing import stage, stopwatch
from longdwm_env.types import (
    ActorTracks,
    Camera,
    EgoState,
    Images,
    Scene,
    SceneSource,
    Trajectory,
    WorldState,
)
from longdwm_env.world import UndrawnWorld, WorldModel

SCENES_KEPT = 64
"""Scenes that stay open: a vector environment goes back to each of its own at every step."""

_MADE_HERE: WeakSet[EnvState] = WeakSet()
"""States that an engine of this process made. A world can go on from these; of others, from files or built by hand, it
may not know what to make."""


def made_here(state: EnvState) -> EnvState:
    """A state that this package put together from states of its own: what a world raises from it is the world's fault.

    Without this, an error of a world that is given the state passes for one of a state from outside.
    """
    _MADE_HERE.add(state)
    return state


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one control period brought: the state after it, its reward, and what was planned."""

    state: EnvState
    reward: float
    reward_terms: dict[str, float]
    unavailable: dict[str, str]
    trajectory: Trajectory
    timing: Timing

    @property
    def info(self) -> Info:
        """The info of the step, made afresh: the caller may keep and change it."""
        planned = self.trajectory
        return info_from(self.state, self.timing) | {
            "reward_terms": dict(self.reward_terms),
            "unavailable": dict(self.unavailable),
            "trajectory": {
                "poses": planned.poses.copy(),
                "speeds_mps": planned.speeds_mps.copy(),
                "waypoints_m": planned.waypoints_m.copy(),
            },
            "projection": {
                "distance_m": planned.projection_m,
                "requested_waypoints_m": planned.requested_waypoints_m.copy(),
                "driven_waypoints_m": planned.waypoints_m.copy(),
            },
        }


@dataclass(frozen=True, eq=False)
class Episodes:
    """The rules that all episodes of an environment share. It holds no episode: states go in, states come out.

    Attributes:
        world: what answers trajectories with frames.
        control_frames: frames that are executed per action.
        max_frames: frames after which an episode is truncated.
        camera: instead of the scenes' own; None to keep theirs.
        prompt: instead of the scenes' own; None to keep theirs.
        car: the ego's body.
    """

    world: WorldModel
    source: SceneSource
    action_mode: ActionMode
    obs_mode: ObservationMode
    control_frames: int
    max_frames: int
    camera: Camera | None
    prompt: str | None
    reward: Reward
    car: Car = CAR
    scene_of_key: Callable[[str], Scene] = field(init=False)

    def __post_init__(self) -> None:
        # Keyed by content: a source gives the same scene for the same key at every call.
        object.__setattr__(self, "scene_of_key", Kept(self._scene_of_key, SCENES_KEPT))

    def _scene_of_key(self, key: str) -> Scene:
        return self.source.scene(self.source.index_of_key(key))

    def begin(self, seed: int, options: Mapping[str, object] | None = None) -> EnvState:
        """The state at the start of an episode.

        Args:
            seed: chooses the scene, unless the options do, and the world's random numbers.
            options: "scene" (index or key) and "prompt", both optional.

        Raises:
            InvalidConfig: an option that does not exist or is of the wrong kind.
            UnknownScene: the source has no such scene.
            InvalidScene: the scene cannot be read.
        """
        index, prompt = chosen_start(self.source, seed, checked_options(options), self.prompt)
        scene = self.source.scene(index)
        camera = self.camera or scene.camera or camera_for_want_of_one(scene, self.world.image_size)
        camera = camera.fitted(self.world.image_size)
        scene = replace(scene if prompt is None else scene.with_prompt(prompt), camera=camera)
        warn_of_assumed_speed(scene)
        start, world_state = scene.start, self.world.begin(scene, seed)
        warn_of_unknown_words(prompt, world_state)
        clip = logged_clip(scene, self.control_frames, camera)
        state = EnvState(
            world=self.world.name,
            image_size=self.world.image_size,
            source=self.source.name,
            scene=scene.key,
            seed=seed,
            prompt=scene.prompt,
            camera=camera,
            ego=start,
            frames_driven=0,
            clip=as_begun(clip, self.world, world_state, scene),
            ego_poses=logged_poses(scene, self.control_frames),
            past_motion=np.array([[start.speed_mps, start.acceleration_mps2, start.yaw_rate_radps]]),
            world_state=world_state,
        )
        self._look(state)
        _MADE_HERE.add(state)
        return state

    def check_actions(self, actions: Sequence[object], names: Sequence[str]) -> list[Action]:
        """The actions as their space holds them; ``names`` say in an error which one is wrong."""
        return [checked_action(self.action_mode, action, name) for name, action in zip(names, actions, strict=True)]

    def advance(self, states: Sequence[EnvState], actions: Sequence[Action], look: bool = True) -> list[Outcome]:
        """Drive each state by its action for one control period, in one batch of the world.

        Args:
            states: B states, none of which is changed.
            actions: B actions that ``check_actions`` returned.
            look: draw what an observation shows; else frames are drawn when they are looked at. Worlds that are
                no ``UndrawnWorld`` make all of them in any case.

        Raises:
            InvalidState: a state that came from outside holds something that the world cannot go on from.
        """
        if all(state in _MADE_HERE for state in states):
            outcomes = self._advanced(states, actions, look)
            _MADE_HERE.update(outcome.state for outcome in outcomes)
            return outcomes
        try:
            return self._advanced(states, actions, look, self._cannot_go_on)
        except LongDWMError:
            raise
        except Exception as error:
            raise self._cannot_go_on(error) from error

    def _cannot_go_on(self, error: Exception) -> InvalidState:
        return InvalidState(
            f"world {self.world.name!r} cannot go on from this state, which did not come from here: "
            f"{type(error).__name__}: {error}"
        )

    def _advanced(
        self,
        states: Sequence[EnvState],
        actions: Sequence[Action],
        look: bool,
        failure: Callable[[Exception], LongDWMError] | None = None,
    ) -> list[Outcome]:
        with stopwatch() as seconds:
            with stage("geometry"):
                trajectories = [
                    trajectory_from_action(self.action_mode, action, state.ego, state.camera)
                    for state, action in zip(states, actions, strict=True)
                ]
            before = [state.world_state for state in states]
            world_states, clips = self._driven_by_world(before, trajectories, look)
            if failure is not None:
                # Frames that are drawn later may fail later.
                clips = [clip.failing_as(failure) for clip in clips]
            learned = learned_scorers(self.world, self.scene_of_key, states, trajectories, clips)
            driven = [
                self._driven(*parts) for parts in zip(states, trajectories, world_states, clips, learned, strict=True)
            ]
            rewards = [self.reward(record) for record in driven]
            after = [self._after(state, record) for state, record in zip(states, driven, strict=True)]
            for state in after if look else ():
                self._look(state)
        timing = Timing(seconds, len(states) * self.control_frames / FPS)
        return [
            Outcome(state, *reward, trajectory, timing)
            for state, reward, trajectory in zip(after, rewards, trajectories, strict=True)
        ]

    def check_state(self, state: EnvState) -> None:
        """Whether episodes of these rules can go on from a state.

        Raises:
            InvalidState: it belongs to another world, image size or scene source.
        """
        if not isinstance(state, EnvState):
            raise InvalidState(f"a state is a longdwm_env.EnvState, got {type(state).__name__}")
        ours = {"world": self.world.name, "image_size": tuple(self.world.image_size), "source": self.source.name}
        for name, value in ours.items():
            theirs = {"world": state.world, "image_size": state.image_size, "source": state.source}[name]
            if theirs != value:
                raise InvalidState(f"the state has {name} {theirs!r}, this environment has {value!r}")
        try:
            self.source.index_of_key(state.scene)
        except UnknownScene as error:
            raise InvalidState(f"the state's scene does not exist here: {error}") from error

    def observation(self, state: EnvState) -> Observation:
        """What the agent sees in a state."""
        return observation_from(state, self.obs_mode)

    def _look(self, state: EnvState) -> None:
        """Draw what an observation of the state shows, now, so that its time counts towards the step's."""
        _ = state.newest_frame if self.obs_mode == "frame" else state.frames

    def _driven_by_world(
        self, states: Sequence[WorldState], trajectories: Sequence[Trajectory], look: bool
    ) -> tuple[list[WorldState], list[Frames]]:
        if isinstance(self.world, UndrawnWorld) and not (look and self.obs_mode == "video"):
            return self.world.advance_undrawn(states, trajectories, self.control_frames)
        following, frames = self.world.advance(states, trajectories, self.control_frames)
        self._check_frames(frames, len(states))
        return following, [Frames.of(clip) for clip in frames]

    def _check_frames(self, frames: Images, count: int) -> None:
        expected = (count, self.control_frames, *self.world.image_size, 3)
        if not isinstance(frames, np.ndarray) or frames.shape != expected or frames.dtype != np.uint8:
            given = f"{frames.dtype} {frames.shape}" if isinstance(frames, np.ndarray) else type(frames).__name__
            raise InvalidConfig(f"world {self.world.name!r} returned frames as {given}, expected uint8 {expected}")

    def _driven(
        self, state: EnvState, trajectory: Trajectory, world_state: WorldState, clip: Frames, learned: Learned
    ) -> Driven:
        count = self.control_frames
        scene = self.scene_of_key(state.scene)
        actors, unknown = world_state.actors, {}
        if actors is None:
            actors, unknown["actors"] = self._logged_actors(scene, state.frames_driven)
        if scene.road_map is None:
            unknown["road_map"] = f"scene {scene.key!r} has no map"
        planned = (trajectory.speeds_mps, trajectory.accelerations_mps2, trajectory.yaw_rates_radps)
        return Driven(
            ego_before=state.ego,
            poses=compose(state.ego.pose, trajectory.poses[:count]),
            motion=np.column_stack([series[:count] for series in planned]),
            past_motion=state.past_motion,
            trajectory=trajectory,
            car=self.car,
            actors=actors,
            road_map=scene.road_map,
            clip=clip,
            world_state=world_state,
            unknown=unknown,
            learned=learned,
        )

    def _logged_actors(self, scene: Scene, first: int) -> tuple[ActorTracks | None, str]:
        """The recorded road users at the frames about to be executed, or why there are none."""
        tracks, last = scene.actors, first + self.control_frames
        if tracks is None:
            return None, f"world {self.world.name!r} knows no road users, and none were recorded in scene {scene.key!r}"
        if last >= len(tracks.poses):
            return None, f"the record of road users ends after {(len(tracks.poses) - 1) / FPS:g} s"
        return tracks.during(slice(first, last + 1)), ""

    def _after(self, before: EnvState, driven: Driven) -> EnvState:
        speed, acceleration, yaw_rate = (float(value) for value in driven.motion[-1])
        x, y, heading = (float(value) for value in driven.poses[-1])
        frames_driven = before.frames_driven + self.control_frames
        reason = ended_by(driven)
        truncated = not reason and frames_driven >= self.max_frames
        return replace(
            before,
            ego=EgoState(x, y, heading, speed, acceleration, yaw_rate),
            frames_driven=frames_driven,
            clip=driven.clip,
            ego_poses=driven.poses,
            past_motion=np.concatenate([driven.past_motion, driven.motion])[-(PAST_FRAMES + 1) :],
            world_state=driven.world_state,
            terminated=bool(reason),
            truncated=truncated,
            reason="time_limit" if truncated else reason,
        )


def ended_by(driven: Driven) -> str:
    """What ended the episode: "collision", "off_road", or "" if it goes on.

    A collision is an overlap of the ego's box with another at any executed frame; the road is left when the middle of
    the ego's body is off drivable road. Where road users or map are not known, neither is found.
    """
    if driven.actors is not None and collisions(driven.poses_with_start, driven.actors, driven.car)[1:].any():
        return "collision"
    if driven.road_map is not None:
        middle = body_poses(driven.poses, driven.car)[:, :2]
        if not driven.road_map.drivable(middle).all():
            return "off_road"
    return ""
