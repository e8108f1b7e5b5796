"""AdamW with moments of 32 or of eight bits, its learning rate, and how moments of eight bits are kept."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from longdwm_env.errors import InvalidState, MissingDependency
from longdwm_env.models.speed import is_installed
from longdwm_env.training.config import OptimizerConfig

_SIGNED = {"exp_avg": True, "exp_avg_sq": False}


def adamw(parameters: Iterable[nn.Parameter], config: OptimizerConfig) -> torch.optim.Optimizer:
    """The optimizer of a configuration.

    Raises:
        MissingDependency: moments of eight bits need torchao.
    """
    parameters = list(parameters)
    # One kernel for everything: faster, and without the temporaries of all weights that the other ways make.
    is_fused = bool(parameters) and all(parameter.is_cuda for parameter in parameters)
    kind: Any = partial(torch.optim.AdamW, fused=True) if is_fused else torch.optim.AdamW
    if config.moments == "8bit":
        if not is_installed("torchao"):
            raise MissingDependency("optimizer.moments=8bit needs torchao: pip install 'longdwm[large]'")
        from torchao.optim import AdamW8bit

        kind = AdamW8bit
    optimizer: torch.optim.Optimizer = kind(
        parameters, lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay
    )
    return optimizer


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Of all groups; torchao compiles its step, so there it is a tensor that stays the same one."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def has_eight_bits(optimizer: torch.optim.Optimizer) -> bool:
    """Whether its moments are torchao's, which PyTorch's own ways to keep an optimizer would make plain numbers of."""
    return type(optimizer).__module__.startswith("torchao.")


def moments_as_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Everything that moments of eight bits consist of, on the CPU: ``{parameter}/{moment}``, or with ``.{part}``."""
    stored = {}
    for name, parameter in _trained(model):
        for moment, tensor in optimizer.state.get(parameter, {}).items():
            for part, inner in _parts(tensor).items():
                stored[f"{name}/{moment}{part}"] = inner.detach().cpu()
    return stored


def put_moments_back(model: nn.Module, optimizer: torch.optim.Optimizer, stored: Mapping[str, Tensor]) -> None:
    """The inverse of ``moments_as_tensors``.

    Raises:
        InvalidState: moments are missing, or of another kind.
    """
    for name, parameter in _trained(model):
        if f"{name}/step" not in stored:
            continue
        made = {moment: _new_buffer(optimizer, parameter, signed) for moment, signed in _SIGNED.items()}
        for moment, tensor in made.items():
            for part, inner in _parts(tensor).items():
                found = stored.get(f"{name}/{moment}{part}")
                if found is None or found.shape != inner.shape:
                    raise InvalidState(
                        f"the checkpoint's moments of {name} are not of eight bits; go on with the optimizer.moments "
                        "that the run was begun with"
                    )
                inner.copy_(found)
        optimizer.state[parameter] = {"step": stored[f"{name}/step"].clone(), **made}


def _parts(tensor: Tensor) -> dict[str, Tensor]:
    """A tensor's own, or those that a tensor of eight bits stands for."""
    if not hasattr(tensor, "__tensor_flatten__"):
        return {"": tensor}
    names, _ = tensor.__tensor_flatten__()
    return {f".{name}": getattr(tensor, name) for name in names}


def _new_buffer(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, signed: bool) -> Tensor:
    """An empty moment of eight bits, as torchao's optimizer makes it."""
    made: Tensor = optimizer._new_buffer(parameter, signed)  # type: ignore[attr-defined]
    return made


def _trained(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name.removeprefix("module."), p) for name, p in model.named_parameters() if p.requires_grad]
