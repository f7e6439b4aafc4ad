"""The commands of `medrecon` put together, and the exit status of what goes wrong in them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated

import typer
import typer.main

from medrecon._version import __version__
from medrecon.commands import about, benchmark, configs, data, demo, reconstruct, scans, train, tune, weights
from medrecon.commands.console import complain, expected, say
from medrecon.commands.statuses import INTERRUPTED, OK, UNEXPECTED, USER_ERROR
from medrecon.commands.termination import Termination
from medrecon.config import METHODS

__all__ = ["app", "run"]


def _print_version(asked: bool) -> None:
    if asked:
        say(f"medrecon {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Turn raw measurements of MRI and CT scanners into images."""


def _app(callback: Callable[..., None] | None = None, *, help: str | None = None) -> typer.Typer:
    return typer.Typer(
        help=help, callback=callback, rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False
    )


app = _app(_root)
_data = _app(help="List, get and check data sets.")
_configs = _app(help="List, show and copy the configurations that come with medrecon.")
_weights = _app(help="List, show and import trained weights.")
_import = _app(help="Rewrite weights of other packages as those of medrecon.")
app.command()(reconstruct.reconstruct)
app.command()(scans.inspect)
app.command()(scans.simulate)
app.command()(about.methods)
app.command()(demo.demo)
app.command()(train.train)
app.command()(benchmark.benchmark)
app.command()(tune.tune)
app.add_typer(_configs, name="configs")
app.add_typer(_data, name="data")
app.add_typer(_weights, name="weights")
app.command()(about.doctor)
_configs.command("list")(configs.list_)
_configs.command()(configs.show)
_configs.command()(configs.copy)
_data.command("list")(data.list_)
_data.command()(data.fetch)
_data.command()(data.verify)
_data.command()(data.path)
_weights.command("list")(weights.list_)
_weights.command()(weights.show)
_weights.command()(weights.score)
_weights.command()(weights.export)
_weights.add_typer(_import, name="import")
_import.command("fastmri")(weights.import_fastmri)


def run(arguments: list[str], termination: Termination) -> int:
    """Run a command, say what goes wrong, and return the status; signals and a closed pipe are passed on."""
    try:
        status = typer.main.get_command(app)(args=arguments, prog_name="medrecon", standalone_mode=False)
        return int(status or OK)
    except BrokenPipeError:
        raise
    except typer.Abort:
        return INTERRUPTED
    except Exception as error:
        if (told := termination.status) is not None:  # what a library made of it
            return told
        if callable(words := getattr(error, "format_message", None)):  # a wrong option or argument
            complain(f"{words()}{_of_a_method(error)} (see `medrecon --help`)")
            return USER_ERROR
        if (reason := expected(error)) is not None:
            complain(reason)
            return USER_ERROR
        if os.environ.get("MEDRECON_DEBUG"):
            raise
        complain(
            f"unexpected {type(error).__name__}: {error}; run with MEDRECON_DEBUG=1 for the traceback, and report it"
        )
        return UNEXPECTED


def _of_a_method(error: Exception) -> str:
    """A hint for an option that is unknown to the program and known to a method."""
    name = str(getattr(error, "option_name", "")).removeprefix("--").replace("-", "_")
    known = any(name in method.options() for method in METHODS.values())
    return f" Options of methods are given as --set {name}=VALUE." if known else ""
