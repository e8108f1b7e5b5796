"""Roads for scenes that come without a map, and the speed at which they start, as a person says them.

``photo.jpg?road=straight,lanes=2&speed_mps=8`` names both beside the path, so that whatever takes the path of scenes
takes them too; a file that is really called so is still that file.
"""

import math
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, quote

import numpy as np

from longdwm_env.errors import InvalidConfig, InvalidScene
from longdwm_env.geometry.camera import ASSUMED_HORIZONTAL_FOV_RAD, fit_images, forward_mounting
from longdwm_env.io.caching import Kept
from longdwm_env.io.names import printable
from longdwm_env.scenes.lane_seen import find_lane
from longdwm_env.scenes.media.sidecar import MAX_SPEED_MPS
from longdwm_env.scenes.recorded_log import RecordedLog
from longdwm_env.scenes.strip_road import LEAST_CURVATURE_PER_M, Road, StripRoad, is_number
from longdwm_env.scenes.vanishing import MOST_UPRIGHT, turned_towards, vanishing_point
from longdwm_env.types import ActorTracks, Camera, EgoState, Images, Intrinsics, Mounting, Scene, SceneSource

SURE_OF_LANE = 0.25
"""Confidence from which on a lane that is seen in the picture is believed."""

_LOOKED_AT_PX = 288
_AHEAD_M, _HEIGHT_M = 1.7, 1.4
_USUAL_LANE_M = 3.5
_CAR_M = (4.5, 1.8, 1.5)
_FIRST_CAR_M, _CAR_GAP_M = 30.0, 28.0


class HorizonNotFoundWarning(UserWarning):
    """A picture's lines do not say where its road leads, so a level camera was assumed."""


@dataclass(frozen=True)
class Said:
    """What a person says of scenes.

    Attributes:
        road: that pictures show; None to leave scenes as they are.
        speed_mps: at the start; None for what is known, else assumed.
    """

    road: Road | None = None
    speed_mps: float | None = None

    def __post_init__(self) -> None:
        if self.road is not None and not isinstance(self.road, Road):
            raise InvalidConfig(f"a road is said in words or is a Road, got {self.road!r:.60}")
        speed = self.speed_mps
        if speed is not None and not (is_number(speed) and 0 <= speed <= MAX_SPEED_MPS):
            raise InvalidConfig(f"the speed at the start is from 0 to {MAX_SPEED_MPS:g} m/s, got {speed!r:.60}")

    @classmethod
    def of(cls, road: str | Road | None, speed_mps: float | None) -> "Said":
        """From keywords: a road, or the words for one."""
        return cls(Road.parse(road) if isinstance(road, str) else road, speed_mps)


def with_words(path: str | None, road: str | None, speed_mps: float | None) -> str | None:
    """A path of scenes that says the road and the speed as well.

    Raises:
        InvalidConfig: they are not understood, or there is no path: built-in scenes have their own.
    """
    if road is None and speed_mps is None:
        return path
    if path is None:
        raise InvalidConfig("a road and a speed are said of pictures and videos; built-in scenes have their own")
    Said.of(road, speed_mps)
    words = [
        f"{name}={quote(str(value), safe=',=.')}"
        for name, value in (("road", road), ("speed_mps", speed_mps))
        if value is not None
    ]
    return f"{path}?{'&'.join(words)}"


def without_words(path: str) -> tuple[str, Said]:
    """A path alone, and what it says beside.

    Raises:
        InvalidConfig: what it says is not understood.
    """
    plain, mark, words = path.rpartition("?")
    if not mark or _exists(path):
        return path, Said()
    values = dict(parse_qsl(words, keep_blank_values=True))
    if unknown := sorted(set(values) - {"road", "speed_mps"}):
        raise InvalidConfig(
            f"scenes={path!r:.300}: {unknown[0]!r:.60} is not understood; allowed are road and speed_mps"
        )
    try:
        speed = float(values["speed_mps"]) if "speed_mps" in values else None
    except ValueError as error:
        raise InvalidConfig(f"scenes={path!r:.300}: speed_mps is a number, got {values['speed_mps']!r:.60}") from error
    return plain, Said.of(values.get("road"), speed)


def _exists(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, ValueError):
        return False


class SaidScenes:
    """Scenes of another source, with a road and a speed that a person says.

    Args:
        source: of scenes that begin at the origin of their world, as pictures and videos do.
        said: of them.
        name: what errors and states call it.
    """

    def __init__(self, source: SceneSource, said: Said, name: str | None = None) -> None:
        self.source, self.said = source, said
        self.name = name or f"{source.name}?{said}"
        self._scene = Kept(self._make_scene, 8)

    def __len__(self) -> int:
        return len(self.source)

    def scene(self, index: int) -> Scene:
        """The scene of an index; the same object while it is remembered."""
        return self._scene(index)

    def index_of_key(self, key: str) -> int:
        """As the source has it."""
        return self.source.index_of_key(key)

    def index_of_seed(self, seed: int) -> int:
        """As the source has it."""
        return self.source.index_of_seed(seed)

    def _make_scene(self, index: int) -> Scene:
        scene, said = self.source.scene(index), self.said
        if said.speed_mps is not None:
            scene = replace(scene, start=replace(scene.start, speed_mps=float(said.speed_mps)), assumed_speed=False)
        if said.road is None:
            return scene
        if scene.road_map is not None or scene.start.pose.any():
            raise InvalidScene(f"scene {scene.key!r} has a map of its own: a road is said of pictures and videos alone")
        return on_road(scene, said.road)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_scene"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._scene = Kept(self._make_scene, 8)


def on_road(scene: Scene, road: Road) -> Scene:
    """A scene without a map, on a road: with a camera that fits it, a map, and the cars that were asked for."""
    picture = _present_picture(scene)
    camera = scene.camera
    if picture is not None:
        camera = _camera(scene, road, picture)
    offset, width = road.offset, road.width
    if picture is not None and camera is not None and (offset is None or width is None):
        small = _small(picture)
        seen = find_lane(small, camera.fitted((small.shape[0], small.shape[1])))
        if seen.confidence >= SURE_OF_LANE:
            offset = -seen.offset_m if offset is None else offset
            width = seen.width_m or None if width is None else width
    curvature = road.curvature if abs(road.curvature) >= LEAST_CURVATURE_PER_M else 0.0
    strip = StripRoad(
        curvature,
        width or _USUAL_LANE_M,
        offset or 0.0,
        road.lanes,
        road.oncoming,
        road.lane,
        road.side,
        road.beside,
    )
    start = replace(scene.start, yaw_rate_radps=scene.start.speed_mps * curvature)
    actors = cars_on(strip, road.cars, start) if road.cars else scene.actors
    return replace(scene, camera=camera, road_map=strip, start=start, actors=actors)


def _present_picture(scene: Scene) -> Images | None:
    """The picture at a scene's start as it was recorded, (h, w, 3); None of a scene that is drawn."""
    return scene.log.present_picture() if isinstance(scene.log, RecordedLog) else None


def _small(picture: Images) -> Images:
    # A strip, lying or standing, is cut to a size that a view has.
    height = round(min(max(picture.shape[0] / picture.shape[1], 1 / MOST_UPRIGHT), MOST_UPRIGHT) * _LOOKED_AT_PX)
    return fit_images(picture, (height, _LOOKED_AT_PX))


def _camera(scene: Scene, road: Road, picture: Images) -> Camera:
    """The camera: what was said, then what stands beside the picture, then what its lines say, then what is usual."""
    height, width = picture.shape[:2]
    known = scene.camera
    if known is not None and road.fov is None:
        intrinsics = known.intrinsics.fitted((height, width))
    else:
        intrinsics = Intrinsics.from_fov(
            ASSUMED_HORIZONTAL_FOV_RAD if road.fov is None else math.radians(road.fov), (height, width)
        )
    above = road.height or (_HEIGHT_M if known is None else known.mounting.translation_m[2])
    place = (_AHEAD_M if known is None else known.mounting.translation_m[0], 0.0, above)
    if road.horizon is not None:
        row = road.horizon * height - 0.5
        mounting = forward_mounting(place, -math.atan((row - intrinsics.cy_px) / intrinsics.fy_px))
    elif known is not None:
        mounting = replace(known.mounting, translation_m=place)
    else:
        mounting = _found_mounting(scene, picture, intrinsics, place)
    return Camera(intrinsics, mounting)


def _found_mounting(
    scene: Scene, picture: Images, intrinsics: Intrinsics, place: tuple[float, float, float]
) -> Mounting:
    point = vanishing_point(picture)
    if point is None:
        warnings.warn(
            f"the lines of {printable(scene.key)} do not say where its road leads; a level camera is assumed. Where "
            "the horizon is not in the middle, say so: road=straight,horizon=0.4 (0 is the picture's top)",
            HorizonNotFoundWarning,
            stacklevel=2,
        )
        return forward_mounting(place)
    return turned_towards(point, intrinsics, place)


def cars_on(road: StripRoad, count: int, ego: EgoState) -> ActorTracks:
    """Cars on a road's lanes, one after the other, at one frame: as fast as the car, or coming its way."""
    lanes = np.arange(count) % len(road.centres_m)
    along = _FIRST_CAR_M + _CAR_GAP_M * np.arange(count) / max(1, len(road.centres_m) / 2)
    if road.curvature_per_m:
        along = np.minimum(along, 0.8 * math.pi / abs(road.curvature_per_m) * (1 + np.arange(count)) / count)
    comes = lanes >= road.lanes
    places = road.places(along, road.centres_m[lanes])
    headings = along * road.curvature_per_m + np.where(comes, np.pi, 0.0)
    speeds = np.full(count, max(ego.speed_mps, 5.0))
    poses = np.column_stack([places, headings])[None]
    classes = np.full(count, 2, np.uint8)
    return ActorTracks(
        poses, np.tile(_CAR_M, (count, 1)), speeds[None], tuple(f"said-{i}" for i in range(count)), classes
    )
