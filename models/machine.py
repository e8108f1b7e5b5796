"""Which machine this is, in words, for figures that depend on it."""

import os
import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def processor() -> str:
    """The processor's name and, on Linux, who made it: ``Intel(R) Xeon(R) Processor (GenuineIntel)``."""
    try:
        lines = _CPUINFO.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    told: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        told.setdefault(key.strip(), value.strip())
    name = told.get("model name") or platform.processor() or platform.machine()
    return f"{name} ({told['vendor_id']})" if told.get("vendor_id") else name


def accelerator() -> str | None:
    """The name and memory of the first GPU that PyTorch can use, or None."""
    import torch

    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    return "Apple (mps)" if torch.backends.mps.is_available() else None


def describe(device: str | None = None) -> str:
    """The machine in a line: cores, processor, GPU.

    Args:
        device: "cpu" where a GPU is left alone.
    """
    found = None if device == "cpu" else accelerator()
    return f"{os.cpu_count()} cores of {processor()}" + (f", {found}" if found else "")
