"""Figures of every measure on small inputs; ``python -m tests.evaluation.figures`` writes ``figures.json`` anew."""

import json
from pathlib import Path

import numpy as np
import torch

from longdwm_env.evaluation.compliance import compliance_cells, read_motion
from longdwm_env.evaluation.frechet import (
    fds_interval,
    frechet_difference,
    frechet_distance,
    frechet_interval,
    frechet_ratio,
    gaussian_of,
)
from longdwm_env.evaluation.image_quality import psnr_db, ssim
from longdwm_env.evaluation.networks import Networks
from longdwm_env.evaluation.paper.video_sets import measure
from longdwm_env.evaluation.statistics import bootstrap, mean_interval, pooled_interval, ratio_interval, wilson
from longdwm_env.evaluation.studies.estimates import Estimate, drawn_scenes
from longdwm_env.evaluation.studies.measures import frechet, mean
from longdwm_env.evaluation.studies.scores import Scores
from longdwm_env.evaluation.worlds.collapse import damaged
from longdwm_env.evaluation.worlds.controllability import Controllability
from longdwm_env.evaluation.worlds.objects import MOMENTS, Persistence
from longdwm_env.evaluation.worlds.recognition import Recognition
from longdwm_env.evaluation.worlds.stability import Stability
from longdwm_env.evaluation.worlds.truth import TruthScores
from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.models.readers.inverse_dynamics import Motion
from longdwm_env.models.readers.scorer import DrivingEncoder
from longdwm_env.simulator.conditions import Conditions

from .given import given

KEPT = Path(__file__).with_suffix(".json")
CAMERA = assumed_camera((24, 36))


def footage(drives=6, frames=241, size=(24, 36)):
    """(drives, T, H, W, 3): smooth scenery that moves sideways, another in every drive."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(drives):
        wide = rng.integers(30, 220, (size[0], 2 * size[1], 3)).astype(np.float32)
        wide = (wide + np.roll(wide, 1, 0) + np.roll(wide, 1, 1)) / 3
        moved = [np.roll(wide, -round(0.7 * t), 1)[:, : size[1]] + 6 * np.sin(t / 40) for t in range(frames)]
        found.append(np.clip(moved, 0, 255).astype(np.uint8))
    return np.stack(found)


class Reader:
    """Speed lies in the pictures' red, yaw rate in their green."""

    def read(self, windows, camera):
        windows = np.asarray(windows, np.float64)
        return Motion(windows[..., 0].mean((1, 2, 3)) / 8, windows[..., 1].mean((1, 2, 3)) / 500 - 0.25)


def encoder():
    torch.manual_seed(0)
    return DrivingEncoder(channels=(8, 8, 16, 16), feature_dim=16).eval()


def plain(value):
    """An interval, array or table as JSON values."""
    if hasattr(value, "as_json"):
        return value.as_json()
    if hasattr(value, "low"):
        return {"value": value.value, "low": value.low, "high": value.high}
    return np.asarray(value).tolist()


def statistics():
    rng = np.random.default_rng(0)
    values, other = rng.gamma(2.0, size=25), rng.gamma(3.0, size=25)
    holes = np.where(np.arange(25) % 4 == 0, np.nan, values)
    real = [rng.normal(size=(4, 3)) for _ in range(20)]
    made = [part * 1.2 + 0.4 for part in real]
    return {
        "bootstrap of a mean": bootstrap(values),
        "bootstrap of a median": bootstrap(values, lambda drawn: float(np.median(drawn))),
        "Wilson": [plain(wilson(k, n)) for k, n in ((0, 7), (3, 7), (7, 7), (180, 200))],
        "mean with holes": mean_interval(holes),
        "ratio": ratio_interval(values, other),
        "pooled": pooled_interval(lambda chosen: float(np.corrcoef(values[chosen], other[chosen])[0, 1]), 25),
        "Frechet distance": frechet_distance(gaussian_of(np.concatenate(real)), gaussian_of(np.concatenate(made))),
        "Frechet interval": frechet_interval(real, made),
        "Frechet difference": frechet_difference(real, made, real),
        "Frechet ratio": frechet_ratio(real, made, real, real[::-1]),
    }


def pictures():
    a, b = footage(2, 5)
    return {"PSNR": psnr_db(a, b), "SSIM": ssim(a, b)}


def worlds():
    drives = footage()
    dim = (drives * 0.8).astype(np.uint8)
    scores = TruthScores(encoder())
    stability = Stability(encoder(), 20)
    controllability, recognition, persistence = Controllability(Reader()), Recognition(encoder()), Persistence()
    speeds = 6 + 3 * np.sin(np.arange(241) / 30)
    weather = [Conditions(w, t) for w in ("clear", "fog", "rain") for t in ("day", "night")]
    box = np.tile(np.array([[8.0, 6.0, 24.0, 18.0]]), (2, 5, 1))
    for seed, (drive, worse) in enumerate(zip(drives, dim, strict=True)):
        kind = "perturbed" if seed % 2 else "log"
        real, less = given(drive[:49], seed=seed, kind=kind), given(worse[:49], seed=seed)
        scores.add(real, {"same": real, "dim": less})
        cost = {"speeds": speeds, "seconds": np.full(20, 0.25), "memory": np.linspace(500, 500 + seed, 20)}
        broken = damaged(worse, "blurred", 120)
        shown = {"simulator": drive, "dim": worse, "bad": broken}
        stability.add({name: given(one, seed=seed, **cost) for name, one in shown.items()})
        for mode in ("control", "goal"):
            turns = np.sin(np.arange(49) / 9) / 9
            controllability.add({"dim": given(worse[:49], mode=mode, speeds=speeds[:49], turns=turns)})
        for way in ("start as prompted", "start as it was"):
            recognition.add({"dim": less}, way, weather[seed], weather[(seed + 1) % 6])
        persistence.add(real, {"dim": less}, box, drives[seed - 1][MOMENTS])
    return {
        "truth": scores.table("dim", ["same"], {}, ()),
        "truth by scene": scores.scenes_table(),
        "last": stability.table("dim", {}),
        "last over time": stability.over_time(),
        "last by drive": stability.drives_table(),
        "obey": controllability.table("dim", {}),
        "text": recognition.table("dim", {}),
        "text confusion": recognition.confusion(),
        "cars": persistence.table("dim", {}),
        "cars by scene": persistence.scenes_table(),
    }


def paper():
    drives = list(footage(6, 49))
    made = [(drive * 0.9).astype(np.uint8) for drive in drives]
    speeds = [np.linspace(5, 9, 49) + i for i in range(6)]
    turns = [np.full(49, 0.02 * i - 0.05) for i in range(6)]
    reads = [read_motion(Reader(), *one) for one in zip(made, [CAMERA] * 6, speeds, turns, strict=True)]
    found, _ = measure(drives, made, Networks(encoder()), is_paired=True)
    rng = np.random.default_rng(5)
    scores = [
        Scores({"features": rng.normal(i, 1, (8, 5, 4)), "psnr_db": rng.normal(20 + i, 1, (8, 6))}) for i in range(2)
    ]
    drawn = drawn_scenes(8)
    figures = [frechet(None)(scores[1], scores[0]), mean("psnr_db")(scores[1], scores[0])]
    estimates = [
        Estimate(np.array([f(np.ones(8)), f(np.ones(8)) + 1]), np.array([[f(t) for t in drawn]] * 2), True)
        for f in figures
    ]
    return {
        "compliance": [plain(value) for value in compliance_cells(reads)],
        "measured": {name: plain(value) for name, value in found.items() if value is not None},
        "FDS": fds_interval(encoder(), drives, made).value,
        "estimates": [plain(one.interval) for one in estimates],
        "difference": plain((estimates[0] - estimates[1]).interval),
    }


def figures():
    found = {"statistics": statistics(), "pictures": pictures(), "worlds": worlds(), "paper": paper()}
    return {
        part: {name: value if isinstance(value, dict | list) else plain(value) for name, value in group.items()}
        for part, group in found.items()
    }


if __name__ == "__main__":
    KEPT.write_text(json.dumps(figures(), indent=1) + "\n")
    print(KEPT)
