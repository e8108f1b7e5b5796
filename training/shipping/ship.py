"""A trained workspace's pipeline as it is shipped: bfloat16, within a size limit, with a model card."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from longdwm_env.errors import InvalidConfig
from longdwm_env.io.files import atomic_write_bytes
from longdwm_env.models.bundled import SIZE_LIMIT_BYTES
from longdwm_env.models.card import CARD as README
from longdwm_env.models.card import OPENER, PIPELINE_USE, weights_readme
from longdwm_env.models.folder import check_pipeline_folder, dtype_argument
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.training.shipping.model_card import CARD, ModelFacts, is_simulated, model_card, results_in
from longdwm_env.training.stage_list import STAGES
from longdwm_env.training.workspace import Workspace

READERS = tuple(stage.name for stage in STAGES.values() if stage.network is not None)
"""Folders beside the pipeline's."""


def ship(
    workspace: Workspace,
    target: Path,
    results: Path | None = None,
    limit_bytes: int = SIZE_LIMIT_BYTES,
    note: str = "",
) -> int:
    """Write a workspace's pipeline in bfloat16 with its model card, whole or not at all.

    What reads pictures, beside the target, counts towards the limit. A pipeline that has seen nothing but the simulator
    is given of a prompt what it can know: weather and time of day.

    Args:
        workspace: of the trained pipeline.
        target: folder to write or to replace, such as ``models.bundled.MINI``.
        results: folder of tables (JSON) for the card; None or an empty one leaves them out, and the card says so.
        limit_bytes: most bytes, what reads pictures included.
        note: for the card; see ``model_card``.

    Returns:
        Bytes of the folder written.

    Raises:
        InvalidConfig: a stage has not run, or the folder would be too large; nothing has changed.
        MissingWeights: the workspace's pipeline is not whole.
    """
    check_pipeline_folder(workspace.pipeline)
    if missing := [stage for stage in ("codec", "coarse", "fine") if not _has_begun(workspace, stage)]:
        raise InvalidConfig(
            f"{workspace.root}: {' and '.join(missing)} have not been trained; random weights do not ship"
        )
    pipeline = workspace.load(**dtype_argument(torch.bfloat16))
    if is_simulated(workspace):
        known = replace(pipeline.settings, prompts="conditions", compose_without_map=False, street_without_map=True)
        pipeline.register_to_config(settings=known.to_json())
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        fresh = Path(scratch) / target.name
        _save(pipeline, fresh)
        _store_blocks_in_eight_bits(fresh / "fine")
        # What the card says is said of the weights as they load.
        facts = ModelFacts.of(workspace, LongDWMPipeline.from_pretrained(str(fresh), **dtype_argument(torch.float32)))
        readers = [target.parent / name for name in READERS]
        beside = sum(_size(folder) for folder in readers if folder.exists())
        weights = sum(path.stat().st_size for path in fresh.rglob("*.safetensors"))
        card = model_card(facts, weights, results_in(results), note)
        atomic_write_bytes(fresh / CARD, card.encode())
        atomic_write_bytes(fresh / README, weights_readme(card, PIPELINE_USE, "diffusers", "image-to-video").encode())
        size = _size(fresh)
        if size + beside > limit_bytes:
            raise InvalidConfig(
                f"the pipeline has {size / 1e6:.2f} MB and what reads pictures beside it {beside / 1e6:.2f} MB; "
                f"together they may have {limit_bytes / 1e6:.2f} MB. Make the models smaller (models.presets.mini)"
            )
        # A folder cannot be renamed onto a full one; the old one steps aside and goes with the scratch folder.
        if target.exists():
            target.replace(Path(scratch) / "before")
        fresh.replace(target)
    return size


def _save(pipeline: LongDWMPipeline, folder: Path) -> None:
    """Readable by others; where the workspace lies is private."""
    parts = (pipeline, pipeline.text_encoder, pipeline.vae, pipeline.coarse, pipeline.fine, pipeline.scheduler)
    for part in (*parts, pipeline.compositor):
        if part is not None:
            part.register_to_config(_name_or_path="")
    pipeline.save_pretrained(str(folder), safe_serialization=True)
    (folder / OPENER).unlink()  # the package holds the class itself
    umask = os.umask(0)
    os.umask(umask)
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o666 & ~umask)


def _store_blocks_in_eight_bits(component: Path) -> None:
    """Rewrite a transformer's file with the matrices of its blocks as float8 (e4m3); it loads in any type as before.

    In the Fine model it cannot be seen: 63 dB between its frames and those of bfloat16 (docs/decisions/eight-bits.md).
    """
    path = component / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    for name, tensor in tensors.items():
        if "transformer_blocks" in name and tensor.ndim == 2:
            tensors[name] = tensor.to(torch.float8_e4m3fn)
    save_file(tensors, path, metadata={"format": "pt"})


def _has_begun(workspace: Workspace, stage: str) -> bool:
    return workspace.done(stage) or any((workspace.stage(stage) / "checkpoints").glob("step-*"))


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [part for part in path.rglob("*") if part.is_file()]
    return sum(file.stat().st_size for file in files)
