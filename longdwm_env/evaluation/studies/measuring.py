"""Measuring systems on the test drives: each once for each seed, kept in a file."""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from longdwm_env.clock import FRAMES_PER_INTERVAL
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.image_quality import psnr_db
from longdwm_env.evaluation.networks import Networks
from longdwm_env.evaluation.paper.continuations import Sample, samples_from
from longdwm_env.evaluation.paper.interpolators import Blend, FineBetween, Interpolator, SweepBetween, WarpBetween
from longdwm_env.evaluation.paper.protocols import LONG_FRAMES
from longdwm_env.evaluation.paper.systems import System, ToldAsTrained
from longdwm_env.evaluation.studies.budget import Budget
from longdwm_env.evaluation.studies.parts import assembled, with_fine
from longdwm_env.evaluation.studies.questions import WARPS, Kind
from longdwm_env.evaluation.studies.scores import Row, Scores, scored
from longdwm_env.evaluation.studies.study_folder import TEST_FRAMES, StudyFolder
from longdwm_env.evaluation.studies.variants import PARTS, VARIANTS
from longdwm_env.geometry.pose import relative_to
from longdwm_env.geometry.sweep import SweepSettings, predicted_images
from longdwm_env.geometry.warp import WarpSettings, warp_images
from longdwm_env.training.data.footage import Footage

GAP_STARTS = (0, 36, 72, 108)
"""Frames at which the filled seconds of a drive begin."""

WARP_STARTS = (12, 36, 60, 84)
WARP_FRAMES = (3, 6, 12, 24)

TIMED_EVERY = 3
"""Every so many drives are timed at each length."""

TRUTH = "truth"


def open_networks(folder: StudyFolder) -> Networks:
    """The scorer of the source, else the one that comes with the package, else none; the package's reader of motion."""
    if folder.scorer.is_dir():
        return replace(Networks.opened(encoder=folder.scorer), encoder_from="the source's")
    return Networks.opened()


def drives_to_continue(folder: StudyFolder) -> list[Sample]:
    """The drives to continue, as many as the study asks for.

    Raises:
        InvalidConfig: too few of the recorded drives are long enough.
    """
    wanted = folder.options.scenes
    found = list(samples_from(Footage(folder.test), wanted, TEST_FRAMES - 1))
    if len(found) < wanted:
        raise InvalidConfig(f"only {len(found)} of the test drives are {TEST_FRAMES} frames long; ask for fewer scenes")
    return found


def evaluate(folder: StudyFolder, kind: Kind, name: str, seed: int | None, budget: Budget) -> Scores:
    """Measure a system, unless that has been done.

    The system's parts are trained; its name may be ``TRUTH``, and its seed is None where nothing is trained.
    """
    path = folder.scores(kind, name, seed)
    if not path.is_file():
        networks = Networks() if kind == "warps" else open_networks(folder)
        samples = drives_to_continue(folder)
        rows = []
        if kind == "drives":
            system = None if name == TRUTH else assembled(folder, VARIANTS[name], seed or 0, budget)
            rows = [
                drive_row(networks, sample, system, LONG_FRAMES if number % TIMED_EVERY == 0 else LONG_FRAMES[-1:])
                for number, sample in enumerate(tqdm(samples, desc=name, unit="drive"))
            ]
        elif kind == "gaps":
            filler = None if name == TRUTH else _filler(folder, name, seed or 0)
            rows = [gap_row(networks, sample, filler) for sample in tqdm(samples, desc=name, unit="drive")]
        else:
            rows = [warp_row(sample, name) for sample in tqdm(samples, desc=name, unit="drive")]
        Scores.gathered(rows).save(path)
    return Scores.load(path)


def drive_row(networks: Networks, sample: Sample, system: System | None, lengths: Sequence[int] = LONG_FRAMES) -> Row:
    """One continued drive; None shows the truth itself.

    Args:
        networks: for features and compliance.
        sample: the drive.
        system: continues it.
        lengths: of videos to make, the longest last and always; the others are for their times alone, as a shorter
            video may need fewer passes.
    """
    video = sample.real[: max(LONG_FRAMES)]
    seconds = [np.nan] * len(LONG_FRAMES)
    if system is not None:
        for length in lengths:
            begun = time.process_time()
            made = system.continued(sample, length - 1)
            seconds[LONG_FRAMES.index(length)] = time.process_time() - begun
            video = np.concatenate([sample.image[None], made])
    return scored(networks, sample, video, seconds)


def gap_of(sample: Sample, first: int) -> Sample:
    """The second of a drive that begins at a frame."""
    last, real = first + FRAMES_PER_INTERVAL, sample.real
    origin = sample.poses[first - 1] if first else np.zeros(3)
    return replace(
        sample,
        image=real[first],
        truth=real[first + 1 : last + 1],
        poses=relative_to(sample.poses[first:last], origin),
        speeds_mps=sample.speeds_mps[first:last],
        yaw_rates_radps=sample.yaw_rates_radps[first:last],
        layout=None if sample.layout is None else sample.layout.seen_from(origin),
    )


def gap_row(networks: Networks, sample: Sample, filler: Interpolator | None) -> Row:
    """Some filled seconds of one drive; None shows the truth itself."""
    parts, networks = [], replace(networks, reader=None)
    for first in GAP_STARTS:
        gap = gap_of(sample, first)
        begun = time.process_time()
        between = gap.truth[:-1] if filler is None else filler.between(gap, gap.image, gap.truth[-1])
        seconds = [time.process_time() - begun]
        video = np.concatenate([gap.image[None], between, gap.truth[-1:]])
        row = scored(networks, gap, video, seconds)
        # The last frame is given.
        row["psnr_db"], row["ssim"] = row["psnr_db"][:-1], row["ssim"][:-1]
        parts.append(row)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def warp_row(sample: Sample, variant: str) -> Row:
    """Frames of one drive as they will look some frames later, by a warp alone."""
    signals, camera = [], sample.camera
    sweep = SweepSettings()
    for first in WARP_STARTS:
        now, then = sample.real[first], sample.real[[first + ahead for ahead in WARP_FRAMES]]
        origin, earlier = sample.poses[first - 1], first - sweep.baseline_frames
        poses = relative_to(sample.poses[[first + ahead - 1 for ahead in WARP_FRAMES]], origin)
        if variant == "copy":
            shown = np.repeat(now[None], len(then), axis=0)
        else:
            shown = warp_images(now, camera, poses, WarpSettings(variant="plane" if variant == "plane" else "ground"))
        if variant == "sweep":
            before = relative_to(sample.poses[earlier - 1][None], origin)[0]
            shown = predicted_images(now, camera, poses, sample.real[earlier], before, shown, sweep)
        signals.append(psnr_db(shown, then))
    return {"psnr_db": np.mean(signals, axis=0)}


def _filler(folder: StudyFolder, name: str, seed: int) -> Interpolator:
    if name == "blend":
        return Blend()
    if name == "warp":
        return WarpBetween(folder.settings("ground"))
    if name == "sweep":
        return SweepBetween(folder.settings("sweep"))
    if name == "mini":
        return FineBetween(folder.pipeline())
    pipeline = with_fine(folder, name, seed)
    return FineBetween(ToldAsTrained.made_of(pipeline) if PARTS[name].views == "none" else pipeline)


def is_trained(kind: Kind, name: str) -> bool:
    """Whether a system differs from seed to seed."""
    if kind == "drives":
        return name != TRUTH and VARIANTS[name].is_trained
    return kind == "gaps" and name in PARTS


__all__ = ["TRUTH", "WARPS", "drives_to_continue", "evaluate", "is_trained", "open_networks"]
