"""One drive through a built-in scene in one world: what was asked, what was seen, and what is true of it."""

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from longdwm_env.actions import Action, ActionMode
from longdwm_env.clock import FPS, FRAMES_PER_INTERVAL
from longdwm_env.env import LongDWMEnv
from longdwm_env.episodes.lazy_frames import Frames
from longdwm_env.episodes.observation import ObservationMode
from longdwm_env.factory import make_world
from longdwm_env.scenes.builtin import KEY_PREFIX, BuiltinScenes
from longdwm_env.types import (
    LOOKS,
    ActorTracks,
    AnyArray,
    Camera,
    FloatArray,
    Images,
    ImageSize,
    Scene,
    SceneSource,
    wrap_angle,
)
from longdwm_env.world import WorldModel

_STATM = Path("/proc/self/statm")

NO_LIMIT_S = 3600.0
"""No drive ends because its time is up."""


@dataclass(frozen=True, eq=False)
class Drive:
    """A drive of N periods of one second; T = 12 N + 1 frames, the first at the scene's start.

    Attributes:
        seed: of the scene, and of the world's random numbers.
        world: in which it was driven.
        kind: how its actions came about; see ``plans``.
        frames: (T, H, W, 3) uint8.
        poses: (T, 3) of the rear axle in the scene's world frame.
        speeds_mps, yaw_rates_radps: (T,) as commanded, which is as driven.
        actors: (T, ...) the other road users; None in a world that knows none.
        seconds: (N,) wall clock of each period.
        memory_mb: (N,) memory of the process after each period.
    """

    seed: int
    world: str
    kind: str
    action_mode: ActionMode
    prompt: str
    camera: Camera
    actions: tuple[Action, ...]
    frames: Images
    poses: FloatArray
    speeds_mps: FloatArray
    yaw_rates_radps: FloatArray
    actors: ActorTracks | None
    seconds: FloatArray
    memory_mb: FloatArray

    @property
    def scene(self) -> str:
        """Key of the scene."""
        return f"{KEY_PREFIX}{self.seed}"


class Driver:
    """Makes drives in one world; the same environment that users drive, one for each action mode.

    Args:
        world: name, or the world itself.
        image_size: (height, width); None for the world's own.
        device: where a learned world runs.
    """

    def __init__(self, world: str | WorldModel, image_size: ImageSize | None = None, device: str | None = None) -> None:
        self.world = make_world(world, image_size, device)

    def environment(
        self, action_mode: ActionMode, scenes: SceneSource | None = None, obs_mode: ObservationMode = "frame"
    ) -> LongDWMEnv:
        """An environment of this world with a period of one second.

        Args:
            action_mode: what actions mean.
            scenes: None for the built-in ones.
            obs_mode: "frame" lets a world that draws on demand draw no picture of a drive that is given up.
        """
        return LongDWMEnv(
            world=self.world, scenes=scenes, action_mode=action_mode, max_episode_s=NO_LIMIT_S, obs_mode=obs_mode
        )

    def again(self, drive: Drive, prompt: str | None = None, redrawn: bool = True) -> Drive:
        """The actions of a drive once more, in this world, whatever would end an episode on the way.

        Args:
            drive: whose scene, seed and actions are used.
            prompt: another prompt.
            redrawn: the start shows what the prompt says; else it shows the scene as it is, and only what follows can
                obey the prompt.
        """
        prompt = drive.prompt if prompt is None else prompt
        source = None if redrawn else AsRecorded(prompt)
        environment = self.environment(drive.action_mode, source, "video")
        recorder = Recorder(environment, drive.seed, drive.kind, prompt if redrawn else None, len(drive.actions))
        for action in drive.actions:
            recorder.step(action, go_on=True)
        return recorder.drive()


class AsRecorded(BuiltinScenes):
    """The built-in scenes with another prompt, whose recorded seconds nevertheless stay as they were."""

    def __init__(self, prompt: str) -> None:
        self.prompt = prompt

    def scene(self, index: int) -> Scene:
        """The scene of a seed."""
        return super().scene(index).with_changed_prompt(self.prompt)


class Recorder:
    """Drives an environment and keeps what happens.

    Args:
        environment: with a period of one second.
        seed: of the built-in scene and of the episode.
        kind: see ``Drive``.
        prompt: None for the scene's own.
        periods: N, where it is known: pictures are then copied at once, to memory that is taken beforehand, so that
            the memory that grows is the world's. Else they are drawn when the drive is over, and never if it fails.
    """

    def __init__(
        self,
        environment: LongDWMEnv,
        seed: int,
        kind: str,
        prompt: str | None = None,
        periods: int | None = None,
    ) -> None:
        self._environment, self._seed, self._kind = environment, seed, kind
        environment.reset(seed=seed, options={"scene": seed} | ({} if prompt is None else {"prompt": prompt}))
        self.start = self.state = environment.get_state()
        self._clips: list[Frames] = []
        self._frames: Images | None = None
        if periods is not None:
            # Written to, since untouched memory is not there yet.
            self._frames = np.full((periods * FRAMES_PER_INTERVAL, *self.start.image_size, 3), 1, np.uint8)
        self._poses = [self.start.ego.pose[None]]
        self._speeds = [np.array([self.start.ego.speed_mps])]
        self._actors = [self.start.world_state.actors]
        self._actions: list[Action] = []
        self._seconds: list[float] = []
        self._memory: list[float] = []

    def step(self, action: Action, go_on: bool = False) -> str:
        """Drive a second; returns why the episode is over, or an empty text.

        Args:
            action: of the environment's mode.
            go_on: after a collision or off the road too.
        """
        action = np.asarray(action, np.float32) if np.ndim(action) else int(action)
        *_, info = self._environment.step(action)
        state = self._environment.get_state()
        reason = state.reason
        if go_on and reason:
            state = replace(state, terminated=False, truncated=False, reason="")
            self._environment.set_state(state)
        self.state = state
        if self._frames is None:
            self._clips.append(state.clip)
        else:
            first = len(self._actions) * FRAMES_PER_INTERVAL
            self._frames[first : first + FRAMES_PER_INTERVAL] = state.frames
        self._poses.append(state.ego_poses)
        self._speeds.append(state.past_motion[-FRAMES_PER_INTERVAL:, 0])
        self._actors.append(state.world_state.actors)
        self._actions.append(action.tolist() if isinstance(action, np.ndarray) else action)
        self._seconds.append(float(info["timing"]["total"]))
        self._memory.append(resident_mb())
        return reason

    def drive(self) -> Drive:
        """What has been driven so far."""
        after = [clip.images for clip in self._clips]
        if self._frames is not None:
            after = [self._frames[: len(self._actions) * FRAMES_PER_INTERVAL]]
        poses = np.concatenate(self._poses)
        yaw_rates = np.asarray(wrap_angle(np.diff(poses[:, 2]))) * FPS
        return Drive(
            seed=self._seed,
            world=self.start.world,
            kind=self._kind,
            action_mode=self._environment.episodes.action_mode,
            prompt=self.start.prompt,
            camera=self.start.camera,
            actions=tuple(self._actions),
            frames=np.concatenate([self.start.newest_frame[None], *after]),
            poses=poses,
            speeds_mps=np.concatenate(self._speeds),
            yaw_rates_radps=np.concatenate([[self.start.ego.yaw_rate_radps], yaw_rates]),
            actors=joined_tracks(self._actors),
            seconds=np.array(self._seconds),
            memory_mb=np.array(self._memory),
        )


def joined_tracks(parts: Sequence[ActorTracks | None]) -> ActorTracks | None:
    """Tracks over a whole drive from those of each period, whose first entry is the frame before it.

    Args:
        parts: that at the start (one frame), then one for each period; None where a world knows no road users.
    """
    known = [part for part in parts if part is not None]
    if len(known) != len(parts):
        return None
    new = [known[0], *(part.during(slice(1, None)) for part in known[1:])]
    ids = list(dict.fromkeys(name for part in new for name in part.ids))
    total = sum(len(part.poses) for part in new)
    poses, speeds = np.full((total, len(ids), 3), np.nan), np.full((total, len(ids)), np.nan)
    sizes = np.zeros((len(ids), 3))
    # What is known of all road users at every moment.
    common = [name for name in LOOKS if all(name in part.looks for part in new)]
    shapes: dict[str, tuple[int, ...]] = {"classes": (), "colours": (3,), "lights": (3,)}
    looks: dict[str, AnyArray] = {
        name: np.zeros(((total,) if name == "lights" else ()) + (len(ids), *shapes[name]), LOOKS[name])
        for name in common
    }
    first = 0
    for part in new:
        columns = [ids.index(name) for name in part.ids]
        rows = slice(first, first + len(part.poses))
        poses[rows, columns], speeds[rows, columns], sizes[columns] = part.poses, part.speeds_mps, part.sizes_m
        for name, values in looks.items():
            values[(rows, columns) if name == "lights" else columns] = part.looks[name]
        first += len(part.poses)
    return ActorTracks(poses, sizes, speeds, tuple(ids), **looks)


def resident_mb() -> float:
    """Resident memory of this process in MB (10^6 bytes): now, on Linux; on macOS the most there has been; else NaN."""
    if _STATM.exists():
        pages = int(_STATM.read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    if sys.platform == "win32":
        return math.nan
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3
