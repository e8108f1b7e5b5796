"""What fewer denoising steps cost: the same drives continued by the same model, or its students, in 50, 4, 2 steps."""

import time
from collections.abc import Mapping, Sequence

import numpy as np

from longdwm_env.evaluation.frechet import fds_interval
from longdwm_env.evaluation.image_quality import psnr_db
from longdwm_env.evaluation.paper.continuations import Sample
from longdwm_env.evaluation.paper.systems import LongDWM
from longdwm_env.evaluation.report import Cell, Row, Table
from longdwm_env.evaluation.statistics import bootstrap
from longdwm_env.models.readers.scorer import DrivingEncoder
from longdwm_env.types import Images

COLUMNS = ("model", "steps", "guidance", "PSNR (dB)", "PSNR against the first (dB)", "FDS", "seconds a drive")


def compared(
    models: Sequence[LongDWM],
    samples: Sequence[Sample],
    num_frames: int,
    encoder: DrivingEncoder | None,
    facts: Mapping[str, object],
) -> Table:
    """Each model on the same drives.

    Args:
        models: each taking its settings' steps; the first is what the others are compared with.
        samples: drives to continue.
        num_frames: of each.
        encoder: of FDS; None leaves it out.
        facts: what the numbers depend on.
    """
    rows: list[Row] = []
    first: list[Images] = []
    for model in models:
        begun = time.perf_counter()
        made = [model.continued(sample, num_frames) for sample in samples]
        spent = (time.perf_counter() - begun) / len(samples)
        first = first or made
        truth = [sample.truth[:num_frames] for sample in samples]
        own = bootstrap(np.array([psnr_db(a, b).mean() for a, b in zip(made, truth, strict=True)]))
        near = bootstrap(np.array([psnr_db(a, b).mean() for a, b in zip(made, first, strict=True)]))
        fds = None
        if encoder is not None:
            given = [
                [np.concatenate([sample.image[None], video]) for sample, video in zip(samples, videos, strict=True)]
                for videos in (truth, made)
            ]
            fds = fds_interval(encoder, *given)
        settings = model.pipeline.settings
        cells: tuple[Cell, ...] = (
            f"{settings.coarse_steps} + {settings.fine_steps}",
            settings.guidance_scale,
            own,
            None if made is first else near,
            fds,
            round(spent, 2),
        )
        rows.append((model.name, cells))
    return Table(
        "few-steps",
        f"Drives of {num_frames} frames continued in many and in few denoising steps (Coarse + Fine)",
        COLUMNS,
        tuple(rows),
        len(samples),
        facts,
        ("Second by second, from one frame. Seconds a drive on this machine, with whatever else ran on it.",),
    )
