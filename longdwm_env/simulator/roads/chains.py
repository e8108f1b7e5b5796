"""Roads strung together from straights and arcs, laid lane by lane into a HighwayEnv network.

In HighwayEnv's frame: y down, so an arc with a positive angle bends to the right; offsets are positive to the right.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Piece:
    """A straight of ``length_m``, or an arc of ``radius_m`` that sweeps ``angle_rad`` (positive to the right)."""

    length_m: float
    radius_m: float = 0.0
    angle_rad: float = 0.0


def winding_pieces(
    rng: np.random.Generator,
    length_m: float,
    *,
    radii_m: tuple[float, float],
    straights_m: tuple[float, float],
    most_heading_rad: float,
) -> list[Piece]:
    """Bends and straights up to a length; the heading stays within limits, so the road never meets itself."""
    pieces = [Piece(260.0)] if straights_m[1] > 200 else [Piece(60.0)]
    heading = 0.0
    total = pieces[0].length_m
    while total < length_m:
        radius = float(np.exp(rng.uniform(*np.log(radii_m))))
        sign = 1.0 if rng.random() < 0.5 else -1.0
        if abs(heading) > 0.6 * most_heading_rad:
            sign = -math.copysign(1.0, heading)
        room = most_heading_rad - sign * heading
        angle = sign * float(rng.uniform(0.25, 0.95)) * room
        pieces.append(Piece(abs(angle) * radius, radius, angle))
        pieces.append(Piece(float(rng.uniform(*straights_m))))
        heading += angle
        total += pieces[-1].length_m + pieces[-2].length_m
    return pieces


def closed_circuit(rng: np.random.Generator) -> list[Piece]:
    """A loop: a polygon around a circle whose corners are rounded; driven so that the infield is on the left."""
    corners = int(rng.integers(6, 10))
    angles = -2 * math.pi * (np.arange(corners) + rng.uniform(-0.2, 0.2, corners)) / corners
    reach = rng.uniform(0.55, 1.15, corners) * rng.uniform(120, 190)
    points = np.stack([1.5 * reach * np.cos(angles), reach * np.sin(angles)], -1)
    edges = np.roll(points, -1, axis=0) - points
    lengths = np.linalg.norm(edges, axis=1)
    headings = np.arctan2(edges[:, 1], edges[:, 0])
    bends = (headings - np.roll(headings, 1) + math.pi) % (2 * math.pi) - math.pi
    # A corner of bend b rounded with radius r eats r tan(|b| / 2) of both its edges.
    tangents = np.abs(np.tan(bends / 2))
    room = 0.46 * np.minimum(lengths, np.roll(lengths, 1))
    radii = np.minimum(room / np.maximum(tangents, 1e-6), rng.uniform(25, 90, corners))
    eaten = radii * tangents
    pieces = []
    for corner in range(corners):
        following = (corner + 1) % corners
        pieces.append(Piece(float(lengths[corner] - eaten[corner] - eaten[following])))
        bend = float(bends[following])
        pieces.append(Piece(abs(bend) * float(radii[following]), float(radii[following]), bend))
    return pieces


def lay_chain(
    network: Any,
    pieces: Sequence[Piece],
    offsets_m: Sequence[float],
    prefix: str,
    *,
    speed_limit_mps: float,
    width_m: float = 4.0,
    reverse: bool = False,
    closed: bool = False,
    left_line: int | None = None,
) -> None:
    """Add one lane per offset along the pieces, from nodes ``prefix0``, ``prefix1`` ...

    Args:
        network: a ``RoadNetwork``.
        pieces: the reference line, from the origin along x.
        offsets_m: of the lanes' centres to the right of the reference line, leftmost lane (as driven) first.
        prefix: of the node names.
        speed_limit_mps: lowered in bends to what 3.5 m/s2 sideways allows.
        width_m: of each lane.
        reverse: the lanes are driven against the direction of the pieces.
        closed: the last node is the first.
        left_line: line type left of the leftmost lane, continuous unless given.
    """
    from highway_env.road.lane import CircularLane, LineType, StraightLane

    point, heading = np.zeros(2), 0.0
    for i, piece in enumerate(pieces):
        following = 0 if closed and i == len(pieces) - 1 else i + 1
        nodes = (f"{prefix}{i}", f"{prefix}{following}")
        ahead = np.array([math.cos(heading), math.sin(heading)])
        right = np.array([-math.sin(heading), math.cos(heading)])
        bend = math.copysign(1.0, piece.angle_rad)
        limit = speed_limit_mps
        if piece.radius_m:
            limit = min(limit, math.sqrt(3.5 * piece.radius_m))
        for lane, offset in enumerate(offsets_m):
            first = LineType.CONTINUOUS_LINE if left_line is None else left_line
            types = [
                first if lane == 0 else LineType.STRIPED,
                LineType.CONTINUOUS_LINE if lane == len(offsets_m) - 1 else LineType.NONE,
            ]
            if piece.radius_m:
                phase = heading - bend * math.pi / 2
                phases = (phase, phase + piece.angle_rad)
                made: Any = CircularLane(
                    point + bend * piece.radius_m * right,
                    piece.radius_m - bend * offset,
                    *(phases[::-1] if reverse else phases),
                    clockwise=(bend > 0) != reverse,
                    width=width_m,
                    line_types=types,
                    speed_limit=limit,
                )
            else:
                ends = (point + offset * right, point + offset * right + piece.length_m * ahead)
                made = StraightLane(
                    *(ends[::-1] if reverse else ends), width=width_m, line_types=types, speed_limit=limit
                )
            network.add_lane(*(nodes[::-1] if reverse else nodes), made)
        if piece.radius_m:
            centre = point + bend * piece.radius_m * right
            heading += piece.angle_rad
            right = np.array([-math.sin(heading), math.cos(heading)])
            point = centre - bend * piece.radius_m * right
        else:
            point = point + piece.length_m * ahead
