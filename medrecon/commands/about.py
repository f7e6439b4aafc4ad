"""`medrecon methods` and `medrecon doctor`: what there is, and what this machine has."""

from __future__ import annotations

from medrecon.commands.console import print_table
from medrecon.config import METHODS, LearnedSettings, Method
from medrecon.modality import Modality
from medrecon.weights.shipped import shipped_weights

__all__ = ["METHOD_COLUMNS", "doctor", "method_rows", "methods"]

METHOD_COLUMNS = ("for", "method", "what it does", "needs", "options", "here")


def methods() -> int:
    """List the methods of reconstruction, for which modality they are, what they need, and whether they can run here and now.

    Options are given by --set OPTION=VALUE.

    Example: medrecon methods
    """
    print_table(METHOD_COLUMNS, method_rows())
    return 0


def method_rows() -> list[list[str]]:
    """What `medrecon methods` lists, under `METHOD_COLUMNS`."""
    return [
        [
            ", ".join(method.modalities).upper(),
            name,
            method.summary,
            method.needs,
            ", ".join(method.options()),
            _here(method),
        ]
        for name, method in METHODS.items()
    ]


def _here(method: type[Method]) -> str:
    """Whether a method can run as it is, for each modality where these differ."""
    said = {modality: _lacks(method, modality) or "yes" for modality in method.modalities}
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return "; ".join(f"{modality.upper()}: {words}" for modality, words in said.items())


def _lacks(method: type[Method], modality: Modality) -> str:
    """What a method lacks that it takes to run."""
    if not issubclass(method, LearnedSettings):
        return ""
    name = method.shipped.get(modality)
    if name is not None and shipped_weights(name) is not None:
        return ""
    train = f"`medrecon train {name}`, then " if name is not None else ""
    return f"no weights come with medrecon: {train}--weights FILE"


def doctor() -> int:
    """Say which versions, threads, GPU and optional packages there are; useful in a report of a fault.

    Example: medrecon doctor
    """
    from medrecon.doctor import examine

    print_table(("what", "found"), examine())
    return 0
