"""Tileable noise, made once, sampled anywhere in the world."""

from functools import lru_cache

import cv2
import numpy as np

from longdwm_env.simulator.counted_random import generator
from longdwm_env.types import FloatArray

NOISE_PX = 1024


@lru_cache(maxsize=8)
def noise(purpose: str, coarsest_px: int, finest_px: int, size_px: int = NOISE_PX) -> FloatArray:
    """Sum of octaves of smoothed random grids, (size, size) float32, periodic, zero mean and unit deviation."""
    rng = generator(0, f"noise {purpose}")
    total = np.zeros((size_px, size_px), np.float32)
    cell = coarsest_px
    while cell >= finest_px:
        grid = rng.standard_normal((size_px // cell, size_px // cell)).astype(np.float32)
        wrapped = np.pad(grid, 2, mode="wrap")
        grown = cv2.resize(wrapped, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)
        total += grown[2 * cell : 2 * cell + size_px, 2 * cell : 2 * cell + size_px] * np.float32(cell**0.5)
        cell //= 2
    return (total - total.mean()) / total.std()


def periodic_noise(rng: np.random.Generator, length: int, octaves: tuple[int, ...]) -> FloatArray:
    """(length,) sum of periodic waves, the given numbers of waves per period; between about -1 and 1."""
    phase = np.linspace(0, 2 * np.pi, length, endpoint=False)
    total = np.zeros(length)
    weights = 0.0
    for waves in octaves:
        weight = 1.0 / waves**0.6
        total += weight * np.sin(waves * phase + rng.uniform(0, 2 * np.pi))
        weights += weight
    return total / (weights**0.8)
