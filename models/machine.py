"""Which machine this is, in words, for figures that depend on it."""

import os
import platform
from functools import lru_cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def processor() -> str:
    """The processor's name and, on Linux, who made it: ``Intel(R) Xeon(R) Processor (GenuineIntel)``."""
    try:
        lines = _CPUINFO.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    fields: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    name = fields.get("model name") or platform.processor() or platform.machine()
    return f"{name} ({fields['vendor_id']})" if fields.get("vendor_id") else name


def accelerator() -> str | None:
    """The name and memory of the first GPU that PyTorch can use, or None."""
    import torch

    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    return "Apple (mps)" if torch.backends.mps.is_available() else None


@lru_cache
def faster_in_bfloat16() -> bool:
    """Whether this processor convolves faster in bfloat16 than in float32.

    With tiles (AMX) it does. Of those with vector instructions alone, AMD's do twice as much in a cycle; Intel's do as
    much as in float32, and convert besides: encoding and decoding take a quarter longer. Of others, ARM's among them,
    it is not known, and they are taken to be slower.
    """
    import torch

    if torch.cpu._is_amx_tile_supported():
        return True
    return bool(torch.cpu._is_avx512_bf16_supported()) and "Intel" not in processor()


def describe(device: str | None = None) -> str:
    """The machine in a line: cores, processor, GPU.

    Args:
        device: "cpu" where a GPU is left alone.
    """
    found = None if device == "cpu" else accelerator()
    return f"{os.cpu_count()} cores of {processor()}" + (f", {found}" if found else "")
