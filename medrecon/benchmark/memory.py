"""The largest memory of this process over a stretch of work."""

from __future__ import annotations

import re
from pathlib import Path

import torch

__all__ = ["peak_memory", "reset_peak_memory"]

_MIB = 2**20


def reset_peak_memory(device: torch.device) -> bool:
    """Begin a stretch; whether its peak can be told.

    On Linux the kernel keeps the largest resident memory of the process (`VmHWM`), and begins anew when 5 is written to
    `/proc/self/clear_refs`; other systems know that of the whole life of a process alone. On a GPU, PyTorch's allocator is asked.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def peak_memory(device: torch.device) -> float | None:
    """The largest memory since the stretch began, in MiB: on the CPU that of the whole process, program and data included."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _MIB
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    match = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return None if match is None else int(match[1]) / 1024
