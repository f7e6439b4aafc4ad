"""The program `medrecon` in a cell, as in a terminal."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

__all__ = ["medrecon"]

_COLORED = (
    "FORCE_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
)  # Jupyter sets them; they have programs write as to a terminal


def medrecon(line: str, *, hide: tuple[str, ...] = ()) -> None:
    """Run `medrecon LINE` and print what it prints, without the lines that begin with one of `hide`.

    Raises
    ------
    RuntimeError
        with the program's own words, if it could not do it.
    """
    environment = {key: value for key, value in os.environ.items() if key not in _COLORED}
    command = [sys.executable, "-m", "medrecon", *shlex.split(line)]
    done = subprocess.run(command, capture_output=True, text=True, env={**environment, "COLUMNS": "150"})
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    print("\n".join(said for said in done.stdout.splitlines() if not said.startswith(hide)))
