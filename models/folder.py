"""Is this folder a saved pipeline, and is it whole? Answered before any weights are loaded, naming the file."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path

import diffusers
import torch
from diffusers import AutoencoderKLCogVideoX
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import T5Config, T5EncoderModel

from longdwm_env.errors import InvalidConfig, MissingWeights, UnknownWorld
from longdwm_env.io.names import is_file, is_folder, is_there, printable
from longdwm_env.models import limits
from longdwm_env.models.closed_loop.street_tones import StreetTones
from longdwm_env.models.codec.mini_codec import MiniAutoencoder
from longdwm_env.models.codec.small_decoder import SmallDecoder
from longdwm_env.models.compositor import Compositor
from longdwm_env.models.conditioning.text import PromptEncoder
from longdwm_env.models.network.dit import LongDWMTransformer3DModel
from longdwm_env.types import ImageSize, JsonObject

INDEX = "model_index.json"
COMPONENTS = (
    "tokenizer",
    "text_encoder",
    "vae",
    "coarse",
    "fine",
    "scheduler",
    "compositor",
    "small_decoder",
    "street_tones",
)
_ADDED = ("compositor", "small_decoder", "street_tones")
"""Parts that pipelines of before do not name."""

_OPTIONAL = ("tokenizer", "text_encoder", *_ADDED)
_CONFIGURATIONS = {"scheduler": "scheduler_config.json", "tokenizer": "tokenizer_config.json"}
_LIBRARIES = ("diffusers", "transformers")
"""Whose classes a pipeline's components may be, beside our own: a folder does not choose what is imported."""

_BUILDERS: dict[str, Callable[[Mapping[str, object]], nn.Module]] = {
    "LongDWMTransformer3DModel": LongDWMTransformer3DModel.from_config,
    "MiniAutoencoder": MiniAutoencoder.from_config,
    "SmallDecoder": SmallDecoder.from_config,
    "Compositor": Compositor.from_config,
    "StreetTones": StreetTones.from_config,
    "PromptEncoder": PromptEncoder.from_config,
    "AutoencoderKLCogVideoX": AutoencoderKLCogVideoX.from_config,
    "T5EncoderModel": lambda config: T5EncoderModel(T5Config(**config)),
}
_POINTER = b"version https://git-lfs"
_MOST_LAYERS, _MOST = 1024, 1 << 24
"""Numbers in a configuration that no model reaches."""


def check_pipeline_folder(path: Path) -> None:
    """Reject a folder that is not a whole LongDWM pipeline.

    Raises:
        UnknownWorld: the folder is missing, or holds something else.
        MissingWeights: a file of the pipeline is missing or damaged; the message says which, and what was expected.
    """
    if not path.is_dir():
        raise UnknownWorld(f"{path} is not a folder; expected one that LongDWMPipeline.save_pretrained wrote")
    if not (path / INDEX).is_file():
        raise UnknownWorld(f"{path} has no {INDEX}; expected a folder that LongDWMPipeline.save_pretrained wrote")
    _refuse_endless(path)
    index = _read_json(path / INDEX)
    if index.get("_class_name") != "LongDWMPipeline":
        raise UnknownWorld(
            f"{path / INDEX} describes a {index.get('_class_name')!r}, expected a 'LongDWMPipeline'"
            f"{_what_to_do(index, path)}"
        )
    if not isinstance(index.get("settings"), dict):
        raise MissingWeights(f"{path / INDEX} is damaged: it has no 'settings' (image size, steps, warp)")
    for name in COMPONENTS:
        entry = index.get(name)
        if entry is None and name in _ADDED:
            continue
        if not (isinstance(entry, list) and len(entry) == 2):
            raise MissingWeights(
                f"{path / INDEX} is damaged: {name!r} should name a library and a class, got {entry!r}"
            )
        if entry[1] is None:
            if name not in _OPTIONAL:
                raise MissingWeights(f"{path / INDEX} leaves out {name!r}, which every pipeline needs")
            continue
        library, class_name = (str(part) for part in entry)
        if library not in _LIBRARIES and not library.startswith("longdwm_env.models."):
            raise UnknownWorld(f"{path / INDEX} takes {name!r} from {library!r}; allowed are {', '.join(_LIBRARIES)}")
        check_component(path / name, name, class_name)


def picture_sizes(path: Path) -> tuple[ImageSize, ...]:
    """Sizes (height, width) that a saved pipeline makes as it was trained: its own, then others.

    A compositor is trained on pictures of the pipeline's own size and of twice that, side by side.

    Raises:
        UnknownWorld: the folder is missing, or holds something else.
        MissingWeights: a file of the pipeline is missing or damaged.
    """
    check_pipeline_folder(path)
    index = _read_json(path / INDEX)
    try:
        height, width = limits.image_size(index["settings"].get("image_size"))
    except InvalidConfig as error:
        raise MissingWeights(f"{path / INDEX} is damaged: {error}") from error
    composes = index.get("compositor") not in (None, [None, None])
    return ((height, width), (2 * height, 2 * width)) if composes else ((height, width),)


def _refuse_endless(path: Path) -> None:
    """Reject pipes, devices and sockets: whatever reads one waits, or reads, for ever. Links to files are followed.

    The hub's cache is made of links that lead out of the folder, so these are no harm by themselves.
    """
    for folder in (path, *(path / name for name in COMPONENTS)):
        for entry in sorted(folder.iterdir()) if is_folder(folder) else ():
            if is_there(entry) and not (entry.is_file() or entry.is_dir()):
                raise MissingWeights(
                    f"{printable(entry)} is a pipe or a device; a pipeline is made of files and folders"
                )


def _what_to_do(index: JsonObject, path: Path) -> str:
    if not str(index.get("_class_name")).startswith("CogVideoX"):
        return ""
    return f". It is CogVideoX itself: `longdwm train init --from-cogvideox {path} --out FOLDER` makes a pipeline of it"


def check_component(folder: Path, name: str, class_name: str) -> None:
    """Reject a component that is not whole, from its configuration and its files' headers.

    Args:
        folder: of the component.
        name: of it in its pipeline.
        class_name: that the pipeline's index gives it.

    Raises:
        MissingWeights: a file is missing or damaged; the message says which, and what was expected.
    """
    configuration = folder / _CONFIGURATIONS.get(name, "config.json")
    if not configuration.is_file():
        raise MissingWeights(f"{configuration} is missing; expected the configuration of the pipeline's {name!r}")
    config = _read_json(configuration)
    if name in _CONFIGURATIONS:
        return
    files = weight_files(folder)
    if not files:
        expected = folder / "diffusion_pytorch_model.safetensors"
        raise MissingWeights(f"{expected} is missing; expected the weights of the pipeline's {name!r} as safetensors")
    stored: dict[str, tuple[int, ...]] = {}
    for file in files:
        stored |= tensor_shapes(file)
    _check_size(configuration, class_name, config, stored)


def _check_size(path: Path, class_name: str, config: Mapping[str, object], stored: dict[str, tuple[int, ...]]) -> None:
    """Reject a configuration of another size than the weights beside it, before memory is taken for it."""
    for key, value in config.items():
        most = _MOST_LAYERS if "layers" in key or "blocks" in key else _MOST
        if isinstance(value, int) and not -most <= value <= most:
            raise MissingWeights(f"{path} is damaged: {key} is {value}, and no model has more than {most}")
    if class_name not in _BUILDERS:
        return
    try:
        with torch.device("meta"):
            weights = _BUILDERS[class_name](config).state_dict()
    except Exception as error:  # whatever a constructor runs into that is given numbers, lists and null at random
        raise MissingWeights(f"{path} is damaged: no {class_name} can be built of it: {error}") from error
    for key, weight in weights.items():
        if key in stored and stored[key] != tuple(weight.shape):
            raise MissingWeights(f"{path} asks for {key} of shape {tuple(weight.shape)}, stored is {stored[key]}")
    asked = sum(weight.numel() for weight in weights.values())
    there = sum(math.prod(shape) for shape in stored.values())
    if asked > 2 * there:  # tied weights are stored once
        raise MissingWeights(f"{path} asks for {asked} numbers, but the weights beside it have {there}")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a component: one, or the shards that its index lists."""
    for index in sorted(folder.glob("*.safetensors.index.json")):
        shards = _read_json(index).get("weight_map")
        if not isinstance(shards, dict):
            raise MissingWeights(f"{index} is damaged: it has no 'weight_map'")
        names = set(map(str, shards.values()))
        for name in sorted(names):
            if Path(name).name != name or not is_file(folder / name):
                raise MissingWeights(
                    f"{printable(folder / name)} is missing; {index} lists it as a part of the weights"
                )
        return [folder / name for name in sorted(names)]
    return sorted(folder.glob("*.safetensors"))


def folder_parameters(path: Path) -> dict[str, int]:
    """How many numbers each network of a pipeline's folder has, from the files' headers alone."""
    counts = {}
    for name in COMPONENTS:
        files = weight_files(path / name) if (path / name).is_dir() else []
        if files:
            counts[name] = sum(math.prod(shape) for file in files for shape in tensor_shapes(file).values())
    return counts


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a safetensors file, from its header alone.

    Raises:
        MissingWeights: it is truncated or no safetensors file.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        is_pointer = False
        with suppress(OSError), path.open("rb") as file:
            is_pointer = file.read(len(_POINTER)) == _POINTER
        what = (
            "is a pointer of Git LFS, and not the file itself: run `git lfs pull` there"
            if is_pointer
            else (
                f"is damaged or was downloaded in part ({error}); expected a whole safetensors file, so fetch it again"
            )
        )
        raise MissingWeights(f"{path} {what}") from error


def check_weights_match(path: Path, components: Mapping[str, object]) -> None:
    """Reject weights that do not fit what was loaded: diffusers fills in missing ones at random and goes on.

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


def check_finite(weights: Iterable[tuple[str, torch.Tensor]], where: str | Path) -> None:
    """Reject weights with NaN or infinity: whatever is computed from them is neither an error nor a picture.

    Args:
        weights: names and tensors, such as ``named_parameters`` gives.
        where: what to call them in an error.

    Raises:
        MissingWeights: the first that holds a number that is not finite.
    """
    for name, tensor in weights:
        if not tensor.is_floating_point() or tensor.is_meta or not tensor.numel():
            continue
        # Least and largest are found in one pass without memory of the tensor's size; NaN is passed on to both.
        wide = tensor.float() if tensor.element_size() == 1 else tensor
        if not all(bool(bound.isfinite()) for bound in wide.aminmax()):
            raise MissingWeights(
                f"{where}: {name!r} holds numbers that are not finite (NaN or infinity), so training has diverged or "
                "the file is damaged; take the weights of an earlier checkpoint or another copy"
            )


def check_components_finite(components: Mapping[str, object], where: str | Path) -> None:
    """``check_finite`` of every network among a pipeline's components."""
    for name, part in components.items():
        if isinstance(part, nn.Module):
            check_finite(module_weights(part), f"{where}, {name}")


def module_weights(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and tensors of a network: all that ``check_finite`` looks at."""
    return chain(module.named_parameters(), module.named_buffers())


def _read_json(path: Path) -> JsonObject:
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise MissingWeights(f"{path} is damaged ({error}); expected JSON") from error
    if not isinstance(value, dict):
        raise MissingWeights(f"{path} is damaged: expected a JSON object")
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def dtype_argument(dtype: torch.dtype) -> dict[str, torch.dtype]:
    """The weights' type under the name that this version of diffusers has for it."""
    renamed = tuple(int(part) for part in diffusers.__version__.split(".")[:2]) >= (0, 42)
    return {"dtype" if renamed else "torch_dtype": dtype}
