"""What is known of reactive traffic at a scene's start, and of what it does while the ego drives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from longdwm_env.types import ActorTracks, AnyArray

Arrays = Mapping[str, AnyArray]


@dataclass(frozen=True, eq=False)
class Meanwhile:
    """What the other road users do while the ego drives T frames.

    Attributes:
        tracks: at T + 1 frames, the first being the present one; None where none are known.
        after: for a number of frames up to T, the arrays of the world's state that remember the traffic then.
    """

    tracks: ActorTracks | None
    after: Callable[[int], Arrays]


@dataclass(frozen=True, eq=False)
class Begun:
    """The traffic at a scene's start: what the state remembers, and the road users at one frame; None where unknown."""

    arrays: Arrays
    values: Mapping[str, Any]
    actors: ActorTracks | None
