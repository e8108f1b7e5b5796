"""The drive so far as values, so that any of its moments can be driven again differently; bounded in memory."""

from dataclasses import dataclass, field

import numpy as np

from longdwm_env.actions import Action, ActionMode
from longdwm_env.agents.driving.input.pedals import Controls
from longdwm_env.clock import FPS
from longdwm_env.episodes.observation import Info
from longdwm_env.state import EnvState
from longdwm_env.types import FloatArray, Images, Trajectory

DENSE_S = 6.0
"""Every moment of this last stretch is kept; of the time before, one a second."""

MAX_BYTES = 512 * 2**20
"""Memory for past moments; the oldest go first."""


@dataclass(frozen=True, eq=False)
class Act:
    """One action: of which of the environment's action modes, and for how many frames."""

    mode: ActionMode
    action: Action
    frames: int


@dataclass(frozen=True, eq=False)
class Moment:
    """An instant at which the driver acts, and the clip that led there.

    Attributes:
        state: the episode at this instant; ``state.frames`` is the clip.
        number: how many actions lead here from the scene's start. Steps of the journal are counted alike.
        controls: where steering wheel and pedals were during the clip.
        trajectory: the motion commanded for the clip, in the ego frame of ``origin``; None at a scene's start.
        origin: (3,) pose at which it was commanded.
        act: the action that led here; None at a scene's start.
        info: what the environment said, for policies.
        made_in_s: how long the clip took to make.
    """

    state: EnvState
    number: int = 0
    controls: Controls = field(default_factory=Controls)
    trajectory: Trajectory | None = None
    origin: FloatArray = field(default_factory=lambda: np.zeros(3))
    act: Act | None = None
    info: Info = field(default_factory=dict)
    made_in_s: float = 0.0

    @property
    def frames(self) -> Images:
        """(T, H, W, 3) the clip."""
        return self.state.frames

    @property
    def time_s(self) -> float:
        """Seconds since the scene's start."""
        return self.state.frames_driven / FPS

    @property
    def over(self) -> bool:
        """Nothing can follow: a collision, off the road, or the time is up."""
        return self.state.terminated or self.state.truncated

    @property
    def memory_bytes(self) -> int:
        """Memory that this moment holds on to, as if it shared nothing with its neighbours."""
        return self.state.frames.nbytes + sum(array.nbytes for array in self.state.world_state.arrays.values())

    def speed_mps(self, frame: int) -> float:
        """Speed at a frame of the clip."""
        back = len(self.state.frames) - 1 - frame
        return float(self.state.past_motion[max(-len(self.state.past_motion), -1 - back), 0])


class Timeline:
    """The moments from the scene's start to now, oldest first."""

    def __init__(self, first: Moment, dense_s: float = DENSE_S, max_bytes: int = MAX_BYTES) -> None:
        self._moments = [first]
        self._dense_s, self._max_bytes = dense_s, max_bytes

    @property
    def present(self) -> Moment:
        """The latest moment."""
        return self._moments[-1]

    @property
    def moments(self) -> tuple[Moment, ...]:
        """All moments that are kept, oldest first."""
        return tuple(self._moments)

    @property
    def memory_bytes(self) -> int:
        """Memory that the kept moments hold on to."""
        return sum(moment.memory_bytes for moment in self._moments)

    def append(self, moment: Moment) -> None:
        """Drive on; older moments are thinned out, and the oldest dropped where memory ends."""
        self._moments.append(moment)
        self._thin(moment.time_s - self._dense_s)
        excess = self.memory_bytes - self._max_bytes
        drop = 0
        # The present moment and the one before stay, whatever they weigh.
        while excess > 0 and drop < len(self._moments) - 2:
            excess -= self._moments[drop].memory_bytes
            drop += 1
        del self._moments[:drop]

    def _thin(self, before_s: float) -> None:
        kept: list[Moment] = []
        for moment in self._moments:
            same_second = kept and int(kept[-1].time_s + 1e-6) == int(moment.time_s + 1e-6)
            if moment.time_s > before_s or not same_second:
                kept.append(moment)
        self._moments = kept

    def back(self, seconds: float) -> Moment:
        """The latest kept moment at least ``seconds`` before now, or the earliest kept one. Changes nothing."""
        target = self.present.time_s - seconds + 1e-6
        earlier = [moment for moment in self._moments if moment.time_s <= target]
        return earlier[-1] if earlier else self._moments[0]

    def return_to(self, moment: Moment) -> None:
        """Forget what came after a kept moment: from here it will be driven again."""
        index = next(i for i, kept in enumerate(self._moments) if kept is moment)
        del self._moments[index + 1 :]

    def replace_present(self, moment: Moment) -> None:
        """The same instant in another world, or under another prompt."""
        self._moments[-1] = moment

    def recent_frames(self, count: int) -> tuple[Images, FloatArray]:
        """Up to ``count`` frames that end now, (T, H, W, 3), and their poses (T, 3).

        Only frames that follow each other without a gap and have the present size.
        """
        clips, poses = [self.present.state.frames], [self.present.state.ego_poses]
        total = len(clips[0])
        for later, earlier in zip(self._moments[:0:-1], self._moments[-2::-1], strict=True):
            gap = later.state.frames_driven - len(later.state.frames) != earlier.state.frames_driven
            if total >= count or gap or earlier.state.image_size != self.present.state.image_size:
                break
            clips.insert(0, earlier.state.frames)
            poses.insert(0, earlier.state.ego_poses)
            total += len(clips[0])
        return np.concatenate(clips)[-count:], np.concatenate(poses)[-count:]
