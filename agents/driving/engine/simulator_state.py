"""A moment of the reference simulator under other weather or at another size, without driving there again.

Its traffic does not depend on the picture: of ``SimulatorWorld``'s state only the values ``camera``, ``weather`` and
``time_of_day`` do. The tests hold it to that, by driving the whole way again and comparing frames.
"""

from dataclasses import replace

from longdwm_env.agents.driving.engine.timeline import Moment
from longdwm_env.episode import made_here
from longdwm_env.episodes.lazy_frames import Frames
from longdwm_env.geometry.camera import fit_images
from longdwm_env.types import ImageSize, WorldState

TINY = "simulator (tiny)"
TINY_SIZE: ImageSize = (16, 24)
"""Where only the traffic matters."""

OF_THE_DRIVE = ("frame",)
"""Values of the state that tell how far it was driven; the others come from the scene's start."""


def retold(moment: Moment, start: Moment) -> Moment:
    """The moment as a drive from ``start``, which differs in prompt or image size, would have reached it.

    Its frames are the old ones, resized: the next clip is the first that is drawn anew.
    """
    state, begun = moment.state, start.state
    values = {**begun.world_state.values, **{name: state.world_state.values[name] for name in OF_THE_DRIVE}}
    state = replace(
        state,
        prompt=begun.prompt,
        image_size=begun.image_size,
        camera=begun.camera,
        clip=Frames.of(fit_images(state.frames, begun.image_size)),
        world_state=WorldState(state.world_state.arrays, values, state.world_state.actors),
    )
    return replace(moment, state=made_here(state))
