"""How well the networks that judge read footage that nothing was trained on: the error bar of what they say."""

from collections.abc import Callable, Mapping

import numpy as np
from scipy.stats import mannwhitneyu
from tqdm import tqdm

from longdwm_env.episodes.kept_seeds import FIRST_TEST_SEED
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.compliance import commanded
from longdwm_env.evaluation.networks import Networks
from longdwm_env.evaluation.report import Row, Table
from longdwm_env.evaluation.statistics import Interval, bootstrap, correlation
from longdwm_env.models.readers.inverse_dynamics import InverseDynamics
from longdwm_env.models.readers.scorer import WINDOW_FRAMES, WINDOW_SIZE, DrivingEncoder, windows_of
from longdwm_env.training.data.clip import BadClip, Clip, ClipSource
from longdwm_env.training.data.simulator_footage import unseen_clips
from longdwm_env.training.losses.encoder import window_truth

MOTION = ("speed_mps", "yaw_rate_radps", "lateral_m", "heading_error_rad")
CONDITIONS = ("weather", "time_of_day")
DANGERS = ("off_road", "danger")

STRIDE = WINDOW_FRAMES // 2
"""Frames from one window to the next."""

Series = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""By reading, what the scorer said and what was true, of the windows of one drive, each (N,)."""


def scorer_quality(
    encoder: DrivingEncoder,
    source: ClipSource,
    samples: int,
    facts: Mapping[str, object],
) -> Table:
    """Every reading against the truth, over drives of a source with labels.

    Args:
        encoder: to be measured.
        source: of clips with the simulator's labels, on which nothing was trained.
        samples: drives to measure.
        facts: what the numbers depend on.

    Raises:
        InvalidConfig: no clip of the source can be read.
    """
    drives = _drives(source, samples, lambda clip: _read(encoder, clip))
    rows: list[Row] = []
    for name in MOTION:
        said, true = _pooled(drives, name)
        known = np.isfinite(true)
        error = _over_drives(drives, name, lambda a, b: float(np.nanmean(np.abs(a - b))))
        rows.append(
            (name, (int(known.sum()), "mean error", error, "correlation", correlation(said[known], true[known])))
        )
    for name in CONDITIONS:
        said, true = _pooled(drives, name)
        share = _over_drives(drives, name, lambda a, b: float(np.mean(a == b)))
        rows.append((name, (len(true), "recognised", share, "classes", len(np.unique(true)))))
    for name in DANGERS:
        said, true = _pooled(drives, name)
        area = _over_drives(drives, name, area_under_curve)
        rows.append((name, (len(true), "area under ROC curve", area, "share that is true", float(true.mean()))))
    return _table("scorer", "The scorer", rows, len(drives), facts)


def motion_quality(
    reader: InverseDynamics,
    source: ClipSource,
    samples: int,
    facts: Mapping[str, object],
) -> Table:
    """Speed and yaw rate against the truth; arguments and errors are those of ``scorer_quality``."""
    drives = _drives(source, samples, lambda clip: _read_motion(reader, clip))
    rows: list[Row] = []
    for name in MOTION[:2]:
        said, true = _pooled(drives, name)
        error = _over_drives(drives, name, lambda a, b: float(np.abs(a - b).mean()))
        rows.append((name, (len(true), "mean error", error, "correlation", correlation(said, true))))
    share = _over_drives(drives, MOTION[0], lambda a, b: float(np.abs(a - b).sum() / b.sum()))
    _, speeds = _pooled(drives, MOTION[0])
    rows.append((MOTION[0], (len(speeds), "error of all metres driven", share, "mean speed", float(speeds.mean()))))
    return _table("inverse-dynamics", "The inverse-dynamics model", rows, len(drives), facts)


def quality_on_test_seeds(
    networks: Networks, samples: int, first_seed: int = FIRST_TEST_SEED, facts: Mapping[str, object] | None = None
) -> Table:
    """How well the scorer, or else the inverse-dynamics model, reads the simulator's test seeds."""
    # Twice as many: a clip that ends in a collision may be too short.
    source = unseen_clips(2 * samples, WINDOW_SIZE, first_seed=first_seed)
    described = {**networks.facts(), "data": source.description(), **(facts or {})}
    if networks.encoder is not None:
        return scorer_quality(networks.encoder, source, samples, described)
    assert networks.reader is not None
    return motion_quality(networks.reader, source, samples, described)


def _table(name: str, what: str, rows: list[Row], drives: int, facts: Mapping[str, object]) -> Table:
    columns = ("reading", "windows", "measure", "value", "beside", "its value")
    note = "Windows of a second of the simulator's own footage; intervals are over drives."
    return Table(name, f"{what} on footage that it was not trained on", columns, tuple(rows), drives, facts, (note,))


def _drives(source: ClipSource, samples: int, read: Callable[[Clip], Series]) -> list[Series]:
    """What was read of the first drives of a source."""
    drives: list[Series] = []
    for index in tqdm(range(len(source)), desc="reading", unit="drive", total=samples):
        if len(drives) == samples:
            break
        try:
            drives.append(read(source.clip(index)))
        except BadClip:
            continue
    if not drives:
        raise InvalidConfig(f"source {source.name!r} has no clip to measure on")
    return drives


def _read_motion(reader: InverseDynamics, clip: Clip) -> Series:
    motion = reader.read(windows_of(clip.images, STRIDE), clip.camera)
    speeds, yaw_rates = (clip.labels[name].astype(np.float64) for name in MOTION[:2])
    speed, yaw_rate = commanded(speeds, yaw_rates, STRIDE)
    return {"speed_mps": (motion.speed_mps, speed), "yaw_rate_radps": (motion.yaw_rate_radps, yaw_rate)}


def _read(encoder: DrivingEncoder, clip: Clip) -> Series:
    readings = encoder.read(windows_of(clip.images, STRIDE))
    starts = range(0, len(clip.images) - WINDOW_FRAMES + 1, STRIDE)
    truths = [window_truth(clip.labels.__getitem__, start) for start in starts]
    motion = np.stack([truth.motion for truth in truths])
    series = {name: (getattr(readings, name).numpy(), motion[:, place]) for place, name in enumerate(MOTION)}
    for place, name in enumerate(CONDITIONS):
        true = np.array([truth.conditions[place] for truth in truths])
        series[name] = (getattr(readings, name).argmax(dim=1).numpy(), true)
    for place, name in enumerate(DANGERS):
        series[name] = (getattr(readings, name).numpy(), np.array([truth.judged[place] for truth in truths]))
    return series


def _pooled(drives: list[Series], name: str) -> tuple[np.ndarray, np.ndarray]:
    said, true = zip(*(drive[name] for drive in drives), strict=True)
    return np.concatenate(said), np.concatenate(true)


def _over_drives(
    drives: list[Series], name: str, statistic: Callable[[np.ndarray, np.ndarray], float]
) -> Interval | None:
    """A statistic of all windows, drives drawn again for its interval; None where it is not defined for all draws."""

    def value(chosen: np.ndarray) -> float:
        return float(statistic(*_pooled([drives[i] for i in chosen], name)))

    found = bootstrap(np.arange(len(drives)), value, draws=200)
    return found if np.isfinite([found.value, found.low, found.high]).all() else None


def area_under_curve(said: np.ndarray, true: np.ndarray) -> float:
    """Area under the ROC curve: how often a true case is given more than a false one; NaN where one kind is missing."""
    positive = true > 0.5
    if positive.all() or not positive.any():
        return float("nan")
    found = mannwhitneyu(said[positive], said[~positive], method="asymptotic")
    return float(found.statistic / (positive.sum() * (~positive).sum()))
