"""Weights, gradients and moments shared among processes: PyTorch's ``fully_shard`` (FSDP2)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from longdwm_env.errors import InvalidConfig


def shard(objective: nn.Module, device: str, processes: int, *, in_bf16: bool) -> None:
    """Let every process keep a part of an objective's transformers; each block is put together while it is computed.

    Args:
        objective: whose transformers, all of them, name their repeated blocks in ``_repeated_blocks``; changed in
            place. What it hides from PyTorch, as a teacher, stays whole in every process.
        device: type of the device that it lies on.
        processes: that share it, all that there are.
        in_bf16: send weights as bfloat16, which is what autocast computes in; gradients are added in float32.

    Raises:
        InvalidConfig: there is one process, or something else than transformers is trained.
    """
    if processes < 2:
        raise InvalidConfig(
            "loop.shard=true shares the weights among processes, and this is one: start several (torchrun "
            "--nproc_per_node N -m longdwm_env.cli.train ...), or leave it out"
        )
    mesh = init_device_mesh(device, (processes,))
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if in_bf16 else None, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    transformers: list[Any] = [part for part in objective.modules() if getattr(part, "_repeated_blocks", None)]
    for transformer in transformers:
        for block in [part for part in transformer.modules() if type(part).__name__ in transformer._repeated_blocks]:
            fully_shard(block, mesh=mesh, mp_policy=policy)
        fully_shard(transformer, mesh=mesh, mp_policy=policy)
    left = [name for name, p in objective.named_parameters() if p.requires_grad and not isinstance(p, DTensor)]
    if left:
        raise InvalidConfig(
            f"loop.shard=true shares transformers, and here {left[0]} is trained too; leave it out (the processes then "
            "keep a copy each)"
        )


def add_gradients_up(module: nn.Module, now: bool) -> None:
    """Whether the next backward pass adds gradients of all processes up, or keeps its own for one that does."""
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.set_requires_gradient_sync(now, recurse=False)


def whole(tensor: Tensor) -> Tensor:
    """A tensor that processes share, in each of them; every process must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
