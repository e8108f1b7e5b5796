"""The rest of a generated second: what an agent that acts sooner goes on to see, as long as it does what it did.

Every action begins a new keyframe, from a frame that was generated itself; each adds its errors. A driver who acts
more often and keeps his way has no need of that: the rest of the second is there. A world keeps it in its state
(``world.FinishingWorld``), and gives it out while the trajectory leads where it was generated for. Where frames
are put together one by one, what is kept is what they will be made from: a driver who turns off did not wait for them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longdwm_env.geometry.pose import compose
from longdwm_env.types import ActorTracks, FloatArray, Images, WorldState, wrap_angle

SAME_M, SAME_RAD = 0.1, 0.005
"""How far a trajectory may lead from the earlier one: about a pixel of a picture 144 wide."""

_REST = "rest_"
"""Begins the names of all that a state keeps of a second."""

_FRAMES, _TRACK, _FIRST, _KEYFRAME, _POSES = (
    _REST + name for name in ("frames", "track", "first", "keyframe", "poses")
)
_OTHERS, _IDS = _REST + "others_", _REST + "ids"


@dataclass(frozen=True, eq=False)
class Opened:
    """A second whose keyframe is there, and whose frames before it are made when they are driven.

    Attributes:
        first: (H, W, 3) the frame that it began at.
        keyframe: (H, W, 3) its last frame.
        poses: (13, 3) of the ego in the world frame, at ``first`` and at each frame.
        others: the other road users at the same 13 frames; None where they are unknown.
    """

    first: Images
    keyframe: Images
    poses: FloatArray
    others: ActorTracks | None


@dataclass(frozen=True, eq=False)
class Second:
    """Frames that were generated together, or what is left of them.

    Attributes:
        frames: (N, H, W, 3) those that are made.
        track: (M, 3) poses in the world frame that frames were, or are to be, generated for; N = M unless ``opened``.
        opened: what the other frames are made from; None where there are none.
        sky: ``Sky.seen`` as it is remembered when the second has begun; None where it is not.
    """

    frames: Images
    track: FloatArray
    opened: Opened | None = None
    sky: NDArray[np.uint8] | None = None

    def after(self, count: int) -> "Second":
        """What is left when ``count`` frames have been driven."""
        return Second(self.frames[count:], self.track[count:], self.opened)


def rest_of_second(state: WorldState, ahead: FloatArray, num_frames: int) -> Second | None:
    """The rest of the second that a state is in, if a trajectory (T, 3) from it leads through it.

    None where there is no such second, where it ends before ``num_frames``, or where the trajectory leads elsewhere.
    """
    arrays = state.arrays
    if len(arrays.get(_TRACK, ())) < num_frames:
        return None
    track = arrays[_TRACK]
    led = compose(arrays["track"][-1], np.asarray(ahead[:num_frames], dtype=np.float64))
    apart = led - track[:num_frames]
    same = np.hypot(apart[:, 0], apart[:, 1]).max() < SAME_M and np.abs(wrap_angle(apart[:, 2])).max() < SAME_RAD
    if not same:
        return None
    if _KEYFRAME not in arrays:
        return Second(arrays[_FRAMES], track)
    opened = Opened(arrays[_FIRST], arrays[_KEYFRAME], arrays[_POSES], _others(state))
    return Second(np.zeros((0, *opened.first.shape), np.uint8), track, opened)


def _others(state: WorldState) -> ActorTracks | None:
    if _IDS not in state.values:
        return None
    others = [name for name in state.arrays if name.startswith(_OTHERS)]
    kept: dict[str, Any] = {name.removeprefix(_OTHERS): state.arrays[name] for name in others}
    return ActorTracks(**kept, ids=tuple(state.values[_IDS]))


def with_rest(
    arrays: Mapping[str, NDArray[Any]], values: Mapping[str, Any], rest: Second
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """A state's arrays and values with the rest of a second, if any is left of it, in place of an earlier one's."""
    kept = {name: array for name, array in arrays.items() if not name.startswith(_REST)}
    plain = {name: value for name, value in values.items() if name != _IDS}
    if not len(rest.track):
        return kept, plain
    kept[_TRACK] = rest.track.copy()
    if rest.opened is None:
        return {**kept, _FRAMES: rest.frames.copy()}, plain
    opened = rest.opened
    kept |= {_FIRST: opened.first.copy(), _KEYFRAME: opened.keyframe.copy(), _POSES: opened.poses.copy()}
    if opened.others is not None:
        known = {"poses": opened.others.poses, "sizes_m": opened.others.sizes_m, "speeds_mps": opened.others.speeds_mps}
        kept |= {_OTHERS + name: array.copy() for name, array in (known | opened.others.looks).items()}
        plain[_IDS] = list(opened.others.ids)
    return kept, plain
