"""`medrecon configs`: the configurations that come with medrecon."""

from __future__ import annotations

import re
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from medrecon.commands.console import print_table, say

__all__ = ["copy", "list_", "show"]

_Name = Annotated[str, typer.Argument(metavar="NAME", help="See `medrecon configs list`.")]


def list_() -> int:
    """List the configurations that come with medrecon; `medrecon train NAME` and `medrecon benchmark NAME` take them as they are.

    Example: medrecon configs list
    """
    from medrecon.config.shipped import config_names, shipped_config

    print_table(("name", "command", "what it is"), [[name, *_about(shipped_config(name))] for name in config_names()])
    return 0


def show(name: _Name) -> int:
    """Print a configuration.

    Example: medrecon configs show benchmark_phantom
    """
    from medrecon.config.shipped import shipped_config

    say(shipped_config(name).read_text(encoding="utf-8").rstrip())
    return 0


def copy(
    name: _Name,
    destination: Annotated[
        Path | None, typer.Argument(metavar="DEST", help="The file to write, or a folder [NAME.yaml].")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> int:
    """Copy a configuration, and the tuned settings that it names, to change it.

    Example: medrecon configs copy varnet_brain_small mine.yaml
    """
    from medrecon.config.shipped import referred_files, shipped_config
    from medrecon.data.writing import atomic_file

    source = shipped_config(name)
    target = Path() if destination is None else destination
    target = target / source.name if target.is_dir() else target
    pairs = {target: source, **{target.parent / file: source.parent / file for file in referred_files(source)}}
    with ExitStack() as written:  # all of them, or none
        for copied, original in pairs.items():
            if target.parent.is_dir():
                copied.parent.mkdir(exist_ok=True)
            shutil.copyfile(original, written.enter_context(atomic_file(copied, overwrite=overwrite)))
    say("\n".join(f"{copied}: written" for copied in pairs))
    return 0


def _about(path: Path) -> tuple[str, str]:
    """The command that takes a configuration, and the first sentence of its leading comment."""
    text = path.read_text(encoding="utf-8")
    comment = re.match(r"(#.*\n)*", text)
    words = re.sub(r"\s*\n?# ?", " ", comment[0] if comment else "").strip()
    return "train" if re.search(r"^training:", text, re.MULTILINE) else "benchmark", re.split(r"(?<=\.) ", words)[0]
