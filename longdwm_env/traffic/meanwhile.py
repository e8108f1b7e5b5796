"""Where the other road users of a generated world are while the ego drives: part of the world's state, as plain data.

Reactive traffic sees the ego. In the built-in scenes the reference simulator's drivers move it (``simulated``); where
road users were recorded on a map with lanes, they follow their log until the ego leaves its own (``logged``).
"""

from typing import Literal, cast, get_args

import numpy as np

from longdwm_env.errors import InvalidConfig
from longdwm_env.scenes.builtin import KEY_PREFIX
from longdwm_env.traffic import logged
from longdwm_env.traffic.traffic_record import Begun, Meanwhile
from longdwm_env.types import FloatArray, Scene, WorldState

TrafficKind = Literal["reactive", "constant", "none"]
TRAFFIC: tuple[str, ...] = get_args(TrafficKind)


def checked_traffic(traffic: object) -> TrafficKind | None:
    """The keyword ``traffic`` as it is allowed.

    Raises:
        InvalidConfig: it is not; the message lists what is.
    """
    if traffic is None or (isinstance(traffic, str) and traffic in TRAFFIC):
        return cast(TrafficKind | None, traffic)
    raise InvalidConfig(
        f"traffic={traffic!r} does not exist; there are {', '.join(map(repr, TRAFFIC))}, and None for what a scene has"
    )


def kind_of(scene: Scene, asked: TrafficKind | None) -> TrafficKind:
    """The traffic that a scene gets: reactive traffic needs lanes, and photographs and videos have none at all."""
    if asked == "none" or (scene.actors is None and not _simulated(scene)):
        return "none"
    if asked == "constant":
        return "none" if scene.actors is None else "constant"
    if _simulated(scene):
        return "reactive"
    goes_on = scene.driven is None or logged.AHEAD in scene.driven.arrays
    return "reactive" if goes_on and _has_lanes(scene) else "constant"


def begin(scene: Scene) -> Begun:
    """Reactive traffic at the start of a scene for which ``kind_of`` says that there is some."""
    if not _simulated(scene):
        return logged.begin(scene)
    # The simulator is heavy to import, and recorded scenes never need it.
    from longdwm_env.traffic import simulated

    return simulated.begin(scene)


def react(state: WorldState, poses: FloatArray, speeds_mps: FloatArray, frames: int | None = None) -> Meanwhile:
    """Reactive traffic while the ego drives.

    Args:
        state: of the world; its arrays are those of ``begin`` or ``Meanwhile.after``, beside the ego's ``track``.
        poses: (T, 3) of the ego's rear axle at the frames to come, in the world frame.
        speeds_mps: (T,) of the ego.
        frames: how many of the T are needed; None for all. Only of recorded traffic the others are there as well: whom
            it counts as near depends on them.
    """
    if logged.AHEAD in state.arrays:
        return logged.react(state, poses, speeds_mps)
    from longdwm_env.traffic import simulated

    return simulated.react(state, poses[:frames], speeds_mps[:frames])


def _simulated(scene: Scene) -> bool:
    return scene.key.startswith(KEY_PREFIX)


def _has_lanes(scene: Scene) -> bool:
    here = scene.start.pose[None]
    return scene.road_map is not None and bool(np.isfinite(scene.road_map.fit_lanes(here).lateral_m).all())
