"""What stands beside a road, as a map may know it: houses, trees, posts as upright blocks, and the bare ground."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int32, Int64, UInt8
from numpy.typing import NDArray

from longdwm_env.geometry.map_view.facades import BLIND
from longdwm_env.types import FloatArray, RoadMap

SCENERY_KINDS: tuple[str, ...] = (
    "broadleaf", "conifer", "poplar", "bush", "post", "lamp", "sign", "rail", "building", "house", "gantry", "other",
)  # fmt: skip
"""What a block may be a part of. New kinds go to the end: files hold indices."""

_DTYPES = {
    "kinds": np.uint8, "things": np.int32, "positions_m": np.float32, "headings_rad": np.float32,
    "sizes_m": np.float32, "bases_m": np.float32, "colours": np.uint8,
    "ground_corners_m": np.float32, "ground_colours": np.uint8, "verge_colour": np.uint8,
    "facades": np.int64,
}  # fmt: skip


@dataclass(frozen=True)
class SceneryLayer:
    """Upright blocks on flat ground, and coloured ground beside the asphalt, in the map's frame.

    A thing is one block or several: a house its walls and its roof, a tree its trunk and its crown, a gantry its post
    and its boards.

    Attributes:
        kinds: uint8 (P,) indices into ``SCENERY_KINDS``.
        things: int32 (P,) number of the thing that a block belongs to; it stays when a part is cut out with ``near``.
        positions_m: float32 (P, 2) middle of the block, seen from above.
        headings_rad: float32 (P,) of its length.
        sizes_m: float32 (P, 3) length, width, and height above its base. Round things are as long as wide.
        bases_m: float32 (P,) height of its lower face above the ground.
        colours: uint8 (P, 3) RGB in even light.
        ground_corners_m: float32 (Q, 4, 2) quadrilaterals on the ground, such as shoulders and kerbs; later ones are
            painted over earlier ones, and all below the asphalt.
        ground_colours: uint8 (Q, 3).
        verge_colour: uint8 (3,) of all other ground.
        facades: int64 (P,) number from which a block's windows follow, see ``geometry.facades``, or -1 for none. One
            number counts for all blocks.
    """

    kinds: UInt8[np.ndarray, "p"]
    things: Int32[np.ndarray, "p"]
    positions_m: Float[np.ndarray, "p 2"]
    headings_rad: Float[np.ndarray, "p"]
    sizes_m: Float[np.ndarray, "p 3"]
    bases_m: Float[np.ndarray, "p"]
    colours: UInt8[np.ndarray, "p 3"]
    ground_corners_m: Float[np.ndarray, "q 4 2"]
    ground_colours: UInt8[np.ndarray, "q 3"]
    verge_colour: UInt8[np.ndarray, "3"]
    facades: Int64[np.ndarray, "p"] = field(default_factory=lambda: np.array(BLIND))

    def __post_init__(self) -> None:
        if self.facades.ndim == 0:
            object.__setattr__(self, "facades", np.full(len(self.kinds), self.facades))
        for name, array in self.arrays.items():
            held = np.array(array, _DTYPES[name])
            held.flags.writeable = False
            object.__setattr__(self, name, held)
        blocks, patches = len(self.kinds), len(self.ground_corners_m)
        shapes: dict[str, tuple[int, ...]] = {
            "things": (blocks,), "positions_m": (blocks, 2), "headings_rad": (blocks,), "sizes_m": (blocks, 3),
            "bases_m": (blocks,), "colours": (blocks, 3), "ground_corners_m": (patches, 4, 2),
            "ground_colours": (patches, 3), "verge_colour": (3,), "facades": (blocks,),
        }  # fmt: skip
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.shape != shape or not np.isfinite(array).all():
                raise ValueError(f"{name} of a scenery layer must be finite {shape}, got {array.shape}")
        if (self.kinds >= len(SCENERY_KINDS)).any():
            raise ValueError(f"kinds of a scenery layer are 0 to {len(SCENERY_KINDS) - 1}")

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The attributes by name, as files keep them."""
        return {name: getattr(self, name) for name in _DTYPES}

    def near(self, centre_m: FloatArray, reach_m: float) -> "SceneryLayer":
        """Only what comes within a distance of a point (2,)."""
        return self._of(*self._near(np.asarray(centre_m, np.float32), reach_m))

    def seen(
        self, centre_m: FloatArray, reach_m: float, eye_m: FloatArray, directions: Float[np.ndarray, "2 2"] | None
    ) -> "SceneryLayer":
        """``near``, but of blocks only those that are seen, from above, between two directions from an eye (2,)."""
        blocks, ground = self._near(np.asarray(centre_m, np.float32), reach_m)
        return self._of(blocks & between(self.positions_m, self._radii_m, eye_m, directions), ground)

    def _near(
        self, centre_m: Float[np.ndarray, "2"], reach_m: float
    ) -> tuple[Bool[np.ndarray, "p"], Bool[np.ndarray, "q"]]:
        """Which blocks, and which ground."""
        blocks = np.hypot(*(self.positions_m - centre_m).T) < reach_m + self._radii_m
        return blocks, (np.hypot(*(self.ground_corners_m - centre_m).T) < reach_m).any(axis=0)

    @cached_property
    def _radii_m(self) -> Float[np.ndarray, "p"]:
        return np.asarray(np.hypot(self.sizes_m[:, 0], self.sizes_m[:, 1]) / 2)

    def _of(self, blocks: NDArray[np.bool_], ground: NDArray[np.bool_]) -> "SceneryLayer":
        """What is chosen, without looking at it again."""
        chosen = object.__new__(SceneryLayer)
        kept = {"ground_corners_m": ground, "ground_colours": ground}
        for name, array in self.arrays.items():
            part = array if name == "verge_colour" else array[kept.get(name, blocks)]
            part.flags.writeable = False
            object.__setattr__(chosen, name, part)
        return chosen


def between(
    positions_m: Float[np.ndarray, "n 2"],
    radii_m: Float[np.ndarray, "n"],
    eye_m: FloatArray,
    directions: Float[np.ndarray, "2 2"] | None,
) -> Bool[np.ndarray, "n"]:
    """Which discs on the ground are seen, from above, between two directions.

    Args:
        positions_m: middles of the discs.
        radii_m: of the discs.
        eye_m: (2,) where the directions begin.
        directions: unit vectors to the right and to the left end of what is seen, less than half a turn apart. None
            stands for all around.
    """
    if directions is None:
        return np.ones(len(positions_m), bool)
    (rx, ry), (lx, ly) = np.asarray(directions)
    away = positions_m - np.asarray(eye_m, positions_m.dtype)
    inside = np.minimum(away[:, 1] * rx - away[:, 0] * ry, away[:, 0] * ly - away[:, 1] * lx)
    return np.asarray(inside > -radii_m)


@runtime_checkable
class SceneryMap(RoadMap, Protocol):
    """A road map that may also know what stands beside the road."""

    def scenery(self, centre_m: FloatArray, reach_m: float) -> SceneryLayer | None:
        """What comes within a distance of a point (2,), in the map's frame; None where the map knows nothing."""
        ...


@runtime_checkable
class SaidSceneryMap(SceneryMap, Protocol):
    """A map whose scenery a person has said, of a picture that may show something else."""

    scenery_is_said: bool


def scenery_along(road_map: RoadMap | None, poses: FloatArray, reach_m: float) -> SceneryLayer | None:
    """What stands within a distance of a drive, poses (T, 3) in the map's frame; None where nothing is known."""
    if not isinstance(road_map, SceneryMap):
        return None
    middle = poses[len(poses) // 2, :2]
    return road_map.scenery(middle, float(np.hypot(*(poses[:, :2] - middle).T).max()) + reach_m)
