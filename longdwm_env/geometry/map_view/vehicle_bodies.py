"""What vehicles look like: for each kind a list of flat faces, in the order in which they are painted.

In the vehicle's frame: x forward, y left, z up, the origin on the ground below the middle. The simulator draws them in
light and weather; a map's picture draws them flat, as large as a road user's box is.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int

from longdwm_env.types import FloatArray

BODY_SIZES_M: dict[str, tuple[float, float, float]] = {
    "hatchback": (3.9, 1.72, 1.48),
    "sedan": (4.65, 1.82, 1.44),
    "suv": (4.7, 1.92, 1.76),
    "van": (5.4, 2.0, 2.25),
    "truck": (8.6, 2.48, 3.3),
    "bus": (11.5, 2.52, 3.1),
}
"""Length, width and height of each kind that has a body."""

MATERIALS: tuple[str, ...] = (
    "body", "dark", "glass", "tyre", "hub", "tail", "brake", "head", "plate", "cargo", "bumper", "trim",
)  # fmt: skip
BODY, DARK, GLASS, TYRE, HUB, TAIL, BRAKE, HEAD, PLATE, CARGO, BUMPER, TRIM = range(len(MATERIALS))

MATERIAL_RGB: FloatArray = np.array(
    [
        [0, 0, 0], [20, 20, 22], [42, 52, 62], [22, 22, 24], [128, 130, 134], [120, 18, 18], [120, 18, 18],
        [222, 226, 226], [206, 206, 190], [206, 208, 206], [58, 60, 64], [44, 46, 50],
    ],
    dtype=np.float64,
)  # fmt: skip

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Body:
    """The faces of one kind of vehicle.

    Attributes:
        vertices_m: (V, 3).
        faces: indices of vertices of each face, counter-clockwise seen from outside.
        materials: (F,) indices into MATERIALS.
        normals: (F, 3) outward unit vectors.
        anchors_m: (F, 3) a point of each face.
        parts: (F,) faces of a higher part are in front of those of a lower one when seen from behind, and behind them
            when seen from the front.
        fine: (F,) faces that are left out from afar.
        tail_lights_m, head_lights_m: (2, 3).
    """

    vertices_m: Float[np.ndarray, "v 3"]
    faces: tuple[Int[np.ndarray, "_"], ...]
    materials: Int[np.ndarray, "f"]
    normals: Float[np.ndarray, "f 3"]
    anchors_m: Float[np.ndarray, "f 3"]
    parts: Int[np.ndarray, "f"]
    fine: Bool[np.ndarray, "f"]
    tail_lights_m: FloatArray
    head_lights_m: FloatArray


class _Builder:
    def __init__(self) -> None:
        self.vertices: list[Point] = []
        self.faces: list[Int[np.ndarray, k]] = []
        self.rows: list[tuple[int, FloatArray, int, bool]] = []

    def face(self, points: list[Point], material: int, outward: Point, part: int = 0, fine: bool = False) -> None:
        first = len(self.vertices)
        self.vertices += points
        self.faces.append(np.arange(first, first + len(points)))
        edges = np.array(points)
        normal = np.cross(edges[1] - edges[0], edges[2] - edges[0])
        normal = normal / np.linalg.norm(normal)
        self.rows.append((material, normal if normal @ np.array(outward) > 0 else -normal, part, fine))

    def prism(
        self, profile: list[tuple[float, float]], half_widths: list[float], materials: list[int], part: int = 0
    ) -> None:
        """A side view (x, z), counter-clockwise from the lower rear, given depth; half widths may differ by point.

        ``materials`` names one material per edge of the profile and then the one of both sides.
        """
        count = len(profile)
        for i in range(count):
            j = (i + 1) % count
            (x0, z0), (x1, z1) = profile[i], profile[j]
            outward = (z1 - z0, 0.0, -(x1 - x0))
            if materials[i] >= 0:
                w0, w1 = half_widths[i], half_widths[j]
                self.face([(x0, w0, z0), (x0, -w0, z0), (x1, -w1, z1), (x1, w1, z1)], materials[i], outward, part)
        for side in (1.0, -1.0):
            points = [(x, side * w, z) for (x, z), w in zip(profile, half_widths, strict=True)]
            self.face(points, materials[count], (0.0, side, 0.0), part)

    def wheels(self, axles: list[float], half_width: float, radius: float, part: int = 0) -> None:
        angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        for x in axles:
            for side in (1.0, -1.0):
                for r, material, out, fine in ((radius, TYRE, 0.01, False), (0.55 * radius, HUB, 0.02, True)):
                    rim = [(x + r * np.cos(a), side * (half_width + out), radius + r * np.sin(a)) for a in angles]
                    self.face(rim, material, (0.0, side, 0.0), part, fine)

    def rear_panel(
        self, x: float, y0: float, y1: float, z0: float, z1: float, material: int, part: int = 0, fine: bool = False
    ) -> None:
        corners: list[Point] = [(x, y0, z0), (x, y1, z0), (x, y1, z1), (x, y0, z1)]
        self.face(corners, material, (-1.0 if x < 0 else 1.0, 0.0, 0.0), part, fine)

    def lights(self, rear_x: float, front_x: float, half: float, z_tail: float, z_head: float, size: float) -> None:
        for side in (1.0, -1.0):
            outer, inner = side * (half - 0.06), side * (half - 0.06 - size)
            self.rear_panel(rear_x - 0.015, outer, inner, z_tail - 0.1, z_tail + 0.12, TAIL)
            self.rear_panel(front_x + 0.015, outer, inner, z_head - 0.08, z_head + 0.1, HEAD)

    def finished(self, rear_x: float, front_x: float, half: float, z_tail: float, z_head: float) -> Body:
        vertices = np.array(self.vertices)
        lamp = half - 0.2
        return Body(
            vertices,
            tuple(self.faces),
            np.array([row[0] for row in self.rows]),
            np.array([row[1] for row in self.rows]),
            np.array([vertices[face].mean(0) for face in self.faces]),
            np.array([row[2] for row in self.rows]),
            np.array([row[3] for row in self.rows]),
            np.array([[rear_x, lamp, z_tail], [rear_x, -lamp, z_tail]]),
            np.array([[front_x, lamp, z_head], [front_x, -lamp, z_head]]),
        )


def _inset(quad: list[Point], margins: tuple[float, float, float, float], lift: Point) -> list[Point]:
    """A pane within a four-cornered face: shares cut off at its left, right, lower and upper edge, lifted a little."""
    a, b, c, d = (np.array(corner) for corner in quad)
    left, right, low, high = margins

    def at(u: float, v: float) -> Point:
        point = (1 - v) * ((1 - u) * a + u * b) + v * ((1 - u) * d + u * c) + np.array(lift)
        return float(point[0]), float(point[1]), float(point[2])

    return [at(left, low), at(1 - right, low), at(1 - right, 1 - high), at(left, 1 - high)]


def _car(kind: str, belt: float, bonnet: float, cabin: tuple[float, float, float, float], boot: float) -> Body:
    """A car of two boxes; ``cabin`` is where the rear window and the windscreen start and end, as shares of length."""
    length, width, height = BODY_SIZES_M[kind]
    half_length, half = length / 2, width / 2
    build = _Builder()
    wheel = 0.31 if kind != "suv" else 0.36
    axle_rear, axle_front = -0.29 * length, 0.3 * length
    under = [
        (-half_length + 0.3, 0.14),
        (half_length - 0.3, 0.14),
        (half_length - 0.2, 0.36),
        (-half_length + 0.2, 0.36),
    ]
    build.prism(under, [half - 0.12] * 4, [DARK] * 5)
    rear, low = -half_length, 0.27 if kind != "suv" else 0.34
    profile = [
        (rear, low), (half_length, low), (half_length, 0.56 * bonnet + 0.2), (half_length - 0.22, bonnet),
        (half_length * (2 * cabin[3] - 1) + 0.05, belt), (rear + 0.12, boot), (rear, boot - 0.18),
    ]  # fmt: skip
    widths = [half - 0.03, half - 0.05, half - 0.05, half - 0.08, half - 0.02, half - 0.05, half - 0.03]
    build.prism(profile, widths, [-1, BODY, BODY, BODY, BODY, BODY, BODY, BODY])
    build.wheels([axle_rear, axle_front], half - 0.02, wheel)
    build.rear_panel(rear - 0.01, half - 0.05, -half + 0.05, low, low + 0.2, BUMPER)
    build.rear_panel(half_length + 0.01, half - 0.06, -half + 0.06, low, low + 0.16, BUMPER)
    build.rear_panel(half_length + 0.012, half * 0.55, -half * 0.55, low + 0.2, low + 0.34, DARK, fine=True)
    build.rear_panel(rear - 0.012, 0.26, -0.26, low + 0.23, low + 0.35, PLATE, fine=True)
    x0, x1, x2, x3 = (length * (share - 0.5) for share in cabin)
    base_rear, roof = (boot if cabin[0] > 0.04 else boot - 0.05), height
    top_half, base_half = half - 0.24, half - 0.07
    top: list[Point] = [(x1, top_half, roof), (x1, -top_half, roof), (x2, -top_half, roof), (x2, top_half, roof)]
    bottom: list[Point] = [
        (x0, base_half, base_rear), (x0, -base_half, base_rear), (x3, -base_half, belt), (x3, base_half, belt),
    ]  # fmt: skip
    walls = [
        ([bottom[0], bottom[1], top[1], top[0]], (-1.0, 0.0, 0.3), (0.07, 0.07, 0.12, 0.1)),
        ([bottom[2], bottom[3], top[3], top[2]], (1.0, 0.0, 0.3), (0.05, 0.05, 0.04, 0.1)),
        ([bottom[3], bottom[0], top[0], top[3]], (0.0, 1.0, 0.2), (0.06, 0.06, 0.1, 0.14)),
        ([bottom[1], bottom[2], top[2], top[1]], (0.0, -1.0, 0.2), (0.06, 0.06, 0.1, 0.14)),
    ]
    for quad, outward, margins in walls:
        build.face(list(quad), BODY, outward)
        lift = (outward[0] * 0.012, outward[1] * 0.012, 0.004)
        build.face(_inset(list(quad), margins, lift), GLASS, outward)
    build.face(top, BODY, (0.0, 0.0, 1.0))
    middle = (x1 + x2) / 2
    for side in (1.0, -1.0):
        pillar: list[Point] = [
            (middle - 0.06, side * (base_half + 0.015), belt + 0.02),
            (middle + 0.04, side * (base_half + 0.015), belt + 0.02),
            (middle + 0.04, side * (top_half + 0.02), roof - 0.06),
            (middle - 0.06, side * (top_half + 0.02), roof - 0.06),
        ]
        build.face(pillar, BODY, (0.0, side, 0.2), fine=True)
        mirror_x = x3 - 0.35
        build.rear_panel(mirror_x, side * (half + 0.16), side * (half - 0.02), belt, belt + 0.13, BODY, fine=True)
    z_tail = boot - 0.24 if kind in ("sedan",) else boot - 0.2
    build.lights(rear, half_length, half, z_tail, 0.5 * bonnet + 0.2, 0.3)
    build.rear_panel(rear + 0.02, 0.2, -0.2, boot - 0.08, boot - 0.02, BRAKE, fine=True)
    return build.finished(rear, half_length, half, z_tail, 0.5 * bonnet + 0.2)


def _box_with_windows(kind: str) -> Body:
    """Vans and buses."""
    length, width, height = BODY_SIZES_M[kind]
    half_length, half = length / 2, width / 2
    bus = kind == "bus"
    build = _Builder()
    build.prism(
        [(-half_length + 0.3, 0.16), (half_length - 0.3, 0.16), (half_length - 0.2, 0.5), (-half_length + 0.2, 0.5)],
        [half - 0.1] * 4,
        [DARK] * 5,
    )
    low = 0.36
    nose = 0.12 if bus else 0.95
    shoulder = 1.25 if bus else 1.1
    profile = [
        (-half_length, low), (half_length, low), (half_length, 0.95), (half_length - (0.05 if bus else 0.35), shoulder),
        (half_length - nose, height - 0.06), (half_length - nose - 0.2, height), (-half_length + 0.06, height),
    ]  # fmt: skip
    widths = [half - 0.02, half - 0.04, half - 0.04, half - 0.04, half - 0.12, half - 0.14, half - 0.14]
    build.prism(profile, widths, [-1, BODY, BODY, GLASS, BODY, BODY, BODY, BODY])
    build.wheels([-0.28 * length, 0.3 * length], half - 0.01, 0.48 if bus else 0.34)
    rear: list[Point] = [
        (-half_length, half - 0.02, low), (-half_length, -half + 0.02, low),
        (-half_length + 0.06, -half + 0.14, height), (-half_length + 0.06, half - 0.14, height),
    ]  # fmt: skip
    pane = (0.1, 0.1, 0.56, 0.12)
    build.face(_inset(rear, pane, (-0.02, 0.0, 0.0)), GLASS, (-1.0, 0.0, 0.0))
    if not bus:
        build.face(_inset(rear, (0.485, 0.485, 0.05, 0.05), (-0.025, 0.0, 0.0)), TRIM, (-1.0, 0.0, 0.0), fine=True)
    for side in (1.0, -1.0):
        wall: list[Point] = [
            (-half_length + 0.2, side * (half - 0.02), low),
            (half_length - nose - 0.1, side * (half - 0.02), low),
            (half_length - nose - 0.2, side * (half - 0.14), height),
            (-half_length + 0.2, side * (half - 0.14), height),
        ]
        spans = [(0.02, 0.02)] if bus else [(0.66, 0.03)]
        for left, right in spans:
            stripe = _inset(wall, (left, right, 0.44 if bus else 0.5, 0.12), (0.0, side * 0.015, 0.0))
            build.face(stripe, GLASS, (0.0, side, 0.0))
        if bus:
            for share in np.arange(0.16, 0.95, 0.14):
                post = _inset(wall, (share, 0.985 - share, 0.44, 0.12), (0.0, side * 0.025, 0.0))
                build.face(post, BODY, (0.0, side, 0.0), fine=True)
    build.rear_panel(-half_length - 0.01, half - 0.05, -half + 0.05, low, low + 0.22, BUMPER)
    build.rear_panel(half_length + 0.01, half - 0.05, -half + 0.05, low, low + 0.22, BUMPER)
    build.rear_panel(-half_length - 0.02, 0.26, -0.26, low + 0.3, low + 0.42, PLATE, fine=True)
    z_tail = 0.95 if not bus else 0.85
    build.lights(-half_length, half_length, half, z_tail, 0.78, 0.2)
    build.rear_panel(-half_length + 0.02, 0.25, -0.25, height - 0.2, height - 0.12, BRAKE, fine=True)
    return build.finished(-half_length, half_length, half, z_tail, 0.78)


def _truck() -> Body:
    length, width, height = BODY_SIZES_M["truck"]
    half_length, half = length / 2, width / 2
    build = _Builder()
    cab_rear = half_length - 1.9
    frame = [(-half_length + 0.1, 0.5), (half_length - 0.2, 0.5), (half_length - 0.2, 0.95), (-half_length + 0.1, 0.95)]
    build.prism(frame, [half - 0.35] * 4, [DARK] * 5, part=0)
    build.wheels([half_length - 1.2], half - 0.03, 0.48, part=0)
    cab_height = height - 0.55
    cab = [
        (cab_rear, 0.55), (half_length, 0.45), (half_length, 1.45), (half_length - 0.22, cab_height - 0.1),
        (half_length - 0.45, cab_height), (cab_rear, cab_height),
    ]  # fmt: skip
    build.prism(cab, [half - 0.06] * 6, [-1, BODY, GLASS, BODY, BODY, BODY, BODY], part=0)
    for side in (1.0, -1.0):
        door: list[Point] = [
            (half_length - 1.3, side * (half - 0.045), 1.55), (half_length - 0.3, side * (half - 0.045), 1.55),
            (half_length - 0.4, side * (half - 0.045), 2.25), (half_length - 1.3, side * (half - 0.045), 2.25),
        ]  # fmt: skip
        build.face(door, GLASS, (0.0, side, 0.0), part=0)
    box = [(-half_length, 0.95), (cab_rear - 0.12, 0.95), (cab_rear - 0.12, height), (-half_length, height)]
    build.wheels([-half_length + 1.5, -half_length + 2.6], half - 0.03, 0.48, part=1)
    build.prism(box, [half] * 4, [CARGO] * 5, part=1)
    for side in (1.0, -1.0):
        band: list[Point] = [
            (-half_length + 0.3, side * (half + 0.015), 1.6), (cab_rear - 0.4, side * (half + 0.015), 1.6),
            (cab_rear - 0.4, side * (half + 0.015), 2.3), (-half_length + 0.3, side * (half + 0.015), 2.3),
        ]  # fmt: skip
        build.face(band, BODY, (0.0, side, 0.0), part=1)
    rear = -half_length
    build.rear_panel(rear - 0.012, 0.03, -0.03, 1.0, height - 0.05, TRIM, part=1)
    for edge in (half - 0.02, -half + 0.06):
        build.rear_panel(rear - 0.012, edge, edge - 0.04, 1.0, height - 0.02, TRIM, part=1, fine=True)
    build.rear_panel(rear - 0.02, half - 0.1, -half + 0.1, 0.5, 0.68, BUMPER, part=1)
    build.rear_panel(rear - 0.03, 0.26, -0.26, 0.72, 0.84, PLATE, part=1, fine=True)
    build.lights(rear, half_length, half, 0.82, 0.85, 0.24)
    return build.finished(rear, half_length, half, 0.82, 0.85)


@lru_cache(maxsize=1)
def bodies() -> dict[str, Body]:
    """The body of each kind of ``BODY_SIZES_M``."""
    return {
        "hatchback": _car("hatchback", 0.92, 0.86, (0.02, 0.16, 0.56, 0.75), 0.94),
        "sedan": _car("sedan", 0.9, 0.84, (0.13, 0.3, 0.56, 0.73), 0.95),
        "suv": _car("suv", 1.08, 1.02, (0.02, 0.11, 0.56, 0.73), 1.08),
        "van": _box_with_windows("van"),
        "truck": _truck(),
        "bus": _box_with_windows("bus"),
    }
