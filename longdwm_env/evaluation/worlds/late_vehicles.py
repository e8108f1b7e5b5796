"""Whether streets stay full of vehicles: how many are in view late in a drive, where they are, and as they were.

A vehicle that is whole and unhidden in the simulator at a moment and a second before is looked for, by its picture of
that second before, where the world has it; see ``objects``. In the simulator's own frames the same search says what a
perfect world would reach, and in the simulator's frames with that vehicle taken away it says how often road and houses
pass for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from longdwm_env.clock import FPS
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.drives.recorder import Drive
from longdwm_env.evaluation.report import Cell, Row, Table, bar, scenes_table
from longdwm_env.evaluation.statistics import Interval, mean_interval, ratio_interval
from longdwm_env.evaluation.worlds.objects import FALSE_ALARMS, TRUTH, best_match, other_half_thresholds
from longdwm_env.evaluation.worlds.vehicle_ahead import LEAST_INSIDE, LEAST_PX, MOST_HIDDEN, redrawn
from longdwm_env.geometry.boxes import seen_boxes, shares_hidden, shares_inside
from longdwm_env.types import ROAD_USER_CLASSES, FloatArray, Images

TIMES_S = (10, 30, 60, 90)
MOMENTS_A_TIME = 5
"""The last seconds up to each time, one moment each."""

WITHIN_M = 60.0
VEHICLES = tuple(ROAD_USER_CLASSES.index(name) for name in ("car", "hatchback", "sedan", "suv", "van", "truck", "bus"))

COUNTED_INSIDE, COUNTED_HIDDEN = 0.5, 0.5
"""A vehicle is in view that is this much in the picture, and not more hidden than this."""

FOLLOWED_S = 20
"""A vehicle that is whole and unhidden for so long is followed."""

SAME_SIZES = (0.8, 1.25)
MOST_COUNT_OFF, LEAST_FOUND, MOST_COLOUR_CHANGE = 0.2, 0.85, 25.0
"""The bars: of the simulator's number of vehicles, of its share that is found, of 255."""

GONE = "simulator, vehicle taken away (false alarms)"


@dataclass(frozen=True)
class Found:
    """What a drive shows of vehicles.

    Attributes:
        counts: (T,) in view at each of the times, mean over its moments.
        scores: (V,) correlation of each vehicle that is looked for.
        colours: (C,) greatest change of the mean colour of each vehicle that is followed, of 255.
        sizes: (C,) size over the expected one at the end of following it.
        shapes: (C,) correlation there.
    """

    counts: FloatArray
    scores: FloatArray
    colours: FloatArray
    sizes: FloatArray
    shapes: FloatArray


@dataclass
class LateVehicles:
    """Vehicles of long drives, gathered one scene at a time.

    Attributes:
        at: for each scene (V,) the place of the time at which each vehicle is looked for.
        worlds: by world, what each scene shows; the simulator is one of them, and ``GONE`` is its frames without the
            vehicle that is looked for.
    """

    times_s: tuple[int, ...]
    seeds: list[int] = field(default_factory=list)
    at: list[FloatArray] = field(default_factory=list)
    worlds: dict[str, list[Found]] = field(default_factory=dict)

    @classmethod
    def of_length(cls, seconds: int) -> "LateVehicles":
        """For drives that last so long.

        Raises:
            InvalidConfig: they end before the first time.
        """
        times = tuple(time for time in TIMES_S if time <= seconds)
        if not times:
            raise InvalidConfig(f"--seconds {seconds}: vehicles are looked for {TIMES_S[0]} s into a drive and later")
        return cls(times)

    def add(self, truth: Drive, made: Mapping[str, Drive]) -> None:
        """One scene: a drive in the simulator, and the same in each world."""
        looked_for = [
            (frame, vehicle, place)
            for place, time in enumerate(self.times_s)
            for frame in _moments(time)
            for vehicle in _whole(truth, (frame - FPS, frame))
        ]
        followed = _followed(truth)
        self.seeds.append(truth.seed)
        self.at.append(np.array([place for *_, place in looked_for]))
        for world, drive in {TRUTH: truth, **made}.items():
            scores = np.array([_match(truth, vehicle, frame, drive)[0] for frame, vehicle, _ in looked_for])
            ends = [_match(truth, vehicle, frames[-1], drive) for frames, vehicle in followed]
            found = Found(
                np.array([np.mean([len(_in_view(drive, frame)) for frame in _moments(time)]) for time in self.times_s])
                if drive.actors is not None
                else np.full(len(self.times_s), np.nan),
                scores,
                np.array([_colour_change(truth, vehicle, frames, drive) for frames, vehicle in followed]),
                np.array([size for _, size in ends]),
                np.array([score for score, _ in ends]),
            )
            self.worlds.setdefault(world, []).append(found)
        assert truth.actors is not None
        without = redrawn(truth, [(frame, truth.actors.ids[vehicle]) for frame, vehicle, _ in looked_for])
        gone = np.array(
            [
                _match(truth, vehicle, frame, truth, picture)[0]
                for (frame, vehicle, _), picture in zip(looked_for, without, strict=True)
            ]
        )
        nothing = np.empty(0)
        self.worlds.setdefault(GONE, []).append(
            Found(np.full(len(self.times_s), np.nan), gone, nothing, nothing, nothing)
        )

    def thresholds(self) -> FloatArray:
        """(S,) see ``objects.other_half_thresholds``."""
        return other_half_thresholds([found.scores for found in self.worlds[GONE]])

    def _found(self, world: str) -> FloatArray:
        """(S, T, 2) how many vehicles of each scene and time were found, and how many were looked for."""
        table = np.zeros((len(self.seeds), len(self.times_s), 2))
        for scene, (found, least) in enumerate(zip(self.worlds[world], self.thresholds(), strict=True)):
            np.add.at(table[scene, :, 0], self.at[scene].astype(int), found.scores > least)
            np.add.at(table[scene, :, 1], self.at[scene].astype(int), 1)
        return table

    def table(self, world: str, facts: Mapping[str, object]) -> Table:
        """Every world, by time."""
        times = self.times_s
        columns = (
            "world", "scenes", *(f"in view at {time} s" for time in times), *(f"found at {time} s" for time in times),
            "found over the simulator's share", "followed for 20 s", "greatest change of colour",
            "share that keeps its colour", "share that keeps its shape",
        )  # fmt: skip
        rows: list[Row] = [(name, self._cells(name)) for name in self.worlds]
        looked_for = int(self._found(TRUTH)[..., 1].sum())
        how = (
            *self._bars(world),
            f"In view: vehicles within {WITHIN_M:g} m, at least {COUNTED_INSIDE:.0%} inside the picture and at most "
            f"{COUNTED_HIDDEN:.0%} hidden; mean over drives of the {MOMENTS_A_TIME} seconds up to each time.",
            f"Found: {looked_for} vehicles, whole and unhidden in the simulator at one of these moments and a second "
            "before, looked for by their picture of that second before where the world has them. Thresholds let "
            f"through {FALSE_ALARMS:.0%} of the simulator's frames with the vehicle taken away, and are set on the "
            "other half of the scenes.",
            f"Followed: vehicles that are whole and unhidden for {FOLLOWED_S} s. Colour: the greatest change of a "
            "channel of the mean colour of the box against the first second's, of 255. Shape: found at the end by the "
            f"simulator's picture of a second before, at {SAME_SIZES[0]:g} to {SAME_SIZES[1]:g} of the size expected.",
        )
        return Table("vehicles", f"Are vehicles in view in {world}?", columns, tuple(rows), len(self.seeds), facts, how)

    def _cells(self, world: str) -> tuple[Cell, ...]:
        scenes = self.worlds[world]
        counts = np.stack([found.counts for found in scenes])
        shares = self._found(world)
        colours, kept = self._followed(world)
        return (
            len(scenes),
            *(mean_interval(column) for column in counts.T),
            *(ratio_interval(shares[:, place, 0], shares[:, place, 1]) for place in range(len(self.times_s))),
            self._over_the_truth(world),
            len(colours),
            mean_interval(colours),
            mean_interval((colours <= MOST_COLOUR_CHANGE).astype(float)),
            mean_interval(kept),
        )

    def _over_the_truth(self, world: str) -> Interval:
        own, real = self._found(world)[..., 0].sum(1), self._found(TRUTH)[..., 0].sum(1)
        return ratio_interval(own, real)

    def _followed(self, world: str) -> tuple[FloatArray, FloatArray]:
        """(C,) of all scenes: changes of colour, and whether the shape is kept."""
        scenes = self.worlds[world]
        kept = [
            (found.shapes > least) & (found.sizes >= SAME_SIZES[0]) & (found.sizes <= SAME_SIZES[1])
            for found, least in zip(scenes, self.thresholds(), strict=True)
        ]
        return np.concatenate([found.colours for found in scenes]), np.concatenate(kept).astype(float)

    def _bars(self, world: str) -> list[str]:
        said = []
        own, real = (np.stack([found.counts for found in self.worlds[name]]) for name in (world, TRUTH))
        shares, truth = self._found(world), self._found(TRUTH)
        for place, time in enumerate(self.times_s):
            number = ratio_interval(own[:, place], real[:, place])
            reached = abs(number.value - 1) <= MOST_COUNT_OFF
            said.append(bar(f"vehicles in view at {time} s within 20 % of the simulator's", number, reached))
            found = ratio_interval(shares[:, place, 0], truth[:, place, 0])
            wanted = f"of the simulator's share found at {time} s at least {LEAST_FOUND:.0%}"
            said.append(bar(wanted, found, found.value >= LEAST_FOUND))
        colours, _ = self._followed(world)
        if np.isfinite(colours).any():
            worst = float(np.nanmax(colours))
            wanted = f"every vehicle that is followed keeps its colour within {MOST_COLOUR_CHANGE:g} of 255"
            said.append(bar(wanted, worst, worst <= MOST_COLOUR_CHANGE))
        return said

    def scenes_table(self) -> Table:
        """Every scene by itself."""
        found = {
            world: [(one, two) for one, two in zip(scenes, self._found(world), strict=True)]
            for world, scenes in self.worlds.items()
        }
        columns = [f"{what} at {time} s" for time in self.times_s for what in ("in view", "found", "looked for")]
        return scenes_table(
            "vehicles-scenes", "Vehicles, scene by scene", columns, self.seeds, found,
            lambda pair: tuple(float(cell) for cells in np.column_stack([pair[0].counts, pair[1]]) for cell in cells),
        )  # fmt: skip


def _moments(time_s: int) -> list[int]:
    """Frames of the last seconds up to a time."""
    return [(time_s - back) * FPS for back in reversed(range(MOMENTS_A_TIME))]


def _boxes(drive: Drive, frame: int) -> tuple[FloatArray, FloatArray]:
    """(A, 5) boxes at a frame as in ``seen_boxes``, and (A, 2) which share of each is inside and which is hidden."""
    assert drive.actors is not None
    boxes = seen_boxes(drive.actors, [frame], drive.poses[[frame]], drive.camera)[0]
    inside = shares_inside(boxes, drive.camera.intrinsics.image_size)
    return boxes, np.stack([inside, shares_hidden(boxes)], axis=1)


def _seen(drive: Drive, frame: int, least_inside: float, most_hidden: float) -> FloatArray:
    """(A,) whether each is a vehicle within reach, large enough, so much inside and no more hidden than this."""
    assert drive.actors is not None
    assert drive.actors.classes is not None
    boxes, shares = _boxes(drive, frame)
    with np.errstate(invalid="ignore"):
        large = (boxes[:, 2:4] - boxes[:, :2]).min(1) >= LEAST_PX
        shown = (shares[:, 0] >= least_inside) & (shares[:, 1] <= most_hidden) & (boxes[:, 4] <= WITHIN_M)
    return np.asarray(shown & large & np.isin(drive.actors.classes, VEHICLES))


def _in_view(drive: Drive, frame: int) -> list[int]:
    return np.flatnonzero(_seen(drive, frame, COUNTED_INSIDE, COUNTED_HIDDEN)).tolist()


def _whole(drive: Drive, frames: Sequence[int]) -> list[int]:
    """Vehicles that are whole and unhidden at all of some frames."""
    seen = [_seen(drive, frame, LEAST_INSIDE, MOST_HIDDEN) for frame in frames]
    return np.flatnonzero(np.all(seen, axis=0)).tolist()


def _followed(drive: Drive) -> list[tuple[list[int], int]]:
    """For each vehicle that is whole and unhidden for long enough: the frames of the first such seconds, and which."""
    seconds = range((len(drive.poses) - 1) // FPS + 1)
    seen = np.stack([_seen(drive, second * FPS, LEAST_INSIDE, MOST_HIDDEN) for second in seconds])
    found = []
    for vehicle in range(seen.shape[1]):
        runs = [
            start for start in seconds[: -FOLLOWED_S or None] if seen[start : start + FOLLOWED_S + 1, vehicle].all()
        ]
        if runs:
            found.append(([second * FPS for second in range(runs[0], runs[0] + FOLLOWED_S + 1)], vehicle))
    return found


def _box_of(truth: Drive, vehicle: int, frame: int, drive: Drive) -> FloatArray | None:
    """(4,) where a drive has the vehicle of the simulator's drive; None where it has not."""
    if drive.actors is None or truth.actors is None or truth.actors.ids[vehicle] not in drive.actors.ids:
        return None
    box = _boxes(drive, frame)[0][drive.actors.ids.index(truth.actors.ids[vehicle]), :4]
    return box if np.isfinite(box).all() else None


def _match(truth: Drive, vehicle: int, frame: int, drive: Drive, picture: Images | None = None) -> tuple[float, float]:
    """Correlation and size over the expected one of a vehicle in a drive's frame, or in another picture of it."""
    box = _box_of(truth, vehicle, frame, drive)
    before = _box_of(truth, vehicle, frame - FPS, truth)
    if box is None or before is None:
        return -1.0, float("nan")
    shown = drive.frames[frame] if picture is None else picture
    best = best_match(truth.frames[frame - FPS], before, shown, box[None])
    return best.score, best.scale


def _colour_change(truth: Drive, vehicle: int, frames: Sequence[int], drive: Drive) -> float:
    """Greatest change of a channel of the mean colour of a vehicle's box against the first of some frames, of 255."""
    means = []
    height, width = drive.frames.shape[1:3]
    for frame in frames:
        box = _box_of(truth, vehicle, frame, drive)
        if box is None:
            return float("nan")
        left, top, right, bottom = np.round(box).astype(int)
        rows, columns = slice(max(top, 0), min(bottom, height)), slice(max(left, 0), min(right, width))
        means.append(drive.frames[frame][rows, columns].reshape(-1, 3).mean(0))
    return float(np.abs(np.stack(means) - means[0]).max())
