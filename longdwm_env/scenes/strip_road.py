"""A road of one curvature for pictures that come without a map: lanes, lines, and what a person may say of it."""

import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Literal, TypeGuard, get_args

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.layout import CENTRE_LINE, LINE, ROAD, RoadLayout
from longdwm_env.geometry.map_view.scenery import SceneryLayer
from longdwm_env.scenes.strip_scenery import Beside, scenery_beside
from longdwm_env.types import FloatArray, LaneFit, wrap_angle

MOST_CURVATURE_PER_M = 0.1
"""A circle of 10 m: tighter than a car turns on a road."""

LEAST_CURVATURE_PER_M = 1e-6
"""Below it a road is straight: a circle of 1,000 km leaves its tangent by 5 cm in 300 m, and rounding by more."""

MOST_LANES = 8
NARROWEST_M, WIDEST_M = 2.0, 8.0
MOST_CARS = 24

PAVED_MARGIN_M = 0.5
LINE_M = 0.15
DASH_M, GAP_M = 3.0, 9.0
PIECE_M, BENT_PIECE_RAD = 12.0, 0.1
"""Length of the pieces that a layout is made of, and by how much one may turn."""

_WORDS = "straight, or a curvature in 1/m (to the left above 0), or name=number, separated by commas"


@dataclass(frozen=True)
class Road:
    """What is said of the road that a picture shows.

    Attributes:
        curvature: 1/m, to the left above 0.
        lanes: that lead the car's way.
        oncoming: lanes of the other direction.
        lane: which of its lanes the car is in, 1 at the road's edge.
        side: of the road that is driven on.
        width: of a lane in m; None takes it from the lines of the picture, else 3.5.
        offset: m that the car is to the left of its lane's middle; None takes it from the picture, else 0.
        beside: what stands beside the road: trees, houses, buildings or nothing. It is no picture of what is there.
        cars: other cars on the road; those of the picture are unknown.
        horizon: share of the picture's height, 0 at its top; None finds it.
        height: of the camera above the road in m; None takes the camera file's, else 1.4.
        fov: horizontal field of view in degrees; None takes the camera file's, else 65.
    """

    curvature: float = 0.0
    lanes: int = 1
    oncoming: int = 1
    lane: int = 1
    side: Literal["right", "left"] = "right"
    width: float | None = None
    offset: float | None = None
    beside: Beside = "trees"
    cars: int = 0
    horizon: float | None = None
    height: float | None = None
    fov: float | None = None

    def __post_init__(self) -> None:
        self._within("curvature", -MOST_CURVATURE_PER_M, MOST_CURVATURE_PER_M)
        self._within("lanes", 1, MOST_LANES)
        self._within("oncoming", 0, MOST_LANES)
        self._within("lane", 1, self.lanes)
        self._within("width", NARROWEST_M, WIDEST_M)
        self._within("offset", -WIDEST_M / 2, WIDEST_M / 2)
        self._within("cars", 0, MOST_CARS)
        self._within("horizon", 0.05, 0.95)
        self._within("height", 0.3, 5.0)
        self._within("fov", 12.0, 143.0)
        if not isinstance(self.side, str) or self.side not in ("right", "left"):
            raise InvalidConfig(f"a road's side is right or left, got {self.side!r:.60}")
        if not isinstance(self.beside, str) or self.beside not in get_args(Beside):
            raise InvalidConfig(f"beside a road are {', '.join(get_args(Beside))}; got {self.beside!r:.60}")

    def _within(self, name: str, least: float, most: float) -> None:
        value = getattr(self, name)
        if value is None and name in ("width", "offset", "horizon", "height", "fov"):
            return
        counted = name in ("lanes", "oncoming", "lane", "cars")
        if not is_number(value) or (counted and not isinstance(value, int | np.integer)) or not least <= value <= most:
            kind = "a whole number" if counted else "a number"
            raise InvalidConfig(f"a road's {name} is {kind} from {least:g} to {most:g}, got {value!r:.60}")
        object.__setattr__(self, name, int(value) if counted else float(value))

    @classmethod
    def parse(cls, text: str) -> "Road":
        """A road in words, such as ``straight``, ``0.01`` or ``straight,lanes=2,side=left``.

        Raises:
            InvalidConfig: they are not understood; the message says what is.
        """
        kinds = {field.name: field for field in fields(cls)}
        values: dict[str, float | int | str] = {}
        for number, part in enumerate(part.strip() for part in text.split(",")):
            name, is_named, value = (word.strip() for word in part.partition("="))
            if not is_named and number == 0:
                name, value = "curvature", "0" if name == "straight" else name
            if name not in kinds:
                raise InvalidConfig(
                    f"road={text!r:.300}: {part!r:.60} is not understood; allowed are {_WORDS}: {', '.join(kinds)}"
                )
            try:
                if name in ("side", "beside"):
                    values[name] = value
                else:
                    values[name] = int(value) if kinds[name].type is int else _finite(float(value))
            except ValueError as error:
                raise InvalidConfig(f"road={text!r:.300}: {name} is a number, got {value!r:.60}; {_WORDS}") from error
        return cls(**values)  # type: ignore[arg-type]


def is_number(value: object) -> TypeGuard[float]:
    """Whether something is a real, finite number, and neither true nor false."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool) and value == value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(value)
    return value


@dataclass(frozen=True)
class StripRoad:
    """The road as a map: a ``geometry.layout.DrawnRoadMap``. A bent one is a whole circle, a straight one has no end.

    Attributes:
        curvature_per_m: of the middle of the car's own lane, to the left above 0.
        offset_m: that the world's origin is to the left of its lane's middle; the road leads along x there.
        lanes, oncoming, lane, side, beside: as of ``Road``.
    """

    curvature_per_m: float
    width_m: float
    offset_m: float
    lanes: int
    oncoming: int
    lane: int
    side: Literal["right", "left"]
    beside: Beside = "nothing"

    scenery_is_said = True
    """Nothing of what is said to stand beside it was in the picture."""

    @cached_property
    def _sign(self) -> float:
        """Of the side on which oncoming lanes are: 1 for left."""
        return 1.0 if self.side == "right" else -1.0

    @cached_property
    def centres_m(self) -> FloatArray:
        """(L,) how far left of the car's own lane the middle of each lane is; the oncoming ones come last."""
        steps = np.arange(1 - self.lane, self.lanes - self.lane + self.oncoming + 1)
        return np.asarray(self._sign * self.width_m * steps)

    @cached_property
    def edges_m(self) -> tuple[float, float]:
        """The right and the left end of the lanes, left of the car's own lane's middle."""
        return float(self.centres_m.min() - self.width_m / 2), float(self.centres_m.max() + self.width_m / 2)

    def drivable(self, points_m: FloatArray) -> NDArray[np.bool_]:
        """Whether each of (N, 2) points lies on the road; NaN does not."""
        _, left = self.along(np.asarray(points_m, np.float64))
        low, high = self.edges_m
        return np.asarray((left >= low - PAVED_MARGIN_M) & (left <= high + PAVED_MARGIN_M))

    def fit_lanes(self, poses: FloatArray) -> LaneFit:
        """The nearest lane that leads the way of each of (N, 3) poses; NaN beside the road."""
        poses = np.asarray(poses, np.float64)
        along, left = self.along(poses[:, :2])
        error = wrap_angle(poses[:, 2] - along * self.curvature_per_m)
        back = np.abs(error) > np.pi / 2
        if not self.oncoming:
            back &= False
        # Who drives on the wrong side is measured against the lanes of the right direction.
        away = np.abs(left[:, None] - self.centres_m[None])
        is_oncoming = np.arange(len(self.centres_m)) >= self.lanes
        away[back[:, None] != is_oncoming[None]] = np.inf
        chosen = self.centres_m[away.argmin(axis=1)]
        lateral = np.where(back, chosen - left, left - chosen)
        fit = np.stack([lateral, np.where(back, wrap_angle(error - np.pi), error), np.full(len(poses), self.width_m)])
        fit[:, ~self.drivable(poses[:, :2])] = np.nan
        return LaneFit(*fit)

    def layout(self, centre_m: FloatArray, reach_m: float) -> RoadLayout:
        """Asphalt and lines within a distance of a point (2,)."""
        (here,), _ = self.along(np.asarray(centre_m, np.float64)[None])
        first, last = here - reach_m, here + reach_m
        step = PIECE_M
        if self.curvature_per_m:
            half = math.pi / abs(self.curvature_per_m)
            first, last = (-half, half) if reach_m > half else (first, last)
            step = min(PIECE_M, BENT_PIECE_RAD / abs(self.curvature_per_m))
        starts = np.arange(math.floor(first / PIECE_M) * PIECE_M, last, step)
        dashes = np.arange(math.floor(first / (DASH_M + GAP_M)) * (DASH_M + GAP_M), last, DASH_M + GAP_M)
        low, high = self.edges_m
        parts = [self._strip(starts, step, low - PAVED_MARGIN_M, high + PAVED_MARGIN_M)]
        kinds = [np.full(len(starts), ROAD)]
        for left, kind, dashed in self._lines():
            places, length = (dashes, DASH_M) if dashed else (starts, step)
            parts.append(self._strip(places, length, left - LINE_M / 2, left + LINE_M / 2))
            kinds.append(np.full(len(places), kind))
        return RoadLayout(np.concatenate(parts), np.concatenate(kinds).astype(np.uint8)).near(centre_m, reach_m)

    def scenery(self, centre_m: FloatArray, reach_m: float) -> SceneryLayer | None:
        """What stands beside it within a distance of a point (2,); None where nothing does."""
        (here,), _ = self.along(np.asarray(centre_m, np.float64)[None])
        whole = scenery_beside(self, self.beside, float(here), float(reach_m))
        return None if whole is None else whole.near(centre_m, reach_m)

    def _lines(self) -> list[tuple[float, int, bool]]:
        """How far left each line is, its kind, and whether it is dashed."""
        low, high = self.edges_m
        lines = [(low + LINE_M, LINE, False), (high - LINE_M, LINE, False)]
        for number in range(1, len(self.centres_m)):
            between = float(self.centres_m[number - 1] + self.centres_m[number]) / 2
            is_centre = number == self.lanes
            lines.append((between, CENTRE_LINE if is_centre else LINE, not is_centre))
        return lines

    def _strip(self, starts: FloatArray, length_m: float, right_m: float, left_m: float) -> Float[np.ndarray, "q 4 2"]:
        corners = [(starts, right_m), (starts + length_m, right_m), (starts + length_m, left_m), (starts, left_m)]
        return np.stack([self.places(along, np.full(len(along), left)) for along, left in corners], axis=1)

    def along(self, points_m: FloatArray) -> tuple[FloatArray, FloatArray]:
        """How far along the car's own lane, and how far left of its middle, points (N, 2) are; (N,) each."""
        x, y = points_m[:, 0], points_m[:, 1] + self.offset_m
        if self.curvature_per_m == 0:
            return x, y
        radius, turn = 1 / abs(self.curvature_per_m), math.copysign(1.0, self.curvature_per_m)
        from_centre = y - turn * radius
        angle = np.arctan2(x, -turn * from_centre)
        return angle * radius, turn * (radius - np.hypot(x, from_centre))

    def places(self, along_m: FloatArray, left_m: FloatArray) -> FloatArray:
        """(N, 2) points that are so far along and so far left: the inverse of ``along``."""
        if self.curvature_per_m == 0:
            return np.column_stack([along_m, left_m - self.offset_m])
        radius = 1 / self.curvature_per_m
        angle = along_m * self.curvature_per_m
        return np.column_stack(
            [(radius - left_m) * np.sin(angle), radius - (radius - left_m) * np.cos(angle) - self.offset_m]
        )
