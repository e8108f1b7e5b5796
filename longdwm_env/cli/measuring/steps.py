"""``longdwm metrics steps``: what fewer denoising steps cost in PSNR and FDS."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from longdwm_env.cli.destination import holding_its
from longdwm_env.cli.tables import command_line, written
from longdwm_env.episodes.kept_seeds import FIRST_TEST_SEED
from longdwm_env.errors import InvalidConfig


@holding_its("folder")
def steps(
    model: Annotated[tuple[str, ...], tyro.conf.UseAppendAction],
    samples: int = 20,
    frames: int = 24,
    scenes: Path | None = None,
    split: str = "val",
    first_seed: int = FIRST_TEST_SEED,
    encoder: Path | None = None,
    device: str | None = None,
    dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    out: Path = Path("outputs/metrics"),
) -> int:
    """Continue the same drives in many and in few steps; PSNR against what really was there, and FDS.

    Args:
        model: FOLDER of a saved pipeline, or FOLDER=COARSE,FINE with the steps of both models, such as runs/a=50,50;
            the first is what the others are compared with.
        samples: drives.
        frames: of each drive, after the given one.
        scenes: dataroot of nuScenes, a folder of videos with poses, or one of recorded footage; default: the
            simulator's built-in test seeds, which nothing trains on.
        split: of nuScenes.
        first_seed: of the simulator's test seeds.
        encoder: folder of this project's video encoder; default: the one that comes with the package.
        device: where the models and the encoder run, such as cpu; default: a GPU where there is one.
        dtype: of the models' weights and pictures.
        out: folder of the table.
    """
    from longdwm_env.evaluation.frechet import STRIDE_FRAMES
    from longdwm_env.evaluation.networks import Networks
    from longdwm_env.evaluation.paper.continuations import clips_of, samples_from
    from longdwm_env.evaluation.paper.opening import opened_pipeline
    from longdwm_env.evaluation.paper.systems import LongDWM
    from longdwm_env.evaluation.provenance import path_hash
    from longdwm_env.evaluation.steps_table import compared
    from longdwm_env.models.readers.scorer import WINDOW_FRAMES
    from longdwm_env.training.workspace import device_of

    asked = [_model(each) for each in model]
    if not asked or samples < 1 or frames < 1:
        raise InvalidConfig("give at least one --model, one sample and one frame")
    # The given frame is the first of each drive.
    windows = samples * max(0, 1 + (1 + frames - WINDOW_FRAMES) // STRIDE_FRAMES)
    if windows < 2:
        raise InvalidConfig(
            f"FDS compares at least two windows of {WINDOW_FRAMES} frames; --samples {samples} of --frames {frames} "
            f"have {windows}. Give at least {WINDOW_FRAMES} frames and two samples, or "
            f"{WINDOW_FRAMES + STRIDE_FRAMES} frames"
        )
    place = str(device_of(device))
    models, sizes = [], set()
    for folder, taken in asked:
        pipeline = opened_pipeline(folder, place, dtype)
        if taken is not None:
            settings = replace(pipeline.settings, coarse_steps=taken[0], fine_steps=taken[1])
            pipeline.register_to_config(settings=settings.to_json())
        models.append(LongDWM(str(folder), pipeline, at_once=1))
        sizes.add(tuple(pipeline.settings.image_size))
    if len(sizes) > 1:
        raise InvalidConfig(f"models that are compared make pictures of one size; these make {sorted(sizes)}")
    size = models[0].pipeline.settings.image_size
    # The simulator's clips are of two seconds at least.
    clips = clips_of(scenes, split, samples, first_seed, size, 12 * max(2, -(-frames // 12)) + 1)
    cut = list(samples_from(clips, samples, frames))
    facts = {
        "command": command_line(),
        "models": [path_hash(folder) for folder, _ in asked],
        "samples from": f"{cut[0].key} to {cut[-1].key}",
        "dtype": dtype,
    }
    scorer = Networks.opened(encoder, device=place).encoder
    return written(compared(models, cut, frames, scorer, facts), out)


def _model(text: str) -> tuple[Path, tuple[int, int] | None]:
    folder, equals, numbers = text.partition("=")
    if not equals:
        return Path(folder), None
    try:
        coarse, fine = (int(number) for number in numbers.split(","))
    except ValueError as error:
        raise InvalidConfig(f"--model {text!r}: expected FOLDER or FOLDER=COARSE,FINE, such as runs/a=50,50") from error
    return Path(folder), (coarse, fine)
