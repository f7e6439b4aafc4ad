"""How much of this machine the program may use."""

from __future__ import annotations

import os

__all__ = ["processors"]


def processors() -> int:
    """Processors that this process may run on: fewer than the machine has where a scheduler or `taskset` says so."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
