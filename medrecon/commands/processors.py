"""How much of this machine the program may use."""

from __future__ import annotations

import os

__all__ = ["PROCESS_BYTES", "processors"]

PROCESS_BYTES = 2**28  # of memory that a process of the program takes before it does anything


def processors() -> int:
    """Processors that this process may run on: fewer than the machine has where a scheduler or `taskset` says so."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
