"""A trained scorer or inverse-dynamics model as it is shipped: half the bytes, its configuration, and a card."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file

from longdwm_env.io.files import atomic_path, atomic_write_bytes
from longdwm_env.models.card import CARD as README
from longdwm_env.models.card import weights_readme
from longdwm_env.models.readers import inverse_dynamics, scorer
from longdwm_env.models.readers.reader_files import CONFIGURATION, WEIGHTS
from longdwm_env.training.data.encoded.latents import weights_hash
from longdwm_env.training.shipping.model_card import CARD, NOT_MEASURED
from longdwm_env.types import JsonObject

Reader = scorer.DrivingEncoder | inverse_dynamics.InverseDynamics

_SCORER = """\
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


_INVERSE_DYNAMICS = """\
# The inverse-dynamics model of LongDWM

It looks at one second of driving (12 frames of 96 x 144) with the camera that took it, and says how fast the car moves
and turns. Every speed and yaw rate is tried on the road as seen from above and on far scenery, without weights; a
small network weighs how well each explains the second.
Class: `longdwm_env.models.readers.inverse_dynamics.InverseDynamics`.

## What it is for
Did a video do what was commanded? `longdwm metrics obey` and the compliance metric rest on it.

## What it is not for
It needs the camera's intrinsics and mounting, and a flat road. It has seen the reference simulator and nothing else:
what it says of photographs and of real video has not been measured. No safety decision may rest on it.
"""

READERS: dict[str, tuple[Callable[[Path], Reader], Path, str]] = {
    "scorer": (scorer.load_scorer, scorer.BUNDLED, _SCORER),
    "inverse-dynamics": (inverse_dynamics.load_inverse_dynamics, inverse_dynamics.BUNDLED, _INVERSE_DYNAMICS),
}
"""By the stage that trains it: what reads it from a folder, where the package has it, the head of its card."""


def ship_reader(stage: str, source: Path, target: Path, training: JsonObject, quality: str | None = None) -> str:
    """Write a trained reader in bfloat16, with its configuration and card.

    Args:
        stage: of training, which made it; one of ``READERS``.
        source: folder of the trained network.
        target: folder to write.
        training: how it was trained; printed on the card.
        quality: what was measured of the exported weights, a page in markdown; None if nothing was.

    Returns:
        Hash of the exported weights, as tables of results name it.

    Raises:
        MissingWeights: the source holds no whole network.
    """
    load, _, about = READERS[stage]
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
