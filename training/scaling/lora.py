"""Training few weights: low-rank changes of the blocks' linear layers (LoRA, Hu et al. 2021), through peft.

What LongDWM adds to CogVideoX starts at zero and is trained whole beside them. A finished run is merged: what comes out
is a plain transformer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from longdwm_env.errors import InvalidConfig, MissingDependency
from longdwm_env.models.network.dit import LongDWMTransformer3DModel
from longdwm_env.models.speed import is_installed

LAYERS = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2")
"""Linear layers of a block that are changed."""

OWN_MODULES = ("known_embed", "warp_embed", "warp_projections", "motion_embed")
"""What LongDWM adds to CogVideoX's transformer."""

_ADAPTER = "longdwm"


@dataclass(frozen=True)
class LoraChoices:
    """What is trained.

    Attributes:
        rank: of the changes; 0 trains all weights.
        alpha: the changes count alpha / rank times.
    """

    rank: int = 0
    alpha: float = 64.0

    def __post_init__(self) -> None:
        if self.rank < 0 or self.alpha <= 0:
            raise InvalidConfig(f"lora.rank is at least 0 and lora.alpha above 0, got {self}")


def add_lora(transformer: LongDWMTransformer3DModel, choices: LoraChoices, seed: int) -> None:
    """Freeze a transformer but for what LongDWM added to it, and put low-rank changes beside its blocks' layers.

    Args:
        transformer: a ``LongDWMTransformer3DModel``; changed in place, its output at first is not.
        choices: their rank.
        seed: of the first factors; the second ones are zeros.

    Raises:
        MissingDependency: peft is not installed.
    """
    if not is_installed("peft"):
        raise MissingDependency("lora.rank above 0 needs peft: pip install 'longdwm[train]'")
    from peft import LoraConfig

    transformer.requires_grad_(False)
    config = LoraConfig(r=choices.rank, lora_alpha=choices.alpha, target_modules=list(LAYERS))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer.add_adapter(config, adapter_name=_ADAPTER)
    for name, parameter in transformer.named_parameters():
        if name.split(".")[0] in OWN_MODULES:
            parameter.requires_grad_(True)


def is_lora(weights: Mapping[str, Tensor]) -> bool:
    """Whether trained weights are low-rank changes."""
    return any(f".{_ADAPTER}.weight" in name for name in weights)


def merge_lora(transformer: nn.Module, weights: Mapping[str, Tensor], choices: LoraChoices) -> None:
    """Put trained changes into a transformer's own weights, which then has no trace of peft.

    Raises:
        InvalidConfig: the weights are of another transformer or rank.
    """
    changed = cast(LongDWMTransformer3DModel, transformer)
    add_lora(changed, choices, seed=0)
    try:
        unexpected = changed.load_state_dict(dict(weights), strict=False).unexpected_keys
    except RuntimeError as error:
        raise InvalidConfig(f"these changes do not fit a transformer with lora.rank={choices.rank}: {error}") from error
    if unexpected:
        raise InvalidConfig(f"these changes are of another transformer: it has no {unexpected[:3]}")
    changed.fuse_lora(adapter_names=[_ADAPTER])
    changed.unload_lora()
    transformer.requires_grad_(True)
