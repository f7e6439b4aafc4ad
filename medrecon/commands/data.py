"""`medrecon data`: the data sets that medrecon knows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medrecon.commands.console import print_table, progress, say
from medrecon.commands.options import AllowExternalOption

__all__ = ["fetch", "list_", "path", "verify"]

_Name = Annotated[str, typer.Argument(metavar="NAME", help="See `medrecon data list`.")]


def list_() -> int:
    """List the data sets, and whether they are on this machine.

    Example: medrecon data list
    """
    from medrecon.data.sets.fetch import list_datasets
    from medrecon.data.sets.manifest import Registration

    rows = []
    for dataset in list_datasets():
        manifest = dataset.manifest
        how = "after registration" if isinstance(manifest.source, Registration) else "medrecon data fetch"
        rows.append([manifest.name, "here" if dataset.present else how, manifest.title, str(dataset.folder)])
    print_table(("name", "available", "title", "folder"), rows)
    return 0


def fetch(
    name: _Name,
    packed: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FOLDER", help="Take heads-open or ct-open from this folder, which holds its packed form."
        ),
    ] = None,
) -> int:
    """Print the license of a data set, and get it.

    Example: medrecon data fetch brain-axt2
    """
    from medrecon.data.sets.manifest import load_manifest
    from medrecon.workflows.preparation import prepare

    manifest = load_manifest(name)
    say(f"{manifest.title}\nlicense: {_words(manifest.license)}\ncitation: {_words(manifest.citation)}")
    with progress() as bar:
        folder = prepare(name, bar, packed=packed)
    say(f"{name} lies in {folder}")
    return 0


def verify(
    name: _Name,
    folder: Annotated[Path | None, typer.Option(help="Where it lies, if not where medrecon puts it.")] = None,
    allow_external: AllowExternalOption = False,
) -> int:
    """Check the files of a data set; the exit status is 2 if one is wrong.

    Example: medrecon data verify brain-axt2
    """
    from medrecon.data.sets.verify import verify as check

    problems = check(name, folder, allow_external=allow_external)
    for problem in problems:
        say(problem)
    if problems:
        say(f"{name}: {'1 fault' if len(problems) == 1 else f'{len(problems)} faults'} found")
        return 2
    say(f"{name}: all files are as they should be")
    return 0


def path(name: _Name) -> int:
    """Print the folder of a data set.

    Example: medrecon inspect "$(medrecon data path brain-axt2)"/*.h5
    """
    from medrecon.data.sets.fetch import path as find

    say(str(find(name)))
    return 0


def _words(text: str) -> str:
    return " ".join(text.split())
