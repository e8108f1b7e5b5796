"""What a protocol is run with, opened in an order in which everything that can be missing is said before long work."""

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from longdwm_env.episodes.kept_seeds import FIRST_TEST_SEED
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.paper.continuations import clips_of
from longdwm_env.evaluation.paper.protocols import DRIVE_FRAMES
from longdwm_env.evaluation.paper.sample_sets import NuScenesStarts, Which
from longdwm_env.evaluation.paper.systems import as_trained
from longdwm_env.io.files import content_hash
from longdwm_env.models.folder import check_pipeline_folder, folder_parameters
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.scenes.nuscenes.schema_tables import is_nuscenes
from longdwm_env.training.data.clip import ClipSource
from longdwm_env.training.data.footage import record_enough
from longdwm_env.training.data.simulator_footage import unseen_clips
from longdwm_env.training.estimate import GIB, DoesNotFit
from longdwm_env.types import ImageSize

SAMPLES = 40
"""Of sources that the paper has no sample set of."""

AT_WORK = 0.25
"""Of the weights' bytes, for what models and codec hold beside them while they work."""


def opened_pipeline(
    folder: Path,
    device: str = "cpu",
    dtype: str = "float32",
    beside: tuple[Path, LongDWMPipeline] | None = None,
) -> LongDWMPipeline:
    """A saved pipeline on a device, given of the trajectory what it was trained with.

    Args:
        folder: of the pipeline.
        device: such as cuda.
        dtype: of its weights.
        beside: folder and pipeline of another one that is already open; where both have the same text encoder or
            autoencoder, it is shared.

    Raises:
        UnknownWorld: the folder is no pipeline.
        MissingWeights: a file of it is missing or damaged.
        InvalidConfig: there is no such device.
        DoesNotFit: the device has too little memory.
    """
    check_pipeline_folder(folder)
    check_device(device)
    shared = {} if beside is None else _shared(folder, *beside)
    if torch.device(device).type == "cuda":
        names = [name for name in folder_parameters(folder) if name not in shared]
        check_model_fits(folder, dtype, float(torch.cuda.mem_get_info(device)[0]), device, names)
    pipeline = LongDWMPipeline.from_pretrained(str(folder), dtype=getattr(torch, dtype), **shared)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(device)
    return as_trained(pipeline, folder)


def check_device(device: str) -> None:
    """Raise unless there is such a device.

    Raises:
        InvalidConfig: there is none.
    """
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise InvalidConfig(f"--device {device!r}: {error}") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise InvalidConfig(
            f"--device {device}: PyTorch sees no GPU here (torch {torch.__version__}). Use --device cpu, or install a "
            "PyTorch that was built for this GPU and its driver"
        )


def check_model_fits(folder: Path, dtype: str, free_bytes: float, device: str, names: list[str] | None = None) -> None:
    """Reject a pipeline whose weights and work do not fit a device, before any are loaded.

    Args:
        folder: of the pipeline.
        dtype: that its weights will have.
        free_bytes: on the device.
        device: what it is called.
        names: of the components that will be loaded; None for all.

    Raises:
        DoesNotFit: with advice.
    """
    parameters = folder_parameters(folder)
    chosen = {name: parameters[name] for name in (parameters if names is None else names)}
    needed = (1 + AT_WORK) * sum(chosen.values()) * getattr(torch, dtype).itemsize
    if needed <= free_bytes:
        return
    parts = ", ".join(f"{name} {count / 1e6:,.0f} M" for name, count in chosen.items())
    helps = [] if dtype != "float32" else ["--dtype bfloat16 (half as much)"]
    raise DoesNotFit(
        f"{folder} needs about {needed / GIB:.1f} GiB in {dtype} ({parts} parameters), and {free_bytes / GIB:.1f} GiB "
        f"are free on {device}. What helps: {'; '.join([*helps, 'a larger GPU', '--device cpu'])}"
    )


def protocol_clips(
    scenes: Path | None,
    image_size: ImageSize,
    which: Which,
    frames: int,
    samples: int | None = None,
    split: str = "val",
    vista: Path | None = None,
    first_seed: int = FIRST_TEST_SEED,
    drives: Path | None = None,
) -> ClipSource:
    """The clips that a protocol continues.

    Args:
        scenes: dataroot of nuScenes, a folder of videos with poses, or one of recorded footage; None for the
            simulator's test seeds.
        image_size: (height, width).
        which: the paper's sample set, of nuScenes.
        frames: of a clip of nuScenes; others have ``DRIVE_FRAMES``.
        samples: how many are wanted; None for all of the sample set.
        split: of nuScenes.
        vista: Vista's annotations.
        first_seed: of the simulator.
        drives: folder that the simulator's drives are recorded to, once; None draws them whenever they are read.

    Raises:
        InvalidConfig: the path holds nothing of the kind, or annotations are given for other scenes than nuScenes.
    """
    if samples is not None and samples < 1:
        raise InvalidConfig(f"samples is at least 1, got {samples}")
    if scenes is not None and not scenes.exists():
        raise InvalidConfig(f"--scenes {scenes} does not exist; give a nuScenes dataroot, or a folder of videos")
    if scenes is not None and is_nuscenes(scenes):
        source = NuScenesStarts(scenes, image_size, frames, which, split, samples, vista)
        print(f"{len(source):,} samples of {source.name}", flush=True)
        return source
    if vista is not None:
        raise InvalidConfig(f"--vista {vista} annotates nuScenes; give its dataroot as --scenes")
    wanted = SAMPLES if samples is None else samples
    if scenes is None and drives is not None:
        height, width = image_size
        folder = drives / f"{first_seed}-{width}x{height}"
        return record_enough(
            lambda count: unseen_clips(count, image_size, DRIVE_FRAMES, first_seed),
            folder,
            wanted,
            DRIVE_FRAMES,
            os.cpu_count() or 1,
        )
    return clips_of(scenes, split, wanted, first_seed, image_size, DRIVE_FRAMES)


def _shared(folder: Path, origin: Path, beside: LongDWMPipeline) -> dict[str, Any]:
    """Components of another pipeline whose files are those of a folder."""
    return {
        name: getattr(beside, name)
        for name in ("text_encoder", "vae")
        if isinstance(getattr(beside, name), nn.Module)
        and (origin / name).is_dir()
        and (folder / name).is_dir()
        and content_hash(origin / name) == content_hash(folder / name)
    }
