"""The keywords of ``gym.make("LongDWM-v0", ...)``, checked before anything is built."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from longdwm_env.actions import ActionMode, action_space
from longdwm_env.clock import FPS, INTERVAL_S, control_frames
from longdwm_env.episode import Episodes
from longdwm_env.episodes.observation import ObservationMode, observation_space
from longdwm_env.errors import InvalidConfig
from longdwm_env.factory import make_world
from longdwm_env.rewards import Reward, reward_from
from longdwm_env.scenes import open_scenes
from longdwm_env.traffic.meanwhile import TrafficKind, checked_traffic
from longdwm_env.types import MAX_SIDE_PX, Camera, ImageSize, SceneSource
from longdwm_env.world import WorldModel

MAX_EPISODE_S = 1e9
"""Thirty years."""

RENDER_MODES = ("rgb_array", "human")


def open_episodes(
    *,
    world: str | Path | WorldModel,
    scenes: str | Path | SceneSource | None,
    action_mode: ActionMode,
    control_period_s: float,
    max_episode_s: float,
    obs_mode: ObservationMode,
    image_size: ImageSize | None,
    camera: Camera | None,
    prompt: str | None,
    reward: Any,
    device: str | None,
    render_mode: str | None,
    traffic: TrafficKind | None = None,
    road: str | None = None,
    speed_mps: float | None = None,
) -> Episodes:
    """The rules that the environment's keywords ask for; what each means is said at ``LongDWMEnv``.

    Raises:
        InvalidConfig: a keyword is not allowed; the message lists what is. UnknownWorld for ``world``.
        InvalidScene: ``scenes`` cannot be read.
    """
    action_space(action_mode)
    observation_space(obs_mode, 1, (1, 1))
    frames = _control_frames(control_period_s)
    max_frames = _max_frames(max_episode_s)
    size = _image_size(image_size)
    if camera is not None and not isinstance(camera, Camera):
        raise InvalidConfig(f"camera must be a longdwm_env.Camera or None, got {type(camera).__name__}")
    if prompt is not None and not isinstance(prompt, str):
        raise InvalidConfig(f"prompt must be a string or None, got {prompt!r}")
    if device is not None and not isinstance(device, str):
        raise InvalidConfig(f"device must be a name such as 'cpu' or 'cuda', or None, got {device!r}")
    if render_mode is not None and (not isinstance(render_mode, str) or render_mode not in RENDER_MODES):
        raise InvalidConfig(f"render_mode={render_mode!r} does not exist; there are None, {_listed(RENDER_MODES)}")
    terms: Reward = reward_from(reward)
    return Episodes(
        world=make_world(world, size, device, checked_traffic(traffic)),
        source=open_scenes(scenes, road, speed_mps),
        action_mode=action_mode,
        obs_mode=obs_mode,
        control_frames=frames,
        max_frames=max_frames,
        camera=camera,
        prompt=prompt,
        reward=terms,
    )


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


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(map(repr, names))


class Reopened:
    """An environment that travels as its keywords and its present state, and is opened anew where it arrives.

    So a worker process loads the world itself, from where the keywords say, and no weights or open files are sent.
    """

    _keywords: dict[str, Any]
    episodes: Episodes
    _window: Any

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("episodes", "_window")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._window = None
        self.episodes = open_episodes(**self._keywords)
