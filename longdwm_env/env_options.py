"""The keywords of ``gym.make("LongDWM-v0", ...)`` and of ``gym.make_vec``: listed here, once."""

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
from gymnasium.vector import AutoresetMode

from longdwm_env.actions import ActionMode, action_space
from longdwm_env.clock import FPS, INTERVAL_S, control_frames
from longdwm_env.episode import Episodes
from longdwm_env.episodes.observation import ObservationMode, observation_space
from longdwm_env.errors import InvalidConfig
from longdwm_env.factory import DEFAULT_WORLD, make_world
from longdwm_env.rewards import RewardChoice, reward_from
from longdwm_env.scenes import open_scenes
from longdwm_env.traffic.meanwhile import TrafficKind, checked_traffic
from longdwm_env.types import MAX_SIDE_PX, Camera, ImageSize, SceneSource
from longdwm_env.world import WorldModel

MAX_EPISODE_S = 1e9
"""Thirty years."""

MAX_ENVS = 1024
"""Each takes about a megabyte for the bounds of its observations alone."""

RENDER_MODES = ("rgb_array", "human")


@dataclass(frozen=True)
class EnvOptions:
    """What an environment is made of; ``docs/environment.md`` says more of each keyword.

    Attributes:
        world: "mini" (default), "simulator", "warp", the path or hub id of a saved pipeline, or a ``WorldModel``.
        scenes: where episodes start: None (built in), a path (image, video, folder, nuScenes dataroot) or a source.
        action_mode: "trajectory", "control", "command" or "goal".
        control_period_s: seconds between two actions: whole frames of 1/12 s, up to 1 s.
        max_episode_s: seconds after which an episode is truncated.
        obs_mode: "video", a dict of frames and ego motion, or "frame", the newest frame.
        image_size: (height, width); None for the world's own.
        camera: the car's camera; None for the scene's own, else one is assumed with a warning.
        prompt: text such as "Weather: rainy. Time: nighttime."; None for the scene's own.
        reward: None for the default, or a mapping from a term's name or a ``RewardTerm`` to its weight.
        device: where a learned world runs, such as "cuda"; None to choose.
        render_mode: None, "rgb_array" (the newest frame as the agent sees it) or "human" (a window).
        traffic: of a learned world: "reactive" (road users who see the ego), "constant" (only those at the start, at
            their speed) or "none"; None for what a scene has: reactive where its map has lanes, none in photographs.
        road: that a photograph or video shows: "straight", a curvature in 1/m, or "straight,lanes=2,width=3.2,cars=4"
            (``scenes.strip_road.Road`` has all); it gets a map. None leaves it without.
        speed_mps: at the start of a photograph or video; None for its own where that is known, else assumed.

    Raises:
        InvalidConfig: a keyword is not allowed; the message lists what is.
    """

    world: str | Path | WorldModel = DEFAULT_WORLD
    scenes: str | Path | SceneSource | None = None
    action_mode: ActionMode = "trajectory"
    control_period_s: float = 1.0
    max_episode_s: float = 90.0
    obs_mode: ObservationMode = "video"
    image_size: ImageSize | None = None
    camera: Camera | None = None
    prompt: str | None = None
    reward: RewardChoice = None
    device: str | None = None
    render_mode: str | None = None
    traffic: TrafficKind | None = None
    road: str | None = None
    speed_mps: float | None = None

    def __post_init__(self) -> None:
        action_space(self.action_mode)
        observation_space(self.obs_mode, 1, (1, 1))
        _control_frames(self.control_period_s)
        _max_frames(self.max_episode_s)
        _image_size(self.image_size)
        if self.camera is not None and not isinstance(self.camera, Camera):
            raise InvalidConfig(f"camera must be a longdwm_env.Camera or None, got {type(self.camera).__name__}")
        if self.prompt is not None and not isinstance(self.prompt, str):
            raise InvalidConfig(f"prompt must be a string or None, got {self.prompt!r}")
        if self.device is not None and not isinstance(self.device, str):
            raise InvalidConfig(f"device must be a name such as 'cpu' or 'cuda', or None, got {self.device!r}")
        if self.render_mode is not None and (
            not isinstance(self.render_mode, str) or self.render_mode not in RENDER_MODES
        ):
            modes = ", ".join(map(repr, RENDER_MODES))
            raise InvalidConfig(f"render_mode={self.render_mode!r} does not exist; there are None, {modes}")
        checked_traffic(self.traffic)


@dataclass(frozen=True)
class BatchOptions:
    """What a batch of environments has beside the keywords of one.

    Attributes:
        num_envs: B.
        autoreset_mode: when an episode that is over begins anew: "NextStep" (at the next step, whose action is then
            ignored), "SameStep" (at once; the last observation and info are in ``infos["final_obs"]`` and
            ``infos["final_info"]``) or "Disabled" (when ``reset(options={"reset_mask": ...})`` says so).
    """

    num_envs: int = 1
    autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP


@dataclass(frozen=True)
class VectorEnvOptions(EnvOptions, BatchOptions):
    """``num_envs`` and ``autoreset_mode`` (see ``BatchOptions``), then the keywords of ``EnvOptions``.

    Raises:
        InvalidConfig: a keyword is not allowed; the message lists what is.
    """

    def __post_init__(self) -> None:
        if type(self.num_envs) is not int or not 1 <= self.num_envs <= MAX_ENVS:
            raise InvalidConfig(f"num_envs={self.num_envs!r} must be a whole number from 1 to {MAX_ENVS}")
        if isinstance(self.render_mode, str) and self.render_mode == "human":
            raise InvalidConfig("render_mode='human' shows one environment; a batch has None and 'rgb_array'")
        _autoreset_mode(self.autoreset_mode)
        super().__post_init__()

    @property
    def autoreset(self) -> AutoresetMode:
        """The mode as Gymnasium has it."""
        return _autoreset_mode(self.autoreset_mode)


def open_episodes(options: EnvOptions) -> Episodes:
    """The rules that the environment's keywords ask for.

    Raises:
        InvalidConfig: the world or the reward does not go with the other keywords; UnknownWorld for ``world``.
        InvalidScene: ``scenes`` cannot be read.
    """
    reward = reward_from(options.reward)
    return Episodes(
        world=make_world(
            options.world, _image_size(options.image_size), options.device, checked_traffic(options.traffic)
        ),
        source=open_scenes(options.scenes, options.road, options.speed_mps),
        action_mode=options.action_mode,
        obs_mode=options.obs_mode,
        control_frames=_control_frames(options.control_period_s),
        max_frames=_max_frames(options.max_episode_s),
        camera=options.camera,
        prompt=options.prompt,
        reward=reward,
    )


P = ParamSpec("P")
Options = TypeVar("Options", bound=EnvOptions)
Environment = TypeVar("Environment")


def made_with(
    options: Callable[P, Options],
) -> Callable[[Callable[[Environment, Options], None]], Callable[Concatenate[Environment, P], None]]:
    """Give an ``__init__`` that takes options the keywords of these options, with their types and defaults."""

    def with_keywords(init: Callable[[Environment, Options], None]) -> Callable[Concatenate[Environment, P], None]:
        @functools.wraps(init)
        def made(self: Environment, *given: P.args, **keywords: P.kwargs) -> None:
            init(self, options(*given, **keywords))

        own = next(iter(inspect.signature(init).parameters.values()))
        signature = inspect.Signature([own, *inspect.signature(options).parameters.values()])
        made.__signature__ = signature  # type: ignore[attr-defined]
        return made

    return with_keywords


def _control_frames(control_period_s: float) -> int:
    try:
        return control_frames(float(control_period_s))
    except Exception as error:  # whatever a stranger's object raises when it is asked for its number
        raise InvalidConfig(
            f"control_period_s={control_period_s!r} is not allowed: it must be a whole number of frames of 1/{FPS} s, "
            f"from one to an interval of {INTERVAL_S:g} s"
        ) from error


def _max_frames(max_episode_s: float) -> int:
    number = isinstance(max_episode_s, int | float | np.number) and not isinstance(max_episode_s, bool)
    if not number or not 0 < max_episode_s <= MAX_EPISODE_S:
        raise InvalidConfig(
            f"max_episode_s={max_episode_s!r:.60} must be a finite number of seconds above 0, at most "
            f"{MAX_EPISODE_S:,.0f}"
        )
    # A limit between two frames ends the episode at the first frame beyond it.
    return math.ceil(float(max_episode_s) * FPS - 1e-6)


def _image_size(image_size: ImageSize | None) -> ImageSize | None:
    if image_size is None:
        return None
    try:
        height, width = image_size
    except Exception as error:
        raise InvalidConfig(f"image_size must be (height, width) or None, got {image_size!r}") from error
    for side in (height, width):
        whole = isinstance(side, int | np.integer) and not isinstance(side, bool)
        if not whole or not 1 <= side <= MAX_SIDE_PX:
            raise InvalidConfig(
                f"image_size={image_size!r}: height and width are whole numbers from 1 to {MAX_SIDE_PX}"
            )
    return int(height), int(width)


def _autoreset_mode(mode: str | AutoresetMode) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except (ValueError, TypeError) as error:
        modes = ", ".join(repr(known.value) for known in AutoresetMode)
        raise InvalidConfig(f"autoreset_mode={mode!r} does not exist; there are {modes}") from error


class Reopened:
    """An environment that travels as its options and its present state, and is opened anew where it arrives.

    So a worker process loads the world itself, from where the options say, and no weights or open files are sent.
    """

    options: EnvOptions
    episodes: Episodes
    _window: object

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name not in ("episodes", "_window")}

    def __setstate__(self, state: Mapping[str, object]) -> None:
        vars(self).update(state)
        self._window = None
        self.episodes = open_episodes(self.options)
