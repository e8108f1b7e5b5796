"""Road maps of nuScenes: the semantic mask of every dataset; lanes and lines where the map expansion is installed."""

import math
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree

from longdwm_env.errors import InvalidScene
from longdwm_env.geometry.layout import RoadLayout
from longdwm_env.io.names import inside
from longdwm_env.scenes.media.image_file import FORMATS
from longdwm_env.scenes.nuscenes.nuscenes_layout import expansion_layout
from longdwm_env.scenes.nuscenes.schema_tables import Record
from longdwm_env.types import FloatArray, LaneFit, RoadMap, wrap_angle

if TYPE_CHECKING:
    from nuscenes import NuScenes
    from nuscenes.map_expansion.map_api import NuScenesMap
    from shapely.geometry import Polygon

PIXELS_PER_M = 10.0
"""Scale of nuScenes' map masks."""

MAX_MASK_PIXELS = 2 * 1024**3
"""nuScenes' largest, singapore-queenstown, has 1.2e9."""

EXPANSION = Path("maps", "expansion")
"""Where in a dataroot the map expansion is installed: ``LOCATION.json``."""

LANE_STEP_M = 1.0
_FOREGROUND = 255


def road_map_of(nusc: "NuScenes", dataroot: Path, scene: Record, location: str, driven_m: FloatArray) -> RoadMap | None:
    """The map under a scene: the expansion's if it is installed, else the mask.

    Args:
        nusc: the devkit's database.
        dataroot: where it reads.
        scene: record of the scene.
        location: of its log, which the expansion's file is called after.
        driven_m: (N, 2) where the ego drove. A map on which no such point is drivable is not one of this place
            (datasets converted to the schema come with an empty one), and None is returned.

    Raises:
        InvalidScene: a map file is broken.
    """
    road_map: RoadMap | None = expansion_map(dataroot, location)
    if road_map is None:
        record = nusc.get("map", nusc.get("log", scene["log_token"])["map_token"])
        road_map = MaskMap(inside(dataroot, record["filename"]))
    return road_map if road_map.drivable(driven_m).any() else None


def expansion_map(dataroot: Path, location: str) -> "ExpansionMap | None":
    """The map expansion of a place; None where it is not installed.

    Raises:
        InvalidScene: its file is damaged, or the place's name leaves the folder.
    """
    path = inside(dataroot / EXPANSION, f"{location}.json")
    return _expansion(str(dataroot), location, _stamp(path)) if path.is_file() else None


class MaskMap:
    """The semantic mask: where it is white there is road, or, in nuScenes itself, sidewalk. It knows no lanes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._bits, self._size = _packed_mask(path, _stamp(path))

    def __reduce__(self) -> tuple[object, ...]:
        return MaskMap, (self._path,)

    def drivable(self, points_m: FloatArray) -> NDArray[np.bool_]:
        """Whether each of (N, 2) points is white; the arithmetic is that of the devkit's ``MapMask.is_on_mask``."""
        height, width = self._size
        points = np.asarray(points_m, np.float64).reshape(-1, 2)
        with np.errstate(invalid="ignore"):
            columns = np.round(points[:, 0] * PIXELS_PER_M)
            rows = np.round(height - points[:, 1] * PIXELS_PER_M)
            inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        result = np.zeros(len(points), bool)
        column, row = columns[inside].astype(np.int64), rows[inside].astype(np.int64)
        result[inside] = (self._bits[row, column >> 3] >> (7 - (column & 7))) & 1
        return result

    def fit_lanes(self, poses: FloatArray) -> LaneFit:
        """NaN: a mask shows no lanes."""
        unknown = np.full(len(poses), np.nan)
        return LaneFit(unknown, unknown, unknown)


def _stamp(path: Path) -> tuple[int, int]:
    """Changes when a file does, so that what is remembered of it is forgotten then."""
    try:
        facts = path.stat()
    except OSError as error:
        raise InvalidScene(f"{path} cannot be read: {error.strerror or error}") from error
    return facts.st_mtime_ns, facts.st_size


@lru_cache(maxsize=4)
def _packed_mask(path: Path, stamp: tuple[int, int]) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """A mask at one bit per pixel, (height, ceil(width / 8)), and its (height, width).

    nuScenes' masks have up to 1.2e9 pixels: packed, all four fit in 370 MB and are read once.
    """
    limit = Image.MAX_IMAGE_PIXELS
    try:
        # Pillow's guard against decompression bombs is made for photographs; ours stands two lines below.
        Image.MAX_IMAGE_PIXELS = None
        with Image.open(path, formats=FORMATS) as mask:
            width, height = mask.size
            if width * height > MAX_MASK_PIXELS:
                raise InvalidScene(f"{path} has {width} x {height} pixels; a mask may have at most {MAX_MASK_PIXELS:,}")
            if mask.mode not in ("L", "P", "1"):
                raise InvalidScene(f"{path} has pixels of mode {mask.mode}; a map mask has one 8-bit channel")
            bits = np.empty((height, (width + 7) // 8), np.uint8)
            strip = 512
            for top in range(0, height, strip):
                rows = np.asarray(mask.crop((0, top, width, min(top + strip, height))))
                bits[top : top + strip] = np.packbits(rows.astype(np.uint8) == _FOREGROUND, axis=1)
    except InvalidScene:
        raise
    # As with photographs: Pillow raises whatever it runs into.
    except Exception as error:
        raise InvalidScene(f"map mask {path} cannot be read: {error}") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    return bits, (height, width)


class ExpansionMap:
    """Drivable area and lanes with centre lines, from the map expansion: a ``geometry.layout.DrawnRoadMap``."""

    def __init__(self, nusc_map: "NuScenesMap") -> None:
        """Index the areas and lay points along the lanes.

        Args:
            nusc_map: the devkit's ``NuScenesMap``.
        """
        from shapely import STRtree

        tokens = [token for area in nusc_map.drivable_area for token in area["polygon_tokens"]]
        self._areas = STRtree([nusc_map.extract_polygon(token) for token in tokens])
        polygons = {lane["token"]: nusc_map.extract_polygon(lane["polygon_token"]) for lane in nusc_map.lane}
        dividers = (nusc_map.extract_line(divider["line_token"]) for divider in nusc_map.road_divider)
        self._dividers = [line for line in dividers if not line.is_empty]
        widths = _lane_widths(nusc_map, polygons)
        lines = nusc_map.discretize_lanes(list(widths), LANE_STEP_M)
        tokens = [token for token in widths if len(lines[token])]
        points = [np.asarray(lines[token], np.float64).reshape(-1, 3) for token in tokens]
        # (P, 3) x m, y m, heading rad of the centre lines, and the width of the lane at each.
        self._points = np.concatenate([*points, np.zeros((0, 3))])
        self._widths = np.concatenate([np.full(len(p), widths[t]) for t, p in zip(tokens, points, strict=True)] + [[]])
        self._tree = cKDTree(self._points[:, :2])
        self._lanes = [(polygons[t], p) for t, p in zip(tokens, points, strict=True) if t in polygons]

    def layout(self, centre_m: FloatArray, reach_m: float) -> RoadLayout:
        """Drivable area, borders of lanes and dividers of roads within a distance of a point (2,).

        Raises:
            InvalidScene: the file's shapes make no sense.
        """
        try:
            return self._layout.near(centre_m, reach_m)
        # Geometry libraries raise errors of their own on shapes that make no sense.
        except Exception as error:
            raise InvalidScene(f"the map expansion's shapes make no sense: {error}") from error

    @cached_property
    def _layout(self) -> RoadLayout:
        return expansion_layout(self._areas.geometries, self._lanes, self._dividers)

    def drivable(self, points_m: FloatArray) -> NDArray[np.bool_]:
        """Whether each of (N, 2) points lies in a drivable area."""
        from shapely import points

        values = np.asarray(points_m, np.float64).reshape(-1, 2)
        result = np.zeros(len(values), bool)
        finite = np.flatnonzero(np.isfinite(values).all(axis=1))
        hits = self._areas.query(points(values[finite]), predicate="intersects")
        result[finite[hits[0]]] = True
        return result

    def fit_lanes(self, poses: FloatArray) -> LaneFit:
        """Offset from the nearest centre line, one that runs the ego's way if there is any; NaN a lane's width away."""
        values = np.asarray(poses, np.float64).reshape(-1, 3)
        result = np.full((len(values), 3), np.nan)
        neighbours, reach_m, usual_width_m = 16, 6.0, 3.5
        for index in np.flatnonzero(np.isfinite(values).all(axis=1)) if len(self._points) else ():
            x, y, heading = values[index]
            distances, near = self._tree.query((x, y), k=neighbours, distance_upper_bound=reach_m)
            near = near[np.isfinite(distances)]
            if not len(near):
                continue
            errors = wrap_angle(heading - self._points[near, 2])
            offsets = (x, y) - self._points[near, :2]
            headings = self._points[near, 2]
            laterals = offsets[:, 1] * np.cos(headings) - offsets[:, 0] * np.sin(headings)
            best = min(range(len(near)), key=lambda i: (abs(errors[i]) > math.pi / 2, np.linalg.norm(offsets[i])))
            width = self._widths[near[best]]
            if abs(laterals[best]) <= (usual_width_m if np.isnan(width) else width):
                result[index] = laterals[best], errors[best], width
        return LaneFit(result[:, 0], result[:, 1], result[:, 2])


@lru_cache(maxsize=4)
def _expansion(dataroot: str, location: str, stamp: tuple[int, int]) -> ExpansionMap:
    from nuscenes.map_expansion.map_api import NuScenesMap

    try:
        return ExpansionMap(NuScenesMap(dataroot=dataroot, map_name=location))
    # The devkit raises plain Exception for an outdated map, and whatever a broken file leads to.
    except Exception as error:
        path = Path(dataroot) / EXPANSION / f"{location}.json"
        raise InvalidScene(f"map expansion {path} cannot be used: {error}") from error


def _lane_widths(nusc_map: "NuScenesMap", polygons: Mapping[str, "Polygon"]) -> dict[str, float]:
    """Mean width in metres of every lane, from its polygon; of a connector, that of the lanes it joins, else NaN."""
    widths: dict[str, float] = {}
    for lane in nusc_map.lane:
        path = nusc_map.arcline_path_3.get(lane["token"], [])
        length = sum(sum(piece["segment_length"]) for piece in path)
        widths[lane["token"]] = polygons[lane["token"]].area / length if length > 0 else math.nan
    for connector in nusc_map.lane_connector:
        ends = nusc_map.connectivity.get(connector["token"], {"incoming": [], "outgoing": []})
        joined = [widths[token] for token in (*ends["incoming"], *ends["outgoing"]) if token in widths]
        known = [width for width in joined if math.isfinite(width)]
        widths[connector["token"]] = float(np.mean(known)) if known else math.nan
    return widths
