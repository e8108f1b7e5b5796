"""Slim things beside the road, drawn as shapes that face the camera: plants, posts, lamps, signs, gantries."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from longdwm_env.simulator.counted_random import generator
from longdwm_env.simulator.roads.roadside import (
    BROADLEAF,
    BUSH,
    CONIFER,
    GANTRY,
    LAMP,
    POPLAR,
    POST,
    SIGN,
    Scenery,
)
from longdwm_env.types import FloatArray

LEAVES: dict[str, FloatArray] = {
    "meadow": np.array([[62, 96, 40], [76, 108, 46], [54, 84, 44]], float),
    "lush": np.array([[44, 88, 40], [58, 102, 44], [38, 76, 46]], float),
    "dry": np.array([[92, 104, 56], [112, 112, 60], [78, 92, 52]], float),
    "autumn": np.array([[156, 104, 38], [134, 76, 34], [104, 108, 46]], float),
}
NEEDLES: FloatArray = np.array([[34, 66, 46], [42, 74, 44], [30, 58, 48]], float)
SIGN_COLOURS: FloatArray = np.array(
    [
        [[120, 122, 124], [196, 30, 34], [236, 236, 232]], [[120, 122, 124], [226, 226, 222], [30, 84, 170]],
        [[120, 122, 124], [30, 30, 30], [240, 190, 36]], [[120, 122, 124], [228, 228, 224], [24, 116, 70]],
    ],
    dtype=np.float64,
)  # fmt: skip
SLOTS = 3
VARIANTS = 4
LAMP_REACH = 0.24
"""How far a street lamp's arm reaches over the road, in heights of the lamp."""


@dataclass(frozen=True)
class Shape:
    """Polygons in heights of the thing: x to the right, y up.

    Attributes:
        points: (K, 2) of all polygons.
        pieces: first point, end, colour slot, and whether the polygon is left out from afar.
    """

    points: FloatArray
    pieces: tuple[tuple[int, int, int, bool], ...]


@dataclass(frozen=True)
class Flats:
    """The slim props of a scene; (P,) each.

    Attributes:
        props: indices into the scenery.
        fronts, backs: shapes as seen along the road's direction and against it.
        colours: (P, SLOTS, 3).
        reflecting: how much more than other things they return of the ego's headlights.
    """

    props: np.ndarray
    fronts: np.ndarray
    backs: np.ndarray
    colours: FloatArray
    reflecting: FloatArray


def _shape(*pieces: tuple[FloatArray, int, bool]) -> Shape:
    ends = np.cumsum([len(points) for points, _, _ in pieces]).tolist()
    spans = zip([0, *ends[:-1]], ends, pieces, strict=True)
    return Shape(
        np.concatenate([points for points, _, _ in pieces]),
        tuple((first, end, slot, fine) for first, end, (_, slot, fine) in spans),
    )


def _box(left: float, low: float, right: float, high: float) -> FloatArray:
    return np.array([[left, low], [right, low], [right, high], [left, high]])


def _blob(rng: np.random.Generator, x: float, y: float, width: float, height: float, count: int) -> FloatArray:
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    reach = 1 + rng.uniform(-0.1, 0.1, count)
    return np.stack([x + width * reach * np.cos(angle), y + height * reach * np.sin(angle)], -1)


def _plant(kind: int, variant: int) -> Shape:
    """Slot 0 bark, 1 shaded leaves, 2 sunlit leaves."""
    rng = generator(variant, "plant")
    trunk = np.array([[-0.028, 0.0], [0.028, 0.0], [0.02, 0.42], [-0.02, 0.42]])
    if kind == BROADLEAF:
        wide = float(rng.uniform(0.27, 0.36))
        crown = _blob(rng, 0.0, 0.63, wide, 0.36, 16)
        side = _blob(rng, float(rng.choice([-0.16, 0.16])), 0.5, 0.6 * wide, 0.2, 12)
        return _shape(
            (trunk, 0, False),
            (side, 1, True),
            (crown, 1, False),
            (_blob(rng, -0.05, 0.72, 0.66 * wide, 0.23, 12), 2, True),
        )
    if kind == CONIFER:
        tiers = [
            np.array([[-w, z], [w, z], [0.0, z + h]])
            for w, z, h in ((0.23, 0.14, 0.42), (0.18, 0.36, 0.38), (0.12, 0.6, 0.4))
        ]
        lit = [(tier * [0.5, 0.9] + [-0.05, 0.06], 2, True) for tier in tiers]
        return _shape((trunk * [1, 0.5], 0, False), *((tier, 1, False) for tier in tiers), *lit)
    if kind == POPLAR:
        slim = float(rng.uniform(0.09, 0.12))
        return _shape(
            (trunk * [0.8, 0.4], 0, False),
            (_blob(rng, 0.0, 0.55, slim, 0.45, 16), 1, False),
            (_blob(rng, -0.02, 0.6, 0.6 * slim, 0.36, 12), 2, True),
        )
    low = _blob(rng, 0.0, 0.42, 0.75, 0.45, 12)
    return _shape((low, 1, False), (_blob(rng, -0.12, 0.58, 0.45, 0.28, 10), 2, True))


def _sign(variant: int) -> Shape:
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    plates = (
        np.stack([0.15 * np.cos(angle), 0.15 * np.sin(angle)], -1),
        _box(-0.19, -0.13, 0.19, 0.13),
        np.array([[0, 0.17], [0.17, 0.0], [0, -0.17], [-0.17, 0.0]]),
        _box(-0.19, -0.13, 0.19, 0.13),
    )
    middle = np.array([0.0, 0.86])
    plate = plates[variant]
    post = _box(-0.014, 0, 0.014, 0.75)
    return _shape((post, 0, False), (plate + middle, 1, False), (0.74 * plate + middle, 2, True))


def _sign_back(variant: int) -> Shape:
    front = _sign(variant)
    first, end, _, fine = front.pieces[1]
    return Shape(front.points, (front.pieces[0], (first, end, 0, fine)))


def _gantry(back: bool) -> Shape:
    side = 1.0 if back else -1.0
    reach = 1.25
    pieces = [
        (_box(-0.02, 0, 0.02, 0.98), 0, False),
        (_box(min(0.0, side * reach), 0.93, max(0.0, side * reach), 0.97), 0, False),
    ]
    for near, far in ((0.1, 0.6), (0.7, 1.2)):
        left, right = sorted((side * near, side * far))
        pieces.append((_box(left, 0.74, right, 1.06), 0 if back else 2, False))
        if not back:
            pieces.append((_box(left + 0.012, 0.752, right - 0.012, 1.048), 1, False))
            pieces.append((_box(left + 0.06, 0.935, left + 0.4, 0.98), 2, True))
            pieces.append((_box(left + 0.06, 0.84, left + 0.3, 0.885), 2, True))
    return _shape(*pieces)


def _lamp(back: bool) -> Shape:
    reach = LAMP_REACH * (1.0 if back else -1.0)
    arm = np.array([[0, 0.985], [reach, 1.005], [reach, 1.02], [0, 1.0]])
    head = np.array([[reach - 0.05, 0.995], [reach + 0.05, 0.995], [reach + 0.04, 1.025], [reach - 0.04, 1.025]])
    return _shape((_box(-0.011, 0, 0.011, 1.0), 0, False), (arm, 0, False), (head, 1, False))


@lru_cache(maxsize=1)
def shapes() -> tuple[tuple[Shape, ...], dict[tuple[int, int, bool], int]]:
    """All shapes, and where to find one by kind, variant and whether it is seen from behind."""
    made: list[Shape] = []
    found: dict[tuple[int, int, bool], int] = {}
    post = _shape(
        (_box(-0.065, 0, 0.065, 1), 0, False),
        (_box(-0.065, 0.62, 0.065, 0.86), 1, False),
        (_box(-0.05, 0.68, 0.05, 0.8), 2, True),
    )
    for kind in (BROADLEAF, CONIFER, POPLAR, BUSH, POST, LAMP, SIGN, GANTRY):
        for variant in range(VARIANTS):
            for back in (False, True):
                if kind in (BROADLEAF, CONIFER, POPLAR, BUSH):
                    shape = _plant(kind, variant)
                elif kind == POST:
                    shape = post
                elif kind == LAMP:
                    shape = _lamp(back)
                elif kind == SIGN:
                    shape = _sign_back(variant) if back else _sign(variant)
                else:
                    shape = _gantry(back)
                found[kind, variant, back] = len(made)
                made.append(shape)
    return tuple(made), found


def flats_of(scenery: Scenery, landscape: str, sun: float) -> Flats:
    """The slim props of a scenery; ``sun`` brightens the sunlit leaves."""
    _, found = shapes()
    kinds = (BROADLEAF, CONIFER, POPLAR, BUSH, POST, LAMP, SIGN, GANTRY)
    props = np.flatnonzero(np.isin(scenery.kinds, kinds))
    fronts, backs, colours, reflecting = [], [], np.zeros((len(props), SLOTS, 3)), []
    for i, prop in enumerate(props):
        kind, variant = int(scenery.kinds[prop]), float(scenery.variants[prop])
        which = int(variant * VARIANTS)
        fronts.append(found[kind, which, False])
        backs.append(found[kind, which, True])
        reflecting.append(2.4 if kind in (POST, SIGN, GANTRY) else 1.0)
        if kind == POST:
            colours[i] = [[224, 224, 220], [40, 40, 42], [236, 120, 40]]
        elif kind == LAMP:
            colours[i] = [[104, 108, 112], [150, 152, 150], [0, 0, 0]]
        elif kind == SIGN:
            colours[i] = SIGN_COLOURS[which]
        elif kind == GANTRY:
            colours[i] = [[128, 132, 136], [24, 96, 62] if variant < 0.5 else [28, 72, 150], [226, 228, 226]]
        else:
            greens = NEEDLES if kind == CONIFER else LEAVES[landscape]
            green = greens[int(variant * 97) % len(greens)] * (0.88 + 0.24 * (variant * 31 % 1))
            colours[i] = [[78, 62, 48], green * 0.8, green * (1.08 + 0.35 * sun)]
    return Flats(props, np.array(fronts), np.array(backs), colours, np.array(reflecting))
