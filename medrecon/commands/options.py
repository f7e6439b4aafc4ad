"""Options that several commands have in common, and commands that take many of them as one value."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from medrecon.errors import InputError
from medrecon.words import shortened

__all__ = [
    "AllowCodeOption",
    "AllowExternalOption",
    "AxesOption",
    "CalibrationOption",
    "ChangesOption",
    "ConfigArgument",
    "DarkOption",
    "FlatOption",
    "SchedulerOption",
    "SelectOption",
    "WorkersOption",
    "parse_select",
    "takes_options",
]

ConfigArgument = Annotated[
    str, typer.Argument(metavar="CONFIG", help="A YAML file, or a name of `medrecon configs list`.")
]
ChangesOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key: images=2; repeatable.")
]
AllowCodeOption = Annotated[
    bool,
    typer.Option(
        "--allow-code", help="Let a configuration that does not come with medrecon import methods, and so run code."
    ),
]
WorkersOption = Annotated[
    int | None, typer.Option(min=0, help="Processes on this machine, 0 for this one alone [half the cores].")
]
SchedulerOption = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler whose workers to take: tcp://host:8786.")
]
AllowExternalOption = Annotated[
    bool,
    typer.Option(
        "--allow-external",
        help="Read other files that an HDF5 file leads to, too, by links or as a virtual data set; they are refused else.",
    ),
]

SelectOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=NUMBER",
        help="MRI: of a raw file that holds several, take this repetition, contrast, phase, set or encoding, or group=NAME; "
        "repeatable, the first unless given.",
    ),
]
FlatOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|COUNTS", help="CT: frames without the object, by which counts are normalized; or a number."
    ),
]
DarkOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|COUNTS", help="CT: frames without the beam, which are subtracted from counts; or a number."
    ),
]
CalibrationOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="MRI: k-space from which coil maps are estimated, in another file.")
]
AxesOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="What the axes of an array are, where it says too little: coil,y,x of MRI, angle,slice,detector of CT.",
    ),
]

Status = TypeVar("Status")


def parse_select(texts: Sequence[str] | None) -> dict[str, str]:
    """Read `NAME=VALUE` of several choices.

    Raises
    ------
    InputError
        If a text is of another form, or one is made twice.
    """
    made: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value) or name in made:
            raise InputError(f"--select takes NAME=NUMBER, such as repetition=1, each once; got '{shortened(text)}'")
        made[name] = value
    return made


def takes_options(command: Callable[..., Status]) -> Callable[..., Status]:
    """A command in which a parameter that is a dataclass stands for its fields: each is an option, the value is made of them."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            parameters += _options_of(groups[name])
        else:
            parameters.append(parameter.replace(annotation=hints[name]))

    @wraps(command)
    def run(**given: Any) -> Status:
        made = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        return command(**given, **made)

    del run.__wrapped__  # or its signature would be taken
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _options_of(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]
