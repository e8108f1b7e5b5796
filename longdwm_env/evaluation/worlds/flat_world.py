"""The control without a model: a learned world whose pictures are the map's, drawn flat."""

from collections.abc import Sequence

import numpy as np

from longdwm_env.geometry.pose import compose
from longdwm_env.models.closed_loop.known_map import camera_of
from longdwm_env.models.closed_loop.lookahead import Second
from longdwm_env.models.world import DiffusionWorld
from longdwm_env.types import ActorTracks, FloatArray
from longdwm_env.world import WorldState

FLAT = "flat"
"""Its name among the worlds that a measured one is held against."""


class FlatWorld(DiffusionWorld):
    """Road, scenery and road users as a map's picture shows them, without light, weather or texture.

    What a model achieves beyond it does not come from the map. Its traffic is that of the learned world beside it.
    """

    def _generated(
        self, given: Sequence[tuple[WorldState, FloatArray, ActorTracks | None]], num_frames: int
    ) -> list[Second]:
        seconds = []
        for state, ahead, others in given:
            known = self._surroundings(state, others, ahead)
            assert known is not None, "the pipeline has no compositor, so no map picture"
            camera = camera_of(state)
            frames = np.stack([known.shown(frame, camera).picture for frame in range(1, num_frames + 1)])
            seconds.append(Second(frames, compose(state.arrays["track"][-1], ahead[:num_frames])))
        return seconds
