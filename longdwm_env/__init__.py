"""LongDWM: a world you can drive. Importing this registers ``LongDWM-v0`` with Gymnasium."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gymnasium.envs.registration import register

from longdwm_env.errors import (
    FolderInUse,
    InvalidAction,
    InvalidConfig,
    InvalidScene,
    InvalidState,
    LifecycleError,
    LongDWMError,
    MissingDependency,
    MissingWeights,
    NotFinite,
    UnknownScene,
    UnknownWorld,
)
from longdwm_env.renamed import answer_to_old_names
from longdwm_env.types import ActorTracks, Camera, EgoState, Intrinsics, Mounting, Scene, Trajectory, WorldState
from longdwm_env.world import WorldModel

if TYPE_CHECKING:
    from longdwm_env.env import LongDWMEnv
    from longdwm_env.episodes.starts import AssumedCameraWarning
    from longdwm_env.imagine import Futures
    from longdwm_env.rewards import RewardTerm, Unavailable
    from longdwm_env.scenes import open_scenes
    from longdwm_env.state import EnvState
    from longdwm_env.vector_env import LongDWMVectorEnv

__version__: str

# A checkout that is imported from its root is whole by itself, however the package was installed, or not at all: its
# models, training and agents lie beside this folder.
if (_checkout := Path(__file__).resolve().parents[1]).joinpath("models", "world.py").is_file():
    __path__.append(str(_checkout))

answer_to_old_names()

__all__ = [
    "ActorTracks",
    "AssumedCameraWarning",
    "Camera",
    "EgoState",
    "EnvState",
    "FolderInUse",
    "Futures",
    "Intrinsics",
    "InvalidAction",
    "InvalidConfig",
    "InvalidScene",
    "InvalidState",
    "LifecycleError",
    "LongDWMEnv",
    "LongDWMError",
    "LongDWMVectorEnv",
    "MissingDependency",
    "MissingWeights",
    "Mounting",
    "NotFinite",
    "RewardTerm",
    "Scene",
    "Trajectory",
    "Unavailable",
    "UnknownScene",
    "UnknownWorld",
    "WorldModel",
    "WorldState",
    "__version__",
    "open_scenes",
]

# Names whose modules are worth their import time only when they are used.
_LATER = {
    "AssumedCameraWarning": "longdwm_env.episodes.starts",
    "EnvState": "longdwm_env.state",
    "Futures": "longdwm_env.imagine",
    "LongDWMEnv": "longdwm_env.env",
    "LongDWMVectorEnv": "longdwm_env.vector_env",
    "RewardTerm": "longdwm_env.rewards",
    "Unavailable": "longdwm_env.rewards",
    "open_scenes": "longdwm_env.scenes",
}

register(
    id="LongDWM-v0",
    entry_point="longdwm_env.env:LongDWMEnv",
    vector_entry_point="longdwm_env.vector_env:LongDWMVectorEnv",
    # The environment says itself, in its own words, when it is called out of order.
    order_enforce=False,
    # The checker that gym.make puts around environments fails on a step that follows set_state() without a reset().
    # The tests run under it; disable_env_checker=False turns it on.
    disable_env_checker=True,
)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("longdwm")
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
