"""A trained scorer as it is shipped: half the bytes, its configuration, and a card that says how good it is."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers.models.modeling_utils import ModelMixin
from safetensors.torch import save_file

from longdwm_env.io.files import atomic_path, atomic_write_bytes
from longdwm_env.models.card import CARD as README
from longdwm_env.models.card import weights_readme
from longdwm_env.models.readers.reader_files import CONFIGURATION, WEIGHTS
from longdwm_env.models.readers.scorer import load_scorer
from longdwm_env.training.data.encoded.latents import weights_hash
from longdwm_env.training.shipping.model_card import CARD, NOT_MEASURED
from longdwm_env.types import JsonObject

_ABOUT = """\
# The scorer of LongDWM

A small video encoder that looks at one second of driving (12 frames of 96 x 144) and says how fast the car moves and
turns, how it lies in its lane, what weather and time of day it is, whether the picture is damaged, whether the car has
left the road, and whether it touches a road user or would within two seconds. Class:
`longdwm_env.models.readers.scorer.DrivingEncoder`.

## What it is for
- FDS, the Frechet distance of its features. **FDS is not FVD**: it compares rows of one table and nothing else.
- Recognising weather and time of day in generated video.
- The reward terms `learned_danger` and `learned_off_road`, where no map and no road users are known.

## What it is not for
It has seen the reference simulator and nothing else. What it says of photographs and of real video has not been
measured. No safety decision may rest on it.
"""


def ship_scorer(source: Path, target: Path, training: JsonObject, quality: str | None = None) -> str:
    """Write a trained scorer in bfloat16, with its configuration and card; see ``ship_network``."""
    return ship_network(load_scorer, _ABOUT, "scorer", source, target, training, quality)


def ship_network(
    load: Callable[[Path], ModelMixin],
    about: str,
    stage: str,
    source: Path,
    target: Path,
    training: JsonObject,
    quality: str | None,
) -> str:
    """Write a trained network in bfloat16, with its configuration and card.

    Args:
        load: reads it from a folder.
        about: what it is and is not for, the head of the card.
        stage: of training, which made it.
        source: folder of the trained network.
        target: folder to write, such as ``models.scorer.BUNDLED``.
        training: how it was trained; printed on the card.
        quality: what was measured of the exported weights, a page in markdown; None if nothing was.

    Returns:
        Hash of the exported weights, as tables of results name it.

    Raises:
        MissingWeights: the source holds no whole network.
    """
    network = load(source)
    config = {name: value for name, value in network.config.items() if not name.startswith("_")}
    tensors = {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in network.state_dict().items()}
    with atomic_path(target / WEIGHTS) as path:
        save_file(tensors, path, metadata={"format": "pt"})
    atomic_write_bytes(
        target / CONFIGURATION,
        (json.dumps({"_class_name": type(network).__name__, **config}, indent=2) + "\n").encode(),
    )
    exported = weights_hash(load(target))
    parameters = sum(tensor.numel() for tensor in tensors.values())
    facts = {"parameters": f"{parameters:,} in bfloat16", "hash": exported, **training}
    lines = [about, "## How it was made", f"`longdwm train {stage}`, then `longdwm train ship-{stage}`.", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    lines += ["", "## How good it is", ""]
    lines.append(NOT_MEASURED if quality is None else quality.replace("# ", "### ", 1))
    card = "\n".join(lines).rstrip() + "\n"
    atomic_write_bytes(target / CARD, card.encode())
    use = f'from {load.__module__} import {load.__name__}\n\nnetwork = {load.__name__}("path/to/this/folder")'
    atomic_write_bytes(target / README, weights_readme(card, use, "longdwm", "video-classification").encode())
    return exported


def training_facts(stage: Path) -> JsonObject:
    """What a network's training folder remembers: recipe, steps, loss, and what its footage was made from."""
    found: JsonObject = {}
    for name, keys in (("run.json", ("recipe", "size", "data")), ("done.json", ("steps", "loss"))):
        path = stage / name
        if path.is_file():
            values = json.loads(path.read_text())
            found |= {key: values[key] for key in keys if key in values}
            if values.get("stage") == "inverse-dynamics":
                found["windows"] = values["config"]["evidence_windows"]
    return found
