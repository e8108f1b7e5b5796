"""The roads of nuScenes' map expansion as ``geometry.layout`` wants them: asphalt, lanes' borders, roads' dividers."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from longdwm_env.geometry.layout import CENTRE_LINE, LINE, ROAD, RoadLayout
from longdwm_env.types import FloatArray

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

LINE_M = 0.15
"""Width of a line; the expansion gives none."""

CELL_M = 16.0
"""Asphalt and lines are cut into pieces no longer: a layout is looked up by its corners."""

_AREA_TOLERANCE_M = 0.1
_LINE_TOLERANCE_M = 0.05
_OVERLAP_M = 0.05
_POLYGON = 3


def expansion_layout(
    areas: Sequence["BaseGeometry"],
    lanes: Sequence[tuple["BaseGeometry", FloatArray]],
    dividers: Sequence["BaseGeometry"],
) -> RoadLayout:
    """What the expansion knows of a place, in the map's frame.

    Every border of a lane becomes a line, painted or not: it is where the lane ends. Inside junctions there are none.

    Args:
        areas: shapely polygons of drivable area.
        lanes: shapely polygon of each lane, connectors left out, and points (P, 3) of its centre line: x m, y m,
            heading rad.
        dividers: shapely lines between directions of traffic.
    """
    kinds = (
        (ROAD, _asphalt(areas)),
        (LINE, _strips(_borders(lanes))),
        (CENTRE_LINE, _strips(_segments(dividers))),
    )
    return RoadLayout(
        np.concatenate([corners for _, corners in kinds]),
        np.concatenate([np.full(len(corners), kind, np.uint8) for kind, corners in kinds]),
    )


def _asphalt(areas: Sequence["BaseGeometry"]) -> Float[np.ndarray, "q 4 2"]:
    """Trapezoids that together are the areas."""
    import shapely

    whole = shapely.simplify(shapely.union_all(shapely.make_valid(list(areas))), _AREA_TOLERANCE_M)
    parts = _polygons(_in_cells(whole))
    rings, part_of_ring = shapely.get_rings(parts, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    # Corners that nearly share a height would leave slivers between them.
    points = points.round(3)
    edges = np.stack([points[:-1], points[1:]], axis=1)[ring[:-1] == ring[1:]]
    part = part_of_ring[ring[:-1][ring[:-1] == ring[1:]]]
    bounds = np.searchsorted(part, np.arange(len(parts) + 1))
    return np.concatenate([np.zeros((0, 4, 2)), *(_trapezoids(edges[a:b]) for a, b in pairwise(bounds))])


def _in_cells(area: "BaseGeometry") -> np.ndarray:
    """An area cut along a square grid, by halves: each cut is then made in little geometry."""
    import shapely

    pieces = _polygons(np.array([area], object))
    if not len(pieces):
        return pieces
    low, high = np.split(shapely.total_bounds(pieces), 2)
    side = CELL_M * 2.0 ** np.ceil(np.log2(max((high - low).max() / CELL_M, 1.0)))
    origins = np.repeat(low[None], len(pieces), axis=0)
    while side > CELL_M:
        side /= 2
        quarters = side * np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
        origins = (origins[:, None] + quarters).reshape(-1, 2)
        pieces = shapely.intersection(np.repeat(pieces, len(quarters)), shapely.box(*origins.T, *(origins + side).T))
        kept = shapely.area(pieces) > 0
        pieces, origins = pieces[kept], origins[kept]
    return pieces


def _polygons(geometries: np.ndarray) -> np.ndarray:
    """The polygons in an array of geometries; what cuts leave of lines and points is dropped."""
    import shapely

    # A collection may hold multipolygons.
    parts = shapely.get_parts(shapely.get_parts(geometries))
    return parts[(shapely.get_type_id(parts) == _POLYGON) & (shapely.area(parts) > 0)]


def _trapezoids(edges: Float[np.ndarray, "e 2 2"]) -> Float[np.ndarray, "q 4 2"]:
    """What lies between the edges of one polygon with its holes: cut at every corner's height it is trapezoids."""
    made = [np.zeros((0, 4, 2))]
    heights = np.unique(edges[..., 1])
    for low, high in pairwise(heights):
        middle = (low + high) / 2
        start, end = edges[(edges[..., 1].min(axis=1) < middle) & (edges[..., 1].max(axis=1) > middle)].swapaxes(0, 1)
        slope = (end[:, 0] - start[:, 0]) / (end[:, 1] - start[:, 1])
        ends = np.stack([start[:, 0] + slope * (y - start[:, 1]) for y in (low, high)], axis=1)
        # By even and odd: every second edge is where the inside begins.
        ends = ends[np.argsort(ends.sum(axis=1))]
        left, right = ends[0::2], ends[1::2]
        across = np.stack([left[:, 0], right[:, 0], right[:, 1], left[:, 1]], axis=1)
        made.append(np.stack([across, np.broadcast_to([low, low, high, high], across.shape)], axis=2))
    return np.concatenate(made)


def _borders(lanes: Sequence[tuple["BaseGeometry", FloatArray]]) -> Float[np.ndarray, "s 2 2"]:
    """The sides of lanes: those edges of their polygons that run along their centre lines."""
    made = [np.zeros((0, 2, 2))]
    for polygon, centre in lanes:
        edges = _segments([polygon.exterior])
        if not len(edges) or not len(centre):
            continue
        along = edges[:, 1] - edges[:, 0]
        distances = np.linalg.norm(edges.mean(axis=1)[:, None] - centre[None, :, :2], axis=2)
        headings = centre[distances.argmin(axis=1), 2]
        cosines = (along[:, 0] * np.cos(headings) + along[:, 1] * np.sin(headings)) / np.linalg.norm(along, axis=1)
        made.append(edges[abs(cosines) > np.cos(np.pi / 4)])
    return np.concatenate(made)


def _segments(lines: Sequence["BaseGeometry"]) -> Float[np.ndarray, "s 2 2"]:
    """Pieces of lines between their corners."""
    import shapely

    simple = shapely.simplify(np.array(lines, object), _LINE_TOLERANCE_M)
    points, line = shapely.get_coordinates(simple, return_index=True)
    pieces = np.stack([points[:-1], points[1:]], axis=1)[line[:-1] == line[1:]]
    made: FloatArray = pieces[(pieces[:, 0] != pieces[:, 1]).any(axis=1)]
    return made


def _strips(segments: Float[np.ndarray, "s 2 2"]) -> Float[np.ndarray, "q 4 2"]:
    """Painted lines along segments."""
    lengths = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)
    counts = np.ceil(lengths / CELL_M).astype(int)
    segment = np.repeat(np.arange(len(segments)), counts)
    index = np.arange(len(segment)) - np.repeat(np.cumsum(counts) - counts, counts)
    first = index * (lengths / counts)[segment] - _OVERLAP_M
    last = (index + 1) * (lengths / counts)[segment] + _OVERLAP_M
    ahead = ((segments[:, 1] - segments[:, 0]) / lengths[:, None])[segment]
    aside = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1) * LINE_M / 2
    begin, end = (segments[segment, 0] + at[:, None] * ahead for at in (first, last))
    return np.stack([begin + aside, end + aside, end - aside, begin - aside], axis=1)
