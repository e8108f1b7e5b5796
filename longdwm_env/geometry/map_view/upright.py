"""Upright things as polygons in space: blocks of a map's scenery, and the bodies of road users."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray

from longdwm_env.geometry.map_view.facades import BLIND, LIT_RGB, PANE_RGB, panes
from longdwm_env.geometry.map_view.scenery import SCENERY_KINDS, SceneryLayer, between
from longdwm_env.types import ROAD_USER_CLASSES, ActorTracks, FloatArray

STATIC = -1
"""Owner of a polygon that does not move by itself."""

CORNERS = 8
"""Of every polygon; those with fewer repeat some."""

UNKNOWN_RGB = (150, 150, 150)
"""Body of a road user whose colour is not known."""

_PLANTS = [SCENERY_KINDS.index(name) for name in ("broadleaf", "conifer", "poplar", "bush")]
_CONIFER, _HOUSE = SCENERY_KINDS.index("conifer"), SCENERY_KINDS.index("house")
_SLIM = 0.15
"""A plant's block that is slimmer than this share of its height is a trunk."""
_THIN_M = 0.2
"""A block that is thinner along the road than this is a board or a post."""

WINDOW_REACH_M = 90.0
"""Windows of what is farther away are not drawn."""

_WALLS = np.array(
    [
        [[0.5, 0.5], [0.5, -0.5]], [[0.5, -0.5], [-0.5, -0.5]], [[-0.5, -0.5], [-0.5, 0.5]], [[-0.5, 0.5], [0.5, 0.5]],
    ]
)  # fmt: skip
_WALL_NORMALS = np.array([[1.0, 0.0], [0.0, -1.0], [-1.0, 0.0], [0.0, 1.0]])
_ROUND = np.stack([np.cos(np.arange(8) * np.pi / 4 + np.pi / 8), np.sin(np.arange(8) * np.pi / 4 + np.pi / 8)], -1) / 2
_POINTED = np.array(
    [[-0.5, -0.5], [-0.5, -0.5], [-0.25, -0.5], [0.25, -0.5], [0.5, -0.5], [0.5, -0.5], [0, 0.5], [0, 0.5]]
)
_SQUARE = np.repeat(np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]), 2, axis=0)


@dataclass(frozen=True)
class Sides:
    """Convex plane polygons in space.

    Attributes:
        corners_m: (N, 8, 3).
        colours: (N, 3) RGB.
        distances_m: (N,) of the thing that a polygon is a part of; what is farther is painted first.
        order: (N,) among the polygons of one thing.
        owners: (N,) number of the road user, or ``STATIC``.
    """

    corners_m: Float[np.ndarray, "n 8 3"]
    colours: UInt8[np.ndarray, "n 3"]
    distances_m: Float[np.ndarray, "n"]
    order: Int[np.ndarray, "n"]
    owners: Int[np.ndarray, "n"]

    @staticmethod
    def joined(parts: Sequence["Sides"]) -> "Sides":
        """All polygons of several."""
        names = ("corners_m", "colours", "distances_m", "order", "owners")
        return Sides(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def scenery_sides(layer: SceneryLayer, eye_m: FloatArray) -> Sides:
    """The sides of blocks that face an eye (3,), and upright outlines of plants, posts and boards."""
    delta = layer.positions_m.astype(np.float64) - eye_m[:2]
    away = np.hypot(*delta.T)
    plants = np.isin(layer.kinds, _PLANTS)
    flat = plants | (layer.sizes_m[:, 0] < _THIN_M)
    return Sides.joined(
        [_blocks(layer, np.flatnonzero(~flat), eye_m, away), _outlines(layer, np.flatnonzero(flat), delta, away)]
    )


def _blocks(layer: SceneryLayer, rows: NDArray[np.int64], eye_m: FloatArray, away: FloatArray) -> Sides:
    size, base = layer.sizes_m[rows].astype(np.float64), layer.bases_m[rows].astype(np.float64)
    turn = _turns(layer.headings_rad[rows])
    feet = (_WALLS[None] * size[:, None, None, :2]) @ turn[:, None].transpose(0, 1, 3, 2)
    feet = feet + layer.positions_m[rows][:, None, None]
    normals = np.einsum("nij,sj->nsi", turn, _WALL_NORMALS)
    roofs = (layer.kinds[rows] == _HOUSE) & (base > 0)
    facing = ((eye_m[:2] - feet[:, :, 0]) * normals).sum(axis=-1) > 0
    low, top = base[:, None], (base + size[:, 2])[:, None]
    walls = np.zeros((len(rows), 4, 4, 3))
    walls[..., :2] = feet[:, :, [0, 1, 1, 0]]
    walls[..., :2, 2], walls[..., 2:, 2] = low[..., None], top[..., None]
    # A roof leans inwards to its ridge along the length.
    ridge = layer.positions_m[rows][:, None, None] + (
        np.array([[0.5, 0.0], [-0.5, 0.0]])[None, None] * size[:, None, None, :2]
    ) @ turn[:, None].transpose(0, 1, 3, 2)
    for wall, (upper, lower) in enumerate(((0, 0), (1, 0), (1, 1), (0, 1))):
        walls[roofs, wall, 2, :2], walls[roofs, wall, 3, :2] = ridge[roofs, 0, upper], ridge[roofs, 0, lower]
    chosen, side = np.nonzero(facing | roofs[:, None])
    corners = np.repeat(walls[chosen, side], 2, axis=1)
    shade = np.where(np.abs(normals[chosen, side, 0]) > np.abs(normals[chosen, side, 1]), 1.0, 0.86)
    colours = np.round(layer.colours[rows][chosen] * shade[:, None]).astype(np.uint8)
    middle = corners[..., :2].mean(axis=1) - eye_m[:2]
    order = np.round(-np.hypot(*middle.T) * 64).astype(np.int64)
    sides = Sides(corners, colours, away[rows][chosen], order, np.full(len(chosen), STATIC))
    return Sides.joined([sides, *_windows(layer, rows[chosen], side, feet[chosen, side], sides)])


def _windows(
    layer: SceneryLayer, blocks: NDArray[np.int64], side: NDArray[np.int64], feet: FloatArray, walls: Sides
) -> list[Sides]:
    """Windows of the walls that are near: of rows of a layer, which of their four walls each is, and its ends."""
    made = []
    for row in np.flatnonzero((layer.facades[blocks] != BLIND) & (walls.distances_m < WINDOW_REACH_M)).tolist():
        block = blocks[row]
        place = tuple(feet[row].ravel().tolist())
        height, number = float(layer.sizes_m[block, 2]), int(layer.facades[block])
        corners, lit = panes(bool(layer.kinds[block] == _HOUSE), place, height, number, int(side[row]))
        made.append(
            Sides(
                np.repeat(corners, 2, axis=1),
                np.where(lit[:, None], LIT_RGB, PANE_RGB).astype(np.uint8),
                np.full(len(corners), walls.distances_m[row]),
                np.full(len(corners), walls.order[row]),
                np.full(len(corners), STATIC),
            )
        )
    return made


def _outlines(layer: SceneryLayer, rows: NDArray[np.int64], delta: FloatArray, away: FloatArray) -> Sides:
    size, kinds = layer.sizes_m[rows].astype(np.float64), layer.kinds[rows]
    crowns = np.isin(kinds, _PLANTS) & (size[:, 1] > _SLIM * size[:, 2])
    shapes = np.where((crowns & (kinds == _CONIFER))[:, None, None], _POINTED, _SQUARE)
    shapes = np.where((crowns & (kinds != _CONIFER))[:, None, None], _ROUND, shapes)
    across = np.stack([-delta[rows, 1], delta[rows, 0]], -1) / np.maximum(away[rows], 1e-6)[:, None]
    corners = np.zeros((len(rows), CORNERS, 3))
    corners[..., :2] = layer.positions_m[rows][:, None] + (shapes[..., :1] * size[:, None, 1:2]) * across[:, None]
    corners[..., 2] = layer.bases_m[rows][:, None] + (shapes[..., 1] + 0.5) * size[:, 2:3]
    return Sides(corners, layer.colours[rows], away[rows], np.arange(len(rows)), np.full(len(rows), STATIC))


BODY, GLASS, TAIL, HEAD, LEFT, RIGHT, DARK = range(7)
_GLASS_RGB, _DARK_RGB, _HEAD_RGB = (42, 52, 62), (34, 35, 38), (228, 228, 222)
_TAIL_RGB, _BRAKE_RGB, _BLINK_RGB = (120, 18, 18), (255, 52, 38), (255, 170, 20)
_CARS = [ROAD_USER_CLASSES.index(name) for name in ("car", "hatchback", "sedan", "suv")]
_GLAZED = [ROAD_USER_CLASSES.index(name) for name in ("van", "bus")]

Part = tuple[list[tuple[float, float, float]], tuple[float, float, float], int]
"""Corners in lengths, widths and heights, outward normal, and what it is."""


def _box(low: tuple[float, float, float], high: tuple[float, float, float], what: int) -> list[Part]:
    (x0, y0, z0), (x1, y1, z1) = low, high
    return [
        ([(x0, y0, z0), (x0, y1, z0), (x0, y1, z1), (x0, y0, z1)], (-1.0, 0.0, 0.0), what),
        ([(x1, y0, z0), (x1, y1, z0), (x1, y1, z1), (x1, y0, z1)], (1.0, 0.0, 0.0), what),
        ([(x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1)], (0.0, -1.0, 0.0), what),
        ([(x0, y1, z0), (x1, y1, z0), (x1, y1, z1), (x0, y1, z1)], (0.0, 1.0, 0.0), what),
        ([(x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)], (0.0, 0.0, 1.0), BODY),
    ]


def _lamps(low: float, high: float) -> list[Part]:
    made: list[Part] = []
    for end, lamp in ((-0.502, TAIL), (0.502, HEAD)):
        for side in (-1, 1):
            for inner, outer, what in ((0.2, 0.38, lamp), (0.38, 0.48, LEFT if side > 0 else RIGHT)):
                quad = [(end, side * y, z) for y, z in ((inner, low), (outer, low), (outer, high), (inner, high))]
                made.append((quad, (1.0 if end > 0 else -1.0, 0.0, 0.0), what))
    return made


@lru_cache(maxsize=3)
def _body(shape: str) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    """(F, 4, 3) corners, (F, 3) normals and (F,) what each face is, from the lowest to the highest in paint."""
    if shape == "car":
        parts = _box((-0.5, -0.5, 0.0), (0.5, 0.5, 0.22), DARK) + _box((-0.5, -0.5, 0.18), (0.5, 0.5, 0.62), BODY)
        parts += _box((-0.42, -0.42, 0.62), (0.2, 0.42, 1.0), GLASS) + _lamps(0.42, 0.56)
    else:
        parts = _box((-0.5, -0.5, 0.0), (0.5, 0.5, 0.2), DARK) + _box((-0.5, -0.5, 0.12), (0.5, 0.5, 1.0), BODY)
        if shape == "glazed":
            glass = _box((-0.501, -0.501, 0.55), (0.501, 0.501, 0.86), GLASS)[:4]
            parts += [(corners, normal, what) for corners, normal, what in glass]
        parts += _lamps(0.24, 0.34)
    corners, normals, whats = zip(*parts, strict=True)
    return np.array(corners), np.array(normals), np.array(whats)


def vehicle_sides(
    others: ActorTracks,
    frame: int,
    eye_m: FloatArray,
    reach_m: float,
    directions: Float[np.ndarray, "2 2"] | None = None,
) -> Sides:
    """The sides of road users that face an eye (3,) at a frame of their tracks, each with its class, colour and lights.

    Args:
        others: A road users; looks that are not known are drawn grey, as a car, without lights.
        frame: of the tracks.
        eye_m: in their frame.
        reach_m: those farther away are left out.
        directions: between which they are seen, see ``scenery.between``; None for all around.
    """
    poses = others.poses[frame]
    away = np.hypot(*(poses[:, :2] - eye_m[:2]).T)
    parts = []
    radii = np.hypot(others.sizes_m[:, 0], others.sizes_m[:, 1]) / 2
    near = (np.nan_to_num(away, nan=np.inf) < reach_m) & between(poses[:, :2], radii, eye_m[:2], directions)
    for index in np.flatnonzero(near).tolist():
        kind = _CARS[0] if others.classes is None else int(others.classes[index])
        corners, normals, whats = _body("car" if kind in _CARS else "glazed" if kind in _GLAZED else "box")
        turn = _turns(poses[index : index + 1, 2])[0]
        placed = corners * others.sizes_m[index]
        placed[..., :2] = placed[..., :2] @ turn.T + poses[index, :2]
        outward = normals.copy()
        outward[:, :2] = normals[:, :2] @ turn.T
        facing = np.flatnonzero(((eye_m - placed[:, 0]) * outward).sum(axis=-1) > 0)
        body = UNKNOWN_RGB if others.colours is None else others.colours[index]
        brake, left, right = (False, False, False) if others.lights is None else others.lights[frame, index].tolist()
        shades = np.array(
            [
                body, _GLASS_RGB, _BRAKE_RGB if brake else _TAIL_RGB, _HEAD_RGB,
                _BLINK_RGB if left else body, _BLINK_RGB if right else body, _DARK_RGB,
            ],
            dtype=np.float64,
        )[whats[facing]]  # fmt: skip
        plain = whats[facing] == BODY
        shades[plain] *= np.where(np.abs(normals[facing, 1]) > 0.5, 0.82, 1.0)[plain, None]
        parts.append(
            Sides(
                np.repeat(placed[facing], 2, axis=1),
                shades.astype(np.uint8),
                np.full(len(facing), away[index]),
                np.arange(len(facing)),
                np.full(len(facing), index),
            )
        )
    return Sides.joined(parts) if parts else _nothing()


def _nothing() -> Sides:
    return Sides(np.zeros((0, CORNERS, 3)), np.zeros((0, 3), np.uint8), np.zeros(0), np.zeros(0, int), np.zeros(0, int))


def _turns(headings_rad: Float[np.ndarray, "n"]) -> FloatArray:
    """(N, 2, 2) rotations from a thing's own axes to the map's."""
    cosine, sine = np.cos(headings_rad.astype(np.float64)), np.sin(headings_rad.astype(np.float64))
    return np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
