"""Checkpoints: whole or not there, of safetensors and JSON only.

A checkpoint is a folder ``step-00001000`` with ``weights.safetensors`` (trainable parameters), ``ema.safetensors``,
``optimizer.safetensors`` and ``state.json``. It is written under another name, synced and renamed; a process killed at
any moment leaves either the whole checkpoint or none. Random numbers are counted (``draws``), so there is no generator
state.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from longdwm_env.errors import InvalidState
from longdwm_env.io.files import atomic_write_json
from longdwm_env.training.scaling.optimizers import has_eight_bits, moments_as_tensors, put_moments_back
from longdwm_env.types import JsonObject

_PREFIX = "step-"
# Full dictionaries gathered on the first process: one format for one process, DDP and FSDP alike.
_SAVE = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on as if it had never stopped.

    Attributes:
        ema: their moving averages by name; empty without.
        ema_updates: updates that the averages have seen.
        optimizer: the optimizer's tensors, ``{parameter}/{moment}``.
    """

    step: int
    weights: dict[str, Tensor]
    ema: dict[str, Tensor]
    ema_updates: int
    optimizer: dict[str, Tensor]
    facts: JsonObject


def gather(model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Trainable weights and the optimizer's tensors by name, whole and on the CPU; every process must call it."""
    weights: dict[str, Tensor] = dict(get_model_state_dict(model, options=_SAVE))  # type: ignore[arg-type]
    if has_eight_bits(optimizer):
        return weights, moments_as_tensors(model, optimizer)
    state: Any = get_optimizer_state_dict(model, optimizer, options=_SAVE).get("state", {})
    moments: dict[str, Tensor] = {}
    for name, values in state.items():
        for moment, tensor in values.items():
            moments[f"{name}/{moment}"] = torch.as_tensor(tensor)
    return weights, moments


def restore(model: nn.Module, optimizer: torch.optim.Optimizer, checkpoint: Checkpoint) -> None:
    """Put weights and moments back.

    Raises:
        InvalidState: the checkpoint is of a model with other parameters.
    """
    # Whole dictionaries are gathered by the first process alone; every one has its own part's names and groups.
    part = StateDictOptions(ignore_frozen_params=True)
    own = set(get_model_state_dict(model, options=part))
    if own != set(checkpoint.weights):
        missing, extra = sorted(own - set(checkpoint.weights)), sorted(set(checkpoint.weights) - own)
        raise InvalidState(
            f"the checkpoint is of another model: it lacks {missing[:3]} and has {extra[:3]}; start in an empty folder"
        )
    options = StateDictOptions(full_state_dict=True, ignore_frozen_params=True, strict=False)
    set_model_state_dict(model, dict(checkpoint.weights), options=options)
    if has_eight_bits(optimizer):
        put_moments_back(model, optimizer, checkpoint.optimizer)
        return
    state: dict[str, Any] = {}
    for key, tensor in checkpoint.optimizer.items():
        name, moment = key.rsplit("/", 1)
        state.setdefault(name, {})[moment] = tensor
    # A parameter that had no gradient yet has no moments. PyTorch wants some for each, and fills in such as count a
    # step that never was; they are taken out again.
    without = own - set(state) if state else set()
    if without:
        optimizer.state.clear()
    fresh: Any = get_optimizer_state_dict(model, optimizer, options=part)
    groups = fresh["param_groups"]
    # Buffers are part of a model and of no optimizer.
    state |= {name: fresh["state"][name] for name in without & set(fresh["state"])}
    set_optimizer_state_dict(
        model,
        optimizer,
        {"state": state, "param_groups": groups},
        options=StateDictOptions(full_state_dict=True, ignore_frozen_params=True),
    )
    for name, parameter in model.named_parameters():
        if name.removeprefix("module.").replace("_fsdp_wrapped_module.", "") in without:
            optimizer.state.pop(parameter, None)


def write_checkpoint(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write a checkpoint whole, then delete all but the newest ``keep``."""
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(".partial-*"):
        shutil.rmtree(leftover)
    target = folder / f"{_PREFIX}{checkpoint.step:08d}"
    partial = folder / f".partial-{target.name}"
    partial.mkdir()
    for name, tensors in (
        ("weights", checkpoint.weights),
        ("ema", checkpoint.ema),
        ("optimizer", checkpoint.optimizer),
    ):
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, partial / f"{name}.safetensors")
    state = {"step": checkpoint.step, "ema_updates": checkpoint.ema_updates, "facts": checkpoint.facts}
    atomic_write_json(partial / "state.json", state)
    for path in [*partial.iterdir(), partial]:
        _sync(path)
    if target.exists():
        shutil.rmtree(target)
    partial.rename(target)
    _sync(folder)
    for old in checkpoints(folder)[:-keep]:
        # Out of the way first: a folder half deleted must not look like a checkpoint.
        gone = old.rename(folder / f".partial-old-{old.name}")
        shutil.rmtree(gone)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted(path for path in folder.glob(f"{_PREFIX}*") if (path / "state.json").is_file())


def read_checkpoint(path: Path) -> Checkpoint:
    """Read one back.

    Raises:
        InvalidState: a file of it is damaged.
    """
    try:
        state = json.loads((path / "state.json").read_text())
        tensors = {name: load_file(path / f"{name}.safetensors") for name in ("weights", "ema", "optimizer")}
        return Checkpoint(
            int(state["step"]),
            tensors["weights"],
            tensors["ema"],
            int(state["ema_updates"]),
            tensors["optimizer"],
            dict(state["facts"]),
        )
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidState(f"checkpoint {path} is damaged ({error}); delete it to go on from the one before") from error


def exported_weights(checkpoint: Checkpoint) -> Mapping[str, Tensor]:
    """What a finished model is made of: the moving averages where there are any, else the weights."""
    return checkpoint.ema or checkpoint.weights


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
