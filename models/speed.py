"""Switches that make transformers faster or smaller: compiled blocks, attention by name, weights of eight bits.

Each is rejected, saying what to install or to choose instead, before any long work.
"""

import importlib.util
import os
import shutil
import typing
from typing import Literal

import torch
from diffusers.models.attention_processor import Attention, CogVideoXAttnProcessor2_0
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from longdwm_env.errors import InvalidConfig, MissingDependency
from longdwm_env.models.network.dit import LongDWMTransformer3DModel

AttentionName = Literal["flash", "efficient", "cudnn", "math"]
WeightName = Literal["int8", "float8", "int8-dynamic", "float8-dynamic"]

_BACKENDS: dict[AttentionName, SDPBackend] = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}
_CONFIGURATIONS: dict[WeightName, str] = {
    "int8": "Int8WeightOnlyConfig",
    "float8": "Float8WeightOnlyConfig",
    "int8-dynamic": "Int8DynamicActivationInt8WeightConfig",
    "float8-dynamic": "Float8DynamicActivationFloat8WeightConfig",
}


class NamedAttention(CogVideoXAttnProcessor2_0):
    """CogVideoX's attention by one kernel of PyTorch's, and no other."""

    def __init__(self, backend: SDPBackend) -> None:
        super().__init__()
        self.backend = backend

    # diffusers looks at the names here, and leaves out what it does not find.
    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """As in CogVideoX."""
        with sdpa_kernel(self.backend):
            return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, image_rotary_emb)


def speed_up(
    transformer: LongDWMTransformer3DModel,
    *,
    compile_blocks: bool = False,
    attention: AttentionName | None = None,
    weights: WeightName | None = None,
) -> None:
    """Set the switches of a transformer, in place; it must lie on its device already.

    Args:
        transformer: Coarse or Fine.
        compile_blocks: compile the repeated block, one graph for every number of latents.
        attention: kernel of attention; None leaves the choice to PyTorch.
        weights: of the blocks' linear layers, through torchao, for generation alone: "int8" and "float8" store eight
            bits and compute as before; the "dynamic" ones also multiply in eight bits, which is what saves time.

    Raises:
        InvalidConfig: this device has no such kernel.
        MissingDependency: a package or compiler is missing.
    """
    if attention is not None:
        use_attention(transformer, attention)
    if weights is not None:
        use_weights(transformer, weights)
    if compile_blocks:
        check_compiler(next(transformer.parameters()).device)
        transformer.compile_repeated_blocks(fullgraph=True, dynamic=True)


def use_attention(transformer: LongDWMTransformer3DModel, name: AttentionName) -> None:
    """Let a transformer's attention be computed by one kernel.

    Raises:
        InvalidConfig: it does not run on the transformer's device in its type; the message names those that do.
    """
    if name not in _BACKENDS:
        raise InvalidConfig(f"attention={name!r}: allowed are {', '.join(_BACKENDS)}")
    head, like = transformer.config.attention_head_dim, next(transformer.parameters())
    if not _runs(_BACKENDS[name], head, like):
        running = [other for other, backend in _BACKENDS.items() if _runs(backend, head, like)]
        raise InvalidConfig(
            f"attention={name!r} does not run on {like.device.type} in {like.dtype} with heads of {head}; here "
            f"{' and '.join(running)} do, and without a name PyTorch chooses"
        )
    transformer.set_attn_processor(NamedAttention(_BACKENDS[name]))


def _runs(backend: SDPBackend, head: int, like: Tensor) -> bool:
    probe = torch.zeros(1, 1, 16, head, device=like.device, dtype=like.dtype)
    try:
        with sdpa_kernel(backend):
            nn.functional.scaled_dot_product_attention(probe, probe, probe)
    except RuntimeError:
        return False
    return True


def use_weights(transformer: nn.Module, name: WeightName) -> None:
    """Keep the weights of the blocks' linear layers in eight bits.

    Raises:
        MissingDependency: torchao is not installed.
        InvalidConfig: the device cannot multiply numbers of this kind.
    """
    if name not in _CONFIGURATIONS:
        raise InvalidConfig(f"weights={name!r}: allowed are {', '.join(typing.get_args(WeightName))}")
    if not is_installed("torchao"):
        raise MissingDependency(f"weights={name!r} needs torchao: pip install 'longdwm[large]'")
    device = next(transformer.parameters()).device
    if name == "float8-dynamic" and not _multiplies_float8(device):
        raise InvalidConfig(
            f"weights={name!r} needs a GPU of compute capability 8.9 or above (RTX 4090, H100, H200), and this is "
            f"{device.type}; 'float8' stores eight bits and computes in more"
        )
    from torchao import quantization

    def is_of_a_block(module: nn.Module, path: str) -> bool:
        return isinstance(module, nn.Linear) and path.startswith("transformer_blocks.")

    quantization.quantize_(transformer, getattr(quantization, _CONFIGURATIONS[name])(), filter_fn=is_of_a_block)


def is_installed(package: str) -> bool:
    """Whether it could be imported; it is not."""
    return importlib.util.find_spec(package) is not None


def _multiplies_float8(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 9)


def check_compiler(device: torch.device) -> None:
    """Reject to compile where it would fail at the first pass.

    Raises:
        MissingDependency: a C++ compiler (CPU) or Triton (GPU) is missing.
    """
    if device.type == "cuda":
        if not is_installed("triton"):
            raise MissingDependency("torch.compile needs Triton on a GPU: pip install triton, or leave compile out")
    elif not any(shutil.which(name) for name in (os.environ.get("CXX", ""), "g++", "clang++", "c++") if name):
        raise MissingDependency("torch.compile needs a C++ compiler on a CPU, such as g++; or leave compile out")
