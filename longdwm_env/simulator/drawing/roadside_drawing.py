"""Drawing what stands beside the road: everything is projected at once, then painted one by one."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import cv2
import numpy as np

from longdwm_env.simulator.conditions import Conditions
from longdwm_env.simulator.drawing.flats import LAMP_REACH, Flats, flats_of, shapes
from longdwm_env.simulator.drawing.ground import headlight, landscape_of
from longdwm_env.simulator.drawing.painter import FAR_AWAY_PX, NEAR_M, SHIFT, UNIT, Painter
from longdwm_env.simulator.drawing.palette import light_of
from longdwm_env.simulator.drawing.sky import sun_azimuth
from longdwm_env.simulator.drawing.solids import Solids, solids_of, sunlit
from longdwm_env.simulator.roads.road_kinds import RoadKind
from longdwm_env.simulator.roads.roadside import LAMP, RANGES_M, Scenery, scenery_of
from longdwm_env.types import FloatArray

FINE_PX = 9.0
"""Slim things lower than this many pixels of the drawing lose their fine parts."""
FINE_PX_PER_M = 2.3
"""Solid things further than where a metre has this many pixels lose theirs."""
LAMP_RGB = [255.0, 232.0, 176.0]
WINDOW_LIGHT = np.array([252.0, 206, 118])

Drawing = tuple[float, Callable[[], None]]
"""How far something is, and what draws it."""


@dataclass(frozen=True)
class Props:
    """The scenery of a scene under some conditions, ready to be drawn."""

    scenery: Scenery
    flats: Flats
    solids: Solids
    solid_colours: FloatArray
    behind_colours: FloatArray


@lru_cache(maxsize=24)
def props_of(seed: int, kind: RoadKind, conditions: Conditions) -> Props:
    """The scenery of a scene, coloured for the conditions."""
    scenery = scenery_of(seed, kind)
    sun = light_of(conditions).sun
    flats = flats_of(scenery, landscape_of(seed), sun)
    solids = solids_of(seed, kind)
    return Props(scenery, flats, solids, *sunlit(solids, sun_azimuth(seed), sun))


def drawings(painter: Painter, props: Props) -> list[Drawing]:
    """What to draw of the scenery, in no order."""
    scenery = props.scenery
    delta = scenery.positions_m - painter.position_m[:2]
    depth = delta @ painter.rotation[2, :2]
    aside = np.abs(delta @ painter.right_m[:2])
    ranges = np.minimum(RANGES_M, painter.fade_m + 30.0)[scenery.kinds]
    width = painter.view.width / (2 * painter.view.focal_px[0])
    reach = scenery.sizes_m[:, :2].max(-1)
    seen = (depth < ranges) & (depth > 0.5 - reach / 2) & (aside < width * np.maximum(depth, 0) * 1.05 + reach + 4)
    distance = np.hypot(delta[:, 0], delta[:, 1])
    lit = np.zeros(len(distance))
    if painter.light.headlights:
        cosine, sine = np.cos(painter.heading_rad), np.sin(painter.heading_rad)
        ahead = np.stack([delta @ [cosine, sine] + 1.7, 0.6 * (delta @ [-sine, cosine])], -1)
        lit[seen] = 0.8 * headlight(ahead[seen])
    return _draw_solids(painter, props, seen, distance, lit) + _draw_flats(painter, props, seen, depth, distance, lit)


def _seen_colours(painter: Painter, colours: FloatArray, distance: FloatArray, lit: FloatArray) -> FloatArray:
    """Colours (P, ..., 3) at distances (P,) under headlights (P,), as they appear."""
    shape = (-1, *(1,) * (colours.ndim - 1))
    veil = painter.veils(distance).reshape(shape)
    shades = colours * (painter.light.ambient_array + lit.reshape(shape)) * (1 - veil)
    return np.minimum(shades + painter.light.horizon_array * veil, 255.0)


def _appearing(size: FloatArray) -> FloatArray:
    """How far fine parts have come out, 0 to 1, from the size over the smallest that has any: nothing pops up."""
    return np.clip((size - 1.0) / 0.8, 0.0, 1.0)


def _draw_flats(
    painter: Painter, props: Props, seen: np.ndarray, depth: FloatArray, distance: FloatArray, lit: FloatArray
) -> list[Drawing]:
    scenery, flats = props.scenery, props.flats
    chosen = np.flatnonzero(seen[flats.props] & (depth[flats.props] > 1.0))
    if not len(chosen):
        return []
    rows = flats.props[chosen]
    camera = painter.camera_points(np.concatenate([scenery.positions_m[rows], np.zeros((len(rows), 1))], -1))
    feet = painter.pixels(camera)
    up = painter.rotation[:2, 2] * painter.view.focal_px
    # Columns: one height of the thing to the right and upwards, in pixels at one metre's depth.
    basis = np.array([[-up[1], up[0]], [up[0], up[1]]])
    scale = scenery.sizes_m[rows, 2] / camera[:, 2]
    facing = np.cos(scenery.headings_rad[rows] - painter.heading_rad) >= 0
    shape_ids = np.where(facing, flats.fronts[chosen], flats.backs[chosen])
    colours = _seen_colours(painter, flats.colours[chosen], distance[rows], lit[rows] * flats.reflecting[chosen])
    small = -up[1] * scale < FINE_PX
    # Fine parts have the last slot's colour; they come out of the colour below them.
    shown = _appearing(-up[1] * scale / FINE_PX)[:, None]
    colours[:, 2] = colours[:, 1] * (1 - shown) + colours[:, 2] * shown
    made: list[Drawing] = []
    all_shapes, _ = shapes()
    away, tall = distance[rows].tolist(), (scale * -up[1]).tolist()
    lamps = (scenery.kinds[rows] == LAMP).tolist() if painter.light.evening else [False] * len(rows)
    small_list = small.tolist()
    for shape_id in np.unique(shape_ids):
        shape = all_shapes[shape_id]
        group = np.flatnonzero(shape_ids == shape_id)
        points = feet[group, None] + (shape.points @ basis)[None] * scale[group, None, None]
        fixed = np.rint(np.clip(points, -FAR_AWAY_PX, FAR_AWAY_PX) * UNIT).astype(np.int32)
        shades = colours[group].tolist()
        coarse = [piece for piece in shape.pieces if not piece[3]]
        for outline, shade, i in zip(fixed, shades, group.tolist(), strict=True):
            wanted = coarse if small_list[i] else shape.pieces
            pieces = [(outline[first:end], shade[slot]) for first, end, slot, _ in wanted]
            if lamps[i]:
                side = -1.0 if facing[i] else 1.0
                lamp = feet[i] + (np.array([side * LAMP_REACH, 1.0]) @ basis) * scale[i]
                pool = feet[i] + (np.array([1.6 * side * LAMP_REACH, 0.0]) @ basis) * scale[i]
                pieces[-1] = (pieces[-1][0], LAMP_RGB)
                made.append((away[i], partial(_paint_lamp, painter, pieces, lamp, pool, tall[i], away[i])))
            else:
                made.append((away[i], partial(_paint, painter, pieces)))
    return made


Pieces = list[tuple[np.ndarray, list[float]]]
"""Fixed-point polygons and their colours."""


def _paint(painter: Painter, pieces: Pieces) -> None:
    for points, colour in pieces:
        cv2.fillConvexPoly(painter.image, points, colour, cv2.LINE_AA, SHIFT)


def _paint_lamp(
    painter: Painter, pieces: Pieces, lamp: FloatArray, pool: FloatArray, height_px: float, distance_m: float
) -> None:
    _paint(painter, pieces)
    strength = (1 - 0.85 * painter.veil(distance_m)) * (0.9 if painter.light.headlights else 0.5)
    painter.spot(lamp.tolist(), 0.17 * height_px + painter.view.scale, [strength * c for c in (255, 206, 130)])
    if painter.light.headlights and distance_m > 4:
        painter.spot(pool.tolist(), 0.62 * height_px, [strength * c for c in (52, 42, 26)], 0.22)


def _paint_solid(painter: Painter, pieces: Pieces, cut: list[tuple[FloatArray, list[float]]]) -> None:
    for points, colour in cut:
        painter.polygon_in_space(points, colour)
    _paint(painter, pieces)


def _draw_solids(
    painter: Painter, props: Props, seen: np.ndarray, distance: FloatArray, lit: FloatArray
) -> list[Drawing]:
    solids = props.solids
    chosen = np.flatnonzero(seen[solids.props])
    if not len(chosen):
        return []
    away = distance[solids.props[chosen]]
    polygons = np.concatenate([np.arange(a, b) for a, b in zip(solids.first[chosen], solids.end[chosen], strict=True)])
    owner = np.repeat(np.arange(len(chosen)), solids.end[chosen] - solids.first[chosen])
    keep = ~(solids.fine[polygons] & (painter.view.focal_px[1] / np.maximum(away[owner], 1.0) < FINE_PX_PER_M))
    polygons, owner = polygons[keep], owner[keep]
    anchors = solids.points_m[solids.starts[polygons], :2]
    normals = solids.normals[polygons]
    keep = ((painter.position_m[:2] - anchors) * normals).sum(-1) >= 0
    polygons, owner = polygons[keep], owner[keep]
    counts = solids.starts[polygons + 1] - solids.starts[polygons]
    first = np.concatenate([[0], np.cumsum(counts)])
    if not len(polygons):
        return []
    indices = np.repeat(solids.starts[polygons] - first[:-1], counts) + np.arange(first[-1])
    camera = painter.camera_points(solids.points_m[indices])
    nearest = np.minimum.reduceat(camera[:, 2], first[:-1])
    furthest = np.maximum.reduceat(camera[:, 2], first[:-1])
    pixels = painter.pixels(camera)
    fixed = np.rint(pixels * UNIT).astype(np.int32)
    left = np.minimum.reduceat(pixels[:, 0], first[:-1])
    right = np.maximum.reduceat(pixels[:, 0], first[:-1])
    top = np.minimum.reduceat(pixels[:, 1], first[:-1])
    in_picture = (furthest > NEAR_M) & ((nearest < NEAR_M) | ((right > 0) & (left < painter.view.width)))
    prop_rows = solids.props[chosen]
    colours = _seen_colours(painter, props.solid_colours[polygons], away[owner], 0.6 * lit[prop_rows][owner])
    fine = np.flatnonzero(solids.fine[polygons])
    if len(fine):
        veil = painter.veils(away[owner[fine]])[:, None]
        if painter.light.evening:
            lamp = (1 - veil) * WINDOW_LIGHT + veil * painter.light.horizon_array
            colours[fine] = np.where(solids.glowing[polygons[fine], None], lamp, colours[fine])
        behind = _seen_colours(painter, props.behind_colours[polygons[fine]], away[owner[fine]], np.zeros(len(fine)))
        shown = _appearing(painter.view.focal_px[1] / np.maximum(away[owner[fine]], 1.0) / FINE_PX_PER_M)[:, None]
        colours[fine] = behind * (1 - shown) + colours[fine] * shown
    shades = colours.tolist()
    ends = np.searchsorted(owner, np.arange(len(chosen) + 1)).tolist()
    spans = first.tolist()
    near, lefts, rights, tops = nearest.tolist(), left.tolist(), right.tolist(), top.tolist()
    outer = (~solids.fine[polygons]).tolist()
    inside = in_picture.tolist()
    blocking = solids.blocking[chosen].tolist()
    horizon = np.full(painter.view.width, np.inf) if any(blocking) else None
    made: list[Drawing] = []
    for i in np.argsort(away, kind="stable").tolist():
        whole = [k for k in range(ends[i], ends[i + 1]) if inside[k]]
        if not whole:
            continue
        if horizon is not None:
            walls = [k for k in whole if outer[k]]
            if walls and all(near[k] > NEAR_M for k in walls):
                a = min(max(int(min(lefts[k] for k in walls)), 0), painter.view.width - 1)
                b = min(max(int(max(rights[k] for k in walls)), 0), painter.view.width - 1) + 1
                if (horizon[a:b] <= min(tops[k] for k in walls)).all():
                    continue
                if blocking[i]:
                    _raise_horizon(horizon, pixels, spans, walls)
        pieces = [(fixed[spans[k] : spans[k + 1]], shades[k]) for k in whole if near[k] > NEAR_M]
        cut = [(camera[spans[k] : spans[k + 1]], shades[k]) for k in whole if near[k] <= NEAR_M]
        made.append((float(away[i]), partial(_paint_solid, painter, pieces, cut)))
    return made


def _raise_horizon(horizon: FloatArray, pixels: FloatArray, spans: list[int], walls: list[int]) -> None:
    """Remember what the walls of a building hide: in each column, everything further away below their top."""
    for k in walls:
        quad = pixels[spans[k] : spans[k + 1]]
        # The upper edge is the last two corners; between them it is a straight line in the picture.
        (x0, y0), (x1, y1) = sorted(quad[2:].tolist())
        a, b = int(np.ceil(max(x0, 0.0))), int(np.floor(min(x1, len(horizon) - 1.0))) + 1
        if b > a and x1 > x0:
            edge = y0 + (np.arange(a, b) - x0) * ((y1 - y0) / (x1 - x0))
            horizon[a:b] = np.minimum(horizon[a:b], edge)
