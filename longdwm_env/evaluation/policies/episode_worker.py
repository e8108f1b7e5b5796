"""One worker: a world loaded once, and episodes driven in it one after another."""

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

import numpy as np

from longdwm_env.actions import ActionMode
from longdwm_env.agents.naming import PolicySpec, environment_needs, make_policy
from longdwm_env.agents.policy import Policy, PolicyContext, PolicyFailure
from longdwm_env.clock import FPS
from longdwm_env.env import LongDWMEnv
from longdwm_env.episodes.observation import Info, Observation, ObservationMode
from longdwm_env.errors import InvalidAction, LongDWMError
from longdwm_env.evaluation.policies.episode_metrics import EpisodeMetrics
from longdwm_env.evaluation.policies.evaluation_config import EpisodeResult, EvaluationConfig, Job, Record
from longdwm_env.factory import make_world
from longdwm_env.io.video import VideoWriter
from longdwm_env.io.words import clean
from longdwm_env.scenes import open_scenes
from longdwm_env.state import EnvState
from longdwm_env.types import ActorTracks, Images, Scene, SceneSource
from longdwm_env.world import WorldModel

VIDEO_HEIGHT_PX = 192
"""Small frames are enlarged to about this: a report holds many videos."""

Heartbeat = Callable[[], None]
"""Called when the scene stands and after every step."""


@runtime_checkable
class Closing(Protocol):
    """A policy that holds something open, as a connection."""

    def close(self) -> None:
        """Let go."""
        ...


class Worker:
    """Drives episodes. The same episode has the same result in any worker, whatever it drove before.

    Args:
        config: of the evaluation.
        world: instead of the config's, for worlds that have no name.
        source: instead of the config's scenes.
    """

    def __init__(
        self, config: EvaluationConfig, world: WorldModel | None = None, source: SceneSource | None = None
    ) -> None:
        self.config = config
        self._folder = Path.cwd()
        self.source = source or open_scenes(config.scenes)
        self._world = world or make_world(config.world, config.image_size, config.device)
        self._environments: dict[tuple[str, str], LongDWMEnv] = {}

    def _try(self, job: Job) -> Record:
        """Whether a policy can be made and gives an allowed action in the first scene; "failure" is why not."""
        policy: Policy | None = None
        record: Record = {"policy": job.policy, "failure": "", "make_s": None, "act_s": None}
        try:
            spec = PolicySpec.parse(job.policy)
            begun = time.perf_counter()
            environment = self._environment(spec)
            policy = make_policy(spec, PolicyContext.of(environment))
            made = time.perf_counter()
            observation, info = self._begin(environment, 0)
            policy.reset(observation, info)
            environment.episodes.check_actions([policy.act(observation, info)], ["its action"])
            return {**record, "make_s": made - begun, "act_s": time.perf_counter() - made}
        except LongDWMError as error:
            return {**record, "failure": clean(error)}
        except (
            Exception,
            SystemExit,
        ) as error:  # the policy is the user's: whatever it raises is what the check is for
            return {**record, "failure": clean(f"{type(error).__name__}: {clean(error)}")}
        finally:
            _let_go(policy)

    def run(self, job: Job, heartbeat: Heartbeat = lambda: None) -> EpisodeResult:
        """Drive one episode. What goes wrong in the policy fails the episode; what goes wrong elsewhere is raised."""
        # A policy may have left the folder that its own name and the scenes' are relative to.
        os.chdir(self._folder)
        if job.is_trial:
            return EpisodeResult(self._try(job))
        begun = time.perf_counter()
        policy: Policy | None = None
        record: Record = {"policy": job.policy, "episode": job.episode, "slot": job.slot}
        try:
            spec = PolicySpec.parse(job.policy)
            try:
                environment = self._environment(spec)
                observation, info = self._begin(environment, job.episode)
                record |= {"scene": info["scene"], "seed": info["seed"]}
                policy = make_policy(spec, PolicyContext.of(environment))
            except LongDWMError as error:
                return EpisodeResult(_failed(record, clean(error), begun))
            return self._drive(environment, policy, observation, info, record, heartbeat, begun)
        finally:
            _let_go(policy)

    def _drive(
        self,
        environment: LongDWMEnv,
        policy: Policy,
        observation: Observation,
        info: Info,
        record: Record,
        heartbeat: Heartbeat,
        begun: float,
    ) -> EpisodeResult:
        scene = environment.scene
        state = environment.get_state()
        metrics = EpisodeMetrics(state.ego.pose, scene.road_map, scene.log, environment.episodes.max_frames)
        clips: list[Images] = [state.newest_frame[None]]
        speeds, thinking, actions = [state.ego.speed_mps], [], []
        seed = info["seed"]
        failure = ""
        heartbeat()
        asked = time.perf_counter()
        try:
            policy.reset(observation, info)
        except (Exception, SystemExit) as error:  # the policy is the user's
            return EpisodeResult(_failed(record, _reason_of(error), begun))
        while not (state.terminated or state.truncated):
            try:
                action = policy.act(observation, info)
            except (Exception, SystemExit) as error:  # the policy is the user's
                failure = _reason_of(error)
                break
            thinking.append(time.perf_counter() - asked)
            try:
                observation, reward, _, _, info = environment.step(action)
            except InvalidAction as error:
                failure = f"InvalidAction: {error}"
                break
            actions.append(np.asarray(action, np.float64).tolist())
            before, state = state, environment.get_state()
            info = {**info, "seed": seed}
            moving = state.past_motion[-len(state.clip) :, 0]
            speeds += [float(v) for v in moving]
            metrics.add(reward, info, np.concatenate([[before.ego.speed_mps], moving]), actors_of(before, state, scene))
            if self.config.videos:
                clips.append(state.frames)
            heartbeat()
            asked = time.perf_counter()
        video = self._video(clips) if self.config.videos else None
        if failure:
            return EpisodeResult(_failed(record, failure, begun), video)
        numbers, missing = metrics.numbers()
        for name in [name for name, value in numbers.items() if not np.isfinite(value)]:
            missing[name] = f"it came to {numbers.pop(name)}"
        numbers["duration_s"] = state.frames_driven / FPS
        path = np.concatenate([metrics.start_pose[None], *metrics.poses])
        record |= {
            "status": "done",
            "failure": "",
            "ended": state.reason,
            "numbers": numbers,
            "unavailable": missing,
            "path": np.round(path, 3).tolist(),
            "speeds_mps": np.round(speeds, 3).tolist(),
            "actions": actions,
            "act_s": float(np.mean(thinking)),
            "wall_s": time.perf_counter() - begun,
        }
        return EpisodeResult(record, video)

    def _environment(self, spec: PolicySpec) -> LongDWMEnv:
        needs = environment_needs(spec)
        key = needs.action_mode or self.config.action_mode, needs.obs_mode or self.config.obs_mode
        if key not in self._environments:
            config = self.config
            self._environments[key] = LongDWMEnv(
                world=self._world,
                scenes=self.source,
                action_mode=cast(ActionMode, key[0]),
                obs_mode=cast(ObservationMode, key[1]),
                control_period_s=config.control_period_s,
                max_episode_s=config.max_episode_s,
                prompt=config.prompt,
            )
        return self._environments[key]

    def _begin(self, environment: LongDWMEnv, episode: int) -> tuple[Observation, Info]:
        scene = (self.config.first_scene + episode) % len(self.source)
        seed = self.config.seed + episode
        observation, info = environment.reset(seed=seed, options={"scene": scene})
        return observation, {**info, "seed": seed}

    def _video(self, clips: list[Images]) -> bytes:
        size = clips[0].shape[1:3]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "episode.mp4"
            with VideoWriter(path, (size[0], size[1]), scale=max(1, round(VIDEO_HEIGHT_PX / size[0]))) as writer:
                for clip in clips:
                    writer.write(clip)
            return path.read_bytes()


def actors_of(before: EnvState, after: EnvState, scene: Scene) -> ActorTracks | None:
    """Boxes at the frames of a step, the moment of acting first: the world's own, else the recorded ones."""
    if after.world_state.actors is not None or scene.actors is None:
        return after.world_state.actors
    if after.frames_driven >= len(scene.actors.poses):
        return None
    return scene.actors.during(slice(before.frames_driven, after.frames_driven + 1))


def failed_record(config: EvaluationConfig, job: Job, failure: str) -> Record:
    """The record of an episode whose worker died or hung, as the parent writes it."""
    record = {"policy": job.policy, "episode": job.episode, "slot": job.slot, "seed": config.seed + job.episode}
    return _failed(record, failure, time.perf_counter())


def _failed(record: Record, failure: str, begun: float) -> Record:
    empty: Record = {"scene": None, "seed": None, "ended": "", "numbers": {}, "unavailable": {}, "path": []}
    outcome = {"status": "failed", "failure": clean(failure), "wall_s": time.perf_counter() - begun}
    return {**empty, "speeds_mps": [], "act_s": None, **record, **outcome}


def _reason_of(error: BaseException) -> str:
    return clean(error) if isinstance(error, PolicyFailure) else f"{type(error).__name__}: {clean(error)}"


def _let_go(policy: Policy | None) -> None:
    if isinstance(policy, Closing):
        # The episode is over: what a policy says at its end changes nothing.
        with suppress(Exception, SystemExit):
            policy.close()
