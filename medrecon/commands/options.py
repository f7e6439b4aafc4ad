"""Options that several commands have in common."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["ChangesOption", "ConfigArgument", "SchedulerOption", "WorkersOption"]

ConfigArgument = Annotated[
    str, typer.Argument(metavar="CONFIG", help="A YAML file, or a name of `medrecon configs list`.")
]
ChangesOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key: images=2; repeatable.")
]
WorkersOption = Annotated[
    int | None, typer.Option(min=0, help="Processes on this machine, 0 for this one alone [half the cores].")
]
SchedulerOption = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler whose workers to take: tcp://host:8786.")
]
