"""`medrecon methods` and `medrecon doctor`: what there is, and what this machine has."""

from __future__ import annotations

from medrecon.commands.console import print_table
from medrecon.config import METHODS

__all__ = ["doctor", "methods"]


def methods() -> int:
    """List the methods of reconstruction, and what they need.

    Example: medrecon methods
    """
    rows = []
    for method in METHODS:
        chooses = [name for name in ("weight", "iterations") if name in method.model_fields]
        options = " ".join(f"--{name}" for name in chooses)
        rows.append([method.model_fields["kind"].default.value, method.summary, method.needs, options])
    print_table(("method", "what it does", "needs", "options"), rows)
    return 0


def doctor() -> int:
    """Say which versions, threads, GPU and optional packages there are; useful in a report of a fault.

    Example: medrecon doctor
    """
    from medrecon.doctor import examine

    print_table(("what", "found"), examine())
    return 0
