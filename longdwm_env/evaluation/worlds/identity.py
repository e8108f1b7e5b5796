"""Whether things stay themselves: is the house, tree or sign that was seen ahead the same one when the car comes to it?

The simulator knows where everything beside the road stands, so the place of each thing in the picture follows from the
car's pose alone. A thing's patch is a square that stands upright at its place and faces the camera. At 1, 2, 3 and 4 s
the patch in a world's frame is compared with the patch in the simulator's frame at the same place and moment: the
normalised cross-correlation of their colours, the best within a shift of ``REACH`` of the patch's side.

Things are chosen in the simulator's frames alone. For each of the times: those that are whole in the picture at the
start and then, have contrast at both, and whose own picture at the start, at its new size, still correlates with
theirs (so nothing hides them); of these the three whose distance at the start was nearest to ``WANTED_M``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from longdwm_env.evaluation.drives.recorder import Drive
from longdwm_env.evaluation.report import Cell, Row, Table, bar, is_above_zero, scenes_table
from longdwm_env.evaluation.statistics import Interval, mean_interval
from longdwm_env.evaluation.worlds.objects import MOMENTS, sampled
from longdwm_env.evaluation.worlds.objects import SECONDS as TIMES_S
from longdwm_env.evaluation.worlds.truth import KEPT
from longdwm_env.geometry.camera import project_points
from longdwm_env.geometry.pose import relative_to
from longdwm_env.simulator.roads.roadside import BROADLEAF, BUILDING, CONIFER, HOUSE, POPLAR, SIGN, scenery_of
from longdwm_env.simulator.scene import episode
from longdwm_env.types import Camera, FloatArray, Images

KINDS = (BROADLEAF, CONIFER, POPLAR, SIGN, BUILDING, HOUSE)
WANTED_M, NEAREST_M, FARTHEST_M = 30.0, 12.0, 110.0
"""Distance ahead at the start: wanted, and the limits."""

THINGS = 3
"""Most things a scene and moment."""

SIDES_M, HIGHEST_M = (2.0, 6.0), 7.0
"""A patch is 0.8 of its thing's height, within these limits, and ends at the thing's top, or at this height."""

GRID = 16
"""Points of a patch each way."""

REACH = 1 / 8
LEAST_SIDE_PX = 6.0
LEAST_CONTRAST = 6.0
"""Grey levels, of a patch in the simulator's frame: the mean over colours of the standard deviation."""

LEAST_ALIKE = 0.5
"""Correlation, in the simulator, of a thing's patch with its picture at the start."""

OTHER = "simulator, another scene (chance)"
START = "the thing's picture at the start"


@dataclass(frozen=True)
class Patch:
    """A square of a picture: its middle (2,) as column and row, and its side, in pixels."""

    middle_px: FloatArray
    side_px: float

    @property
    def box_px(self) -> FloatArray:
        """(4,) left, top, right, bottom."""
        half = self.side_px / 2
        return np.array([*(self.middle_px - half), *(self.middle_px + half)])


@dataclass(frozen=True)
class Thing:
    """A thing beside the road at one of the times: how far ahead it was at the start, its patch then and now."""

    distance_m: float
    start: Patch
    now: Patch


def things_ahead(drive: Drive) -> list[list[Thing]]:
    """For each of ``TIMES_S`` the things to look at in a drive in the simulator, nearest to ``WANTED_M`` first."""
    scenery = scenery_of(drive.seed, episode(drive.seed).road.kind)
    chosen = np.isin(scenery.kinds, KINDS)
    heights = scenery.sizes_m[chosen, 2]
    sides = np.clip(0.8 * heights, *SIDES_M)
    middles = np.maximum(np.minimum(heights, HIGHEST_M) - sides / 2, sides / 2)
    points = np.column_stack([scenery.positions_m[chosen], middles])
    seen = [_patches(drive.camera, drive.poses[moment], points, sides) for moment in MOMENTS]
    distances = seen[0][1]
    near = [place for place in np.argsort(np.abs(distances - WANTED_M)) if NEAREST_M < distances[place] < FARTHEST_M]
    found: list[list[Thing]] = []
    for moment, (patches, _) in zip(MOMENTS[1:], seen[1:], strict=True):
        things: list[Thing] = []
        for place in near:
            start, now = seen[0][0][place], patches[place]
            if start is None or now is None or len(things) == THINGS:
                continue
            pictures = [_grid(drive.frames[frame], patch) for frame, patch in ((0, start), (moment, now))]
            if min(float(one.std(axis=(0, 1)).mean()) for one in pictures) < LEAST_CONTRAST:
                continue
            if alike(drive.frames[0], start, drive.frames[moment], now) >= LEAST_ALIKE:
                things.append(Thing(float(distances[place]), start, now))
        found.append(things)
    return found


def _patches(
    camera: Camera, pose: FloatArray, points: FloatArray, sides_m: FloatArray
) -> tuple[list[Patch | None], FloatArray]:
    """Patches of upright squares at points (P, 3) of the world, None where not whole in the picture; depths (P,)."""
    ego = relative_to(np.column_stack([points[:, :2], np.zeros(len(points))]), pose)
    pixels, depths = project_points(camera, np.column_stack([ego[:, :2], points[:, 2]]))
    sides = camera.intrinsics.fx_px * sides_m / np.where(depths > 0, depths, np.nan)
    height, width = camera.intrinsics.image_size
    room = np.stack([width - sides, height - sides], axis=1) / 2
    inside = (np.abs(pixels - np.array([width - 1, height - 1]) / 2) < room).all(axis=1)
    whole = inside & (sides >= LEAST_SIDE_PX)
    patches = zip(pixels, sides, whole, strict=True)
    return [Patch(pixel, float(side)) if is_whole else None for pixel, side, is_whole in patches], depths


def _grid(image: Images, patch: Patch, margin: int = 0) -> np.ndarray:
    points = GRID + 2 * margin
    return sampled(image, patch.middle_px, points, points, patch.side_px / GRID)


def alike(made: Images, where: Patch, truth: Images, there: Patch) -> float:
    """Correlation of a patch of one frame with that of another, -1 to 1; 0 where one of them is of one colour."""
    margin = round(REACH * GRID)
    template = _grid(truth, there)
    found = cv2.matchTemplate(_grid(made, where, margin), template, cv2.TM_CCOEFF_NORMED)
    known = found[np.isfinite(found) & (np.abs(found) <= 1 + 1e-4)]
    return float(np.clip(known.max(), -1, 1)) if len(known) else 0.0


@dataclass
class Identity:
    """How much things stay themselves in several worlds, gathered one scene at a time.

    Attributes:
        counts, distances_m: (4,) a scene: things at each of ``TIMES_S``, and their mean distance at the start.
        worlds: (4,) a scene: mean correlation over its things; NaN where it has none.
    """

    seeds: list[int] = field(default_factory=list)
    counts: list[list[int]] = field(default_factory=list)
    distances_m: list[FloatArray] = field(default_factory=list)
    worlds: dict[str, list[FloatArray]] = field(default_factory=dict)
    _before: Images | None = None

    def add(self, real: Drive, made: Mapping[str, Drive]) -> None:
        """One scene: a drive in the simulator, and the same in each world."""
        truth, things = real.frames[MOMENTS], things_ahead(real)
        self.seeds.append(real.seed)
        self.counts.append([len(some) for some in things])
        self.distances_m.append(np.array([_mean([one.distance_m for one in some]) for some in things]))
        kept = np.repeat(truth[:1], len(truth), axis=0)
        # The scene before stands for chance; the first one has only itself, turned round.
        other = truth[:, :, ::-1] if self._before is None else self._before
        self._before = truth
        shown = {name: drive.frames[MOMENTS] for name, drive in made.items()}
        for world, frames in {**shown, KEPT: kept, OTHER: other}.items():
            scores = [
                _mean([alike(frames[i], one.now, truth[i], one.now) for one in some])
                for i, some in enumerate(things, 1)
            ]
            self.worlds.setdefault(world, []).append(np.array(scores))
        own = [
            _mean([alike(truth[0], one.start, truth[i], one.now) for one in some]) for i, some in enumerate(things, 1)
        ]
        self.worlds.setdefault(START, []).append(np.array(own))

    def table(self, world: str, against: Sequence[str], facts: Mapping[str, object]) -> Table:
        """Every world, the controls, and how much better the first world is than the others and the frame kept."""
        rows: list[Row] = []
        bars = []
        for name in self.worlds:
            rows.append((name, self._cells(np.stack(self.worlds[name]))))
        for other in (*against, KEPT):
            cells = self._cells(np.stack(self.worlds[world]) - np.stack(self.worlds[other]))
            rows.append((f"{world} - {other}", cells))
            for time, cell in zip(TIMES_S, cells[1:], strict=True):
                assert isinstance(cell, Interval)
                bars.append(bar(f"{world} keeps things better than {other} at {time} s", cell, is_above_zero(cell)))
        columns = ("world", "scenes", *(f"correlation at {time} s" for time in TIMES_S))
        distances = np.stack(self.distances_m)
        counts = np.array(self.counts)
        looked_at = ", ".join(
            f"{counts[:, i].sum()} at {time} s in {(counts[:, i] > 0).sum()} scenes"
            f" ({_mean(distances[:, i]):.0f} m ahead at the start)"
            for i, time in enumerate(TIMES_S)
        )
        how = (
            "Correlation of the patch of a house, tree or sign, seen at the start, with the simulator's patch at "
            f"the same place and moment, the best within {REACH:g} of its side; mean over scenes. The place follows "
            f"from the car's pose. At most {THINGS} things a scene and time, those nearest to {WANTED_M:g} m ahead at "
            "the start of all that are whole, have contrast and are not hidden in the simulator at the start and then.",
            f"Things: {looked_at}.",
            f"'{START}': what a world would reach that moved and enlarged the start's picture of it.",
        )
        title = f"Do things stay themselves in {world}?"
        return Table("identity", title, columns, tuple(rows), len(self.seeds), facts, (*bars, *how))

    def _cells(self, values: FloatArray) -> tuple[Cell, ...]:
        return (len(values), *(mean_interval(column) for column in values.T))

    def scenes_table(self) -> Table:
        """Every scene by itself."""
        columns = [f"correlation at {time} s" for time in TIMES_S]
        title = "Identity, scene by scene"
        return scenes_table(
            "identity-scenes", title, columns, self.seeds, self.worlds, lambda found: tuple(map(float, found))
        )


def _mean(values: Sequence[float] | FloatArray) -> float:
    """Of those that are known; NaN where none is."""
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else float("nan")


def marked(drive: Drive) -> FloatArray:
    """(5, 4) boxes at the start and at ``TIMES_S``: of the first thing of each; NaN where there is none."""
    boxes = np.full((len(MOMENTS), 4), np.nan)
    for place, some in enumerate(things_ahead(drive), 1):
        if some:
            boxes[place] = some[0].now.box_px
            if not np.isfinite(boxes[0]).all():
                boxes[0] = some[0].start.box_px
    return boxes
