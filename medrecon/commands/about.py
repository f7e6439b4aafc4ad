"""`medrecon methods` and `medrecon doctor`: what there is, and what this machine has."""

from __future__ import annotations

from typing import Annotated

import typer

from medrecon.commands.command_options import known_method
from medrecon.commands.console import print_table, say
from medrecon.config import METHODS, LearnedSettings, Method
from medrecon.modality import Modality
from medrecon.weights.shipped import shipped_weights

__all__ = ["METHOD_COLUMNS", "doctor", "method_rows", "methods"]

METHOD_COLUMNS = ("for", "method", "what it does", "needs", "options", "here")


def methods(
    name: Annotated[str | None, typer.Argument(metavar="METHOD", help="Explain the options of this one.")] = None,
) -> int:
    """List the methods of reconstruction, what they need, and whether they can run here and now.

    With a name its options are explained, which are given by --set OPTION=VALUE.

    Example: medrecon methods tv
    """
    if name is None:
        print_table(METHOD_COLUMNS, method_rows())
        return 0
    method = METHODS[known_method(name)]
    say(f"{method.name()}, for {', '.join(method.modalities).upper()}: {method.summary}; needs {method.needs}")
    if rows := _option_rows(method):
        print_table(("option", "what it is", "default"), rows)
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


def _option_rows(method: type[Method]) -> list[list[str]]:
    """The options of a method, and their defaults: of its settings, or where these leave them open of its reconstructor."""
    from medrecon.reconstructor import parameters_of
    from medrecon.workflows.methods import build_reconstructor

    built = {}
    if not issubclass(method, LearnedSettings):
        settings = method.model_validate({})
        built = {one: parameters_of(build_reconstructor(settings, one)) for one in method.modalities}  # type: ignore[arg-type]
    rows = []
    for option, meaning in method.options().items():
        found = {one: str(parameters[option]) for one, parameters in built.items()}
        default = method.model_fields[option].default
        values = set(found.values()) or {"" if default is None else str(default)}
        said = next(iter(values)) if len(values) == 1 else "; ".join(f"{one.upper()}: {v}" for one, v in found.items())
        rows.append([option, meaning, said])
    return rows


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
