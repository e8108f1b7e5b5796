"""What a state keeps of a scene's map and of the sky, and what is known of a second around a place."""

from collections.abc import Mapping

import numpy as np

from longdwm_env.errors import InvalidState
from longdwm_env.geometry.camera import camera_from_json
from longdwm_env.geometry.layout import REACH_M, DrawnRoadMap, RoadLayout
from longdwm_env.geometry.map_view.map_picture import SCENERY_REACH_M
from longdwm_env.geometry.map_view.scenery import SaidSceneryMap, SceneryLayer, SceneryMap
from longdwm_env.models.closed_loop.sky_memory import Sky
from longdwm_env.models.closed_loop.surroundings import Surroundings
from longdwm_env.types import ActorTracks, AnyArray, Camera, FloatArray, Scene, WorldState

LAYOUT_REACH_M = 3000.0
"""How far from the start a state knows the map: farther than 90 s take anyone."""

_SCENERY = "scenery_"
"""Begins the names of a state's arrays of what stands beside the road."""

_SAID = "scenery_is_said"
_MOST_DRIVEN_M = 100.0

_LAYOUT_NEEDED_M = REACH_M + _MOST_DRIVEN_M
"""What one step needs of it: what is drawn, and how far a car comes meanwhile."""


def layout_arrays(scene: Scene) -> dict[str, AnyArray]:
    """What a state keeps of what is painted on the road; nothing where the scene's map does not know."""
    if not isinstance(scene.road_map, DrawnRoadMap):
        return {}
    layout = scene.road_map.layout(scene.start.pose[:2], LAYOUT_REACH_M)
    return {"layout_corners": layout.corners_m, "layout_kinds": layout.kinds}


def scenery_arrays(scene: Scene) -> tuple[dict[str, AnyArray], dict[str, bool]]:
    """What a state keeps of what stands beside the road, arrays and values; likewise."""
    if not isinstance(scene.road_map, SceneryMap):
        return {}, {}
    scenery = scene.road_map.scenery(scene.start.pose[:2], LAYOUT_REACH_M)
    if scenery is None:
        return {}, {}
    said = isinstance(scene.road_map, SaidSceneryMap) and scene.road_map.scenery_is_said
    return {f"{_SCENERY}{name}": array for name, array in scenery.arrays.items()}, {_SAID: said}


def layout_near(state: WorldState, place: FloatArray | None = None) -> RoadLayout | None:
    """The road near the ego, or near a place (x m, y m, ...), in the world frame."""
    if "layout_kinds" not in state.arrays:
        return None
    whole = RoadLayout(state.arrays["layout_corners"], state.arrays["layout_kinds"])
    return whole.near((state.arrays["track"][-1] if place is None else place)[:2], _LAYOUT_NEEDED_M)


def surroundings_of(state: WorldState, poses: FloatArray, others: ActorTracks | None, sky_memory: bool) -> Surroundings:
    """What is known of a second, in the world frame.

    Args:
        state: of the drive.
        poses: (13, 3) of the ego, at the second's beginning and at each of its frames.
        others: the other road users then; None where they are unknown.
        sky_memory: whether the sky is remembered.
    """
    scenery = _scenery_near(state.arrays, poses[0])
    sky = _remembered_sky(state) if sky_memory and scenery is not None else None
    return Surroundings(poses, layout_near(state, poses[0]), scenery, others, sky)


def camera_of(state: WorldState) -> Camera:
    """Of all frames of a drive."""
    return camera_from_json(state.values["camera"])


def _scenery_near(arrays: Mapping[str, AnyArray], place: FloatArray) -> SceneryLayer | None:
    """What stands near a place, in the world frame; None where the map does not know."""
    names = [name for name in arrays if name.startswith(_SCENERY)]
    if not names:
        return None
    whole = SceneryLayer(**{name.removeprefix(_SCENERY): arrays[name] for name in names})
    return whole.near(place[:2], SCENERY_REACH_M + _MOST_DRIVEN_M)


def _remembered_sky(state: WorldState) -> Sky:
    """The sky as the drive remembers it.

    Raises:
        InvalidState: it is another camera's.
    """
    # States of earlier versions do not say which it is: what they show must look like sky as well.
    unseen = Sky.unseen(camera_of(state), exact=state.values.get(_SAID) is False)
    seen = state.arrays.get("sky", unseen.seen)
    if seen.shape != unseen.seen.shape or seen.dtype != np.uint8:
        raise InvalidState(f"the sky of this camera is uint8 {unseen.seen.shape}, got {seen.dtype} {seen.shape}")
    return Sky(seen, unseen.exact)
