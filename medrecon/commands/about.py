"""`medrecon methods` and `medrecon doctor`: what there is, and what this machine has."""

from __future__ import annotations

from medrecon.commands.console import print_table
from medrecon.config import CT_METHODS, METHODS

__all__ = ["METHOD_COLUMNS", "doctor", "method_rows", "methods"]

METHOD_COLUMNS = ("for", "method", "what it does", "needs", "options")
_OPTIONS = ("weight", "iterations", "window", "frequency_scaling", "weights", "precision", "compile")


def methods() -> int:
    """List the methods of reconstruction, for which modality they are, and what they need.

    Example: medrecon methods
    """
    print_table(METHOD_COLUMNS, method_rows())
    return 0


def method_rows() -> list[list[str]]:
    """What `medrecon methods` lists, under `METHOD_COLUMNS`."""
    rows = []
    for modality, kinds in (("MRI", METHODS), ("CT", CT_METHODS)):
        for method in kinds:
            fields = method.model_fields
            chooses = [name for name in _OPTIONS if name in fields]
            options = " ".join(f"--{name.replace('_', '-')}" for name in chooses)
            rows.append([modality, fields["kind"].default.value, method.summary, method.needs, options])
    return rows


def doctor() -> int:
    """Say which versions, threads, GPU and optional packages there are; useful in a report of a fault.

    Example: medrecon doctor
    """
    from medrecon.doctor import examine

    print_table(("what", "found"), examine())
    return 0
