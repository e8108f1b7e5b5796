"""Files of the networks that read pictures: loaded whole as float32, or refused with the way to get them."""

import json
from pathlib import Path
from typing import TypeVar

import torch
from diffusers.models.modeling_utils import ModelMixin
from safetensors import SafetensorError
from safetensors.torch import load_file

from longdwm_env.errors import MissingWeights
from longdwm_env.models.folder import check_finite, module_weights

CONFIGURATION, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"

NetworkT = TypeVar("NetworkT", bound=ModelMixin)


def load_network(kind: type[NetworkT], folder: Path, stage: str, device: str | torch.device) -> NetworkT:
    """A trained network from a folder that ``save_pretrained`` or ``longdwm train ship-STAGE`` wrote, as float32.

    Args:
        kind: its class.
        folder: with ``config.json`` and safetensors.
        stage: of training, which trains one.
        device: where it works.

    Raises:
        MissingWeights: a file is missing or damaged, or the weights do not fit the configuration.
    """
    for name in (CONFIGURATION, WEIGHTS):
        if not (folder / name).is_file():
            raise MissingWeights(
                f"{folder} holds no {stage}: {name} is missing. `longdwm train {stage}` trains one and puts it into "
                f"{stage}/model of its folder"
            )
    try:
        config = json.loads((folder / CONFIGURATION).read_text(encoding="utf-8"))
        # Copies, because the file's own place in memory is not aligned, and then other kernels give other last bits.
        tensors = {name: tensor.float().clone() for name, tensor in load_file(folder / WEIGHTS).items()}
        # Shapes alone at first: initial weights would cost time and draw from PyTorch's own random state.
        with torch.device("meta"):
            network = kind.from_config(config)
        network.load_state_dict(tensors, strict=True, assign=True)
        check_finite(module_weights(network), folder)
    except MissingWeights:
        raise
    except (SafetensorError, OSError, UnicodeDecodeError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise MissingWeights(
            f"the {stage} in {folder} is damaged or does not fit its configuration: {error}"
        ) from error
    loaded: NetworkT = network.eval().requires_grad_(False).to(device)
    return loaded


def has_weights(folder: Path) -> bool:
    """Whether a folder holds a trained network."""
    return (folder / CONFIGURATION).is_file() and (folder / WEIGHTS).is_file()


def load_bundled(kind: type[NetworkT], folder: Path, stage: str, device: str | torch.device) -> NetworkT:
    """The network that comes with the package; arguments and errors are those of ``load_network``."""
    if not has_weights(folder):
        raise MissingWeights(
            f"no trained {stage} comes with this installation ({folder} holds none); `longdwm train {stage}` trains "
            f"one, `longdwm train ship-{stage}` puts it there"
        )
    return load_network(kind, folder, stage, device)
