"""Counted random numbers: a draw is a function of (seed, count, purpose), so resuming draws what would have been."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch


def counted_seed(seed: int, count: int, purpose: str) -> int:
    """A 63-bit seed from a run's seed, a running number (step or sample) and what it is for."""
    digest = hashlib.blake2b(f"{seed}/{count}/{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def numbers(seed: int, count: int, purpose: str) -> np.random.Generator:
    """A numpy generator for one purpose at one count."""
    return np.random.default_rng(counted_seed(seed, count, purpose))


def normal(seed: int, counts: Sequence[int], purpose: str, shape: Sequence[int]) -> torch.Tensor:
    """Standard normal noise, (len(counts), *shape) float32 on the CPU; row i depends on ``counts[i]`` alone."""
    rows = []
    for count in counts:
        generator = torch.Generator().manual_seed(counted_seed(seed, count, purpose))
        rows.append(torch.randn(*shape, generator=generator))
    return torch.stack(rows)


def uniform(seed: int, counts: Sequence[int], purpose: str) -> torch.Tensor:
    """Uniform numbers in [0, 1), (len(counts),) float32."""
    return torch.tensor([numbers(seed, count, purpose).random() for count in counts], dtype=torch.float32)
