"""Is this folder a saved pipeline, and is it whole? Answered before any weights are loaded, naming the file."""

import json
from pathlib import Path
from typing import Any

import diffusers
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from longdwm_env.errors import MissingWeights, UnknownWorld

INDEX = "model_index.json"
COMPONENTS = ("tokenizer", "text_encoder", "vae", "coarse", "fine", "scheduler", "compositor")
_OPTIONAL = ("tokenizer", "text_encoder", "compositor")
_CONFIGURATIONS = {"scheduler": "scheduler_config.json", "tokenizer": "tokenizer_config.json"}


def check_pipeline_folder(path: Path) -> None:
    """Refuse a folder that is not a whole LongDWM pipeline.

    Raises:
        UnknownWorld: the folder is missing, or holds something else.
        MissingWeights: a file of the pipeline is missing or damaged; the message says which, and what was expected.
    """
    if not path.is_dir():
        raise UnknownWorld(f"{path} is not a folder; expected one that LongDWMPipeline.save_pretrained wrote")
    if not (path / INDEX).is_file():
        raise UnknownWorld(f"{path} has no {INDEX}; expected a folder that LongDWMPipeline.save_pretrained wrote")
    index = _read_json(path / INDEX)
    if index.get("_class_name") != "LongDWMPipeline":
        raise UnknownWorld(f"{path / INDEX} describes a {index.get('_class_name')!r}, expected a 'LongDWMPipeline'")
    if not isinstance(index.get("settings"), dict):
        raise MissingWeights(f"{path / INDEX} is damaged: it has no 'settings' (image size, steps, warp)")
    for name in COMPONENTS:
        entry = index.get(name)
        if entry is None and name == "compositor":
            # Pipelines that were saved before there were compositors.
            continue
        if not (isinstance(entry, list) and len(entry) == 2):
            raise MissingWeights(
                f"{path / INDEX} is damaged: {name!r} should name a library and a class, got {entry!r}"
            )
        if entry[1] is None:
            if name not in _OPTIONAL:
                raise MissingWeights(f"{path / INDEX} leaves out {name!r}, which every pipeline needs")
            continue
        _check_component(path / name, name)


def _check_component(folder: Path, name: str) -> None:
    configuration = folder / _CONFIGURATIONS.get(name, "config.json")
    if not configuration.is_file():
        raise MissingWeights(f"{configuration} is missing; expected the configuration of the pipeline's {name!r}")
    _read_json(configuration)
    if name in _CONFIGURATIONS:
        return
    files = weight_files(folder)
    if not files:
        expected = folder / "diffusion_pytorch_model.safetensors"
        raise MissingWeights(f"{expected} is missing; expected the weights of the pipeline's {name!r} as safetensors")
    for file in files:
        tensor_shapes(file)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a component: one, or the shards that its index lists."""
    for index in sorted(folder.glob("*.safetensors.index.json")):
        shards = _read_json(index).get("weight_map")
        if not isinstance(shards, dict):
            raise MissingWeights(f"{index} is damaged: it has no 'weight_map'")
        files = [folder / name for name in sorted(set(shards.values()))]
        for file in files:
            if file.parent != folder or not file.is_file():
                raise MissingWeights(f"{file} is missing; {index} lists it as a part of the weights")
        return files
    return sorted(folder.glob("*.safetensors"))


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a safetensors file, from its header alone.

    Raises:
        MissingWeights: it is truncated or no safetensors file.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise MissingWeights(f"{path} is damaged ({error}); expected a whole safetensors file") from error


def check_weights_match(path: Path, components: dict[str, Any]) -> None:
    """Refuse weights that do not fit what was loaded: diffusers fills in missing ones at random and goes on.

    Args:
        path: the pipeline's folder.
        components: the loaded pipeline's.

    Raises:
        MissingWeights: a weight is missing, left over, or of another shape.
    """
    for name, part in components.items():
        if not isinstance(part, nn.Module):
            continue
        stored: dict[str, tuple[int, ...]] = {}
        for file in weight_files(path / name):
            stored |= tensor_shapes(file)
        weights = part.state_dict()
        wanted = {key: tuple(value.shape) for key, value in weights.items()}
        # Tied weights are one tensor under several names, stored under one of them.
        found = {value.data_ptr() for key, value in weights.items() if key in stored}
        missing = sorted(key for key, value in weights.items() if key not in stored and value.data_ptr() not in found)
        strange = sorted(set(stored) - set(wanted))
        if missing or strange:
            raise MissingWeights(
                f"{path / name} does not fit its configuration: missing {missing[:3]}, unexpected {strange[:3]}"
            )
        for key, shape in stored.items():
            if wanted[key] != shape:
                raise MissingWeights(f"{path / name}: {key} has shape {shape}, expected {wanted[key]}")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise MissingWeights(f"{path} is damaged ({error}); expected JSON") from error
    if not isinstance(value, dict):
        raise MissingWeights(f"{path} is damaged: expected a JSON object")
    return value


def dtype_argument(dtype: torch.dtype) -> dict[str, torch.dtype]:
    """The weights' type under the name that this version of diffusers has for it."""
    renamed = tuple(int(part) for part in diffusers.__version__.split(".")[:2]) >= (0, 42)
    return {"dtype" if renamed else "torch_dtype": dtype}
