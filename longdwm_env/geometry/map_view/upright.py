"""Upright things as polygons in space: blocks of a map's scenery, and the bodies of road users."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray

from longdwm_env.geometry.map_view.facades import BLIND, LIT_RGB, PANE_RGB, panes
from longdwm_env.geometry.map_view.scenery import SCENERY_KINDS, SceneryLayer, between
from longdwm_env.geometry.map_view.vehicle_bodies import (
    BODY,
    BODY_SIZES_M,
    BRAKE,
    CARGO,
    HEAD,
    MATERIAL_RGB,
    TAIL,
    bodies,
)
from longdwm_env.types import ROAD_USER_CLASSES, ActorTracks, FloatArray

STATIC = -1
"""Owner of a polygon that does not move by itself."""

CORNERS = 8
"""Of every polygon; those with fewer repeat some."""

UNKNOWN_RGB = (150, 150, 150)
"""Body of a road user whose colour is not known."""

_IS_PLANT = np.isin(SCENERY_KINDS, ("broadleaf", "conifer", "poplar", "bush"))
_CONIFER, _HOUSE, _SIGN = (SCENERY_KINDS.index(name) for name in ("conifer", "house", "sign"))
_SQUARE_M = 0.02
"""A sign whose width and height differ by less is round, or stands on a corner: it is drawn round."""
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
    flat = _IS_PLANT[layer.kinds] | (layer.sizes_m[:, 0] < _THIN_M)
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
    crowns = _IS_PLANT[kinds] & (size[:, 1] > _SLIM * size[:, 2])
    shapes = np.where((crowns & (kinds == _CONIFER))[:, None, None], _POINTED, _SQUARE)
    round_signs = (kinds == _SIGN) & (np.abs(size[:, 1] - size[:, 2]) < _SQUARE_M)
    shapes = np.where(((crowns & (kinds != _CONIFER)) | round_signs)[:, None, None], _ROUND, shapes)
    across = np.stack([-delta[rows, 1], delta[rows, 0]], -1) / np.maximum(away[rows], 1e-6)[:, None]
    corners = np.zeros((len(rows), CORNERS, 3))
    corners[..., :2] = layer.positions_m[rows][:, None] + (shapes[..., :1] * size[:, None, 1:2]) * across[:, None]
    corners[..., 2] = layer.bases_m[rows][:, None] + (shapes[..., 1] + 0.5) * size[:, 2:3]
    return Sides(corners, layer.colours[rows], away[rows], np.arange(len(rows)), np.full(len(rows), STATIC))


_AROUND = ((0, 1), (1, 2), (2, 3), (3, 0))
_BRAKE_RGB, _BLINK_RGB = (255, 52, 38), (255, 170, 20)
_IS_PAINTED, _IS_BRAKE, _IS_CORNER_LAMP = (
    np.isin(np.arange(len(MATERIAL_RGB)), kinds) for kinds in ((BODY, CARGO), (TAIL, BRAKE), (TAIL, HEAD))
)
_BODY_OF = {"car": "sedan", "other": "van"}
"""Whose body is drawn for classes that have none."""

FINE_REACH_M = 40.0
"""Small parts of vehicles that are farther away are not drawn."""


@dataclass(frozen=True)
class _Faces:
    """Faces of a body for a box of one metre each way; those with more corners than ``CORNERS`` lose some."""

    corners: Float[np.ndarray, "f 8 3"]
    normals: Float[np.ndarray, "f 3"]
    materials: Int[np.ndarray, "f"]
    parts: Int[np.ndarray, "f"]
    fine: NDArray[np.bool_]


@lru_cache(maxsize=16)
def _faces(kind: str) -> _Faces:
    """Of a class of road users; a plain box where there is no body."""
    name = _BODY_OF.get(kind, kind)
    if name not in BODY_SIZES_M:
        x, y = np.array([[-0.5, 0.5], [-0.5, -0.5], [0.5, -0.5], [0.5, 0.5]]).T
        walls = [[(x[i], y[i], z) for i, z in ((a, 0.0), (b, 0.0), (b, 1.0), (a, 1.0))] for a, b in _AROUND]
        normals = np.array([[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        plain = np.zeros(4, np.int64)
        return _Faces(np.repeat(np.array(walls), 2, axis=1), normals, plain + BODY, plain, plain > 0)
    body, size = bodies()[name], np.array(BODY_SIZES_M[name])
    kept = [face[np.linspace(0, len(face), CORNERS, endpoint=False).astype(int)] for face in body.faces]
    normals = body.normals * size
    return _Faces(body.vertices_m[np.array(kept)] / size, normals, body.materials, body.parts, body.fine)


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
        kind = "car" if others.classes is None else ROAD_USER_CLASSES[int(others.classes[index])]
        faces, size = _faces(kind), others.sizes_m[index]
        cosine, sine = np.cos(poses[index, 2]), np.sin(poses[index, 2])
        turn = np.array([[cosine, -sine], [sine, cosine]])
        eye = np.array([*(turn.T @ (eye_m[:2] - poses[index, :2])), eye_m[2]])
        seen = ((eye / size - faces.corners[:, 0]) * faces.normals).sum(axis=-1) > 0
        if away[index] > FINE_REACH_M:
            seen &= ~faces.fine
        chosen = np.flatnonzero(seen)
        # The cab of a lorry hides its load when it comes towards us.
        chosen = chosen[np.argsort(faces.parts[chosen] * (1 if eye[0] < 0 else -1), kind="stable")]
        placed = faces.corners[chosen] * size
        placed[..., :2] = placed[..., :2] @ turn.T + poses[index, :2]
        body = UNKNOWN_RGB if others.colours is None else others.colours[index]
        lights = np.zeros(3, bool) if others.lights is None else others.lights[frame, index]
        parts.append(
            Sides(
                placed,
                _flat_colours(faces, chosen, np.asarray(body, np.float64), lights),
                np.full(len(chosen), away[index]),
                np.arange(len(chosen)),
                np.full(len(chosen), index),
            )
        )
    return Sides.joined(parts) if parts else _nothing()


def _flat_colours(
    faces: _Faces, chosen: NDArray[np.int64], body: FloatArray, lights: NDArray[np.bool_]
) -> UInt8[np.ndarray, "n 3"]:
    """Of faces of a road user whose brake lights, left and right indicator are lit or not."""
    materials = faces.materials[chosen]
    colours = MATERIAL_RGB[materials]
    painted = _IS_PAINTED[materials]
    normals = faces.normals[chosen]
    aside = np.abs(normals[:, 1]) > np.abs(normals[:, 0])
    colours[painted] = body * np.where(aside, 0.82, 1.0)[painted, None]
    brake, left, right = lights.tolist()
    if brake:
        colours[_IS_BRAKE[materials]] = _BRAKE_RGB
    if left or right:
        side = faces.corners[chosen, 0, 1] * _IS_CORNER_LAMP[materials]
        colours[(left & (side > 0)) | (right & (side < 0))] = _BLINK_RGB
    return np.asarray(colours.astype(np.uint8))


def _nothing() -> Sides:
    return Sides(np.zeros((0, CORNERS, 3)), np.zeros((0, 3), np.uint8), np.zeros(0), np.zeros(0, int), np.zeros(0, int))


def _turns(headings_rad: Float[np.ndarray, "n"]) -> FloatArray:
    """(N, 2, 2) rotations from a thing's own axes to the map's."""
    cosine, sine = np.cos(headings_rad.astype(np.float64)), np.sin(headings_rad.astype(np.float64))
    return np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
