"""What modules cost, counted by running them on tensors without data: arithmetic, bytes moved, bytes held at once.

No formula stands beside the modules: each runs under PyTorch's fake tensors, which have shapes, types and lifetimes but
no numbers, and PyTorch's own counter sees every product of matrices, convolution and attention.
"""

import gc
import re
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch._ops import OpOverload, OpOverloadPacket
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

_FLASH_ON_CPU: dict[OpOverloadPacket, Callable[..., int]] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda *shapes, **_: sdpa_flop_count(*shapes[:3]),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda *shapes, **_: sdpa_backward_flop_count(
        *shapes[:4]
    ),
}
"""PyTorch counts the attention of GPUs; that of CPUs does the same arithmetic."""

_BLOCK = re.compile(r"\.transformer_blocks\.\d+$")

_EXACT = 1.02
"""A peak is exact to this: looking for what only cycles hold takes time, so smaller rises are passed over."""


@dataclass(frozen=True)
class Cost:
    """What some computation needs.

    Attributes:
        flops: floating-point operations of products of matrices, convolutions and attention.
        traffic: bytes read and written if every operation reads its inputs and writes its results: what is left of it
            after fusion is less.
        held: most bytes held at once, beside what was there before.
        linear: of ``flops``, those of the linear layers of transformers' blocks, which can be done in eight bits.
    """

    flops: float = 0.0
    traffic: float = 0.0
    held: float = 0.0
    linear: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        """One after the other."""
        return Cost(
            self.flops + other.flops,
            self.traffic + other.traffic,
            max(self.held, other.held),
            self.linear + other.linear,
        )

    def times(self, count: int) -> "Cost":
        """The same ``count`` times, one after the other."""
        return replace(self, flops=self.flops * count, traffic=self.traffic * count, linear=self.linear * count)


class Watcher(TorchDispatchMode):
    """Adds up bytes moved, and follows which storages are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.traffic, self.live, self.peak = 0.0, 0, 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        out = func(*args, **(kwargs or {}))
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        made = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        for tensor in made:
            self._follow(tensor.untyped_storage())
        if not func.is_view:
            self.traffic += sum(_bytes_touched(tensor) for tensor in (*given, *made))
        return out

    def _follow(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.live += size
        weakref.finalize(storage, self._forget, key, size)
        if self.live > _EXACT * self.peak:
            # What only cycles hold is freed when Python happens to look: it is no part of what a step needs.
            gc.collect()
            self.peak = max(self.peak, self.live)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size


def _bytes_touched(tensor: Tensor) -> int:
    # An expanded tensor is read from the little that it is stored as.
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def counter() -> FlopCounterMode:
    """PyTorch's counter of operations, for attention on a CPU as well."""
    return FlopCounterMode(display=False, custom_mapping=_FLASH_ON_CPU)


@contextmanager
def quick_collections() -> Iterator[None]:
    """Within it Python looks for garbage only when asked, and only among what was made meanwhile."""
    frozen_before = gc.get_freeze_count() > 0
    if frozen_before:  # what is set aside now stays aside, so it should hold no garbage
        gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        if not frozen_before:
            gc.unfreeze()


def cost_of(run: Callable[[], object]) -> Cost:
    """What a computation needs, the same each time; with fake tensors nothing is computed."""
    with quick_collections(), counter() as operations, Watcher() as watcher:
        run()
    return Cost(
        float(operations.get_total_flops()), watcher.traffic, float(watcher.peak), float(linear_in_blocks(operations))
    )


def linear_in_blocks(operations: FlopCounterMode) -> int:
    """Of what was counted, the products of the linear layers of transformers' blocks: all that is no attention."""
    products = (torch.ops.aten.mm, torch.ops.aten.addmm)
    blocks = (counts for name, counts in operations.get_flop_counts().items() if _BLOCK.search(name))
    return sum(counts.get(product, 0) for counts in blocks for product in products)


def without_data() -> FakeTensorMode:
    """Within it tensors have shapes and no numbers; real ones may be used."""
    return FakeTensorMode(allow_non_fake_inputs=True)


def with_data() -> AbstractContextManager[object]:
    """Numbers again, within ``without_data``: for what decides by them; elsewhere it changes nothing."""
    manager: AbstractContextManager[object] = unset_fake_temporarily()
    return manager


def bytes_of(module: nn.Module | None) -> float:
    """Of its weights and buffers."""
    if module is None:
        return 0.0
    return float(sum(t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers())))
