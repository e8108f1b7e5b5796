"""Saved pipelines opened: a folder, or a repository of the hub that is fetched to this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from diffusers.utils import logging as diffusers_logging

from longdwm_env.errors import InvalidConfig, MissingWeights, UnknownWorld
from longdwm_env.io.names import is_there
from longdwm_env.models.folder import check_pipeline_folder, check_weights_match, dtype_argument, picture_sizes
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.types import ImageSize


def saved_pipeline(path: str | Path, dtype: torch.dtype = torch.float32) -> LongDWMPipeline:
    """The pipeline in a folder or on the hub, after a look at whether it is one and whole.

    Args:
        path: the folder that ``LongDWMPipeline.save_pretrained`` wrote, or ``owner/name`` on the hub.
        dtype: of the weights.

    Raises:
        UnknownWorld: the folder is missing, or holds something else.
        MissingWeights: a file is missing or damaged, or weights do not fit their configuration.
    """
    folder = _local_folder(path)
    check_pipeline_folder(folder)
    try:
        with _without_progress_bars():
            pipeline = LongDWMPipeline.from_pretrained(folder, local_files_only=True, **dtype_argument(dtype))
    except MissingWeights:
        raise
    # What diffusers, transformers and tokenizers read here may raise anything: tokenizers raises Exception itself.
    except Exception as error:
        raise MissingWeights(f"{folder} cannot be loaded as a LongDWMPipeline: {error}") from error
    check_weights_match(folder, pipeline.components)
    return pipeline


def pipeline_on(
    device: str | torch.device | None, path: str | Path, dtype: torch.dtype | None = None
) -> LongDWMPipeline:
    """``saved_pipeline`` on a device.

    Args:
        device: None for a GPU where there is one.
        path: as in ``saved_pipeline``.
        dtype: of the weights; None for bfloat16 on a GPU, float32 on a CPU.

    Raises:
        InvalidConfig: there is no such device here.
    """
    try:
        chosen = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device is None else device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InvalidConfig(f"device={str(device)!r} cannot be used on this machine: {error}") from error
    suits = torch.bfloat16 if chosen.type == "cuda" else torch.float32
    return saved_pipeline(path, dtype or suits).to(chosen)


def made_sizes(path: str | Path) -> tuple[ImageSize, ...]:
    """Sizes (height, width) that the pipeline in a folder or on the hub makes as it was trained, its own first.

    Raises:
        UnknownWorld: the folder is missing, or holds something else.
        MissingWeights: a file is missing or damaged.
    """
    return picture_sizes(_local_folder(path))


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Loading takes a moment, which diffusers would show with a bar for each world that is made."""
    shown = diffusers_logging.is_progress_bar_enabled()
    diffusers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            diffusers_logging.enable_progress_bar()


def _local_folder(path: str | Path) -> Path:
    """The folder itself, or a hub repository fetched to this machine."""
    folder = Path(path)
    parts = str(path).split("/")
    if is_there(folder) or len(parts) != 2 or not all(parts) or parts[0].startswith((".", "~")):
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(path), allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise UnknownWorld(f"{path} is neither a folder here nor a pipeline that can be fetched: {error}") from error
