"""The protocol between the environment and whatever answers an action with frames."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from longdwm_env.types import Images, ImageSize, Scene, Trajectory, WorldState


@runtime_checkable
class WorldModel(Protocol):
    """A world answers trajectories with video. It keeps nothing between calls: what it must remember is in the state.

    Both methods are pure: the same arguments give the same frames, bit for bit on the same machine, and a batch gives
    what its members would give alone. Random numbers are counted, not streamed: they come from the episode's seed, the
    number of frames driven so far and a purpose, so that no other call can disturb them.
    """

    name: str
    """What the environment shows and records: "warp", "simulator", "mini", a path."""

    image_size: ImageSize
    """(height, width) of the frames it makes."""

    def begin(self, scene: Scene, seed: int) -> WorldState:
        """The state at a scene's start.

        Args:
            scene: where to start. Its camera is known and fitted to ``image_size``, its prompt final.
            seed: the episode's seed.
        """
        ...

    def advance(
        self, states: Sequence[WorldState], trajectories: Sequence[Trajectory], num_frames: int
    ) -> tuple[list[WorldState], Images]:
        """Drive each state along its trajectory for ``num_frames`` frames, at most one interval.

        Args:
            states: B states; they are not changed.
            trajectories: B trajectories, in the ego frame of each state's present frame, an interval long at least.
            num_frames: frames to execute, 1 to ``clock.FRAMES_PER_INTERVAL``.

        Returns:
            B new states and the frames, uint8 RGB (B, num_frames, H, W, 3).
        """
        ...
