"""The rest of a generated second: what an agent that acts sooner goes on to see, as long as it does what it did.

Every action begins a new keyframe, from a frame that the Fine model made, and each adds its errors. Whoever acts every
half second and keeps his way has no need of that: the second half of the second is there. A world keeps it in its state
(``world.FinishingWorld``), and gives it out while the trajectory leads where it was generated for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longdwm_env.geometry.pose import compose
from longdwm_env.types import FloatArray, Images, WorldState, wrap_angle

SAME_M, SAME_RAD = 0.1, 0.005
"""How far a trajectory may lead from the earlier one: about a pixel of a picture 144 wide."""

_FRAMES, _TRACK = "rest_frames", "rest_track"


@dataclass(frozen=True, eq=False)
class Second:
    """Frames that were generated together, or what is left of them.

    Attributes:
        frames: (N, H, W, 3).
        track: (N, 3) poses in the world frame that they were generated for.
    """

    frames: Images
    track: FloatArray

    def after(self, count: int) -> "Second":
        """What is left when ``count`` frames have been driven."""
        return Second(self.frames[count:], self.track[count:])


def rest_of_second(state: WorldState, ahead: FloatArray, num_frames: int) -> Second | None:
    """The rest of the second that a state is in, if a trajectory (T, 3) from it leads through it.

    None where there is no such second, where it ends before ``num_frames``, or where the trajectory leads elsewhere.
    """
    if len(state.arrays.get(_FRAMES, ())) < num_frames:
        return None
    rest = Second(state.arrays[_FRAMES], state.arrays[_TRACK])
    led = compose(state.arrays["track"][-1], np.asarray(ahead[:num_frames], dtype=np.float64))
    apart = led - rest.track[:num_frames]
    same = np.hypot(apart[:, 0], apart[:, 1]).max() < SAME_M and np.abs(wrap_angle(apart[:, 2])).max() < SAME_RAD
    return rest if same else None


def with_rest(arrays: Mapping[str, NDArray[Any]], rest: Second) -> dict[str, NDArray[Any]]:
    """A state's arrays with the rest of a second, if anything is left of it, in place of an earlier one's."""
    kept = {name: array for name, array in arrays.items() if name not in (_FRAMES, _TRACK)}
    if len(rest.frames):
        kept |= {_FRAMES: rest.frames.copy(), _TRACK: rest.track.copy()}
    return kept


__all__ = ["Second", "rest_of_second", "with_rest"]
