"""What the agent gets to see: observation spaces, observations and infos, as functions of states and outcomes."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from longdwm_env.clock import FPS
from longdwm_env.errors import InvalidConfig
from longdwm_env.state import EnvState
from longdwm_env.types import Images, ImageSize, JsonObject

Observation = Images | Mapping[str, np.ndarray]
"""The newest frame in mode "frame", uint8 (H, W, 3); "frames" and "ego" in mode "video"."""

Info = JsonObject
"""What Gymnasium calls info; docs/environment.md has its keys."""

ObservationMode = Literal["video", "frame"]
OBSERVATION_MODES: tuple[str, ...] = get_args(ObservationMode)

EGO_NAMES = ("speed_mps", "acceleration_mps2", "yaw_rate_radps", "curvature_per_m", "time_s")

EGO_BOUNDS = np.array([100.0, 100.0, 10.0, 10.0, 1e6], np.float32)
"""Far beyond what a car does: finite, as Gymnasium asks. Values are cut to them."""


class Timing(Mapping[str, float]):
    """Seconds that a step took. Any two compare equal: what a step cost is no part of what it did.

    Gymnasium compares the infos of two identical steps to find environments that are not deterministic; time is not.
    """

    def __init__(self, seconds: Mapping[str, float], video_s: float) -> None:
        total = seconds["total"]
        self._values = {**seconds, "realtime_factor": video_s / total if total > 0 else 0.0}

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timing)

    def __hash__(self) -> int:
        return hash(Timing)

    def __repr__(self) -> str:
        return f"Timing({', '.join(f'{name}={value:.4g}' for name, value in self._values.items())})"


def observation_space(mode: str, num_frames: int, image_size: ImageSize) -> spaces.Space[Any]:
    """The Gymnasium space of an observation mode.

    Raises:
        InvalidConfig: no such mode.
    """
    if not isinstance(mode, str) or mode not in OBSERVATION_MODES:
        raise InvalidConfig(f"obs_mode={mode!r} does not exist; there are {', '.join(map(repr, OBSERVATION_MODES))}")
    if mode == "frame":
        return spaces.Box(0, 255, (*image_size, 3), np.uint8)
    low = -EGO_BOUNDS
    low[-1] = 0.0
    return spaces.Dict(
        {
            "frames": spaces.Box(0, 255, (num_frames, *image_size, 3), np.uint8),
            "ego": spaces.Box(low, EGO_BOUNDS, dtype=np.float32),
        }
    )


def observation_from(state: EnvState, mode: ObservationMode) -> Images | dict[str, np.ndarray]:
    """The observation of a state: a fresh copy that the caller may write to."""
    if mode == "frame":
        return state.newest_frame.copy()
    return {"frames": state.frames.copy(), "ego": ego_numbers(state)}


def ego_numbers(state: EnvState) -> NDArray[np.float32]:
    """(5,) the ego's motion and the time, in the order of ``EGO_NAMES``."""
    ego = state.ego
    time_s = state.frames_driven / FPS
    numbers = [ego.speed_mps, ego.acceleration_mps2, ego.yaw_rate_radps, ego.curvature_per_m, time_s]
    return np.clip(np.array(numbers, np.float32), -EGO_BOUNDS, EGO_BOUNDS)


def info_from(state: EnvState, timing: Timing) -> Info:
    """What every info holds, after reset and after a step."""
    return {
        "scene": state.scene,
        "prompt": state.prompt,
        # Worlds with a text encoder remember what they made of the prompt.
        "prompt_understood": state.world_state.values.get("prompt", state.prompt),
        "traffic": state.world_state.values.get("traffic", "none"),
        "ego": ego_numbers(state),
        "ego_pose": state.ego_poses.copy(),
        "termination": state.reason or None,
        "timing": timing,
        "reward_terms": {},
        "unavailable": {},
    }
