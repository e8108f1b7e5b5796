"""Figures of a system, as functions of its scores and of which scenes count."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from longdwm_env.evaluation.compliance import STRIDE_FRAMES
from longdwm_env.evaluation.frechet import FrechetReference, Gaussian, gaussian_of
from longdwm_env.evaluation.paper.protocols import LONG_FRAMES
from longdwm_env.evaluation.studies.scores import Scores
from longdwm_env.models.readers.scorer import WINDOW_FRAMES

Figure = Callable[[Scores, Scores], Callable[[np.ndarray], float]]
"""(scores of a system, scores of the truth) -> (how often each scene counts, (S,)) -> a number."""


@dataclass(frozen=True)
class Measure:
    """A figure.

    Attributes:
        sign: 1 where more is better, -1 where less is.
        of: the figure; None where it is the difference ``between`` two others.
        needs: the array of the scores that it is made of.
        margin: an improvement below this does not matter.
        margin_share: likewise, as a share of the figure that is improved on.
        between: names of two measures: how much the figure rises from the first to the second.
    """

    name: str
    label: str
    sign: int
    of: Figure | None
    needs: str
    margin: float = 0.0
    margin_share: float = 0.0
    between: tuple[str, str] | None = None

    def least_effect(self, reference: float) -> float:
        """The smallest improvement on ``reference`` that matters."""
        return max(self.margin, self.margin_share * abs(reference))


def windows_in(frames: int) -> int:
    """Windows of the encoder that lie within the first ``frames`` frames of a video."""
    return (frames - WINDOW_FRAMES) // STRIDE_FRAMES + 1


def frechet(frames: int | None) -> Figure:
    """FDS of the first ``frames`` frames, the real ones fixed; None for all windows there are."""

    def figure(scores: Scores, truth: Scores) -> Callable[[np.ndarray], float]:
        count = None if frames is None else windows_in(frames)
        real, made = (one.arrays["features"][:, :count].astype(np.float64) for one in (truth, scores))
        reference = FrechetReference(gaussian_of(real.reshape(-1, real.shape[-1])))
        # Sums for each scene, so that scenes drawn again need no pass over their features.
        sums, squares = made.sum(axis=1), np.einsum("swi,swj->sij", made, made).reshape(len(made), -1)

        def distance(times: np.ndarray) -> float:
            number = times.sum() * made.shape[1]
            mean_ = times @ sums / number
            square = (times @ squares).reshape(len(mean_), -1)
            covariance = (square - number * np.outer(mean_, mean_)) / (number - 1)
            return reference.distance(Gaussian(int(number), mean_, covariance))

        return distance

    return figure


def mean(name: str, columns: slice = slice(None)) -> Figure:
    """Mean of an array's columns over scenes; scenes without a number are left out."""

    def figure(scores: Scores, truth: Scores) -> Callable[[np.ndarray], float]:
        del truth
        values = scores.arrays[name][:, columns].astype(np.float64).mean(axis=1)
        known = np.isfinite(values)

        def mean_of(times: np.ndarray) -> float:
            weight = float(times[known].sum())
            return float(times[known] @ values[known]) / weight if weight else float("nan")

        return mean_of

    return figure


def last_second(frames: int) -> slice:
    """Columns of the last twelve frames of a video of ``frames`` frames, the given one first."""
    return slice(frames - 1 - WINDOW_FRAMES, frames - 1)


# A fiftieth of a distance and a tenth of a decibel are differences that cannot be seen.
_SHARE, _DB = 0.02, 0.1

SHORTEST, _, LONGEST = LONG_FRAMES

MEASURES = {
    measure.name: measure
    for measure in (
        *(
            Measure(f"fds@{n}", f"FDS, {n} frames", -1, frechet(n), "features", margin_share=_SHARE)
            for n in LONG_FRAMES
        ),
        *(
            Measure(
                f"psnr@{n}", f"PSNR of the last second of {n} frames (dB)", 1, mean("psnr_db", last_second(n)),
                "psnr_db", margin=_DB,
            )
            for n in LONG_FRAMES
        ),
        Measure(
            "fds growth", f"growth of FDS, {SHORTEST} to {LONGEST} frames", -1, None, "features", margin_share=_SHARE,
            between=(f"fds@{SHORTEST}", f"fds@{LONGEST}"),
        ),
        *(
            Measure(f"seconds@{n}", f"processor seconds, {n} frames", -1, mean("seconds", slice(i, i + 1)), "seconds",
                    margin_share=_SHARE)
            for i, n in enumerate(LONG_FRAMES)
        ),
        Measure("fds", "FDS", -1, frechet(None), "features", margin_share=_SHARE),
        Measure("psnr", "PSNR (dB)", 1, mean("psnr_db"), "psnr_db", margin=_DB),
        Measure("ssim", "SSIM", 1, mean("ssim"), "ssim", margin=0.005),
        Measure("unevenness", "unevenness (grey levels)", -1, mean("unevenness"), "unevenness", margin_share=_SHARE),
        Measure("speed error", "speed error (share)", -1, mean("speed_error_share"), "speed_error_share",
                margin_share=0.05),
        Measure("yaw rate error", "yaw rate error (rad/s)", -1, mean("yaw_rate_error_radps"), "yaw_rate_error_radps",
                margin_share=0.05),
        *(
            Measure(f"psnr after {n}", f"PSNR {n / 12:g} s ahead (dB)", 1, mean("psnr_db", slice(i, i + 1)),
                    "psnr_db", margin=_DB)
            for i, n in enumerate((3, 6, 12, 24))
        ),
    )
}  # fmt: skip
