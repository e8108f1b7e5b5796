"""The protocol between the environment and whatever answers an action with frames."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from longdwm_env.episodes.lazy_frames import Frames
from longdwm_env.types import FloatArray, Images, ImageSize, Scene, Trajectory, WorldState


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


@runtime_checkable
class UndrawnWorld(WorldModel, Protocol):
    """A world whose pictures decide nothing of what happens, so that it can drive without drawing them.

    A frame that is not looked at (by an agent that sees the newest only, a planner that asks for rewards) is not
    drawn. States, and frames when they are looked at, are those of ``advance``, to the last bit.
    """

    def advance_undrawn(
        self, states: Sequence[WorldState], trajectories: Sequence[Trajectory], num_frames: int
    ) -> tuple[list[WorldState], list[Frames]]:
        """As ``advance``, with B ``Frames`` of ``num_frames`` that are drawn when they are looked at."""
        ...


@runtime_checkable
class GenerativeWorld(WorldModel, Protocol):
    """A world that generates its pixels: what stands behind them is unknown, so they are judged as they are seen."""

    @property
    def device(self) -> str:
        """Where it works, such as "cpu" or "cuda": networks that judge its frames work there too."""
        ...

    def recent_frames(self, state: WorldState, count: int) -> Images:
        """The last ``count`` frames, or fewer if fewer were really seen, (N, H, W, 3), the present one last."""
        ...


@runtime_checkable
class FinishingWorld(WorldModel, Protocol):
    """A world that generates whole seconds, and can go on with one while the trajectory leads where it was made for.

    An agent that acts more often than once a second, and keeps its way, then sees what it would see if it acted once a
    second, sooner and sharper. Off unless it is switched on, as the window for people does: in the environment, the
    frame at which an agent acts is always a new keyframe.
    """

    finish_seconds: bool


@runtime_checkable
class UncertainWorld(WorldModel, Protocol):
    """A world that can predict what follows an action several times over, and say how far its predictions differ."""

    def uncertainty(self, states: Sequence[WorldState], trajectories: Sequence[Trajectory]) -> FloatArray:
        """How far predictions of each state's next interval differ, (B,), 0 where they agree; as pure as ``advance``.

        Args:
            states: B states; they are not changed.
            trajectories: B trajectories, as for ``advance``.
        """
        ...


class Scorer(Protocol):
    """A network that scores pixels."""

    def judge(self, windows: Images) -> FloatArray:
        """Probabilities (B, 2) that windows uint8 (B, 12, H, W, 3) end in danger, and off the road; row by row."""
        ...
